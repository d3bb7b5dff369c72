"""Alerts: one row while it lasts, who is told, over what, how often, and never by a private address nobody named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone
from standardwebhooks.webhooks import Webhook

from labeling.alerts import delivery
from labeling.alerts.delivery import Sent, deliver_due, pause_after
from labeling.alerts.errors import DeliveryError
from labeling.alerts.models import Alert, AlertDelivery, AlertKind, AlertRecipient, DeliveryState
from labeling.alerts.services import add_recipient, close_alert, close_unseen, raise_alert
from labeling.alerts.webhooks import find_address
from labeling.errors import say
from labeling.history.models import HistoryEvent
from tests.alerts.receiver import Receiver, receiver
from tests.world import World, in_threads

OLD = {"kind": AlertKind.QUEUE_TOO_OLD, "subject": "queue:letters/default"}


@pytest.fixture
def hook(settings: Any) -> Iterator[Receiver]:
    """A webhook on this machine, which the settings allow."""
    settings.REVIEWAPP_WEBHOOK_HOSTS = ("localhost",)
    with receiver() as found:
        yield found


def tell(world: World, address: str, *, channel: str = "webhook", **more: Any) -> Any:
    wanted = {"kinds": [], "project": None, **more}
    return add_recipient(channel=channel, address=address, by=world.ada.actor, **wanted)


def test_it_is_one_row_while_it_lasts(world: World) -> None:
    first = raise_alert(**OLD, detail=say("3 h"), project_id=world.letters.pk)
    assert raise_alert(**OLD, detail=say("4 h"), project_id=world.letters.pk) == first
    alert = Alert.objects.get()
    assert (alert.times, alert.detail) == (2, "4 h")
    assert close_unseen(kinds=[AlertKind.QUEUE_TOO_OLD], since=alert.seen_at) == 0
    assert close_unseen(kinds=[AlertKind.STRAGGLERS], since=timezone.now()) == 0
    assert close_unseen(kinds=[AlertKind.QUEUE_TOO_OLD], since=timezone.now()) == 1
    assert not close_alert(**OLD)
    assert raise_alert(**OLD, detail=say("again")) != first


@pytest.mark.slow
def test_ten_who_see_the_same_at_once_open_one(live_world: World) -> None:
    tell(live_world, "ops@example.org", channel="email")
    in_threads([partial(raise_alert, **OLD, detail=say("x"))] * 10)  # type: ignore[arg-type]
    assert Alert.objects.get().times == 10
    assert AlertDelivery.objects.count() == 1


def test_a_webhook_is_signed_and_told_of_beginning_and_end(world: World, hook: Receiver) -> None:
    secret = tell(world, hook.url).secret
    raise_alert(**OLD, detail=say("3 h"), project_id=world.letters.pk)
    assert deliver_due() == Sent(1, 0)
    raise_alert(**OLD, detail=say("4 h"), project_id=world.letters.pk)
    close_alert(**OLD)
    assert deliver_due() == Sent(1, 0)
    assert deliver_due() == Sent(0, 0)

    bodies = [Webhook(secret).verify(body, headers) for headers, body in hook.received]

    assert [body["type"] for body in bodies] == ["alert.opened", "alert.closed"]
    assert bodies[0]["data"]["kind"] == "queue_too_old"
    assert (bodies[0]["data"]["project"], bodies[0]["data"]["detail"]) == ("letters", "3 h")
    assert hook.received[0][0][":path"] == "/hook?a=1"
    assert hook.received[0][0]["host"] == f"localhost:{hook.server_port}"


def test_what_fails_is_tried_again_later_and_given_up_in_the_end(world: World, hook: Receiver) -> None:
    tell(world, hook.url)
    hook.status = 500
    raise_alert(**OLD, detail=say("x"))
    now = timezone.now() + timedelta(seconds=1)
    assert deliver_due(now) == Sent(0, 1)
    assert deliver_due(now) == Sent(0, 0), "not before its time"
    message = AlertDelivery.objects.get()
    assert (message.attempt, message.error) == (1, "It answered 500.")
    hook.status = 302
    assert deliver_due(message.next_try_at) == Sent(0, 1), "no redirect is followed"
    hook.status = 200
    message.refresh_from_db()
    assert deliver_due(message.next_try_at) == Sent(1, 0)
    ids = {headers["webhook-id"] for headers, _ in hook.received}
    assert len(hook.received) == 3
    assert len(ids) == 1, "the same message each time"

    raise_alert(kind=AlertKind.STRAGGLERS, subject="s", detail=say("x"))
    AlertDelivery.objects.filter(state="waiting").update(attempt=delivery.MOST_ATTEMPTS - 1)
    hook.status = 503
    deliver_due(timezone.now() + timedelta(seconds=1))
    assert AlertDelivery.objects.filter(state=DeliveryState.FAILED).count() == 1


def test_a_worker_that_dies_while_sending_leaves_it_to_the_next(
    world: World, hook: Receiver, monkeypatch: Any
) -> None:
    """The message went out, and the worker died before it could say so: it goes out again under the same id."""
    tell(world, hook.url)
    raise_alert(**OLD, detail=say("x"))
    sent = delivery._send

    def send_and_die(one: AlertDelivery) -> None:
        sent(one)
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(delivery, "_send", send_and_die)
        with pytest.raises(KeyboardInterrupt):
            deliver_due()
    assert deliver_due(AlertDelivery.objects.get().next_try_at) == Sent(1, 0)
    assert len({headers["webhook-id"] for headers, _ in hook.received}) == 1
    assert len(hook.received) == 2


def test_an_answer_is_not_read_to_its_end(world: World, hook: Receiver) -> None:
    hook.never_ends = True
    tell(world, hook.url)
    raise_alert(**OLD, detail=say("x"))
    assert deliver_due() == Sent(1, 0)


def test_an_address_that_nobody_foresaw_holds_up_nobody(world: World, hook: Receiver) -> None:
    tell(world, hook.url)
    AlertRecipient.objects.create(channel="webhook", address="https://[::1/", secret="whsec_eA==")
    raise_alert(**OLD, detail=say("x"))
    assert deliver_due() == Sent(1, 1)
    assert "InvalidURL" in AlertDelivery.objects.get(state="waiting").error


def test_pauses_double_up_to_two_hours() -> None:
    assert [pause_after(n).total_seconds() for n in (1, 2, 3, 20)] == [15, 30, 60, 7200]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:127.0.0.1",
        "fe80::1",
        "0.0.0.0",
    ],
)
def test_private_addresses_are_not_reached(host: str, settings: Any) -> None:
    settings.REVIEWAPP_WEBHOOK_HOSTS = ()
    with pytest.raises(DeliveryError, match="not a public address"):
        find_address(host, 80)
    settings.REVIEWAPP_WEBHOOK_HOSTS = (host,)
    assert find_address(host, 80)


def test_a_public_address_is_reached() -> None:
    assert find_address("8.8.8.8", 443) == "8.8.8.8"


def test_mail_goes_to_those_who_want_this_kind_of_this_project(world: World, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    other = world.make_project("parcels")
    tell(world, "all@example.org", channel="email")
    tell(world, "letters@example.org", channel="email", project=world.letters)
    tell(world, "parcels@example.org", channel="email", project=other)
    tell(world, "disk@example.org", channel="email", kinds=["disk_nearly_full"])
    raise_alert(**OLD, detail=say("It is old."), project_id=world.letters.pk)

    assert deliver_due() == Sent(2, 0)

    assert sorted(message.to[0] for message in mail.outbox) == ["all@example.org", "letters@example.org"]
    message = mail.outbox[0]
    assert message.subject == "[reviewapp] Queue too old in letters"
    assert "It is old." in str(message.body)
    assert message.extra_headers["Message-ID"].startswith("<")


def test_without_a_mail_server_the_message_waits_and_says_why(world: World, settings: Any) -> None:
    settings.EMAIL_HOST = ""
    tell(world, "all@example.org", channel="email")
    raise_alert(**OLD, detail=say("x"))
    assert deliver_due() == Sent(0, 1)
    assert "REVIEWAPP_EMAIL_URL" in AlertDelivery.objects.get().error


# --- Over the API ----------------------------------------------------------------------------------------------------


def test_each_sees_what_they_lead(world: World) -> None:
    raise_alert(**OLD, detail=say("x"), project_id=world.letters.pk)
    raise_alert(kind=AlertKind.DISK_NEARLY_FULL, subject="disk:home", detail=say("full"))
    seen = {
        name: [alert["kind"] for alert in world.api(name).get("/alerts/").expect(200)["results"]]
        for name in ("ada", "lea", "rita", "nora")
    }
    assert seen == {
        "ada": ["disk_nearly_full", "queue_too_old"],
        "lea": ["queue_too_old"],
        "rita": [],
        "nora": [],
    }
    ada = world.api("ada")
    assert len(ada.get("/alerts/?kind=disk_nearly_full").expect(200)["results"]) == 1
    assert len(ada.get("/alerts/?project=letters").expect(200)["results"]) == 1
    assert ada.get("/alerts/?state=closed").expect(200)["results"] == []
    for query in ("state=ajar", "kind=doom", "project=%00"):
        ada.get(f"/alerts/?{query}").expect_problem(422)
    number = Alert.objects.get(kind="disk_nearly_full").pk
    world.api("lea").post(f"/alerts/{number}/acknowledge/").expect_problem(404)


def test_acknowledged_by_the_first(world: World) -> None:
    number = raise_alert(**OLD, detail=say("x"), project_id=world.letters.pk)
    assert world.api("lea").post(f"/alerts/{number}/acknowledge/").expect(200)["acknowledged_by"] == "lea"
    assert world.api("otto").post(f"/alerts/{number}/acknowledge/").expect(200)["acknowledged_by"] == "lea"
    assert HistoryEvent.objects.filter(action="alert.acknowledged").count() == 1


def test_recipients_come_and_go(world: World) -> None:
    ada = world.api("ada")
    made = ada.post(
        "/alerts/recipients/", {"channel": "webhook", "address": "https://example.org/x", "kinds": []}
    ).expect(201)
    assert made["secret"].startswith("whsec_")
    again = {"channel": "webhook", "address": "https://example.org/x"}
    ada.post("/alerts/recipients/", again).expect_problem(409, "exists")
    (listed,) = ada.get("/alerts/recipients/").expect(200)["results"]
    assert "secret" not in listed
    ada.post("/alerts/test/").expect(200)
    assert AlertDelivery.objects.count() == 2
    ada.delete(f"/alerts/recipients/{made['id']}/").expect(204)
    ada.delete(f"/alerts/recipients/{made['id']}/").expect_problem(404)
    assert deliver_due() == Sent(0, 0), "what was on its way is dropped, not tried again for days"
    assert set(AlertDelivery.objects.values_list("state", flat=True)) == {DeliveryState.FAILED}
    ada.post("/alerts/recipients/", again).expect(201)


@pytest.mark.parametrize(
    "body",
    [
        {"channel": "email", "address": "nobody"},
        {"channel": "webhook", "address": "ftp://example.org"},
        {"channel": "webhook", "address": "https://user:pw@example.org/"},
        {"channel": "webhook", "address": "https://[::1/"},
        {"channel": "webhook", "address": "https:///x"},
        {"channel": "pigeon", "address": "x"},
        {"channel": "email", "address": "a@example.org", "kinds": ["doom"]},
        {"channel": "email"},
    ],
)
def test_recipients_that_cannot_be(world: World, body: Any) -> None:
    problem = world.api("ada").post("/alerts/recipients/", body).expect_problem(422)
    assert problem["errors"][0]["pointer"], json.dumps(problem)

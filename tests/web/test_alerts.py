"""Pages for operators: alerts, who is told of them, and the ledger check."""

from __future__ import annotations

import pytest

from labeling.alerts.models import Alert, AlertDelivery, AlertKind, AlertRecipient
from labeling.alerts.services import raise_alert
from labeling.errors import say
from labeling.ledger.models import LedgerRun
from labeling.ledger.runs import LEFT_BEHIND, run_waiting
from tests.web.conftest import As
from tests.world import World, a_row


@pytest.fixture
def alert(world: World) -> int:
    return raise_alert(
        kind=AlertKind.QUEUE_TOO_OLD,
        subject="queue:q",
        detail=say("It is <old>."),
        project_id=world.letters.pk,
    )


def test_who_leads_sees_acknowledges_and_filters(as_: As, alert: int) -> None:
    page = as_("lea").get("/alerts/").content.decode()
    assert "It is &lt;old&gt;." in page
    assert "It is" not in as_("rita").get("/alerts/").content.decode()
    assert "It is" not in as_("lea").get("/alerts/?kind=stragglers").content.decode()
    link = "/alerts/?project=letters"
    assert link in as_("lea").get("/projects/letters/").content.decode()
    assert link not in as_("rita").get("/projects/letters/").content.decode()
    assert "It is &lt;old&gt;." in as_("lea").get(link).content.decode()
    assert as_("lea").get("/alerts/?kind=doom").status_code == 422
    assert as_("rita").post(f"/alerts/{alert}/acknowledge/").status_code == 403
    assert as_("nora").post(f"/alerts/{alert}/acknowledge/").status_code == 404
    assert (
        "You look after it now"
        in as_("lea").post(f"/alerts/{alert}/acknowledge/", follow=True).content.decode()
    )
    assert Alert.objects.get().acknowledged_by is not None


def test_recipients_are_the_administrators_business(as_: As, world: World) -> None:
    for path in ("recipients/", "test/"):
        assert as_("otto").post(f"/alerts/{path}").status_code == 403
    ada = as_("ada")
    made = ada.post("/alerts/recipients/", {"channel": "webhook", "address": "https://example.org/x"})
    secret = AlertRecipient.objects.get().secret
    assert secret in made.content.decode()
    assert secret not in ada.get("/alerts/recipients/").content.decode()
    refused = ada.post("/alerts/recipients/", {"channel": "email", "address": "nobody"})
    assert refused.status_code == 422
    assert "not an e-mail address" in refused.content.decode()
    assert (
        ada.post(
            "/alerts/recipients/", {"channel": "email", "address": "a@b.org", "project": "none"}
        ).status_code
        == 422
    )
    ada.post("/alerts/test/")
    assert AlertDelivery.objects.count() == 2
    assert "on its way" in ada.get("/alerts/recipients/").content.decode()
    assert ada.post(f"/alerts/recipients/{AlertRecipient.objects.get().pk}/remove/").status_code == 302
    assert not AlertRecipient.objects.filter(removed_at=None).exists()


def test_a_ledger_check_is_asked_for_done_and_shown(as_: As, world: World) -> None:
    world.api("otto").predict([a_row(), a_row(confidence=0.99)]).expect(200)
    assert as_("otto").get("/ledger/").status_code == 403
    ada = as_("ada")
    assert ada.post("/ledger/", {"period": "for ever"}).status_code == 422
    for _ in range(2):
        ada.post("/ledger/", {"period": "all"})
    run = LedgerRun.objects.get()  # one under way is enough
    assert 'hx-trigger="every 2s"' in ada.get("/ledger/").content.decode()
    LedgerRun.objects.update(state="running", started_at=run.asked_at)
    assert run_waiting(run.asked_at) is None, "somebody is at it"
    assert run_waiting(run.asked_at + 2 * LEFT_BEHIND) is not None, "whoever was at it is dead"
    page = ada.get("/ledger/", headers={"HX-Target": "checks"}).content.decode()
    assert "The ledger is whole" in page
    assert "<html" not in page


def test_a_broken_promise_is_an_alert_until_a_whole_check_is_clean(world: World) -> None:
    LedgerRun.objects.create()
    world.letters.feed_head.__class__.objects.update(last_number=7)
    found = run_waiting()
    assert found is not None
    assert found.broken == 1
    assert Alert.objects.get().kind == AlertKind.LEDGER_BROKEN
    world.letters.feed_head.__class__.objects.update(last_number=0)
    LedgerRun.objects.create()
    run_waiting()
    assert Alert.objects.get().closed_at is not None

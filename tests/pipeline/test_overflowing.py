"""Too much work: the oldest reviews are answered by the fallback, or new ones refused; whoever holds a task keeps it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from labeling.alerts.models import Alert, AlertKind
from labeling.history.models import HistoryEvent
from labeling.ids import SECOND_BITS, take_ids
from labeling.ledger.checks import check_ledger
from labeling.pipeline.overflowing import keep_within_limits
from labeling.projects.models import Project
from labeling.review.models import Overflowed, ReviewQueue, ReviewTask
from labeling.routing.models import Overflowing, PolicyVersion
from labeling.trust.models import TrustDay
from labeling.trust.services import fold_deltas
from tests.world import QUIET, Api, World, a_row, in_threads, uncommitted, wait_until

FALLBACK = {
    **QUIET,
    "fallback": {
        "mode": "rules",
        "rules": [{"when": 'input.text == "Dear Sir"', "output": {"label": "b"}}],
        "else": {"label": "c"},
    },
    "overflow": {"mode": "fallback", "after_seconds": 3600},
}
REFUSE = {**QUIET, "overflow": {"mode": "refuse", "waiting_max": 2}}


def late() -> datetime:
    return timezone.now() + timedelta(hours=2)


def states() -> list[str]:
    return list(ReviewTask.objects.order_by("id").values_list("state", flat=True))


def assert_whole() -> None:
    """The ledger is whole, the counts are those of a recount before they are added up and after."""
    for _ in range(2):
        assert [found for found in check_ledger() if found.wrong] == []
        fold_deltas()


@pytest.fixture
def sender(world: World) -> Api:
    return world.api("otto", at=world.make_project("late", policy=FALLBACK))


def test_late_reviews_are_answered_by_the_fallback(sender: Api, world: World) -> None:
    """Outcome, task, counts, story, repeats; and what comes after it goes on from there."""
    rows = [a_row(input={"text": text}) for text in ("Dear Sir", "Hello")]
    sender.predict(rows).expect(200)
    assert keep_within_limits() == 0
    assert keep_within_limits(late()) == 2
    assert keep_within_limits(late()) == 0

    found = {entry["id"]: entry for entry in sender.outcomes()}
    assert [found[row["id"]]["output"]["label"] for row in rows] == ["b", "c"]
    assert {(entry["origin"], entry["revision"]) for entry in found.values()} == {("fallback", 1)}
    assert states() == ["cancelled"] * 2
    story = sender.story(rows[0]["id"])
    assert story["tasks"][0]["answered_by_fallback_at"] is not None
    assert story["accepted_label"]["output"] == {"label": "b"}
    again = sender.predict(rows[0]).expect(200)
    assert (again["status"], again["output"], again["route"]) == ("final", {"label": "b"}, "review")
    assert_whole()
    day = TrustDay.objects.get()
    assert (day.total, day.review, day.overflowed, day.confirmed) == (2, 2, 2, 0)

    newer = {**rows[0], "model_version": "2"}
    assert sender.predict(newer).expect(201)["status"] == "pending"
    assert sender.predict(newer).expect(200)["status"] == "pending"
    rita = world.api("rita", at=sender.at)
    rita.decide(rita.claim_one(), "corrected", {"label": "c"}).expect(201)
    last = sender.outcomes()[-1]
    assert (last["origin"], last["revision"], last["output"]) == ("human", 2, {"label": "c"})
    assert_whole()


def test_what_came_while_the_review_waited_is_answered_with_it(sender: Api) -> None:
    """A further prediction of an item has no task of its own while one is open."""
    row = a_row()
    further = {**row, "model_version": "2"}
    assert sender.predict(row).expect(201)["status"] == "pending"
    assert sender.predict(further).expect(201)["status"] == "pending"
    ids = [p["prediction_id"] for p in sender.story(row["id"])["predictions"]]
    wait_until(lambda: take_ids(1)[0] >> SECOND_BITS > max(ids) >> SECOND_BITS)
    assert keep_within_limits(late()) == 1
    assert sender.predict(further).expect(200)["output"] == {"label": "b"}
    assert_whole()


def test_only_what_waits_untouched_is_answered(sender: Api, world: World) -> None:
    """Claimed, undone, escalated, checked blind, answered already: none of that is taken from people."""
    rita = world.api("rita", at=sender.at)
    sender.predict([a_row() for _ in range(3)]).expect(200)
    undone, _held, escalated = rita.claim(3)
    rita.undo(rita.decide(undone, "confirmed").expect(201)["decision"]).expect(200)
    rita.decide(escalated, "escalated").expect(201)
    answered = a_row()
    sender.predict(answered).expect(201)
    sender.predict({**answered, "model_version": "2", "confidence": 0.99}).expect(201)
    audits = {**FALLBACK, "audit_rate": 1}
    sender.put(sender.below("policy/"), audits).expect(200)
    sender.predict(a_row(confidence=0.99)).expect(201)
    before = states()
    assert keep_within_limits(late()) == 0
    assert states() == before
    assert not Overflowed.objects.exists()
    assert_whole()


def test_without_a_limit_of_its_own_the_queues_deadline_counts(sender: Api) -> None:
    rule = {**FALLBACK, "overflow": {"mode": "fallback"}}
    sender.put(sender.below("policy/"), rule).expect(200)
    sender.predict(a_row()).expect(201)
    assert keep_within_limits(late()) == 0
    ReviewQueue.objects.filter(project=sender.at, slug="default").update(deadline_seconds=600)
    assert keep_within_limits(timezone.now() + timedelta(minutes=9)) == 0
    assert keep_within_limits(timezone.now() + timedelta(minutes=11)) == 1


def test_the_oldest_first_and_in_batches(sender: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labeling.pipeline.overflowing.BATCH", 2)
    monkeypatch.setattr("labeling.pipeline.overflowing.MOST_BATCHES", 2)
    for _ in range(5):
        sender.predict(a_row()).expect(201)
    assert keep_within_limits(late()) == 4
    assert states() == ["cancelled"] * 4 + ["waiting"]
    assert keep_within_limits(late()) == 1


def test_its_beginning_and_end_are_seen(sender: Api, world: World) -> None:
    sender.predict([a_row(), a_row()]).expect(200)
    assert not sender.get(sender.below("queues/")).expect(200)["results"][0]["overflow"]["active"]
    now = late()
    keep_within_limits(now)
    queue, leads = sender.get(sender.below("queues/")).expect(200)["results"]
    assert (queue["overflow"]["active"], queue["overflow"]["answered"]) == (True, 2)
    assert leads["overflow"] is None
    alert = Alert.objects.get(kind=AlertKind.QUEUE_OVERFLOWING)
    assert "2 reviews" in alert.detail
    page = world.browser("lea").client.get("/projects/late/").content.decode()
    assert "The fallback answers late reviews" in page
    metrics = sender.client.get("/metrics").content.decode()
    assert 'reviewapp_overflow_active{mode="fallback",project="late"} 1.0' in metrics
    assert 'reviewapp_overflow_answered_total{project="late"} 2.0' in metrics
    keep_within_limits(now + timedelta(minutes=5))
    assert Overflowing.objects.get().ended_at is None
    keep_within_limits(now + timedelta(minutes=11))
    alert.refresh_from_db()
    assert alert.closed_at is not None
    assert Overflowing.objects.get().ended_at is not None
    events = HistoryEvent.objects.filter(action__startswith="overflow.").order_by("id")
    assert [event.action for event in events] == ["overflow.started", "overflow.ended"]
    assert events[1].details["answered"] == 2


@pytest.fixture
def full(world: World) -> Api:
    """A project that refuses: three wait, two may."""
    api = world.api("otto", at=world.make_project("full", policy=REFUSE))
    api.predict([a_row(id=name) for name in "abc"]).expect(200)
    keep_within_limits()
    return api


def test_new_reviews_are_refused_and_the_rest_goes_on(full: Api) -> None:
    refused = full.predict(a_row())
    problem = refused.expect_problem(429, "overflow")
    assert int(refused.headers["Retry-After"]) > 0
    assert problem["detail"]
    full.predict(a_row(confidence=0.1)).expect_problem(429, "overflow")
    assert full.predict(a_row(confidence=0.99)).expect(201)["route"] == "auto"
    assert full.predict(a_row(id="a")).expect(200)["created"] is False
    assert full.predict(a_row(id="a", model_version="2")).expect(201)["status"] == "pending"
    full.predict(a_row(id="a", confidence=0.81)).expect_problem(409, "prediction_conflict")

    body = full.predict(
        [
            a_row(id="new"),
            a_row(id="new", model_version="2"),
            a_row(id="new", model_version="3", confidence=0.99),
            a_row(id="new", model_version="3", confidence=0.99),
            a_row(id="b"),
            a_row(confidence=7),
            a_row(id="new", model_version="4"),
        ]
    ).expect(200)
    said = [line["status"] for line in body["results"]]
    assert said == ["refused", "refused", "created", "duplicate", "duplicate", "invalid", "refused"]
    assert [body[name] for name in ("created", "duplicates", "conflicts", "invalid", "refused")] == [
        1,
        2,
        0,
        1,
        3,
    ]
    assert body["results"][0]["errors"][0]["code"] == "overflow"
    assert len(full.story("new")["predictions"]) == 1
    assert full.predict_lines(a_row(), a_row(confidence=1)).expect(200)["refused"] == 1
    assert ReviewTask.objects.count() == 3
    assert_whole()


def test_blind_checks_are_still_drawn(full: Api) -> None:
    full.put(full.below("policy/"), {**REFUSE, "audit_rate": 1}).expect(200)
    assert full.predict(a_row(confidence=0.99)).expect(201)["status"] == "final"
    assert ReviewTask.objects.filter(purpose="audit").count() == 1


def test_it_ends_once_a_tenth_is_free_or_the_policy_changes(full: Api, world: World) -> None:
    rita = world.api("rita", at=full.at)
    rita.decide(rita.claim_one(), "confirmed").expect(201)
    keep_within_limits()
    full.predict(a_row()).expect_problem(429, "overflow")  # two wait, two may: not yet
    rita.decide(rita.claim_one(), "confirmed").expect(201)
    keep_within_limits()
    full.predict(a_row(id="d")).expect(201)
    assert Alert.objects.get(kind=AlertKind.QUEUE_OVERFLOWING).closed_at is not None
    full.predict([a_row(id="e"), a_row(id="f")]).expect(200)
    keep_within_limits()
    full.predict(a_row()).expect_problem(429, "overflow")
    full.put(full.below("policy/"), QUIET).expect(200)
    full.predict(a_row()).expect(201)  # at once, before the sweep has seen it
    keep_within_limits()
    assert [one.ended_at is not None for one in Overflowing.objects.all()] == [True, True]
    assert_whole()


def test_a_policy_from_before_the_rule_keeps_everything(world: World) -> None:
    api = world.api("otto")
    body = PolicyVersion.objects.get(project=world.letters).body
    del body["overflow"]
    PolicyVersion.objects.create(project=world.letters, number=2, body=body)
    Project.objects.update(policy_number=2, routing_epoch=7)
    api.predict(a_row()).expect(201)
    assert keep_within_limits(late()) == 0
    assert api.get("/projects/letters/queues/").expect(200)["results"][0]["overflow"]["mode"] == "keep"
    assert world.browser("lea").client.get("/projects/letters/policy/").status_code == 200


@pytest.mark.slow
def test_a_claim_and_the_sweep_never_take_the_same_task(live_world: World) -> None:
    world = live_world
    sender = world.api("otto", at=world.make_project("late", policy=FALLBACK))
    rita = world.api("rita", at=sender.at)
    sender.predict([a_row(), a_row()]).expect(200)
    with uncommitted(lambda: rita.claim(1)):
        assert keep_within_limits(late()) == 1  # passes over what is just being claimed
    (held,) = ReviewTask.objects.filter(state="claimed")
    assert not Overflowed.objects.filter(task=held).exists()

    for _ in range(5):
        sender.predict([a_row() for _ in range(8)]).expect(200)
        claimed: list[Any]
        claimed, *_rest = in_threads(
            [lambda: rita.claim(8), lambda: keep_within_limits(late()), lambda: keep_within_limits(late())]
        )
        for task in claimed:
            rita.decide(task, "confirmed").expect(201)
    assert set(states()) <= {"claimed", "cancelled", "decided"}
    assert Overflowed.objects.filter(task__state="cancelled").count() == states().count("cancelled")
    assert_whole()

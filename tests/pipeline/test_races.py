"""What happens when two do the same at once, each in a connection of their own."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import partial

import pytest
from django.db import transaction
from django.utils import timezone

from labeling.decisions.models import AcceptedLabel, Decision
from labeling.ingestion.models import Item, ItemKey, Prediction, PredictionKey
from labeling.ledger.checks import check_ledger
from labeling.review.models import ReviewTask, TaskState
from labeling.review.services import release_expired
from tests.world import Api, Beside, Reply, World, a_row, in_threads, somebody_waits, uncommitted, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def otto(live_world: World) -> Api:
    return live_world.api("otto")


@pytest.fixture
def rita(live_world: World) -> Api:
    return live_world.api("rita")


def assert_ledger_is_green() -> None:
    assert [finding for finding in check_ledger() if finding.wrong] == []


# --- Predictions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["single", "array"])
def test_one_row_sent_by_ten_at_once_is_created_once(otto: Api, form: str) -> None:
    row = a_row(id="x")
    send = partial(otto.predict, row if form == "single" else [row])
    for _ in range(3):
        row["id"] += "x"
        send = partial(otto.predict, dict(row) if form == "single" else [dict(row)])
        replies = in_threads([send] * 10)
        if form == "single":
            assert sorted(reply.status for reply in replies) == [200] * 9 + [201]
            assert len({reply.body["prediction_id"] for reply in replies}) == 1
        else:
            assert sum(reply.expect(200)["created"] for reply in replies) == 1
            assert sum(reply.body["duplicates"] for reply in replies) == 9
    assert Item.objects.count() == Prediction.objects.count() == ReviewTask.objects.count() == 3
    assert_ledger_is_green()


def test_of_two_different_contents_one_wins_and_the_other_conflicts(otto: Api) -> None:
    for number in range(4):
        rows = [a_row(id=str(number), confidence=0.8 + n / 100) for n in range(4)]
        replies = in_threads([partial(otto.predict, row) for row in rows])
        assert sorted(reply.status for reply in replies) == [201, 409, 409, 409]
    assert Prediction.objects.count() == 4


def test_batches_that_overlap_in_every_order_lose_and_double_nothing(otto: Api) -> None:
    """Keys are written in one order, so that no two batches wait for each other."""
    rows = [a_row() for _ in range(40)]
    orders = [rows, rows[::-1], rows[20:] + rows[:20], rows[::2] + rows[1::2]]
    replies = in_threads([partial(otto.predict, order) for order in orders * 2])
    assert sum(reply.expect(200)["created"] for reply in replies) == 40
    assert sum(reply.body["duplicates"] for reply in replies) == 280
    assert Item.objects.count() == Prediction.objects.count() == ItemKey.objects.count() == 40
    assert_ledger_is_green()


def test_further_predictions_of_one_item_at_once(otto: Api) -> None:
    """Ten models speak of ten items, all at once, some twice: every prediction once, one open task per item."""
    rows = [a_row(id=f"i{n}", model_version=str(v)) for n in range(10) for v in range(10)]
    batches = [rows[v::10] for v in range(10)] + [rows[:50], rows[50:]]
    replies = in_threads([partial(otto.predict, batch) for batch in batches])
    assert sum(reply.expect(200)["created"] for reply in replies) == 100
    assert (Item.objects.count(), Prediction.objects.count(), PredictionKey.objects.count()) == (10, 100, 90)
    assert ReviewTask.objects.count() == 10
    assert_ledger_is_green()


def test_two_models_apply_automatically_at_once(otto: Api) -> None:
    otto.predict(a_row(id="x", model_version="0")).expect(201)
    send = [partial(otto.predict, a_row(id="x", model_version=str(v), confidence=0.99)) for v in range(1, 9)]
    assert {reply.status for reply in in_threads(send)} == {201}
    assert [entry["revision"] for entry in otto.outcomes()] == list(range(1, 9))


# --- A person decides while another prediction of the item comes in --------------------------------------------------


@pytest.mark.parametrize("form", ["single", "array"])
def test_a_label_that_is_being_committed_settles_a_further_automatic_prediction(
    otto: Api, rita: Api, form: str
) -> None:
    """The person was first: an automatic outcome must not take the place of the label."""
    otto.predict(a_row(id="x")).expect(201)
    task = rita.claim_one()
    row = a_row(id="x", model_version="2", confidence=0.99, prediction={"label": "c"})
    replies: list[Reply] = []

    def send() -> None:
        replies.append(otto.predict(row if form == "single" else [row]))

    with uncommitted(lambda: rita.decide(task, "corrected", {"label": "b"}).expect(201)):
        follow = Beside(send)
        wait_until(somebody_waits)
    follow.end()
    answer = replies[0].body if form == "single" else replies[0].expect(200)["results"][0]
    assert (answer["route"], answer["output"]) == ("settled", {"label": "b"})
    label = AcceptedLabel.objects.get()
    assert (label.output, label.origin) == ({"label": "b"}, "human")
    assert [(entry["origin"], entry["output"]) for entry in otto.outcomes()] == [("human", {"label": "b"})]
    assert_ledger_is_green()


def test_a_label_that_is_being_committed_settles_a_further_prediction_for_review(
    otto: Api, rita: Api
) -> None:
    """The open task is about to be decided: no second one may stay behind."""
    otto.predict(a_row(id="x")).expect(201)
    task = rita.claim_one()
    replies: list[Reply] = []
    with uncommitted(lambda: rita.decide(task, "confirmed").expect(201)):
        follow = Beside(lambda: replies.append(otto.predict(a_row(id="x", model_version="2"))))
        wait_until(somebody_waits)
    follow.end()
    assert (replies[0].body["route"], replies[0].body["output"]) == ("settled", {"label": "a"})
    assert rita.claim(50) == []
    assert_ledger_is_green()


def test_deciding_beside_a_stream_of_further_predictions(otto: Api, live_world: World) -> None:
    """Whatever the order, a person's label is never replaced by a model's."""
    items = [a_row(id=f"i{n}") for n in range(24)]
    otto.predict(items).expect(200)

    def review(api: Api) -> None:
        while tasks := api.claim(2):
            for task in tasks:
                api.decide(task, "corrected", {"label": "b"}).expect(201)

    def send(version: int) -> None:
        for n in range(24):
            row = a_row(id=f"i{n}", model_version=str(version), confidence=0.99, prediction={"label": "c"})
            assert otto.predict(row).status == 201

    reviewers = [live_world.api(name) for name in ("rita", "rolf")]
    in_threads(
        [partial(review, api) for api in reviewers] + [partial(send, version) for version in range(2, 6)]
    )
    assert Counter(label.origin for label in AcceptedLabel.objects.all()) == {"human": 24}
    assert all(label.output == {"label": "b"} for label in AcceptedLabel.objects.all())
    last = {entry["id"]: entry for entry in otto.outcomes()}
    assert all(entry["output"] == {"label": "b"} for entry in last.values())
    assert_ledger_is_green()


# --- Decisions -------------------------------------------------------------------------------------------------------


def test_one_decision_sent_twice_at_once_is_made_once(otto: Api, rita: Api) -> None:
    otto.predict([a_row() for _ in range(6)]).expect(200)
    for task in rita.claim(6):
        replies = in_threads([partial(rita.decide, task, "corrected", {"label": "b"})] * 4)
        assert sorted(reply.status for reply in replies) == [200, 200, 200, 201]
        assert all(reply.body == replies[0].body for reply in replies)
    assert Decision.objects.count() == 6
    assert len(otto.outcomes()) == 6
    assert_ledger_is_green()


def test_of_two_different_answers_at_once_one_counts(otto: Api, rita: Api) -> None:
    otto.predict([a_row() for _ in range(6)]).expect(200)
    for task in rita.claim(6):
        replies = in_threads([partial(rita.decide, task, "corrected", {"label": label}) for label in "bcbc"])
        statuses = Counter(reply.status for reply in replies)
        assert statuses[201] == 1
        assert statuses[409] == 2
        assert {reply.body["code"] for reply in replies if reply.status == 409} == {"claim_lost"}
    assert Decision.objects.count() == 6
    assert_ledger_is_green()


def test_two_undo_at_once(otto: Api, rita: Api) -> None:
    otto.predict(a_row()).expect(201)
    decision = rita.decide(rita.claim_one(), "confirmed").expect(201)["decision"]
    replies = in_threads([partial(rita.undo, decision)] * 4)
    assert [reply.status for reply in replies] == [200] * 4
    assert ReviewTask.objects.get().state == TaskState.WAITING
    assert_ledger_is_green()


def test_deciding_and_releasing_at_once(otto: Api, rita: Api) -> None:
    otto.predict([a_row() for _ in range(8)]).expect(200)
    for task in rita.claim(8):
        decided, released, skipped = in_threads(
            [
                partial(rita.decide, task, "confirmed"),
                partial(rita.on_task, task, "release"),
                partial(rita.on_task, task, "skip"),
            ]
        )
        assert sorted([decided.status in (200, 201), released.status == 204, skipped.status == 204]) == [
            False,
            False,
            True,
        ]
        assert {reply.body["code"] for reply in (decided, released, skipped) if reply.status >= 400} == {
            "claim_lost"
        }
    assert_ledger_is_green()


def test_a_sweep_passes_over_a_task_that_is_locked_and_takes_it_the_next_time(otto: Api, rita: Api) -> None:
    otto.predict([a_row()]).expect(200)
    task = rita.claim(1)[0]["task"]
    ReviewTask.objects.update(lease_expires_at=timezone.now() - timedelta(minutes=1))
    with transaction.atomic():
        ReviewTask.objects.select_for_update().get(pk=task)
        assert in_threads([release_expired]) == [0]
    assert in_threads([release_expired]) == [1]
    assert ReviewTask.objects.get().state == "waiting"


def test_everything_at_once(live_world: World, otto: Api) -> None:
    """Sending, claiming, deciding, skipping, releasing, undoing; then the ledger is looked at."""
    people = [live_world.api(name) for name in ("rita", "rolf", "lea", "otto")]
    turns = ["corrected", "undo", "rejected", "skip", "escalated", "release", "corrected"] * 3
    otto.predict([a_row(id=f"i{number}") for number in range(60)]).expect(200)

    def send(version: int) -> None:
        for number in range(15):
            otto.predict(
                [
                    a_row(id=f"i{number + n}", model_version=str(version), confidence=c)
                    for n, c in enumerate((0.8, 0.99, 0.1))
                ]
            ).expect(200)

    def work(api: Api) -> None:
        for turn in turns:
            for task in api.claim(1):
                if turn in ("skip", "release"):
                    api.on_task(task, turn).expect(204)
                    continue
                verdict = turn if turn in ("rejected", "escalated") else "corrected"
                if verdict == "corrected" and task["kind"] == "label":
                    verdict = "labelled"
                output = {"output": {"label": "c"}} if verdict in ("corrected", "labelled") else {}
                made = api.decide(task, verdict, **output).expect(201)
                if turn == "undo":
                    assert api.undo(made["decision"]).status in (200, 409)

    in_threads([partial(send, version) for version in range(3)] + [partial(work, api) for api in people])
    assert Decision.objects.count() > 10
    entries = otto.outcomes()
    assert [entry["cursor"] for entry in entries] == list(range(1, len(entries) + 1))
    assert_ledger_is_green()

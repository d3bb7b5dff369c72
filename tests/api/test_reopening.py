"""Correcting what was decided, before and after it was published: label, feed, dataset, counts and history follow."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from labeling.datasets.models import Dataset, DatasetVersion
from labeling.datasets.services import publish
from labeling.history.models import HistoryEvent
from labeling.ledger.checks import check_ledger
from labeling.review.models import Purpose, ReviewTask, TaskState
from labeling.review.services import release_expired
from labeling.trust.services import fold_deltas
from tests.world import QUIET, Api, Reply, World, a_row, in_threads


@pytest.fixture
def otto(world: World) -> Api:
    return world.api("otto")


@pytest.fixture
def rita(world: World) -> Api:
    return world.api("rita")


@pytest.fixture
def lea(world: World) -> Api:
    return world.api("lea")


@pytest.fixture
def decided(otto: Api, rita: Api) -> dict[str, Any]:
    """Rita has confirmed the only item, `x`."""
    otto.predict(a_row(id="x")).expect(201)
    return rita.decide(rita.claim_one(), "confirmed").expect(201)  # type: ignore[no-any-return]


def reopen(api: Api, task: int, **more: Any) -> Reply:
    return api.post(f"/tasks/{task}/reopen/", more)


def publish_letters(world: World) -> DatasetVersion:
    dataset = Dataset.objects.get(project=world.letters)
    assert publish(dataset.pk) is not None
    return DatasetVersion.objects.get(dataset=dataset, number=Dataset.objects.get(pk=dataset.pk).head)


def assert_ledger_is_green() -> None:
    fold_deltas()
    assert [finding for finding in check_ledger() if finding.wrong] == []


def confirmed_and_corrected(api: Api) -> tuple[int, int]:
    rate = api.get(api.below("trust/")).expect(200)["now"]["confirmation_rate"]
    return rate["count"], rate["n"] - rate["count"]


@pytest.mark.parametrize("published", [False, True])
def test_a_correction_is_the_next_version_revision_and_count(
    world: World, otto: Api, rita: Api, lea: Api, decided: dict[str, Any], published: bool
) -> None:
    if published:
        assert publish_letters(world).added == 1
    assert confirmed_and_corrected(otto) == (1, 0)

    claim = reopen(lea, decided["task"], reason="a second look").expect(200)

    assert claim["corrects"]["decision"] == decided["decision"]
    assert (claim["corrects"]["decided_by"], claim["corrects"]["verdict"]) == ("rita", "confirmed")
    assert otto.story("x")["accepted_label"]["output"] == {"label": "a"}, "until then it stands"
    assert_ledger_is_green()
    body = lea.decide(claim, "corrected", {"label": "b"}).expect(201)
    assert lea.decide(claim, "corrected", {"label": "b"}).expect(200) == body

    story = otto.story("x")
    assert story["accepted_label"] == {
        "output": {"label": "b"},
        "origin": "human",
        "revision": 2,
        "decision": body["decision"],
    }
    assert story["decisions"][-1]["supersedes"] == decided["decision"]
    assert [(e["revision"], e["output"]["label"]) for e in otto.outcomes()] == [(1, "a"), (2, "b")]
    version = publish_letters(world)
    assert (version.number, version.changed, version.rows_live) == ((2, 1, 1) if published else (1, 0, 1))
    assert confirmed_and_corrected(otto) == (0, 1)
    event = HistoryEvent.objects.get(action="task.reopened")
    assert (event.by, event.details["reason"]) == (world.lea.user, "a second look")
    assert_ledger_is_green()


def test_an_undone_correction_lets_the_earlier_decision_count_again(
    world: World, otto: Api, rita: Api, lea: Api, decided: dict[str, Any]
) -> None:
    publish_letters(world)
    made = lea.decide(reopen(lea, decided["task"]).expect(200), "corrected", {"label": "b"}).expect(201)

    lea.undo(made["decision"]).expect(200)

    assert otto.story("x")["accepted_label"] == {
        "output": {"label": "a"},
        "origin": "human",
        "revision": 3,
        "decision": decided["decision"],
    }
    assert [entry["output"]["label"] for entry in otto.outcomes()] == ["a", "b", "a"]
    assert ReviewTask.objects.get().state == TaskState.DECIDED
    assert confirmed_and_corrected(otto) == (1, 0)
    assert_ledger_is_green()
    assert publish(Dataset.objects.get(project=world.letters).pk) is None


@pytest.mark.parametrize("first", ["labelled", "rejected"])
def test_a_blind_check_is_corrected_and_that_undone(world: World, first: str) -> None:
    """A check that differs settles nothing alone: it waits for a second person, and no longer when it is taken back."""
    project = world.make_project("audited", policy={**QUIET, "audit_rate": 1})
    otto, rita = world.api("otto", at=project), world.api("rita", at=project)
    otto.predict(a_row(id="x", confidence=0.99)).expect(201)
    task = rita.claim_one()
    rita.decide(task, first, *([{"label": "a"}] if first == "labelled" else [])).expect(201)

    made = rita.decide(reopen(rita, task["task"]).expect(200), "labelled", {"label": "c"}).expect(201)
    assert_ledger_is_green()
    adjudications = ReviewTask.objects.filter(purpose=Purpose.ADJUDICATION)
    assert [task.state for task in adjudications] == [TaskState.WAITING]
    rita.undo(made["decision"]).expect(200)

    assert [task.state for task in adjudications.all()] == [TaskState.CANCELLED]
    assert [entry["output"]["label"] for entry in otto.outcomes()] == ["a"]
    assert_ledger_is_green()


def test_rejected_then_labelled_then_rejected(world: World, otto: Api, rita: Api) -> None:
    otto.predict(a_row(id="x")).expect(201)
    task = rita.claim_one()
    rita.decide(task, "rejected").expect(201)
    rita.decide(reopen(rita, task["task"]).expect(200), "confirmed").expect(201)
    assert publish_letters(world).added == 1
    rita.decide(reopen(rita, task["task"]).expect(200), "rejected").expect(201)
    assert publish_letters(world).removed == 1
    assert [entry["output"] for entry in otto.outcomes()] == [None, {"label": "a"}, None]
    assert_ledger_is_green()


def test_given_back_or_run_out_the_decision_stands(
    otto: Api, rita: Api, lea: Api, decided: dict[str, Any]
) -> None:
    for verb in ("release", "skip", "expire"):
        claim = reopen(lea, decided["task"]).expect(200)
        if verb == "expire":
            ReviewTask.objects.update(lease_expires_at=timezone.now() - timedelta(minutes=1))
            assert release_expired() == 1
        else:
            lea.on_task(claim, verb).expect(204)
        assert ReviewTask.objects.get().state == TaskState.DECIDED
        late = lea.decide(claim, "corrected", {"label": "b"}).expect_problem(409, "claim_lost")
        assert late["decided_by"] == "rita"
        assert rita.claim(50) == []
    assert otto.story("x")["accepted_label"]["decision"] == decided["decision"]
    assert_ledger_is_green()


def test_who_may(world: World, rita: Api, lea: Api, decided: dict[str, Any]) -> None:
    task = decided["task"]
    reopen(world.api("rolf"), task).expect_problem(403, "not_yours")
    reopen(world.api("vic"), task).expect_problem(403)
    reopen(world.api("nora"), task).expect_problem(404)
    mine = reopen(rita, task).expect(200)
    assert reopen(lea, task).expect_problem(409, "claim_lost")["holder"] == "rita"
    again = reopen(rita, task).expect(200)
    assert again["token"] != mine["token"]
    assert HistoryEvent.objects.filter(action="task.reopened").count() == 1


def test_what_cannot_be_reopened(otto: Api, rita: Api, lea: Api, decided: dict[str, Any]) -> None:
    claim = reopen(rita, decided["task"]).expect(200)
    refused = rita.decide(claim, "escalated").expect_problem(422)
    assert [error["pointer"] for error in refused["errors"]] == ["/verdict"]
    rita.undo(decided["decision"]).expect(200)
    reopen(rita, decided["task"]).expect_problem(409, "not_decided")
    rita.decide(rita.claim_one(), "rejected").expect(201)
    otto.predict(a_row(id="x", model_version="2")).expect(201)
    reopen(rita, decided["task"]).expect_problem(409, "task_open")
    rita.decide(rita.claim_one(), "confirmed").expect(201)
    reopen(lea, decided["task"]).expect_problem(409, "superseded")
    for reason in ("x" * 1_001, "\0", 5, None):
        assert reopen(lea, decided["task"], reason=reason).status == 422
    assert_ledger_is_green()


@pytest.mark.slow
def test_six_who_correct_at_once_correct_one_after_the_other(live_world: World) -> None:
    """Real connections: one holds the task at a time, every correction is one revision, nothing is counted twice."""
    otto, people = live_world.api("otto"), [live_world.api(name) for name in ("otto", "lea", "rita")]
    otto.predict(a_row(id="x")).expect(201)
    rita = live_world.api("rita")
    task = rita.decide(rita.claim_one(), "confirmed").expect(201)["task"]

    def correct(api: Api, label: str) -> list[int]:
        made = []
        for _ in range(4):
            claim = reopen(api, task)
            if claim.status == 200:
                reply = api.decide(claim.body, "corrected", {"label": label})
                made += [reply.body["decision"]] if reply.status == 201 else []
        return made

    made = in_threads([partial(correct, api, label) for api in people for label in "bc"])

    assert sum(map(len, made)) > 0
    entries = otto.outcomes()
    assert [entry["revision"] for entry in entries] == list(range(1, len(entries) + 1))
    assert otto.story("x")["accepted_label"]["decision"] == max(map(max, filter(None, made)))
    assert_ledger_is_green()

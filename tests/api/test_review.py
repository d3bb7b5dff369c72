"""Reviewing over the API, for all six task types: send, claim, decide, and what the outcome is."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from labeling.datasets.models import Dataset
from labeling.datasets.services import publish
from labeling.decisions.models import Decision
from labeling.ledger.checks import check_ledger
from labeling.projects.models import Membership
from labeling.review.models import Purpose, ReviewTask, TaskState
from tests.world import QUIET, Api, World, a_row


@pytest.fixture
def otto(world: World) -> Api:
    return world.api("otto")


@pytest.fixture
def rita(world: World) -> Api:
    return world.api("rita")


@pytest.fixture
def rolf(world: World) -> Api:
    return world.api("rolf")


@pytest.fixture
def lea(world: World) -> Api:
    return world.api("lea")


@pytest.fixture
def task(otto: Api, rita: Api) -> dict[str, Any]:
    """A task that Rita holds."""
    otto.predict(a_row(id="x")).expect(201)
    return rita.claim_one()


def assert_ledger_is_green() -> None:
    assert [finding for finding in check_ledger() if finding.wrong] == []


# --- All six task types ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A prediction, the label it stands for, ways to say the same, other labels, and what is no label at all."""

    name: str
    prediction: dict[str, Any]
    label: dict[str, Any]
    same: list[dict[str, Any]]
    other: list[dict[str, Any]]
    wrong: list[tuple[dict[str, Any], str]]


def span(start: int, end: int, label: str = "PER", **more: Any) -> dict[str, Any]:
    return {"start": start, "end": end, "label": label, **more}


def box(x: float, label: str = "cat", **more: Any) -> dict[str, Any]:
    return {"x": x, "y": 0.1, "width": 0.2, "height": 0.3, "label": label, **more}


KINDS = [
    Kind(
        "classification",
        {"label": "a"},
        {"label": "a"},
        same=[{"label": "a"}],
        other=[{"label": "b"}],
        wrong=[
            ({"label": "z"}, "/output/label"),
            ({"label": "a", "why": ""}, "/output/why"),
            ({}, "/output/label"),
        ],
    ),
    Kind(
        "multilabel",
        {"labels": ["a", "b"]},
        {"labels": ["a", "b"]},
        same=[{"labels": ["b", "a"]}, {"labels": ["a", "b", "a"]}],
        other=[{"labels": []}, {"labels": ["a"]}, {"labels": ["a", "b", "c"]}],
        wrong=[({"labels": ["a", "z"]}, "/output/labels/1"), ({"labels": "a"}, "/output/labels")],
    ),
    Kind(
        "text",
        {"text": "Café", "words": [{"text": "Café", "confidence": 0.7}]},
        {"text": "Café"},
        same=[{"text": "Cafe\u0301"}, {"text": " Café\n"}],
        other=[{"text": "café"}, {"text": "Caf é"}, {"text": ""}],
        wrong=[({"text": 5}, "/output/text"), ({"text": "Café", "words": []}, "/output/words")],
    ),
    Kind(
        "fields",
        {
            "fields": {"total": "9.00", "count": 2, "date": None},
            "confidences": {"total": 0.8},
            "boxes": {"total": [0, 0, 1, 1]},
        },
        {"fields": {"total": "9.00", "count": 2, "date": None}},
        same=[
            {"fields": {"count": 2.0, "total": " 9.00"}},
            {"fields": {"total": "9.00", "count": 2, "date": None, "paid": None}},
        ],
        other=[
            {"fields": {"total": "9.0", "count": 2}},
            {"fields": {"count": 2}},
            {"fields": {"total": "9.00", "count": 2, "paid": False}},
        ],
        wrong=[
            ({"fields": {"colour": "red"}}, "/output/fields/colour"),
            ({"fields": {"count": "2"}}, "/output/fields/count"),
            ({"fields": {}, "confidences": {}}, "/output/confidences"),
        ],
    ),
    Kind(
        "spans",
        {"spans": [span(0, 4, confidence=0.9), span(8, 12, "LOC")]},
        {"spans": [span(0, 4), span(8, 12, "LOC")]},
        same=[{"spans": [span(8, 12, "LOC"), span(0, 4)]}],
        other=[
            {"spans": []},
            {"spans": [span(0, 4), span(8, 12)]},
            {"spans": [span(0, 4), span(8, 11, "LOC")]},
        ],
        wrong=[
            ({"spans": [span(0, 13)]}, "/output/spans/0"),
            ({"spans": [span(4, 0)]}, "/output/spans/0"),
            ({"spans": [span(0, 4, "ORG")]}, "/output/spans/0/label"),
            ({"spans": [span(0, 4, confidence=1)]}, "/output/spans/0/confidence"),
        ],
    ),
    Kind(
        "boxes",
        {"boxes": [box(0.1, confidence=0.9), box(0.5, "dog")]},
        {"boxes": [box(0.1), box(0.5, "dog")]},
        same=[{"boxes": [box(0.5, "dog"), box(0.1)]}],
        other=[
            {"boxes": [box(0.1)]},
            {"boxes": [box(0.1), box(0.5)]},
            {"boxes": [box(0.11), box(0.5, "dog")]},
        ],
        wrong=[
            ({"boxes": [box(0.9)]}, "/output/boxes/0"),
            ({"boxes": [box(0.1, "cow")]}, "/output/boxes/0/label"),
        ],
    ),
]


@dataclass
class Typed:
    """A project of one task type: Otto sends, Rita reviews."""

    kind: Kind
    otto: Api
    rita: Api

    def send(self, confidence: float = 0.8) -> dict[str, Any]:
        """A new item, claimed by Rita."""
        row = a_row(prediction=self.kind.prediction, confidence=confidence, input={"text": "Anna in Rome"})
        self.otto.predict(row).expect(201)
        return self.rita.claim_one()

    def last_outcome(self) -> tuple[Any, ...]:
        entry = self.otto.outcomes()[-1]
        return entry["output"], entry["origin"], entry["verdict"], entry["revision"]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def typed(request: pytest.FixtureRequest, world: World) -> Typed:
    project = world.make_project("typed", request.param.name)
    return Typed(request.param, world.api("otto", at=project), world.api("rita", at=project))


def test_an_automatic_outcome_is_the_plain_label(typed: Typed) -> None:
    """Without confidences, words and boxes, which only a prediction carries."""
    row = a_row(prediction=typed.kind.prediction, confidence=0.99, input={"text": "Anna in Rome"})
    assert typed.otto.predict(row).expect(201)["output"] == typed.kind.label
    assert typed.otto.outcomes()[0]["output"] == typed.kind.label


def test_the_suggestion_is_shown_whole(typed: Typed) -> None:
    task = typed.send()
    assert (task["kind"], task["prediction"]) == ("review", typed.kind.prediction)


def test_confirmed(typed: Typed) -> None:
    answer = typed.rita.decide(typed.send(), "confirmed").expect(201)
    assert answer["output"] == typed.kind.label
    assert typed.last_outcome() == (typed.kind.label, "human", "confirmed", 1)


def test_confirmed_may_say_the_same_and_nothing_else(typed: Typed) -> None:
    for output in typed.kind.same:
        assert typed.rita.decide(typed.send(), "confirmed", output).expect(201)["output"] == typed.kind.label
    for output in typed.kind.other:
        assert names(typed.rita.decide(typed.send(), "confirmed", output)) == ["/output"]


def test_corrected(typed: Typed) -> None:
    for output in typed.kind.other:
        assert typed.rita.decide(typed.send(), "corrected", output).expect(201)["output"] == output
        assert typed.last_outcome() == (output, "human", "corrected", 1)


def test_corrected_must_differ(typed: Typed) -> None:
    for output in [typed.kind.label, *typed.kind.same]:
        problem = typed.rita.decide(typed.send(), "corrected", output).expect_problem(422, "output_same")
        assert [error["pointer"] for error in problem["errors"]] == ["/output"]


def test_an_output_must_fit_the_label_schema(typed: Typed) -> None:
    for output, pointer in typed.kind.wrong:
        task = typed.send()
        assert names(typed.rita.decide(task, "corrected", output)) == [pointer]
        typed.rita.decide(task, "corrected", typed.kind.other[0]).expect(201)


def test_labelled_without_a_suggestion(typed: Typed) -> None:
    """The server works out whether it agrees with what the reviewer did not see."""
    for output, agreed in [*((o, True) for o in typed.kind.same), *((o, False) for o in typed.kind.other)]:
        task = typed.send(confidence=0.1)
        assert (task["kind"], task["prediction"], task["confidence"]) == ("label", None, None)
        answer = typed.rita.decide(task, "labelled", output).expect(201)
        assert Decision.objects.get(pk=answer["decision"]).agreed is agreed
        assert typed.last_outcome()[1:] == ("human", "labelled", 1)
    assert_ledger_is_green()


def names(reply: Any) -> list[str]:
    return [error["pointer"] for error in reply.expect_problem(422)["errors"]]


# --- Claiming --------------------------------------------------------------------------------------------------------


def test_what_a_reviewer_is_given(world: World) -> None:
    project = world.make_project("guided", guidelines="Be kind.")
    world.api(at=project).predict(a_row(id="x", segment="Basel", input={"n": 1})).expect(201)
    task = world.api("rita", at=project).claim_one()
    assert uuid.UUID(task.pop("token"))
    assert isinstance(task.pop("task"), int)
    assert task.pop("expires_at").endswith("Z")
    assert task == {
        "kind": "review",
        "item": {"id": "x", "input": {"n": 1}, "segment": "Basel"},
        "prediction": {"label": "a"},
        "confidence": 0.8,
        "model": "reader 1",
        "guidelines_version": 1,
    }


def test_tasks_without_a_suggestion_look_alike(world: World) -> None:
    """A blind audit must not be told from a manual fallback, nor show anything of the prediction."""
    project = world.make_project("blind", policy={**QUIET, "audit_rate": 1})
    api = world.api("otto", at=project)
    api.predict([a_row(id="audit", confidence=0.99), a_row(id="manual", confidence=0.1)]).expect(200)
    audit, manual = world.api("rita", at=project).claim(2)
    assert [task.purpose for task in ReviewTask.objects.order_by("position")] == [
        Purpose.AUDIT,
        Purpose.FALLBACK,
    ]
    hidden = ("task", "token", "expires_at", "item")
    assert {k: v for k, v in audit.items() if k not in hidden} == {
        k: v for k, v in manual.items() if k not in hidden
    }
    assert (audit["kind"], audit["prediction"], audit["confidence"]) == ("label", None, None)


def test_an_audit_that_is_not_blind_shows_the_suggestion(world: World) -> None:
    project = world.make_project("open", policy={**QUIET, "audit_rate": 1, "blind_audit": False})
    world.api("otto", at=project).predict(a_row(confidence=0.99)).expect(201)
    task = world.api("rita", at=project).claim_one()
    assert (task["kind"], task["prediction"], task["confidence"]) == ("review", {"label": "a"}, 0.99)


def test_nothing_waits(otto: Api, rita: Api) -> None:
    assert rita.post(rita.below("tasks/claim/")).expect(200) == {"tasks": []}
    assert rita.claim(50) == []


def test_several_at_once(otto: Api, rita: Api, rolf: Api) -> None:
    otto.predict([a_row(id=str(n)) for n in range(60)]).expect(200)
    first, second = rita.claim(50), rolf.claim(50)
    assert [task["item"]["id"] for task in first + second] == [str(n) for n in range(60)]
    assert len({task["token"] for task in first + second}) == 60


WRONG_CLAIMS = [
    ({"count": 0}, 422, "/count"),
    ({"count": 51}, 422, "/count"),
    ({"count": -1}, 422, "/count"),
    ({"count": "many"}, 422, "/count"),
    ({"count": 1.5}, 422, "/count"),
    ({"count": None}, 422, "/count"),
    ({"count": [1]}, 422, "/count"),
    ({"count": 10**30}, 422, "/count"),
    ({"queue": 5}, 422, "/queue"),
    ({"queue": "x" * 61}, 422, "/queue"),
    ({"queue": "\0"}, 422, "/queue"),
    ({"task": "x"}, 422, "/task"),
    ({"task": -1}, 422, "/task"),
    ({"task": 2**63}, 422, "/task"),
    ({"many": 1}, 422, "/many"),
    ([1], 422, ""),
    ("x", 422, ""),
    (None, 422, ""),
    ({"queue": "nowhere"}, 404, None),
    ({"task": 1}, 404, None),
]


@pytest.mark.parametrize(("body", "status", "pointer"), WRONG_CLAIMS)
def test_wrong_claims(rita: Api, body: Any, status: int, pointer: str | None) -> None:
    problem = rita.post(rita.below("tasks/claim/"), body).expect_problem(status)
    assert pointer is None or [error["pointer"] for error in problem["errors"]] == [pointer]


def test_a_certain_task(otto: Api, rita: Api, rolf: Api, task: dict[str, Any]) -> None:
    """Claiming one's own again gives a new token; somebody else's is not free."""
    again = rita.claim_one(task=task["task"])
    assert again["token"] != task["token"]
    assert rolf.claim(task=task["task"]) == []
    assert rita.on_task(task, "release").expect_problem(409, "claim_lost")["holder"] == "rita"
    rita.on_task(again, "release").expect(204)
    rolf.claim_one(task=task["task"])


def test_a_task_of_another_project_is_not_found(world: World, task: dict[str, Any]) -> None:
    other = world.api("otto", at=world.make_project("parcels"))
    other.post(other.below("tasks/claim/"), {"task": task["task"]}).expect_problem(404)


def test_waiting_and_claimed_are_counted(otto: Api, rita: Api) -> None:
    otto.predict([a_row() for _ in range(3)]).expect(200)
    rita.decide(rita.claim_one(), "confirmed").expect(201)
    rita.claim_one()
    default, leads = otto.get(otto.below("queues/")).expect(200)["results"]
    assert (default["slug"], default["waiting"], default["claimed"], default["leads_only"]) == (
        "default",
        1,
        1,
        False,
    )
    assert default["oldest_at"] is not None
    assert default["oldest_age_seconds"] >= 0
    assert (leads["slug"], leads["waiting"], leads["claimed"], leads["leads_only"]) == ("leads", 0, 0, True)
    assert leads["oldest_at"] is None


# --- Deciding --------------------------------------------------------------------------------------------------------


def test_the_answer_to_a_decision(rita: Api, task: dict[str, Any]) -> None:
    answer = rita.decide(task, "confirmed").expect(201)
    assert {**answer, "decision": 0, "decided_at": ""} == {
        "decision": 0,
        "task": task["task"],
        "item": "x",
        "verdict": "confirmed",
        "output": {"label": "a"},
        "decided_at": "",
    }


REPEATED = [
    ("confirmed", {}),
    ("corrected", {"output": {"label": "b"}, "note": "clearly b", "seconds": 2.5}),
    ("rejected", {"note": "empty page"}),
    ("escalated", {"note": "what is this?"}),
]


@pytest.mark.parametrize(("verdict", "more"), REPEATED)
def test_the_same_request_again_has_the_same_body(
    rita: Api, task: dict[str, Any], verdict: str, more: dict[str, Any]
) -> None:
    first = rita.decide(task, verdict, **more).expect(201)
    for _ in range(2):
        assert rita.decide(task, verdict, **more).expect(200) == first
    assert Decision.objects.count() == 1


def test_the_same_request_may_be_spelled_otherwise(rita: Api, task: dict[str, Any]) -> None:
    """A repeat that measured another time is a repeat all the same."""
    first = rita.decide(task, "corrected", {"label": "b"}, seconds=2).expect(201)
    assert rita.decide(task, "corrected", {"label": "b"}, seconds=3).expect(200) == first


def test_another_answer_with_a_used_token_is_lost(rita: Api, task: dict[str, Any]) -> None:
    rita.decide(task, "confirmed").expect(201)
    problem = rita.decide(task, "corrected", {"label": "b"}).expect_problem(409, "claim_lost")
    assert problem["verdict"] == "confirmed"
    assert Decision.objects.count() == 1


MISFITS = [
    ("review", "labelled", {"output": {"label": "a"}}, "/verdict"),
    ("review", "corrected", {}, "/output"),
    ("review", "corrected", {"output": None}, "/output"),
    ("review", "corrected", {"output": "b"}, "/output"),
    ("review", "corrected", {"output": []}, "/output"),
    ("review", "rejected", {"output": {"label": "a"}}, "/output"),
    ("review", "escalated", {"output": {"label": "a"}}, "/output"),
    ("review", "confirmed", {"output": {"label": "b"}}, "/output"),
    ("review", "confirmed", {"output": "a"}, "/output"),
    ("label", "confirmed", {}, "/verdict"),
    ("label", "corrected", {"output": {"label": "b"}}, "/verdict"),
    ("label", "labelled", {}, "/output"),
    ("label", "labelled", {"output": None}, "/output"),
    ("label", "labelled", {"output": {"label": "z"}}, "/output/label"),
    ("label", "rejected", {"output": {}}, "/output"),
    ("review", "perhaps", {}, "/verdict"),
    ("review", "", {}, "/verdict"),
    ("review", None, {}, "/verdict"),
    ("review", ["confirmed"], {}, "/verdict"),
    ("review", "Confirmed", {}, "/verdict"),
    ("review", "confirmed", {"seconds": -1}, "/seconds"),
    ("review", "confirmed", {"seconds": 604_801}, "/seconds"),
    ("review", "confirmed", {"seconds": "nan"}, "/seconds"),
    ("review", "confirmed", {"seconds": "inf"}, "/seconds"),
    ("review", "confirmed", {"seconds": "soon"}, "/seconds"),
    ("review", "confirmed", {"seconds": [1]}, "/seconds"),
    ("review", "confirmed", {"seconds": 10**400}, "/seconds"),
    ("review", "confirmed", {"note": 5}, "/note"),
    ("review", "confirmed", {"note": None}, "/note"),
    ("review", "confirmed", {"note": "x" * 10_001}, "/note"),
    ("review", "confirmed", {"note": "\0"}, "/note"),
    ("review", "corrected", {"output": {"label": "\0"}}, "/output/label"),
    ("review", "confirmed", {"colour": "red"}, "/colour"),
    ("review", "confirmed", {"token": 5}, "/token"),
    ("review", "confirmed", {"token": None}, "/token"),
    ("review", "confirmed", {"token": "x" * 101}, "/token"),
]


@pytest.mark.parametrize(("kind", "verdict", "more", "pointer"), MISFITS)
def test_a_verdict_and_output_that_do_not_fit(
    otto: Api, rita: Api, kind: str, verdict: Any, more: dict[str, Any], pointer: str
) -> None:
    otto.predict(a_row(confidence=0.8 if kind == "review" else 0.1)).expect(201)
    task = rita.claim_one()
    assert task["kind"] == kind
    assert names(
        rita.post(f"/tasks/{task['task']}/decision/", {"token": task["token"], "verdict": verdict, **more})
    ) == [pointer]
    assert not Decision.objects.exists()
    assert ReviewTask.objects.get().state == TaskState.CLAIMED


@pytest.mark.parametrize("missing", ["token", "verdict"])
def test_token_and_verdict_are_needed(rita: Api, task: dict[str, Any], missing: str) -> None:
    body = {"token": task["token"], "verdict": "confirmed"}
    del body[missing]
    assert names(rita.post(f"/tasks/{task['task']}/decision/", body)) == [f"/{missing}"]


def test_rejected(otto: Api, rita: Api, task: dict[str, Any]) -> None:
    assert rita.decide(task, "rejected").expect(201)["output"] is None
    assert otto.predict(a_row(id="x")).expect(200)["status"] == "final"
    assert otto.story("x")["accepted_label"]["output"] is None
    assert_ledger_is_green()


@pytest.mark.parametrize("path", ["decision", "heartbeat", "release", "skip"])
@pytest.mark.parametrize("number", ["0", "1", str(2**62), str(2**63 - 1), str(2**63), "9" * 300])
def test_there_is_no_such_task(rita: Api, path: str, number: str) -> None:
    body = {"token": str(uuid.uuid4()), **({"verdict": "confirmed"} if path == "decision" else {})}
    rita.post(f"/tasks/{number}/{path}/", body).expect_problem(404)


# --- A lost claim ----------------------------------------------------------------------------------------------------


def late(task: dict[str, Any]) -> None:
    """Rita's lease has run out."""
    ReviewTask.objects.filter(pk=task["task"]).update(lease_expires_at="2026-01-01T00:00:00Z")


def test_who_comes_late_is_told_who_holds_the_task(rita: Api, rolf: Api, task: dict[str, Any]) -> None:
    late(task)
    rolf.claim_one()
    for reply in (
        rita.decide(task, "confirmed"),
        *(rita.on_task(task, verb) for verb in ("heartbeat", "release", "skip")),
    ):
        problem = reply.expect_problem(409, "claim_lost")
        assert problem["holder"] == "rolf"
        assert "rolf" in problem["detail"]


def test_who_comes_late_is_told_who_decided_what(rita: Api, rolf: Api, task: dict[str, Any]) -> None:
    late(task)
    answer = rolf.decide(rolf.claim_one(), "corrected", {"label": "b"}).expect(201)
    problem = rita.decide(task, "confirmed").expect_problem(409, "claim_lost")
    assert {k: problem[k] for k in ("holder", "decided_by", "verdict", "output", "decided_at")} == {
        "holder": None,
        "decided_by": "rolf",
        "verdict": "corrected",
        "output": {"label": "b"},
        "decided_at": answer["decided_at"],
    }
    assert Decision.objects.count() == 1


def test_who_comes_late_is_told_that_it_waits_again(rita: Api, rolf: Api, task: dict[str, Any]) -> None:
    late(task)
    rolf.on_task(rolf.claim_one(), "release").expect(204)
    problem = rita.decide(task, "confirmed").expect_problem(409, "claim_lost")
    assert (problem["holder"], "waits" in problem["detail"]) == (None, True)


def test_who_comes_late_is_told_that_it_went_to_the_leads(
    rita: Api, rolf: Api, lea: Api, task: dict[str, Any]
) -> None:
    late(task)
    rolf.decide(rolf.claim_one(), "escalated").expect(201)
    problem = rita.decide(task, "confirmed").expect_problem(409, "claim_lost")
    assert (problem["decided_by"], problem["verdict"]) == ("rolf", "escalated")
    for verb in ("heartbeat", "release", "skip"):
        rita.on_task(task, verb).expect_problem(409, "claim_lost")
    held = lea.claim_one(queue="leads")
    assert rita.decide(task, "confirmed").expect_problem(409, "claim_lost")["holder"] == "lea"
    lea.decide(held, "confirmed").expect(201)
    assert rita.decide(task, "confirmed").expect_problem(409, "claim_lost")["decided_by"] == "lea"


def test_a_late_one_whose_task_nobody_took_is_in_time(rita: Api, task: dict[str, Any]) -> None:
    late(task)
    rita.decide(task, "confirmed").expect(201)


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "",
        " ",
        "0" * 32,
        "9F2C1A34-5B6D-4E7F-8A90-1B2C3D4E5F60",
        "{9f2c1a34-5b6d-4e7f-8a90-1b2c3d4e5f60}",
    ],
)
def test_what_is_no_token_holds_nothing(rita: Api, task: dict[str, Any], token: str) -> None:
    for verb, more in (
        ("decision", {"verdict": "confirmed"}),
        ("heartbeat", {}),
        ("release", {}),
        ("skip", {}),
    ):
        reply = rita.on_task({**task, "token": token}, verb, **more)
        assert reply.status in (409, 422), reply
        assert token or reply.status == 422
    assert not Decision.objects.exists()


def test_somebody_elses_token_holds_nothing(rolf: Api, task: dict[str, Any]) -> None:
    problem = rolf.decide(task, "confirmed").expect_problem(409, "claim_lost")
    assert problem["holder"] == "rita"
    for verb in ("heartbeat", "release", "skip"):
        rolf.on_task(task, verb).expect_problem(409, "claim_lost")


def test_the_token_of_another_task(otto: Api, rita: Api, task: dict[str, Any]) -> None:
    otto.predict(a_row()).expect(201)
    other = rita.claim_one()
    rita.decide({**task, "token": other["token"]}, "confirmed").expect_problem(409, "claim_lost")
    rita.decide(other, "confirmed").expect(201)
    rita.decide({**task, "token": other["token"]}, "confirmed").expect_problem(409, "claim_lost")


# --- Heartbeat, release, skip ----------------------------------------------------------------------------------------


def test_a_heartbeat_answers_until_when(rita: Api, task: dict[str, Any]) -> None:
    late(task)
    until = rita.on_task(task, "heartbeat").expect(200)
    assert set(until) == {"expires_at"}
    assert until["expires_at"] > task["expires_at"]


def test_a_released_task_is_free_at_once(rita: Api, rolf: Api, task: dict[str, Any]) -> None:
    rita.on_task(task, "release").expect(204)
    assert rolf.claim_one()["task"] == task["task"]
    rita.on_task(task, "release").expect_problem(409, "claim_lost")


def test_a_skipped_task_goes_to_somebody_else(otto: Api, rita: Api, rolf: Api, task: dict[str, Any]) -> None:
    otto.predict(a_row(id="y")).expect(201)
    rita.on_task(task, "skip", reason="no idea").expect(204)
    assert rita.claim_one()["item"]["id"] == "y"
    assert rolf.claim_one()["item"]["id"] == "x"


def test_a_skip_may_have_a_reason(rita: Api, task: dict[str, Any]) -> None:
    for reason in ("x" * 1_001, "\0", 5, None):
        assert names(rita.on_task(task, "skip", reason=reason)) == ["/reason"]
    rita.on_task(task, "skip", reason="x" * 1_000).expect(204)


# --- Escalation ------------------------------------------------------------------------------------------------------


def test_escalated_goes_to_the_leads(otto: Api, rita: Api, rolf: Api, lea: Api, task: dict[str, Any]) -> None:
    answer = rita.decide(task, "escalated", note="?").expect(201)
    assert answer["output"] is None
    assert rolf.claim(50) == []
    assert lea.claim(50) == []  # the queue `default` is another one
    assert otto.outcomes() == []
    (held,) = lea.claim(50, queue="leads")
    assert (held["task"], held["kind"], held["prediction"]) == (task["task"], "review", {"label": "a"})
    lea.decide(held, "corrected", {"label": "b"}).expect(201)
    assert [(o["output"], o["verdict"]) for o in otto.outcomes()] == [({"label": "b"}, "corrected")]
    assert_ledger_is_green()


@pytest.mark.parametrize("name", ["rita", "rolf"])
def test_the_leads_queue_is_for_leads(world: World, rita: Api, task: dict[str, Any], name: str) -> None:
    rita.decide(task, "escalated").expect(201)
    api = world.api(name)
    api.post(api.below("tasks/claim/"), {"queue": "leads"}).expect_problem(403, "role_missing")
    api.post(api.below("tasks/claim/"), {"task": task["task"]}).expect_problem(403, "role_missing")


def test_an_escalated_label_task_stays_blind(otto: Api, rita: Api, lea: Api) -> None:
    otto.predict(a_row(confidence=0.1)).expect(201)
    rita.decide(rita.claim_one(), "escalated").expect(201)
    held = lea.claim_one(queue="leads")
    assert (held["kind"], held["prediction"]) == ("label", None)
    lea.decide(held, "labelled", {"label": "c"}).expect(201)
    assert_ledger_is_green()


def test_a_lead_may_escalate_again(otto: Api, rita: Api, lea: Api, task: dict[str, Any]) -> None:
    rita.decide(task, "escalated").expect(201)
    lea.decide(lea.claim_one(queue="leads"), "escalated").expect(201)
    otto.decide(otto.claim_one(queue="leads"), "confirmed").expect(201)
    assert Decision.objects.count() == 3
    assert_ledger_is_green()


# --- Undo ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verdict", "more"), REPEATED)
def test_undone_it_waits_again_for_everybody(
    otto: Api, rita: Api, rolf: Api, task: dict[str, Any], verdict: str, more: dict[str, Any]
) -> None:
    decision = rita.decide(task, verdict, **more).expect(201)["decision"]
    body = rita.undo(decision, reason="slipped").expect(200)
    assert body == {"decision": decision, "task": task["task"], "undone": True}
    assert rita.undo(decision).expect(200) == body
    assert otto.predict(a_row(id="x")).expect(200)["status"] == "pending"
    again = rolf.claim_one()
    assert again["task"] == task["task"]
    rolf.decide(again, "corrected", {"label": "c"}).expect(201)
    assert otto.predict(a_row(id="x")).expect(200)["output"] == {"label": "c"}
    assert_ledger_is_green()


def test_only_ones_own(otto: Api, rita: Api, rolf: Api, lea: Api, task: dict[str, Any]) -> None:
    decision = rita.decide(task, "confirmed").expect(201)["decision"]
    for api in (rolf, lea, otto):
        api.undo(decision).expect_problem(403, "not_yours")


def test_not_once_it_is_published(world: World, rita: Api, task: dict[str, Any]) -> None:
    decision = rita.decide(task, "confirmed").expect(201)["decision"]
    publish(Dataset.objects.get(project=world.letters).pk)
    rita.undo(decision).expect_problem(409, "already_published")
    assert ReviewTask.objects.get().state == TaskState.DECIDED
    assert_ledger_is_green()


def test_what_was_undone_is_not_published(world: World, rita: Api, task: dict[str, Any]) -> None:
    rita.undo(rita.decide(task, "confirmed").expect(201)["decision"]).expect(200)
    assert publish(Dataset.objects.get(project=world.letters).pk) is None
    assert_ledger_is_green()


def test_an_escalation_that_a_lead_holds_is_too_late(rita: Api, lea: Api, task: dict[str, Any]) -> None:
    decision = rita.decide(task, "escalated").expect(201)["decision"]
    held = lea.claim_one(queue="leads")
    rita.undo(decision).expect_problem(409, "claim_lost")
    lea.decide(held, "confirmed").expect(201)
    rita.undo(decision).expect_problem(409, "superseded")
    assert_ledger_is_green()


def test_undone_beside_a_task_of_a_later_prediction(
    otto: Api, rita: Api, rolf: Api, task: dict[str, Any]
) -> None:
    """A rejected item, then another model speaks of it: the item waits once, not twice."""
    decision = rita.decide(task, "rejected").expect(201)["decision"]
    otto.predict(a_row(id="x", model_version="2")).expect(201)
    rita.undo(decision).expect(200)
    assert len(rolf.claim(50)) == 1
    assert_ledger_is_green()


@pytest.mark.parametrize("number", ["0", "1", str(2**63 - 1), str(2**63), "9" * 300])
def test_there_is_no_such_decision(rita: Api, number: str) -> None:
    rita.post(f"/decisions/{number}/undo/", {}).expect_problem(404)


def test_an_undo_may_have_a_reason(rita: Api, task: dict[str, Any]) -> None:
    decision = rita.decide(task, "confirmed").expect(201)["decision"]
    for reason in ("x" * 1_001, "\0", 5, None):
        assert names(rita.undo(decision, reason=reason)) == ["/reason"]
    rita.post(f"/decisions/{decision}/undo/").expect(200)


# --- People come and go ----------------------------------------------------------------------------------------------


def test_who_is_no_longer_a_member_cannot_finish(
    world: World, rita: Api, rolf: Api, task: dict[str, Any]
) -> None:
    Membership.objects.filter(user=world.rita.user).delete()
    rita.decide(task, "confirmed").expect_problem(404)
    rita.on_task(task, "heartbeat").expect_problem(404)
    late(task)
    rolf.decide(rolf.claim_one(), "confirmed").expect(201)


def test_a_repeat_after_leaving_is_not_answered(world: World, rita: Api, task: dict[str, Any]) -> None:
    rita.decide(task, "confirmed").expect(201)
    Membership.objects.filter(user=world.rita.user).delete()
    rita.decide(task, "confirmed").expect_problem(404)


def test_a_signed_in_browser_reviews_with_the_same_api(world: World, otto: Api) -> None:
    browser = world.browser("rita")
    otto.predict(a_row()).expect(201)
    browser.decide(browser.claim_one(), "confirmed").expect(201)
    strict = world.browser("rita", enforce_csrf_checks=True)
    strict.post(strict.below("tasks/claim/"), {}).expect_problem(403)


def test_a_key_acts_as_its_member(world: World, otto: Api) -> None:
    """Ada made it, Rita is its member."""
    otto.predict(a_row()).expect(201)
    api = world.api("rita", "review")
    made = api.decide(api.claim_one(), "confirmed").expect(201)
    assert Decision.objects.get(pk=made["decision"]).decided_by == world.rita.user

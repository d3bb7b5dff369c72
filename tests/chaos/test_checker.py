"""The checker finds what it is for, in histories made by hand: a run that stays silent must mean something."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.chaos.checker import Findings, check
from tests.chaos.facts import Facts

RIGHT = [(0.0, 0.0)]
A, B = {"label": "a"}, {"label": "b"}


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def line(op: str, at: float, **more: Any) -> dict[str, Any]:
    return {"op": op, "who": "rita", "sent": at, "acked": at + 0.1, "status": 200, **more}


def claim(at: float, who: str, token: str, until: float) -> dict[str, Any]:
    return line("claim", at, who=who, tasks=[{"task": 7, "token": token, "expires_at": iso(until)}])


def decide(at: float, who: str, token: str, **more: Any) -> dict[str, Any]:
    made = {"task": 7, "item": "i", "decision": 70, "verdict": "labelled", "output": A, "code": None}
    return line("decide", at, who=who, token=token, **{**made, **more})


@pytest.fixture
def lines() -> list[dict[str, Any]]:
    """An automatic item, and one that Rita decided after a heartbeat; a reader saw both."""
    return [
        line("predict", 1, status="created", item="auto", prediction=5, route="auto", label="a"),
        line("predict", 2, status="created", item="i", prediction=6, route="review", label="a"),
        line("predict", 3, status="duplicate", item="i", prediction=6, route="review", label="a"),
        claim(4, "rita", "t1", 34),
        line("heartbeat", 5, task=7, token="t1", expires_at=iso(35)),
        decide(6, "rita", "t1"),
        line("read", 8, after=0, entries=[[1, "auto", 1, A]]),
        line("read", 9, after=1, entries=[[2, "i", 1, A]]),
        line("publish", 9, publication=1, state="done"),
    ]


@pytest.fixture
def facts() -> Facts:
    decision = {"task": 7, "token": "t1", "verdict": "labelled", "output": A, "item": "i"} | {
        "withdrawn": False,
        "counts": True,
    }
    return Facts(
        predictions={
            "auto": [{"prediction": 5, "route": "auto"}],
            "i": [{"prediction": 6, "route": "review"}],
        },
        decisions={70: decision},
        ledger={70: 1},
        records={"i": [A]},
        feed=[[1, "auto", 1, A], [2, "i", 1, A]],
    )


def counts(found: Findings) -> dict[str, int]:
    return {name: len(sentences) for name, sentences in vars(found).items() if sentences}


def test_a_good_run_is_silent(lines: list[dict[str, Any]], facts: Facts) -> None:
    assert check(lines, facts, RIGHT).all == []


def _second_decision(facts: Facts) -> None:
    facts.decisions[71] = {**facts.decisions[70], "token": "t2"}
    facts.ledger[71] = 1


FACTS_THAT_BREAK: dict[str, tuple[Callable[[Facts], Any], str]] = {
    "a prediction is gone": (lambda f: f.predictions.pop("i"), "lost"),
    "a prediction has another route": (lambda f: f.predictions["i"][0].update(route="auto"), "lost"),
    "a prediction is there twice": (
        lambda f: f.predictions["i"].append({"prediction": 9, "route": "review"}),
        "doubled",
    ),
    "a decision is gone": (lambda f: (f.decisions.clear(), f.records.clear(), f.ledger.clear()), "lost"),
    "a decision says something else": (lambda f: f.decisions[70].update(verdict="confirmed"), "lost"),
    "a decision was withdrawn by nobody": (
        lambda f: (f.decisions[70].update(withdrawn=True), f.records.clear()),
        "lost",
    ),
    "a task was decided twice": (_second_decision, "doubled"),
    "a label is in no version": (lambda f: (f.ledger.clear(), f.waiting.add(70)), "lost"),
    "a label is in two versions": (lambda f: f.ledger.update({70: 2}), "doubled"),
    "a record is gone": (lambda f: f.records.clear(), "lost"),
    "a record is there twice": (lambda f: f.records["i"].append(A), "doubled"),
    "a record nobody decided": (lambda f: f.records.update(ghost=[A]), "doubled"),
    "a record with another label": (lambda f: f.records.update(i=[B]), "lost"),
    "a task is still open": (lambda f: setattr(f, "open_tasks", 1), "other"),
    "a file is not what was published": (lambda f: f.complaints.append("dataset: sha256"), "other"),
}


@pytest.mark.parametrize("name", FACTS_THAT_BREAK)
def test_facts_that_no_answer_allows(name: str, lines: list[dict[str, Any]], facts: Facts) -> None:
    spoil, kind = FACTS_THAT_BREAK[name]
    spoil(facts)
    assert counts(check(lines, facts, RIGHT)) == {kind: 1}


def test_an_outcome_that_is_not_in_the_feed(lines: list[dict[str, Any]], facts: Facts) -> None:
    kept = [entry for entry in lines if entry["op"] != "read"]
    for gone in (0, 1):
        spoiled = deepcopy(facts)
        del spoiled.feed[gone]
        assert counts(check(kept, spoiled, RIGHT))["lost"] == 1
    facts.feed[1][3] = B
    assert counts(check(kept, facts, RIGHT)) == {"lost": 1}


def test_a_rejected_audit_leaves_the_automatic_outcome_alone(facts: Facts) -> None:
    facts.decisions = {70: {**facts.decisions[70], "item": "auto", "verdict": "rejected", "output": None}}
    facts.ledger, facts.records = {}, {}
    assert check([], facts, RIGHT).all == []


def test_a_hole_and_a_revision_that_falls(lines: list[dict[str, Any]], facts: Facts) -> None:
    kept = [entry for entry in lines if entry["op"] != "read"]
    facts.feed[1][0] = 3
    assert counts(check(kept, facts, RIGHT)) == {"feed": 1}
    facts.feed[1][0] = 2
    facts.feed += [[3, "i", 3, A], [4, "i", 2, A]]
    assert counts(check(kept, facts, RIGHT)) == {"feed": 1}


@pytest.mark.parametrize(
    "entries",
    [[[3, "i", 1, A]], [[2, "i", 1, B]], [[2, "auto", 1, A]]],
    ids=["skipped", "changed", "another"],
)
def test_a_reader_saw_something_else(entries: list[Any], lines: list[dict[str, Any]], facts: Facts) -> None:
    lines[-2] = line("read", 9, after=1, entries=entries)
    assert set(counts(check(lines, facts, RIGHT))) == {"feed"}


@pytest.mark.parametrize(
    ("line_of", "kind"),
    [
        (line("predict", 3, status="created", item="i", prediction=8, route="review", label="a"), "doubled"),
        (line("predict", 3, status="409", item="i", prediction=None, route=None, label="a"), "other"),
        (decide(7, "rita", "t1", status=200, decision=71), "doubled"),
        (line("undo", 7, decision=70), "lost"),
        (line("failure", 7, status=500, request="GET /"), "other"),
    ],
    ids=[
        "two numbers for one row",
        "refused row",
        "two decisions for one claim",
        "undone but counts",
        "a 500",
    ],
)
def test_answers_that_contradict(
    line_of: dict[str, Any], kind: str, lines: list[dict[str, Any]], facts: Facts
) -> None:
    assert kind in counts(check([*lines, line_of], facts, RIGHT))


def test_a_refused_decision_that_is_there(lines: list[dict[str, Any]], facts: Facts) -> None:
    lines[5] = decide(6, "rita", "t1", status=409, code="claim_lost", decision=None)
    assert counts(check(lines, facts, RIGHT)) == {"doubled": 1}


# --- Two holders -------------------------------------------------------------------------------------------------


def test_a_task_given_to_a_second_person(lines: list[dict[str, Any]], facts: Facts) -> None:
    assert counts(check([*lines, claim(5.2, "rolf", "t2", 35)], facts, RIGHT))["held_twice"] >= 1


@pytest.mark.parametrize(
    ("at", "clock"),
    [
        (3.95, RIGHT),  # asked for before the first answer came: the order is not known
        (6.5, RIGHT),  # given up by deciding
        (36, RIGHT),  # run out
        (5.2, [(0.0, 0.0), (4.9, 60.0), (5.9, 0.0)]),  # the clock had jumped
        (
            20,
            [(0.0, 0.0), (6.0, 60.0), (8.0, 0.0)],
        ),  # it had, and is right again: what ran out then has run out
    ],
)
def test_a_second_person_after_the_first(
    at: float, clock: list[Any], lines: list[dict[str, Any]], facts: Facts
) -> None:
    if at != 6.5:
        lines = [entry for entry in lines if entry["op"] not in ("decide", "heartbeat")]
        facts.decisions[70]["token"] = "t2"
        lines.append(decide(at + 1, "rolf", "t2"))
    assert check([*lines, claim(at, "rolf", "t2", at + 30)], facts, clock).all == []


@pytest.mark.parametrize(
    "clock",
    [
        [(0.0, 0.0), (6.0, 5.0), (8.0, 0.0)],  # not far enough
        [(0.0, 60.0), (1.0, 0.0)],  # before the first person had it
    ],
)
def test_a_clock_that_had_jumped_explains_no_more_than_it_did(
    clock: list[Any], lines: list[dict[str, Any]], facts: Facts
) -> None:
    lines = [entry for entry in lines if entry["op"] not in ("decide", "heartbeat")]
    facts.decisions[70]["token"] = "t2"
    lines += [claim(20, "rolf", "t2", 50), decide(21, "rolf", "t2")]
    assert counts(check(lines, facts, clock)) == {"held_twice": 1}


@pytest.mark.parametrize("op", ["decide", "heartbeat", "release", "skip"])
def test_a_token_that_had_lost_its_task(op: str, lines: list[dict[str, Any]], facts: Facts) -> None:
    """Rita's claim ran out, Rolf got the task, and what Rita then asked for was done all the same."""
    late = (
        decide(50, "rita", "t1") if op == "decide" else line(op, 50, task=7, token="t1", expires_at=iso(80))
    )
    kept = [entry for entry in lines if entry["op"] not in ("decide", "heartbeat")]
    found = check([*kept, claim(40, "rolf", "t2", 70), late], facts, RIGHT)
    assert counts(found) == {"held_twice": 1}

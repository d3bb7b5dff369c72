"""The number of queries does not depend on the number of rows: the same for 10 and for 20."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling import ids
from labeling.projects.key_use import note_key_use
from labeling.projects.models import ApiKey
from labeling.review.models import ReviewTask
from tests.world import QUIET, Api, World, a_row


@pytest.fixture
def warm(django_capture_on_commit_callbacks: Any) -> Callable[[Api], Api]:
    """Sends some rows, so that the process remembers what it remembers (some of it once it is committed)."""

    def run(api: Api) -> Api:
        with django_capture_on_commit_callbacks(execute=True):
            api.predict(mixed(3)).expect(200)
        return api

    return run


@pytest.fixture
def otto(world: World, warm: Callable[[Api], Api]) -> Api:
    return warm(world.api("otto"))


def count(work: Callable[[], Any]) -> int:
    ids._blocks.end = 0  # ids come in blocks: let none be left from before
    for key_id in ApiKey.objects.values_list("pk", flat=True):
        note_key_use(key_id)  # once in five minutes a key costs one more
    with CaptureQueriesContext(
        connection,
    ) as queries:
        work()
    return len(queries)


def assert_same(work: Callable[[int], Any], prepare: Callable[[int], Any] = lambda rows: None) -> None:
    """As many queries for 20 as for 10; more than none, or nothing was measured."""
    counts = []
    for rows in (10, 20):
        prepare(rows)
        counts.append(count(lambda rows=rows: work(rows)))  # type: ignore[misc]
    assert counts[0] == counts[1] > 0, counts


def mixed(rows: int, **changes: Any) -> list[dict[str, Any]]:
    return [
        a_row(**{"confidence": (0.99, 0.8, 0.1)[n % 3], "prediction": {"label": "abc"[n % 3]}, **changes})
        for n in range(rows)
    ]


@pytest.mark.parametrize("form", ["array", "lines"])
def test_new_rows(otto: Api, form: str) -> None:
    send = otto.predict if form == "array" else lambda rows: otto.predict_lines(*rows)
    assert_same(lambda rows: send(mixed(rows)).expect(200))


def test_audited_rows(world: World, warm: Callable[[Api], Api]) -> None:
    api = warm(world.api(at=world.make_project("audited", policy={**QUIET, "audit_rate": 1})))
    assert_same(lambda rows: api.predict(mixed(rows)).expect(200))


def send_twice(otto: Api, rows: list[dict[str, Any]]) -> None:
    """From the second time on, the process looks this project's rows up first."""
    for _ in range(2):
        otto.predict(rows).expect(200)


def test_repeated_and_conflicting_rows(otto: Api) -> None:
    known = mixed(20)
    send_twice(otto, known)
    assert_same(lambda rows: otto.predict(known[:rows]).expect(200))
    other = [{**row, "confidence": 0.5} for row in known]
    assert_same(lambda rows: otto.predict(other[:rows]).expect(200))


def test_bad_rows(otto: Api) -> None:
    assert_same(lambda rows: otto.predict(mixed(rows, confidence=2)).expect(200))


def test_further_predictions_for_review(otto: Api) -> None:
    known = [a_row() for _ in range(30)]
    send_twice(otto, [*known, a_row(model_version="2")])
    further = iter([{**row, "model_version": "2"} for row in known])
    assert_same(lambda rows: otto.predict([next(further) for _ in range(rows)]).expect(200))


@pytest.mark.slow
def test_settled_predictions(world: World, otto: Api) -> None:
    known = [a_row() for _ in range(30)]
    send_twice(otto, [*known, a_row(model_version="2")])
    rita = world.api("rita")
    for task in rita.claim(50):
        rita.decide(
            task,
            "confirmed" if task["kind"] == "review" else "labelled",
            None if task["kind"] == "review" else {"label": "a"},
        ).expect(201)
    further = iter([{**row, "model_version": "2"} for row in known])
    assert_same(lambda rows: otto.predict([next(further) for _ in range(rows)]).expect(200))


def test_one_row_costs_little(otto: Api) -> None:
    """A remembered door, one statement that does it all, and now and then a block of ids."""
    assert count(lambda: otto.predict(a_row()).expect(201)) <= 2
    assert count(lambda: otto.predict(a_row(confidence=0.99)).expect(201)) <= 2


@pytest.mark.parametrize("query", ["", "route=auto&", "q=Dear&", "model=reader&"])
def test_lists_of_predictions(otto: Api, query: str) -> None:
    otto.predict(mixed(60)).expect(200)
    assert_same(lambda rows: otto.get(otto.below(f"predictions/?{query}limit={rows}")).expect(200))


def test_outcomes(otto: Api) -> None:
    otto.predict([a_row(confidence=0.99) for _ in range(20)]).expect(200)
    for _ in range(15):
        otto.predict(a_row(confidence=0.99)).expect(201)
    otto.outcomes()
    assert_same(lambda rows: otto.outcomes(limit=rows))


def test_claims(world: World, otto: Api) -> None:
    otto.predict(mixed(60)).expect(200)
    rita = world.api("rita")
    rita.claim_one()  # the key is remembered from then on
    assert_same(rita.claim)


@pytest.mark.slow
def test_the_story_of_an_item(world: World, otto: Api) -> None:
    def more_of_it(rows: int) -> None:
        otto.predict([a_row(id="x", model_version=str(n), input={}) for n in range(rows)]).expect(200)
        for name in ("rita", "rolf") * (rows // 10):
            api = world.api(name)
            task = api.claim_one(task=open_task())
            api.undo(api.decide(task, "confirmed").expect(201)["decision"]).expect(200)

    def open_task() -> int:
        return ReviewTask.objects.get(item_id=otto.story("x")["item_id"], state="waiting").pk

    assert_same(lambda rows: otto.story("x"), more_of_it)


def test_members(world: World, otto: Api) -> None:
    made = iter(range(100))

    def more(rows: int) -> None:
        for _ in range(10):
            otto.post(otto.below("members/"), {"username": f"m{next(made)}", "role": "viewer"}).expect(201)

    assert_same(lambda rows: otto.get(otto.below("members/")).expect(200), more)


def test_keys(world: World, otto: Api) -> None:
    def more(rows: int) -> None:
        for name in ("rita", "rolf") * 5:
            world.make_key(name, "review", project=world.letters)

    assert_same(lambda rows: otto.get("/keys/").expect(200), more)
    ada = world.api("ada")
    assert_same(lambda rows: ada.get("/keys/").expect(200), more)


@pytest.mark.slow
def test_projects_and_policy_versions(world: World, otto: Api) -> None:
    made = iter(range(100))

    def more(rows: int) -> None:
        for _ in range(5):
            world.make_project(f"p{next(made)}")
            otto.put(otto.below("policy/"), QUIET).expect(200)

    assert_same(lambda rows: otto.get("/projects/").expect(200), more)
    assert_same(lambda rows: otto.get(otto.below("policy/versions/")).expect(200), more)

"""The feed of final outcomes: numbered from 1 without gaps, in order, and the same for whoever reads it from any place."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from labeling.decisions.outcomes import number_all_outcomes, number_outcomes
from labeling.pipeline import placing
from tests.world import QUIET, Api, World, a_row, in_threads, uncommitted


@pytest.fixture
def otto(world: World) -> Api:
    return world.api("otto")


@pytest.fixture
def rita(world: World) -> Api:
    return world.api("rita")


def auto(**changes: Any) -> dict[str, Any]:
    return a_row(**{"confidence": 0.99, **changes})


def assert_dense(entries: list[dict[str, Any]], start: int = 0) -> None:
    assert [entry["cursor"] for entry in entries] == list(range(start + 1, start + 1 + len(entries)))


def assert_revisions_rise(entries: list[dict[str, Any]]) -> None:
    last: dict[str, int] = defaultdict(int)
    for entry in entries:
        assert entry["revision"] == last[entry["id"]] + 1, entry
        last[entry["id"]] = entry["revision"]


def test_an_entry_of_each_origin(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "SHADOW_RATE", 0.0)  # chance has no part in this
    fallback = {"mode": "constant", "output": {"label": "c"}}
    api = world.api(at=world.make_project("mixed", policy={**QUIET, "fallback": fallback}))
    api.predict([auto(id="a"), a_row(id="f", confidence=0.1), a_row(id="h")]).expect(200)
    api.decide(api.claim_one(), "corrected", {"label": "b"}).expect(201)
    entries = api.outcomes()
    moments = [entry.pop("decided_at") for entry in entries]
    assert all(moment.endswith("Z") for moment in moments)
    common = {"model": "reader", "model_version": "1", "revision": 1}
    assert entries == [
        {"cursor": 1, "id": "a", "output": {"label": "a"}, "origin": "auto", **common},
        {"cursor": 2, "id": "f", "output": {"label": "c"}, "origin": "fallback", **common},
        {
            "cursor": 3,
            "id": "h",
            "output": {"label": "b"},
            "origin": "human",
            "verdict": "corrected",
            **common,
        },
    ]


def test_what_is_pending_is_not_in_the_feed(otto: Api, rita: Api) -> None:
    otto.predict([a_row(), a_row(confidence=0.1), a_row()]).expect(200)
    rita.decide(rita.claim_one(), "escalated").expect(201)
    assert otto.outcomes() == []


def test_a_rejected_item_has_the_outcome_null(otto: Api, rita: Api) -> None:
    otto.predict(a_row(id="x")).expect(201)
    rita.decide(rita.claim_one(), "rejected").expect(201)
    (entry,) = otto.outcomes()
    assert (entry["output"], entry["origin"], entry["verdict"]) == (None, "human", "rejected")


def test_a_correction_is_a_new_entry_with_a_higher_revision(otto: Api, rita: Api) -> None:
    otto.predict(a_row(id="x")).expect(201)
    first = rita.decide(rita.claim_one(), "confirmed").expect(201)
    rita.undo(first["decision"]).expect(200)
    rita.decide(rita.claim_one(), "corrected", {"label": "b"}).expect(201)
    assert [(e["cursor"], e["revision"], e["output"]) for e in otto.outcomes()] == [
        (1, 1, {"label": "a"}),
        (2, 2, {"label": "b"}),
    ]


def test_two_versions_about_a_new_item_in_one_request_come_in_order(otto: Api) -> None:
    later = auto(id="x", model_version="2", prediction={"label": "b"})
    otto.predict([auto(id="y"), auto(id="x"), later]).expect(200)
    entries = otto.outcomes()
    assert_dense(entries)
    assert_revisions_rise(entries)
    assert [(e["id"], e["model_version"], e["output"]["label"]) for e in entries] == [
        ("y", "1", "a"),
        ("x", "1", "a"),
        ("x", "2", "b"),
    ]


def test_the_same_label_again_is_no_news(otto: Api, rita: Api) -> None:
    otto.predict(a_row(id="x")).expect(201)
    rita.undo(rita.decide(rita.claim_one(), "confirmed").expect(201)["decision"]).expect(200)
    rita.decide(rita.claim_one(), "confirmed").expect(201)
    assert len(otto.outcomes()) == 1


def test_a_confirmed_audit_is_no_news_and_a_correcting_one_is(world: World) -> None:
    api = world.api(at=world.make_project("audited", policy={**QUIET, "audit_rate": 1}))
    api.predict([auto(id="x"), auto(id="y")]).expect(200)
    for task, label in zip(api.claim(2), "ab", strict=True):
        api.decide(task, "labelled", {"label": label}).expect(201)
    assert len(api.outcomes()) == 2, "what differs waits for a second person"
    rita = world.api("rita", at=api.at)
    rita.decide(rita.claim_one(), "labelled", {"label": "b"}).expect(201)
    assert [(e["id"], e["origin"], e["output"], e["revision"]) for e in api.outcomes()] == [
        ("x", "auto", {"label": "a"}, 1),
        ("y", "auto", {"label": "a"}, 1),
        ("y", "human", {"label": "b"}, 2),
    ]


def test_reading_on_from_any_cursor(otto: Api) -> None:
    for size in (1, 3, 1, 4, 2):
        otto.predict([auto() for _ in range(size)]).expect(200)
    whole = otto.outcomes()
    assert_dense(whole)
    assert len(whole) == 11
    for after in range(13):
        for limit in (1, 2, 5, 1000):
            assert otto.outcomes(after=after, limit=limit) == whole[after : after + limit]


def test_the_cursor_to_go_on_from(otto: Api) -> None:
    path = otto.below("outcomes/")
    assert otto.get(path).expect(200) == {"results": [], "cursor": 0, "next": None, "previous": None}
    otto.predict([auto() for _ in range(5)]).expect(200)
    page = otto.get(f"{path}?limit=3").expect(200)
    assert page["cursor"] == 3
    rest = otto.get(page["next"].removeprefix("http://testserver")).expect(200)
    assert [entry["cursor"] for entry in rest["results"]] == [4, 5]
    assert (rest["cursor"], rest["next"]) == (5, None)
    assert otto.get(f"{path}?after=5").expect(200)["cursor"] == 5


def test_projects_are_numbered_apart(world: World, otto: Api) -> None:
    other = world.api(at=world.make_project("parcels"))
    for api in (otto, other, otto, other):
        api.predict(auto()).expect(201)
    assert [e["cursor"] for e in otto.outcomes()] == [e["cursor"] for e in other.outcomes()] == [1, 2]


def test_the_sweep_numbers_what_nobody_reads(world: World, otto: Api) -> None:
    otto.predict([auto() for _ in range(3)]).expect(200)
    assert number_all_outcomes() == 3
    assert number_all_outcomes() == 0
    assert number_outcomes(world.letters.pk) == 0
    assert_dense(otto.outcomes())


def test_numbering_in_small_steps_gives_the_same_numbers(
    otto: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labeling.decisions.outcomes.MOST_BATCHES", 2)
    rows = [auto() for _ in range(7)]
    for row in rows:
        otto.predict(row).expect(201)
    while number_outcomes(world.letters.pk):
        pass
    entries = otto.outcomes()
    assert_dense(entries)
    assert [entry["id"] for entry in entries] == [row["id"] for row in rows]


# --- Real connections ------------------------------------------------------------------------------------------------


def write(otto: Api, known: list[dict[str, Any]], seed: int) -> None:
    """Automatic ones, alone and in batches; some are further predictions of items that somebody may be deciding."""
    chance = random.Random(seed)
    for _ in range(12):
        rows = [auto() for _ in range(chance.choice([1, 1, 2, 7]))]
        if chance.random() < 0.3:
            rows.append(auto(id=chance.choice(known)["id"], model_version=str(chance.random())))
        otto.predict(rows[0] if len(rows) == 1 else rows)


def review(api: Api, seed: int) -> None:
    """Decide, and sometimes take it back or correct it."""
    chance = random.Random(seed)
    answers = [
        {"verdict": "confirmed"},
        {"verdict": "corrected", "output": {"label": "b"}},
        {"verdict": "rejected"},
    ]
    for _ in range(15):
        for task in api.claim(1):
            made = api.decide(task, **chance.choice(answers)).expect(201)
            if chance.random() < 0.3:
                api.undo(made["decision"])
            elif chance.random() < 0.4:
                again = api.post(f"/tasks/{made['task']}/reopen/", {}).expect(200)
                api.decide(again, **chance.choice(answers)).expect(201)


def read(api: Api, finished: threading.Event) -> list[dict[str, Any]]:
    """Follow the feed until it is finished and nothing more comes."""
    entries: list[dict[str, Any]] = []
    while True:
        last_look = finished.is_set()
        page = api.outcomes(after=entries[-1]["cursor"] if entries else 0, limit=7)
        entries += page
        if last_look and not page:
            return entries


@pytest.mark.slow
def test_it_is_dense_and_in_order_for_a_reader_among_writers(live_world: World) -> None:
    """Six writers, three reviewers who also undo, and two readers, all at once."""
    otto = live_world.api("otto")
    known = [a_row() for _ in range(60)]
    otto.predict(known).expect(200)
    work: list[Callable[[], None]] = [partial(write, otto, known, seed) for seed in range(6)]
    work += [partial(review, live_world.api(name), seed) for seed, name in enumerate(("rita", "rolf", "lea"))]
    finished = threading.Event()
    ended = threading.Barrier(len(work), action=finished.set)

    def then_end(some: Callable[[], None]) -> Callable[[], Any]:
        return lambda: (some(), ended.wait(60))

    *_, one, other = in_threads(
        [*map(then_end, work), lambda: read(otto, finished), lambda: read(otto, finished)]
    )
    whole = otto.outcomes()
    assert len(whole) > 100
    assert_dense(whole)
    assert_revisions_rise(whole)
    assert one == other == whole


@pytest.mark.slow
def test_a_transaction_that_stays_open_stops_nobody(live_world: World) -> None:
    otto = live_world.api("otto")
    otto.predict(auto(id="before")).expect(201)

    def unrelated() -> None:
        get_user_model().objects.filter(username="nora").update(first_name="N")

    with uncommitted(unrelated):
        otto.predict(auto(id="during")).expect(201)
        assert [entry["id"] for entry in otto.outcomes()] == ["before", "during"]


@pytest.mark.slow
def test_outcomes_that_commit_late_are_numbered_late(live_world: World) -> None:
    """Their batch was written first; whoever read meanwhile must not miss them."""
    otto = live_world.api("otto")
    otto.predict(auto(id="first")).expect(201)
    with uncommitted(lambda: otto.predict([auto(id="late 1"), auto(id="late 2")]).expect(200)):
        otto.predict(auto(id="second")).expect(201)
        assert [entry["id"] for entry in otto.outcomes()] == ["first", "second"]
    otto.predict(auto(id="third")).expect(201)
    entries = otto.outcomes()
    assert_dense(entries)
    assert [entry["id"] for entry in entries] == ["first", "second", "late 1", "late 2", "third"]


@pytest.mark.slow
def test_two_readers_number_at_the_same_time(live_world: World) -> None:
    otto = live_world.api("otto")
    for _ in range(20):
        otto.predict(auto()).expect(201)
    for entries in in_threads([otto.outcomes] * 8):
        assert_dense(entries)  # somebody else may be numbering: then it is empty, and never out of order
    assert len(otto.outcomes()) == 20

"""Nobody can tell a test item from work: every page and answer that a reviewer can reach about a task, and how long each takes.

The answers are compared by their shape, the pages without what differs from item to item anyway, and times in pairs. Which
addresses there are is read from the site maps, so that a new one fails here until it is compared too.
"""

from __future__ import annotations

import gc
import re
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from scipy import stats

from labeling.decisions.models import Decision, Withdrawal
from labeling.projects.models import Project
from labeling.review.models import Purpose, ReviewTask
from labeling.web.urls import urlpatterns
from tests.api.endpoints import ENDPOINTS
from tests.pipeline.test_sentinels import another, project, shape, without_values
from tests.web.reading import FRAGMENT, desks_of
from tests.world import Api, World

__all__ = ["project"]

Told = dict[str, dict[bool, set[str]]]
SURE = 1e-4
"""Chance of taking two equal samples for different ones."""
MARGIN = 1.05
"""Test items take 1 to 2 % longer in process. One answer about work differs from the next by 4 % (median), without a network."""


@pytest.fixture
def made(project: Project) -> frozenset[int]:
    return frozenset(ReviewTask.objects.filter(purpose=Purpose.SENTINEL).values_list("pk", flat=True))


# --- answers of the API ------------------------------------------------------------------------------------------

COMPARED_ANSWERS = {
    "POST projects/<str:slug>/tasks/claim/",
    "POST tasks/<int:task_id>/decision/",
    "POST tasks/<int:task_id>/reopen/",
    "POST tasks/<int:task_id>/heartbeat/",
    "POST tasks/<int:task_id>/release/",
    "POST tasks/<int:task_id>/skip/",
    "POST decisions/<int:decision_id>/undo/",
}
FOR_LEADS = {"POST tasks/<int:task_id>/take-back/", "GET projects/<str:slug>/claims/"}


def test_every_answer_about_a_task_is_compared() -> None:
    about = {
        f"{one.method} {one.route}"
        for one in ENDPOINTS
        if "task" in one.route or "decision_id" in one.route or "claims" in one.route
    }
    assert about == COMPARED_ANSWERS | FOR_LEADS


def test_no_answer_tells(world: World, project: Project, made: frozenset[int]) -> None:
    rolf = world.api("rolf", at=project)
    told: Told = {}

    def note(question: str, task: int, reply: Any) -> Any:
        headers = sorted(name for name in reply.headers if name not in ("Content-Length", "X-Request-ID"))
        told.setdefault(question, {True: set(), False: set()})[task in made].add(
            f"{reply.status} {headers} {shape(reply.body)}"
        )
        return reply.body

    for claimed in rolf.claim(50):
        number, task = claimed["task"], claimed
        told.setdefault("claim", {True: set(), False: set()})[number in made].add(shape(task))
        about = f"/tasks/{number}"
        note("heartbeat", number, rolf.post(f"{about}/heartbeat/", {"token": task["token"]}))
        note("wrong token", number, rolf.post(f"{about}/heartbeat/", {"token": "no"}))
        note("release", number, rolf.post(f"{about}/release/", {"token": task["token"]}))
        (task,) = note_claim(rolf, number, told, made)
        bad = {"token": task["token"], "verdict": "corrected", "output": {"label": "zebra"}}
        note("refused", number, rolf.post(f"{about}/decision/", bad))
        body = {"token": task["token"], "verdict": "confirmed", "seconds": 3}
        decided = note("decide", number, rolf.post(f"{about}/decision/", body))
        note("decide again", number, rolf.post(f"{about}/decision/", body))
        taken = note("reopen", number, rolf.post(f"{about}/reopen/", {}))
        label = next(name for name in "abc" if name != task["prediction"]["label"])
        other = {"token": taken["token"], "verdict": "corrected", "output": {"label": label}}
        changed = note("change", number, rolf.post(f"{about}/decision/", other))
        note("undo of what was replaced", number, rolf.post(f"/decisions/{decided['decision']}/undo/", {}))
        note("undo the change", number, rolf.post(f"/decisions/{changed['decision']}/undo/", {}))
        note("undo", number, rolf.post(f"/decisions/{decided['decision']}/undo/", {}))
        (task,) = note_claim(rolf, number, told, made)
        note("skip", number, rolf.post(f"{about}/skip/", {"token": task["token"], "reason": "hard"}))
    assert len(told) >= 12
    for question, kinds in told.items():
        assert kinds[True] == kinds[False] != set(), question


def note_claim(rolf: Api, number: int, told: Told, made: frozenset[int]) -> list[dict[str, Any]]:
    found = rolf.claim(task=number)
    told.setdefault("claim one", {True: set(), False: set()})[number in made].add(shape(found))
    return found


# --- pages -------------------------------------------------------------------------------------------------------

COMPARED_PAGES = {"detail", "decide", "reopen", "skip", "undo", "mine", "more", "heartbeat", "release"}


def test_every_page_about_a_task_is_compared() -> None:
    def names(patterns: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if hasattr(pattern, "url_patterns"):
                yield from names(pattern.url_patterns, route)
            elif "/tasks/" in f"/{route}":
                yield pattern.name, route

    assert {name for name, _ in names(urlpatterns)} == COMPARED_PAGES


def test_no_page_tells(world: World, project: Project, made: frozenset[int]) -> None:
    client = Client()
    client.force_login(world.rolf.user)
    root = f"/projects/{project.slug}"
    told: Told = {}

    def note(question: str, task: int, response: Any) -> str:
        text: str = response.content.decode()
        headers = sorted(name for name in response.headers if name not in ("Content-Length", "ETag"))
        told.setdefault(question, {True: set(), False: set()})[task in made].add(
            f"{response.status_code} {headers} {bare(text)}"
        )
        client.get(f"{root}/guidelines/")  # whatever is still to be said is said there
        return text

    for number in list(ReviewTask.objects.filter(state="waiting").values_list("pk", flat=True)):
        page = note("detail", number, client.get(f"{root}/tasks/{number}/"))
        held = {"held": f"{number}:{token_of(page, number)}"}
        note("heartbeat", number, client.post(f"{root}/tasks/heartbeat/", held, headers=FRAGMENT))
        form = {"token": token_of(page, number), "action": "submit", "label": label_of(page), "seconds": "2"}
        note("decide", number, client.post(f"{root}/tasks/{number}/decide/", form | {"alone": "1"}))
        decision = Decision.objects.latest("pk")
        assert decision.task_id == number
        note("mine", number, client.get(f"{root}/tasks/mine/"))
        note("reopen", number, client.post(f"{root}/tasks/{number}/reopen/"))
        page = note("detail, reopened", number, client.get(f"{root}/tasks/{number}/"))
        again = {"token": token_of(page, number)}
        note("skip of a correction", number, client.post(f"{root}/tasks/{number}/skip/", again))
        undone = client.post(f"{root}/tasks/undo/", {"decision": decision.pk})
        note("undo", number, undone)
        assert Withdrawal.objects.filter(decision=decision).exists()
        page = note("detail, undone", number, client.get(f"{root}/tasks/{number}/"))
        held = {"held": f"{number}:{token_of(page, number)}"}
        note("release", number, client.post(f"{root}/tasks/release/", held, headers=FRAGMENT))
    for _ in range(8):
        more = client.post(f"{root}/tasks/more/", {"queue": "default"}, headers=FRAGMENT)
        for desk in desks_of(more):
            kind = int(desk["task"]) in made
            told.setdefault("more", {True: set(), False: set()})[kind].add(bare(desk["html"]))
            skipped = client.post(f"{root}/tasks/{desk['task']}/skip/", {"token": desk["token"]})
            note("skip", int(desk["task"]), skipped)
    assert len(told) >= 11
    for question, kinds in told.items():
        assert kinds[True] == kinds[False] != set(), question


def bare(page: str) -> str:
    """A page without what differs from item to item; of a list of decisions, how many there are differs with their order."""
    page = re.sub(r"(?s)<(ul|ol|tbody|table)\b.*?</\1>", "<list/>", page)
    return re.sub(r"\d+", "0", without_values(page))


def token_of(page: str, number: int) -> str:
    found = re.search(rf'data-task="{number}".*?name="token" value="([^"]+)"', page, re.DOTALL)
    assert found is not None
    return found[1]


def label_of(page: str) -> str:
    found = re.search(r'name="label"[^>]*value="([^"]+)"[^>]*checked', page)
    return found[1] if found else "a"


# --- what it costs, and how long it takes ------------------------------------------------------------------------


def test_no_number_of_statements_tells(world: World, project: Project, made: frozenset[int]) -> None:
    """Each step takes as many statements; but for taking back a change, which work does with one more of twenty."""
    rolf = world.api("rolf", at=project)
    needed: dict[str, dict[bool, set[int]]] = {}

    def step(name: str, number: int, work: Callable[..., Any], *given: Any) -> Any:
        with CaptureQueriesContext(connection) as queries:
            done = work(*given)
        needed.setdefault(name, {True: set(), False: set()})[number in made].add(len(queries))
        return done

    def claim(number: int) -> list[dict[str, Any]]:
        return rolf.claim(task=number)

    for task in rolf.claim(50):
        rolf.on_task(task, "release")
    for number in list(ReviewTask.objects.filter(state="waiting").values_list("pk", flat=True)):
        for turn in ("first", "again"):
            (task,) = step(f"claim, {turn}", number, claim, number)
            decided = step(f"decide, {turn}", number, rolf.decide, task, "confirmed").expect(201)
            again = step("reopen", number, rolf.post, f"/tasks/{number}/reopen/", {}).expect(200)
            other = {"label": another(task)}
            changed = step("change", number, rolf.decide, task | again, "corrected", other).expect(201)
            step("undo a change", number, rolf.undo, changed["decision"]).expect(200)
            step("undo", number, rolf.undo, decided["decision"]).expect(200)
        (task,) = claim(number)
        step("heartbeat", number, rolf.on_task, task, "heartbeat")
        step("skip", number, rolf.on_task, task, "skip")
    apart = needed.pop("undo a change")
    assert max(apart[False]) - min(apart[True]) <= 1
    for name, counts in needed.items():
        assert counts[True] == counts[False], name


def seconds_of(
    world: World, project: Project, made: frozenset[int], *, rounds: int
) -> dict[bool, list[float]]:
    """How long claiming one task by number, and deciding about it, takes: test items and work in turns, again and again."""
    rolf, taken = world.api("rolf", at=project), dict[bool, list[float]]({True: [], False: []})
    waiting = [*ReviewTask.objects.filter(state="waiting").values_list("pk", flat=True)]
    tests, work = [n for n in waiting if n in made], [n for n in waiting if n not in made]
    pairs = list(zip(tests, work, strict=False))
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            for pair in pairs:
                for number in pair if turn % 2 else pair[::-1]:
                    start = time.perf_counter()
                    (task,) = rolf.claim(task=number)
                    decided = rolf.decide(task, "confirmed").expect(201)
                    taken[number in made].append(time.perf_counter() - start)
                    rolf.undo(decided["decision"]).expect(200)
    finally:
        gc.enable()
    return taken


def slower(taken: dict[bool, list[float]]) -> bool | None:
    """Which of the two takes longer for sure, by more than MARGIN: test items (True) or work; None where nothing can be said.
    What is asked is how likely pairs that were taken one after the other would differ as much if neither did (Wilcoxon)."""
    assert len(taken[True]) == len(taken[False]) >= 100
    for kind in (True, False):
        others = [MARGIN * one for one in taken[not kind]]
        if stats.wilcoxon(taken[kind], others, alternative="greater").pvalue <= SURE:
            return kind
    return None


@pytest.mark.slow
def test_no_time_tells(world: World, project: Project, made: frozenset[int]) -> None:
    """Whatever else the machine does comes in bursts, which pairs that follow each other share: what one sample says for sure,
    another must say too. A difference that is there is in both."""
    seconds_of(world, project, made, rounds=2)  # whatever is remembered is remembered
    first = seconds_of(world, project, made, rounds=12)
    if (found := slower(first)) is not None:
        second = seconds_of(world, project, made, rounds=12)
        assert slower(second) != found, [
            {kind: statistics.median(times) for kind, times in taken.items()} for taken in (first, second)
        ]


@pytest.mark.slow
def test_control_half_as_much_again_would_be_noticed(
    world: World, project: Project, made: frozenset[int]
) -> None:
    """On a machine that is busy with much else it takes more than one sample."""
    seconds_of(world, project, made, rounds=2)
    for kind in (True, False):
        taken: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(5):
            for which, times in seconds_of(world, project, made, rounds=12).items():
                taken[which] += [1.5 * one for one in times] if which is kind else times
            if (found := slower(taken)) is not None:
                break
        assert found is kind

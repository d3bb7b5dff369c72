"""Test items: made from settled items, told from real work by nothing, and counted for the reviewer alone."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from labeling.datasets.models import Dataset, WaitingDecision
from labeling.datasets.services import publish
from labeling.decisions.models import Decision
from labeling.ids import BLOCK_SIZE, block_start, first_id_at
from labeling.ingestion.models import Item, Prediction
from labeling.ledger.checks import check_ledger
from labeling.pipeline.sentinels import _free_places, add_sentinels, projects_with_sentinels
from labeling.pipeline.undoing import Barrier, find_barriers
from labeling.projects.models import Project
from labeling.review.models import Purpose, ReviewTask, Sentinel
from labeling.trust.looking import look_at_project
from labeling.trust.models import COUNTERS, ReviewerDay, TrustDay
from labeling.trust.services import compare_rollups, fold_deltas
from tests.world import World, a_row

POLICY = {"audit_rate": 0, "sentinel_rate": 0.1}


def row(label: str = "a", **more: Any) -> dict[str, Any]:
    others = (1 - 0.8) / 2
    shares = {name: 0.8 if name == label else others for name in "abc"}
    return a_row(prediction={"label": label}, probabilities=shares, explanation={"because": "of it"}, **more)


@pytest.fixture
def project(world: World) -> Project:
    """Rita has settled thirty reviews; twenty more wait, with test items among them."""
    project = world.make_project("tested", policy=POLICY)
    otto, rita = world.api("otto", at=project), world.api("rita", at=project)
    otto.predict([row("abc"[n % 3]) for n in range(30)]).expect(200)
    for task in rita.claim(30):
        if task["prediction"]["label"] == "c":
            rita.decide(task, "corrected", {"label": "a"}).expect(201)
        else:
            rita.decide(task, "confirmed").expect(201)
    otto.predict([row("abc"[n % 3]) for n in range(20)]).expect(200)
    assert projects_with_sentinels() == [project.pk]
    assert add_sentinels(project.pk) == 10  # of 50 reviews a tenth wrong, and as many right
    return project


def sums() -> Counter[str]:
    fold_deltas()
    return Counter({name: sum(TrustDay.objects.values_list(name, flat=True)) for name in COUNTERS})


def test_as_many_wrong_as_right_ones_each_of_an_item_of_its_own(project: Project) -> None:
    made = Sentinel.objects.select_related("task")
    assert Counter(made.values_list("is_wrong", flat=True)) == {True: 5, False: 5}
    assert add_sentinels(project.pk) == 0, "nothing has come since"


def test_its_number_is_like_those_around_it(world: World, project: Project) -> None:
    """Numbers rise as work is handed out, at the same steps, whether the work is real or not."""
    made = set(Sentinel.objects.values_list("task_id", flat=True))
    real = set(
        ReviewTask.objects.filter(purpose=Purpose.REVIEW, state="waiting").values_list("pk", flat=True)
    )
    handed_out = [task["task"] for task in world.api("rolf", at=project).claim(50)]
    assert set(handed_out) == made | real
    assert handed_out == sorted(handed_out)
    assert {block_start(pk) for pk in made} <= {block_start(pk) for pk in real}, "numbers of the same moment"
    assert max(made) < max(real), "none is newer than the work"
    steps = {True: set(), False: set()}
    for before, task in pairwise(handed_out):
        steps[task in made].add((task - before) % 2)
    assert steps == {True: {0}, False: {0}}, "ids of work are two apart, or more where a place stayed free"


def test_numbers_are_never_handed_out_twice(world: World, project: Project) -> None:
    """What a test item took is free for ever: more work comes, and nothing collides."""
    otto = world.api("otto", at=project)
    for _ in range(5):
        otto.predict([row() for _ in range(40)]).expect(200)
        add_sentinels(project.pk)
    for _ in range(20):
        otto.predict(row()).expect(201)
    ids = set(ReviewTask.objects.values_list("pk", flat=True))
    assert not ids & set(Prediction.objects.values_list("pk", flat=True))


@pytest.mark.django_db
def test_a_place_is_free_between_neighbours_of_one_block_or_nowhere() -> None:
    """Work that came while no test items were wanted lies side by side: no test item gets in that could be told from it."""
    start = block_start(first_id_at(datetime(2030, 1, 1, tzinfo=UTC)))
    side_by_side = [ReviewTask(pk=start + 1 + 2 * number) for number in range(4)]
    assert _free_places(side_by_side) == []
    with_a_gap = [*side_by_side, ReviewTask(pk=start + 11)]
    assert _free_places(with_a_gap) == [(start + 9, with_a_gap[-1])]
    in_the_next_block = [*side_by_side, ReviewTask(pk=start + BLOCK_SIZE + 1)]
    assert _free_places(in_the_next_block) == [], (
        "what lies behind the last of a block may still be handed out"
    )


def test_a_wrong_one_says_what_has_had_to_be_corrected(project: Project) -> None:
    """Where the truth is a, people have had to correct c; where it is b, nothing is known and any other will do."""
    truths = dict(Decision.objects.values_list("item_id", "output"))
    for sentinel in Sentinel.objects.all():
        truth, shown = truths[sentinel.item_id]["label"], sentinel.output["label"]
        assert (truth != shown) == sentinel.is_wrong
        if sentinel.is_wrong and truth == "a":
            assert shown == "c"
        assert sentinel.details["probabilities"][shown] == 0.8, "its probabilities say so too"


def test_who_had_the_item_does_not_get_it_again(world: World, project: Project) -> None:
    rita, rolf = world.api("rita", at=project), world.api("rolf", at=project)
    made = set(Sentinel.objects.values_list("task_id", flat=True))
    assert not made & {task["task"] for task in rita.claim(50)}
    assert made == {task["task"] for task in rolf.claim(50)}


def test_nothing_tells_it_from_real_work_in_the_api(world: World, project: Project) -> None:
    rolf = world.api("rolf", at=project)
    made = set(Sentinel.objects.values_list("task_id", flat=True))
    tasks = rolf.claim(30)
    shapes = {kind: {shape(t) for t in tasks if (t["task"] in made) == kind} for kind in (True, False)}
    assert shapes[True] == shapes[False]
    answers = {True: set(), False: set()}
    for task in tasks:
        verdict = "escalated" if task["task"] % 3 == 0 else "confirmed"
        answer = rolf.decide(task, verdict).expect(201)
        answers[task["task"] in made].add(shape(answer))
        rolf.undo(answer["decision"]).expect(200)
    assert answers[True] == answers[False] or len(answers[True]) < 2


def shape(body: Any) -> str:
    """What is left of an answer without its values."""
    if isinstance(body, dict):
        return json.dumps({name: shape(value) for name, value in sorted(body.items())})
    return type(body).__name__


def test_nothing_tells_it_on_the_page(world: World, project: Project) -> None:
    client = Client()
    client.force_login(world.rolf.user)
    pages: dict[bool, set[str]] = {True: set(), False: set()}
    for task in ReviewTask.objects.filter(state="waiting").select_related("sentinel"):
        response = client.get(f"/projects/{project.slug}/tasks/{task.pk}/")
        pages[task.purpose == Purpose.SENTINEL].add(without_values(response.content.decode()))
    assert pages[True]
    assert pages[True] == pages[False]
    assert any("Here because" in page for page in pages[True])


def without_values(page: str) -> str:
    """A page without what differs from item to item anyway: ids, tokens, labels and the like."""
    page = re.sub(r"item-\d+|[0-9a-f]{8}-[0-9a-f-]{27}|[A-Za-z0-9]{64}|\d{10,}", "…", page)
    page = re.sub(r"[A-Za-z0-9_-]{20,}(:[A-Za-z0-9_-]+)*", "…", page)
    page = re.sub(r"\b[abc]\b|\b\d\d:\d\d(:\d\d)?\b|\b\d+\s(min|s|h)\b", "…", page)
    page = re.sub(r"0\.\d+|\b10 %|\b80 %|\b\d+ s\b", "…", page)
    page = re.sub(r"<(input|button|label|li)[^>]*>", "<…>", page)
    return re.sub(r"\s+", " ", page)


def test_it_takes_as_many_statements(world: World, project: Project) -> None:
    """The same statements to claim it, and as many to decide about it but for the savepoint that takes them back."""
    rolf = world.api("rolf", at=project)
    made = set(Sentinel.objects.values_list("task_id", flat=True))
    tasks = rolf.claim(30)
    needed: dict[bool, set[int]] = {True: set(), False: set()}
    for task in tasks[1:]:
        with CaptureQueriesContext(connection) as queries:
            rolf.decide(task, "confirmed").expect(201)
        needed[task["task"] in made].add(len(queries))
    assert max(needed[True]) - min(needed[False]) <= 2
    assert max(needed[False]) - min(needed[True]) <= 3


def test_answers_count_for_the_reviewer_and_for_nothing_else(world: World, project: Project) -> None:
    rolf = world.api("rolf", at=project)
    before, waiting = sums(), WaitingDecision.objects.count()
    outcomes = len(world.api("otto", at=project).outcomes())
    made = {s.task_id: s for s in Sentinel.objects.all()}
    accepted = 0
    decisions = []
    for task in rolf.claim(50):
        if task["task"] in made:
            sentinel = made[task["task"]]
            if sentinel.is_wrong and accepted == 2:
                answer = rolf.decide(task, "corrected", {"label": another(task)}).expect(201)
            else:
                accepted += sentinel.is_wrong
                answer = rolf.decide(task, "confirmed").expect(201)
            decisions.append(answer["decision"])
    assert sums() == before
    day = ReviewerDay.objects.get(reviewer=world.rolf.user)
    assert (day.sentinels, day.sentinels_missed, day.gold, day.gold_changed, day.reviewed) == (5, 2, 5, 0, 0)
    assert WaitingDecision.objects.count() == waiting
    assert len(world.api("otto", at=project).outcomes()) == outcomes
    assert compare_rollups(project) == []
    assert not [finding for finding in check_ledger() if finding.wrong]

    story = world.api("otto", at=project).story(story_key(project))
    assert {decision["decided_by"] for decision in story["decisions"]} == {"rita"}
    for decision in decisions:
        rolf.undo(decision).expect(200)
    fold_deltas()
    day.refresh_from_db()
    assert (day.sentinels, day.sentinels_missed, day.gold) == (0, 0, 0)


def test_undoing_ends_for_it_when_it_ends_for_real_work(world: World, project: Project) -> None:
    """What is published cannot be undone; a test item is never published, and an undo that still worked would tell."""
    rolf = world.api("rolf", at=project)
    answers = [rolf.decide(task, "confirmed").expect(201)["decision"] for task in rolf.claim(30)]
    assert publish(Dataset.objects.get(project=project).pk) is not None
    for decision in answers:
        rolf.undo(decision).expect_problem(409, "already_published")
    decisions = Decision.objects.filter(pk__in=answers).select_related("task", "withdrawal")
    assert set(find_barriers(list(decisions)).values()) == {Barrier.PUBLISHED}
    assert len(decisions) == 30


def test_no_count_moves_with_the_answer_for_whoever_gives_it(world: World, project: Project) -> None:
    """A decision can be undone: a live count of test items would say which ones to think over."""
    rolf = world.browser("rolf", at=project)
    for task in world.api("rolf", at=project).claim(30):
        world.api("rolf", at=project).decide(task, "confirmed").expect(201)
    fold_deltas()
    look_at_project(project.pk)
    path = f"/projects/{project.slug}/trust/"
    seen = {who: who_sees.get(path).expect(200)["autonomy"]["scopes"][0]["sentinels"]
            for who, who_sees in (("rolf", rolf), ("lea", world.browser("lea", at=project)))}  # fmt: skip
    assert seen == {"rolf": 0, "lea": 5}


def another(task: dict[str, Any]) -> str:
    return next(label for label in "abc" if label != task["prediction"]["label"])


def story_key(project: Project) -> str:
    return str(Item.objects.get(pk=Sentinel.objects.first().item_id).key)


def test_a_skip_of_one_is_no_skip(world: World, project: Project) -> None:
    rolf = world.api("rolf", at=project)
    made = set(Sentinel.objects.values_list("task_id", flat=True))
    before = sums()
    for task in rolf.claim(50):
        if task["task"] in made:
            rolf.on_task(task, "skip").expect(204)
    assert sums() == before


@pytest.mark.parametrize(
    ("task_type", "prediction", "truth"),
    [
        ("multilabel", {"labels": ["a", "b"]}, {"labels": ["c"]}),
        (
            "text",
            {
                "text": "seven words",
                "words": [{"text": "seven", "confidence": 0.9}, {"text": "words", "confidence": 0.8}],
            },
            {"text": "x"},
        ),
        ("fields", {"fields": {"total": "9.00"}, "confidences": {"total": 0.8}}, {"fields": {"total": "1"}}),
        (
            "spans",
            {"spans": [{"start": 0, "end": 4, "label": "PER"}]},
            {"spans": [{"start": 5, "end": 8, "label": "LOC"}]},
        ),
    ],
)
def test_other_kinds_of_work_are_tested_too(
    world: World, task_type: str, prediction: dict[str, Any], truth: dict[str, Any]
) -> None:
    project = world.make_project("other", task_type, policy=POLICY)
    otto, rita = world.api("otto", at=project), world.api("rita", at=project)
    otto.predict([a_row(prediction=prediction) for _ in range(20)]).expect(200)
    for task in rita.claim(20):
        rita.decide(task, "confirmed").expect(201)
    otto.predict([a_row(prediction=prediction) for _ in range(20)]).expect(200)
    assert add_sentinels(project.pk) >= 4
    rolf = world.api("rolf", at=project)
    wrong = set(Sentinel.objects.filter(is_wrong=True).values_list("task_id", flat=True))
    for task in rolf.claim(50):
        if task["task"] in wrong:
            assert task["prediction"] != prediction
            assert set(task["prediction"]) == set(prediction)
            rolf.decide(task, "corrected", truth).expect(201)


def test_a_quiet_policy_has_none(world: World) -> None:
    world.api("otto").predict([a_row() for _ in range(5)]).expect(200)
    assert projects_with_sentinels() == []
    assert add_sentinels(world.letters.pk) == 0

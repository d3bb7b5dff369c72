"""Claims by label, segment, model version, confidence and text: what fits, what a filter may not tell, what it costs."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from labeling.ids import first_id_at
from labeling.ingestion.models import ModelVersion
from labeling.projects.models import Project
from labeling.review.claiming import get_queue
from labeling.review.filters import TaskFilter, fitting_tasks
from labeling.review.models import QueueMark
from labeling.review.services import claim_next, skip_task
from tests.review.test_claiming import LEASE
from tests.world import Api, World, a_row, in_threads

ROWS = [
    {"id": "one", "prediction": {"label": "a"}, "segment": "north", "confidence": 0.72},
    {"id": "two", "prediction": {"label": "b"}, "segment": "north", "confidence": 0.8},
    {
        "id": "three",
        "prediction": {"label": "b"},
        "segment": "south",
        "confidence": 0.9,
        "model_version": "2",
    },
    {"id": "four", "prediction": {"label": "c"}, "input": {"text": "Grüße aus BREMEN"}, "confidence": 0.94},
    {"id": "blind", "prediction": {"label": "b"}, "segment": "south", "confidence": 0.2},
]


@pytest.fixture
def rita(world: World) -> Api:
    world.api("otto").predict([a_row(**row) for row in ROWS]).expect(200)
    return world.api("rita")


@pytest.mark.parametrize(
    ("only", "items"),
    [
        ({}, ["one", "two", "three", "four", "blind"]),
        ({"label": "b"}, ["two", "three"]),  # that a blind task is there would tell what the model said
        ({"min_confidence": 0.8}, ["two", "three", "four"]),
        ({"max_confidence": 0.8}, ["one", "two"]),
        ({"min_confidence": 0.75, "max_confidence": 0.9}, ["two", "three"]),
        ({"segment": "south"}, ["three", "blind"]),
        ({"segment": "south", "label": "b"}, ["three"]),
        ({"model_version": "reader 2"}, ["three"]),
        ({"q": "grüsse"}, []),
        ({"q": "bremen"}, ["four"]),
        ({"q": "WO"}, ["two"]),
        ({"label": "nothing like it"}, []),
    ],
)
def test_what_fits(rita: Api, only: dict[str, Any], items: list[str]) -> None:
    assert [task["item"]["id"] for task in rita.claim(50, only=only)] == items


@pytest.mark.parametrize(
    ("only", "field"),
    [
        ({"min_confidence": 1.1}, "/only/min_confidence"),
        ({"min_confidence": 0.9, "max_confidence": 0.1}, "/only/min_confidence"),
        ({"model_version": "reader 3"}, "/only/model_version"),
        ({"q": "x" * 501}, "/only/q"),
        ({"label": ["b"]}, "/only/label"),
        ("b", "/only"),
    ],
)
def test_a_filter_that_cannot_be_is_named(rita: Api, only: Any, field: str) -> None:
    problem = rita.post("/projects/letters/tasks/claim/", {"only": only}).expect_problem(422)
    assert problem["errors"][0]["pointer"].startswith(field)
    assert len(rita.claim(50)) == len(ROWS)


def test_what_one_skipped_comes_again_when_nothing_else_fits(rita: Api, world: World) -> None:
    queue = get_queue(world.letters, "default")
    claim = partial(claim_next, queue=queue, by=world.rita.actor, count=1, lease=LEASE)
    only = TaskFilter(segment="north")
    keys = []
    for _ in range(3):
        (got,) = claim(only=only)
        keys.append(got.task.label)
        skip_task(task_id=got.task.pk, token=str(got.token), by=world.rita.actor)
    assert keys == ["a", "b", "a"]


@pytest.mark.slow
def test_thirty_with_the_same_filter_share_nothing_and_miss_nothing(live_world: World) -> None:
    rows = [a_row(segment="south" if n % 3 else "north") for n in range(60)]
    live_world.api("otto").predict(rows).expect(200)
    queue = get_queue(live_world.letters, "default")
    people = live_world.newcomers(30)
    claim = partial(claim_next, queue=queue, count=1, lease=LEASE, only=TaskFilter(segment="north"))
    found = in_threads([partial(claim, by=person.actor) for person in people])
    assert sorted(map(len, found)) == [0] * 10 + [1] * 20
    assert len({one.task.pk for claims in found for one in claims}) == 20


# --- What it costs ---------------------------------------------------------------------------------------------------

MANY = 60_000


@pytest.fixture
def long_queue(world: World) -> Project:
    """60,000 waiting tasks of one priority, and 60,000 that are decided."""
    project = world.letters
    queue = get_queue(project, "default")
    version = ModelVersion.objects.create(project=project, name="reader", version="1")
    base = first_id_at(timezone.now()) - (3600 << 20)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into labeling_reviewtask (id, project_id, queue_id, kind, purpose, state, item_id, prediction_id,
                model_version_id, confidence, segment, label, slot, priority, position)
            select %(base)s + n, %(project)s, %(queue)s, 'review', 'review',
                   case when n %% 2 = 0 then 'waiting' else 'decided' end, %(base)s + n, %(base)s + n, %(version)s,
                   0.7 + 0.2 * (n %% 1000) / 1000.0, 's' || n %% 50, chr(97 + n %% 3), 1, 0, %(base)s + n
            from generate_series(0, %(rows)s - 1) n
            """,
            {"base": base, "project": project.pk, "queue": queue.pk, "version": version.pk, "rows": 2 * MANY},
        )
        QueueMark.objects.create(queue=queue, priority=0, low=0)
        cursor.execute("analyze labeling_reviewtask")
    return project


def steps(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(step for below in plan.get("Plans", ()) for step in steps(below))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("only", "searched"),
    [
        (TaskFilter(label="a"), 20_000),
        (TaskFilter(label="nothing like it"), 20_000),
        (TaskFilter(segment="s4", min_confidence=0.75), 20_000),
        (TaskFilter(min_confidence=0.99), 20_000),
        (TaskFilter(text="nothing like it"), 2_000),
    ],
    ids=["label", "no label", "segment", "no confidence", "no text"],
)
def test_a_filter_looks_at_a_bounded_part_of_the_queue(
    long_queue: Project, world: World, only: TaskFilter, searched: int
) -> None:
    """By the partial index of what waits, in order, never the whole table, and locking no more than is wanted."""
    sql, values = fitting_tasks(only, lock=True)
    values |= {
        "queue": get_queue(long_queue, "default").pk,
        "user": world.rita.user.pk,
        "now": timezone.now(),
        "count": 2,
    }
    with connection.cursor() as cursor:
        cursor.execute(f"explain (analyze, format json) {sql}", values)
        (found,) = cursor.fetchone()
    plan = steps((json.loads(found) if isinstance(found, str) else found)[0]["Plan"])
    tasks = [step for step in plan if step.get("Relation Name") == "labeling_reviewtask"]
    assert {step["Node Type"] for step in tasks} <= {"Index Scan", "Index Only Scan"}, tasks
    assert "task_waiting" in {step["Index Name"] for step in tasks}
    read = [step for step in tasks if step["Index Name"] == "task_waiting"]
    assert sum(step["Actual Rows"] * step["Actual Loops"] for step in read) <= searched
    locked = [step for step in plan if step["Node Type"] == "LockRows"]
    assert [step["Actual Rows"] <= 2 for step in locked] == [True]

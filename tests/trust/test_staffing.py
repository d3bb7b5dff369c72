"""How many people a queue needs, and what is past its deadline."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labeling.ids import first_id_at
from labeling.review.models import QueueMark, ReviewQueue, ReviewTask
from labeling.review.queries import list_queues
from labeling.trust.services import fold_deltas
from labeling.trust.staffing import find_staffing, people_needed
from tests.world import World, a_row, world

__all__ = ["world"]


@pytest.mark.parametrize(
    ("waiting", "arriving", "each", "hours", "people"),
    [
        (0, 120, 30, 8, 1.0),  # an hour brings an hour of work
        (480, 0, 30, 8, 0.5),
        (480, 0, 30, 1, 4.0),
        (480, 120, 60, 8, 3.0),
        (0, 0, 30, 8, 0.0),
    ],
)
def test_people_needed(waiting: int, arriving: float, each: float, hours: float, people: float) -> None:
    assert (
        people_needed(waiting=waiting, arriving_per_hour=arriving, seconds_each=each, hours=hours) == people
    )


def test_from_what_arrives_waits_and_how_long_people_take(world: World) -> None:
    """30 tasks within the first hour, 4 done at 60 s each; 26 wait."""
    world.api("otto").predict([a_row() for _ in range(30)]).expect(200)
    rita = world.api("rita")
    fold_deltas()
    (default, leads) = list_queues(world.letters)
    assert find_staffing(world.letters, [default, leads])[default.id].people_needed is None
    for task in rita.claim(4):
        rita.decide(task, "confirmed", seconds=60).expect(201)
    fold_deltas()
    (default, leads) = list_queues(world.letters)
    found = find_staffing(world.letters, [default, leads])
    assert (found[default.id].arriving_per_hour, found[default.id].seconds_each) == (30, 60)
    assert found[default.id].people_needed == pytest.approx((30 + 26 / 8) * 60 / 3600)
    assert found[leads.id].people_needed == 0
    assert found[default.id].arrived == (0,) * 23 + (30,)
    body = world.api("lea").patch("/projects/letters/queues/default/", {"deadline_seconds": 7200}).expect(200)
    assert body["people_needed"] == pytest.approx((30 + 26 / 2) * 60 / 3600)
    assert body["deadline_seconds"] == 7200


def test_a_deadline_is_checked(world: World) -> None:
    lea = world.api("lea")
    for wrong in (0, 59, 30 * 24 * 3600 + 1, "soon"):
        problem = lea.patch("/projects/letters/queues/default/", {"deadline_seconds": wrong}).expect_problem(
            422
        )
        assert problem["errors"][0]["pointer"] == "/deadline_seconds"
    lea.patch("/projects/letters/queues/nope/", {"deadline_seconds": 60}).expect_problem(404)
    lea.patch("/projects/letters/queues/default/", {"deadline_seconds": None}).expect(200)


def test_past_deadline_counts_what_waits_too_long_and_nothing_else(world: World) -> None:
    world.api("otto").predict([a_row(priority=number % 2) for number in range(6)]).expect(200)
    world.api("rita").claim(1)
    hour = 3600 << 20
    for task in ReviewTask.objects.order_by("pk")[:4]:
        ReviewTask.objects.filter(pk=task.pk).update(position=task.position - hour)
    QueueMark.objects.update(low=0)
    late = ReviewTask.objects.filter(state="waiting", position__in=_positions_before(world)).count()
    assert list_queues(world.letters)[0].past_deadline == 0  # no deadline yet
    ReviewQueue.objects.update(deadline_seconds=1800)
    with CaptureQueriesContext(connection) as queries:
        (default, leads) = list_queues(world.letters)
    assert (default.past_deadline, leads.past_deadline) == (late, 0)
    assert 0 < late < default.waiting
    assert len(queries) == 1


def _positions_before(world: World) -> list[int]:
    edge = first_id_at(timezone.now() - timedelta(minutes=30))
    return list(ReviewTask.objects.filter(position__lt=edge).values_list("position", flat=True))

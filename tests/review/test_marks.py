"""Low-water marks: they never stand above a waiting task, whatever is rolled back, put back or decided."""

from datetime import timedelta

import pytest
from django.db import transaction

from labeling.ids import first_id_at
from labeling.review.marks import ensure_marks, lower_marks, move_marks
from labeling.review.models import QueueMark, ReviewQueue, ReviewTask
from labeling.review.services import claim_next, finish_task

pytestmark = pytest.mark.django_db
LEASE = timedelta(minutes=10)


@pytest.fixture
def queue(world):
    return ReviewQueue.objects.get(project=world.letters, slug="default")


def put_task(queue, number, *, priority=0, state="waiting"):
    return ReviewTask.objects.create(
        id=number,
        project=queue.project,
        queue=queue,
        kind="review",
        purpose="review",
        state=state,
        item_id=number,
        prediction_id=number,
        model_version_id=1,
        confidence=0.8,
        priority=priority,
        position=number,
    )


def low(queue, priority=0):
    return QueueMark.objects.get(queue=queue, priority=priority).low


@pytest.mark.django_db(transaction=True)
def test_a_mark_that_was_rolled_back_is_made_again(live_world):
    queue = ReviewQueue.objects.get(project=live_world.letters, slug="default")
    with transaction.atomic():
        ensure_marks(queue.pk, [7])
        transaction.set_rollback(True)
    assert not QueueMark.objects.filter(queue=queue, priority=7).exists()
    ensure_marks(queue.pk, [7])
    assert QueueMark.objects.filter(queue=queue, priority=7).exists()


def test_the_sweep_raises_a_mark_to_the_first_waiting_task(queue):
    ensure_marks(queue.pk, [0])
    put_task(queue, 10, state="decided")
    put_task(queue, 20)
    put_task(queue, 30)
    move_marks()
    assert low(queue) == 20


def test_an_empty_queue_keeps_its_mark_below_what_may_be_on_its_way(queue, world):
    ensure_marks(queue.pk, [0])
    move_marks()
    newest = put_task(queue, first_id_at(world.letters.created_at))
    assert low(queue) < newest.position


def test_a_mark_that_stands_too_high_is_healed(queue):
    ensure_marks(queue.pk, [0])
    put_task(queue, 20)
    QueueMark.objects.filter(queue=queue).update(low=1_000)
    move_marks()
    assert low(queue) == 20


def test_putting_back_lowers_the_mark(queue):
    ensure_marks(queue.pk, [0])
    QueueMark.objects.filter(queue=queue).update(low=50)
    lower_marks([(queue.pk, 0, 40), (queue.pk, 0, 45)])
    assert low(queue) == 40


def test_claims_go_by_priority_then_by_position(queue, world):
    ensure_marks(queue.pk, [0, 5])
    for number, priority in ((10, 0), (20, 5), (30, 5), (40, 0)):
        put_task(queue, number, priority=priority)
    claims = claim_next(queue=queue, by=world.rita.actor, count=3, lease=LEASE)
    assert [claim.task.pk for claim in claims] == [20, 30, 10]


def test_a_finished_task_is_never_offered_again(queue, world):
    ensure_marks(queue.pk, [0])
    finish_task(put_task(queue, 10))
    assert not claim_next(queue=queue, by=world.rita.actor, count=1, lease=LEASE)

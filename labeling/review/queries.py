"""Reading queues. Every number is bounded: counts run over partial indexes and stop at 100,000."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.utils import timezone

from labeling.ingestion.models import Item
from labeling.projects.models import Project
from labeling.review.models import Purpose, ReviewQueue, ReviewTask, TaskState

MOST_COUNTED = 100_000
MOST_CLAIMS = 500


@dataclass(frozen=True, slots=True)
class QueueState:
    """How much waits in a queue. Counts go up to 100,000; beyond that the number says "at least"."""

    id: int
    project_id: int
    slug: str
    name: str
    leads_only: bool
    deadline_seconds: int | None
    waiting: int
    claimed: int
    past_deadline: int
    oldest_at: datetime | None

    @property
    def oldest_age_seconds(self) -> float | None:
        """How long the first in line has been waiting."""
        return (timezone.now() - self.oldest_at).total_seconds() if self.oldest_at else None


@dataclass(frozen=True, slots=True)
class HeldTask:
    """A task in somebody's hands."""

    task: int
    queue: str
    item: str
    holder: str
    claimed_at: datetime | None
    expires_at: datetime | None


# What waits and what is claimed has a partial index each. Positions are times, so that what is past its deadline is the
# beginning of each priority, from its mark on.
_STATES = """
select queue.id, queue.project_id, queue.slug, queue.name, queue.leads_only, queue.deadline_seconds,
       (select count(*) from (select 1 from labeling_reviewtask t where t.queue_id = queue.id and t.state = 'waiting'
                              limit %(most)s) waiting),
       (select count(*) from (select 1 from labeling_reviewtask t where t.queue_id = queue.id and t.state = 'claimed'
                              limit %(most)s) claimed),
       (select count(*) from (select 1 from labeling_queuemark mark cross join lateral
            (select 1 from labeling_reviewtask t
             where t.queue_id = queue.id and t.priority = mark.priority and t.state = 'waiting'
               and t.position >= mark.low
               and t.position < (floor(extract(epoch from clock_timestamp()))::bigint - 1735689600
                                 - queue.deadline_seconds) << 20
             limit %(most)s) late
        where mark.queue_id = queue.id and queue.deadline_seconds is not null limit %(most)s) late),
       (select min(first.created_at) from labeling_queuemark mark cross join lateral
            (select t.created_at from labeling_reviewtask t
             where t.queue_id = queue.id and t.priority = mark.priority and t.state = 'waiting'
               and t.position >= mark.low
             order by t.position limit 1) first
        where mark.queue_id = queue.id)
from labeling_reviewqueue queue where queue.project_id = any(%(projects)s)
order by queue.project_id, queue.leads_only, queue.slug
"""


def list_queues(project: Project, *, most: int = MOST_COUNTED) -> list[QueueState]:
    """The queues of a project with what waits in them, counted up to `most`."""
    return list_queues_of([project.pk], most=most)


def list_queues_of(project_ids: Iterable[int], *, most: int = MOST_COUNTED) -> list[QueueState]:
    """The queues of several projects, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_STATES, {"projects": list(project_ids), "most": most})
        return [QueueState(*row) for row in cursor.fetchall()]


# Somebody looks although the item has its answer: no reason to refuse others, and nobody outside may notice.
_LOOKS = (Purpose.AUDIT, Purpose.SHADOW)


def count_waiting(queue: ReviewQueue, *, most: int) -> int:
    """How many items wait for a person to be answered, counted up to `most`."""
    waiting = ReviewTask.objects.filter(queue=queue, state=TaskState.WAITING).exclude(purpose__in=_LOOKS)
    return waiting.order_by()[:most].count()


def find_items_with_work(item_ids: Iterable[int]) -> set[int]:
    """Those of these items for which no second review would be made, as one is open."""
    open_ones = ReviewTask.objects.filter(
        item_id__in=item_ids, slot=1, state__in=[TaskState.WAITING, TaskState.CLAIMED]
    )
    return set(open_ones.exclude(purpose__in=_LOOKS).values_list("item_id", flat=True))


@dataclass(slots=True)
class OverflowAnswers:
    """What the fallback answered of an item for want of people. `outcome_id` is the newest outcome it gave."""

    swept: set[int]
    with_task: set[int]
    outcome_id: int

    def answer(self, prediction_id: int) -> bool:
        """Whether this prediction waits for nobody any more.

        Its own review was answered, or it had none as another one was open when it came, before the outcome.
        """
        if prediction_id in self.with_task:
            return prediction_id in self.swept
        return prediction_id < self.outcome_id


def find_overflow_answers(item_ids: Iterable[int]) -> dict[int, OverflowAnswers]:
    """What the fallback answered for want of people, by item."""
    answers: dict[int, OverflowAnswers] = {}
    tasks = ReviewTask.objects.filter(item_id__in=item_ids).exclude(purpose=Purpose.SENTINEL)
    for item, prediction, outcome in tasks.values_list("item_id", "prediction_id", "overflowed__outcome_id"):
        found = answers.setdefault(item, OverflowAnswers(set(), set(), 0))
        found.with_task.add(prediction)
        if outcome is not None:
            found.swept.add(prediction)
            found.outcome_id = max(found.outcome_id, outcome)
    return answers


def list_held_tasks(project: Project) -> list[HeldTask]:
    """What is in people's hands now, the longest held first."""
    tasks = (
        ReviewTask.objects.filter(queue__project=project, state=TaskState.CLAIMED)
        .select_related("queue", "claimed_by")
        .order_by("claimed_at", "pk")[:MOST_CLAIMS]
    )
    keys = dict(Item.objects.filter(pk__in=[task.item_id for task in tasks]).values_list("pk", "key"))
    return [
        HeldTask(
            task=task.pk,
            queue=task.queue.slug,
            item=keys.get(task.item_id, ""),
            holder=task.claimed_by.get_username() if task.claimed_by else "",
            claimed_at=task.claimed_at,
            expires_at=task.lease_expires_at,
        )
        for task in tasks
    ]

"""Making review tasks."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from struct import Struct
from typing import Any

import msgspec
from django.db import connection

from labeling.bulk import copy_rows, moment_field, text_field
from labeling.projects.models import Project
from labeling.review.models import ReviewQueue, TaskState

DEFAULT_QUEUE = "default"
LEADS_QUEUE = "leads"
_WAITING = TaskState.WAITING.value
TASK_COLUMNS = (
    "id",
    "project_id",
    "queue_id",
    "kind",
    "purpose",
    "state",
    "item_id",
    "prediction_id",
    "model_version_id",
    "confidence",
    "segment",
    "label",
    "slot",
    "priority",
    "position",
    "created_at",
)


_head = Struct(">hiqiqiq").pack
_middle = Struct(">iqiqiqid").pack
_end = Struct(">ihihiq").pack


class NewTask(msgspec.Struct, frozen=True, gc=False):
    """A task that the pipeline asks for."""

    id: int
    project_id: int
    queue_id: int
    kind: str
    purpose: str
    item_id: int
    prediction_id: int
    model_version_id: int
    confidence: float
    segment: str | None
    label: str | None
    priority: int
    created_at: datetime
    slot: int = 1

    def values(self) -> list[Any]:
        """Column values in the order of TASK_COLUMNS. The id is the position: first come, first served."""
        return [
            self.id,
            self.project_id,
            self.queue_id,
            self.kind,
            self.purpose,
            _WAITING,
            self.item_id,
            self.prediction_id,
            self.model_version_id,
            self.confidence,
            self.segment,
            self.label,
            self.slot,
            self.priority,
            self.id,
            self.created_at,
        ]


def create_queues(project: Project) -> None:
    """The queues every project has."""
    ReviewQueue.objects.create(project=project, slug=DEFAULT_QUEUE, name="Review")
    ReviewQueue.objects.create(project=project, slug=LEADS_QUEUE, name="For leads", leads_only=True)


def copy_tasks(tasks: Sequence[NewTask], *, meanwhile: Iterable[object]) -> None:
    """Tasks of new items: nothing of theirs can be open, so nothing can collide. Runs through `meanwhile` (`bulk.copy_rows`)."""
    if tasks:
        copy_rows("labeling_reviewtask", TASK_COLUMNS, map(_row, tasks), meanwhile=meanwhile)
    else:
        for _ in meanwhile:
            pass


def add_tasks(tasks: Sequence[NewTask]) -> None:
    """Tasks of known items: where one is open, no second is made."""
    if not tasks:
        return
    row = "(" + ", ".join(["%s"] * len(TASK_COLUMNS)) + ")"
    with connection.cursor() as cursor:
        cursor.execute(
            f"insert into labeling_reviewtask ({', '.join(TASK_COLUMNS)}) values {', '.join([row] * len(tasks))}"
            " on conflict (item_id, slot) where state in ('waiting', 'claimed') do nothing",
            [value for task in tasks for value in task.values()],
        )


def _row(task: NewTask) -> bytes:
    """`values` as a binary row. Each field is its length and its value."""
    return b"".join(
        (
            _head(16, 8, task.id, 8, task.project_id, 8, task.queue_id),
            text_field(task.kind),
            text_field(task.purpose),
            text_field(_WAITING),
            _middle(8, task.item_id, 8, task.prediction_id, 8, task.model_version_id, 8, task.confidence),
            text_field(task.segment),
            text_field(task.label),
            _end(2, task.slot, 2, task.priority, 8, task.id),
            moment_field(task.created_at),
        )
    )

"""Making review tasks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection

from labeling.bulk import copy_lines, moment, text
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


def copy_tasks(tasks: Sequence[NewTask]) -> None:
    """Tasks of new items: nothing of theirs can be open, so nothing can collide."""
    if tasks:
        copy_lines("labeling_reviewtask", TASK_COLUMNS, [_line(task) for task in tasks])


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


def _line(task: NewTask) -> str:
    """`values` as a COPY line."""
    return (
        f"{task.id}\t{task.project_id}\t{task.queue_id}\t{task.kind}\t{task.purpose}\t{_WAITING}\t{task.item_id}"
        f"\t{task.prediction_id}\t{task.model_version_id}\t{task.confidence!r}\t{text(task.segment)}\t{text(task.label)}"
        f"\t{task.slot}\t{task.priority}\t{task.id}\t{moment(task.created_at)}"
    )

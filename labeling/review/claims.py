"""What a person holds: the claimed task with its item and what it may show, read in one statement."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.db import connection

from labeling.ingestion.models import Item, Prediction
from labeling.joined import Columns, read_parts
from labeling.review.models import ReviewQueue, ReviewTask, Sentinel
from labeling.review.showing import shown_prediction

__all__ = ["HELD", "HELD_ORDER", "PROJECT_COLUMNS", "Claim", "claims_of", "read_claim"]

PROJECT_COLUMNS = (
    "id",
    "slug",
    "task_type",
    "time_zone",
    "simulation",
    "schema_number",
    "policy_number",
    "guidelines_number",
    "lottery_secret",
    "truths_from",
)
"""What claiming and deciding need of a project."""

_TASK = Columns(ReviewTask, "task")
_QUEUE = Columns(ReviewQueue, "queue")
_SENTINEL = Columns(Sentinel, "sentinel")
_ITEM = Columns(Item, "item")
_PREDICTION = Columns(Prediction, "prediction")

# Joined to held rows of `task`. Of tasks without a suggestion nothing of the prediction is even read; a test item costs the
# same as real work.
HELD = f"""
select {_TASK.sql}, {_QUEUE.sql}, {_SENTINEL.sql}, {_ITEM.sql}, {_PREDICTION.sql}, version.name, version.version
from {{held}} task
join labeling_reviewqueue queue on queue.id = task.queue_id
left join labeling_sentinel sentinel on sentinel.task_id = task.id
cross join lateral labeling_item_of(task.item_id) item
cross join lateral labeling_prediction_of(case when task.kind = 'review' then task.prediction_id end) prediction
left join labeling_modelversion version on version.id = task.model_version_id
"""
HELD_ORDER = "order by task.priority desc, task.position"
_BY_ID = f"{HELD.format(held='labeling_reviewtask')} where task.id = any(%(ids)s) {HELD_ORDER}"


@dataclass(frozen=True, slots=True)
class Claim:
    """A task that is now held. `prediction` is what the reviewer sees of it: none for tasks without a suggestion."""

    task: ReviewTask
    item: Item | None
    prediction: Prediction | None
    model: str

    @property
    def token(self) -> uuid.UUID:
        """The check constraint on tasks says that a claimed one has it."""
        return cast(uuid.UUID, self.task.claim_token)

    @property
    def expires_at(self) -> datetime:
        return cast(datetime, self.task.lease_expires_at)


def read_claim(row: Sequence[Any]) -> Claim:
    """A row of HELD."""
    (task, queue, sentinel, item, prediction), (name, version) = read_parts(
        row, (_TASK, _QUEUE, _SENTINEL, _ITEM, _PREDICTION)
    )
    task.queue = queue
    if sentinel is not None:
        task.sentinel = sentinel
    return Claim(
        task=task,
        item=item,
        prediction=shown_prediction(task, prediction) if prediction else None,
        model=f"{name} {version}".strip(),
    )


def claims_of(ids: Sequence[int]) -> list[Claim]:
    """The claims of these held tasks, in the order of their queue."""
    with connection.cursor() as cursor:
        cursor.execute(_BY_ID, {"ids": list(ids)})
        return [read_claim(row) for row in cursor.fetchall()]

"""Claims that were given out, as their decisions need them: remembered by this process, or read.

Nothing depends on what is remembered: what is not here is read, and who decides by either asks, in the statement that writes the
decision, whether it still holds (`pipeline/at_once.py`).
"""

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from threading import Lock
from typing import Any

from labeling.bulk import Prepared
from labeling.history.actor import Actor
from labeling.ingestion.models import Prediction
from labeling.joined import Columns, read_parts
from labeling.projects.models import Project, TaskType
from labeling.review.claims import PROJECT_COLUMNS, Claim
from labeling.review.models import ReviewQueue, ReviewTask, Sentinel
from labeling.review.showing import shown_prediction

__all__ = ["READ", "WORK", "WORK_OF_TASK", "Given", "read_given", "read_work", "recall", "remember"]

MOST = 1_000
# Their outputs name labels of the schema, so that what is kept is small, whatever else the item and its prediction hold.
_SMALL = frozenset({TaskType.CLASSIFICATION, TaskType.MULTILABEL})
_PARTS = (
    Columns(ReviewTask, "task"),
    Columns(Project, "project", PROJECT_COLUMNS),
    Columns(ReviewQueue, "queue"),
    Columns(Sentinel, "sentinel"),
    Columns(Prediction, "prediction"),
)
WORK = f"""{", ".join(part.sql for part in _PARTS)}, item.key,
       case when project.task_type = 'spans' then item.input end"""
"""What a decision is made from, to be selected from a `task` and WORK_OF_TASK."""
WORK_OF_TASK = """join labeling_project project on project.id = task.project_id
join labeling_reviewqueue queue on queue.id = task.queue_id
cross join lateral labeling_prediction_of(task.prediction_id) prediction
cross join lateral labeling_item_of(task.item_id) item
left join labeling_sentinel sentinel on sentinel.task_id = task.id"""
READ = Prepared(f"""
select {WORK} from labeling_reviewtask task {WORK_OF_TASK}
where task.id = %(task)s and task.state = 'claimed' and task.claim_token = %(token)s and task.claimed_by_id = %(user)s
""")


@dataclass(frozen=True, slots=True)
class Given:
    """A task with its project and queue, and the prediction that is shown. Of the item's input only what its answer is checked by."""

    task: ReviewTask
    prediction: Prediction
    item_key: str | None
    item_input: Any = None


_given: dict[str, Given] = {}
_lock = Lock()


def remember(project: Project, claims: Iterable[Claim]) -> None:
    """Keep what a decision about these claims needs; of the project `PROJECT_COLUMNS` are read. The oldest give way."""
    if project.task_type not in _SMALL:
        return
    for claim in claims:
        if claim.prediction is None or claim.task.reopened:
            continue
        prediction = claim.prediction
        if prediction.details is not None:
            prediction = copy(prediction)
            prediction.details = None
        claim.task.project = project
        given = Given(claim.task, prediction, claim.item.key if claim.item else None)
        with _lock:
            _given[str(claim.token)] = given
            if len(_given) > MOST:
                del _given[next(iter(_given))]


def recall(token: str) -> Given | None:
    """What was given out under this token, once; none where another process did, or too much has been given out since."""
    with _lock:
        return _given.pop(token, None)


def read_given(*, task_id: int, token: str, by: Actor) -> Given | None:
    """What this person holds under this token, read by one statement."""
    if task_id >= 2**63:
        return None
    found = READ.fetchone({"task": task_id, "token": token, "user": by.user_id})
    return read_work(found)[0] if found else None


def read_work(row: Sequence[Any]) -> tuple[Given, Sequence[Any]]:
    """WORK from the beginning of a row, and what is left of it."""
    (task, project, queue, sentinel, prediction), (key, item_input, *rest) = read_parts(row, _PARTS)
    task.project, task.queue = project, queue
    if sentinel is not None:
        task.sentinel = sentinel
    return Given(task, shown_prediction(task, prediction), key, item_input), rest

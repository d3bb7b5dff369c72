"""A task that is being decided, with everything its decision depends on: locked and read in one statement."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labeling.bulk import prepared_cursor
from labeling.decisions.models import AcceptedLabel, Decision
from labeling.decisions.services import list_standing, lock_accepted_label
from labeling.errors import NotFoundError, say
from labeling.history.actor import Actor
from labeling.ingestion.models import Prediction
from labeling.joined import Columns, read_parts
from labeling.pipeline.settling import first_prediction
from labeling.projects.access import KEY_STANDS, Permission, key_values, require_as, require_key
from labeling.projects.label_schema import OutputSchema
from labeling.projects.models import Project
from labeling.projects.queries import settled_output_schema
from labeling.review.models import Purpose, ReviewQueue, ReviewTask, Sentinel
from labeling.review.services import require_held
from labeling.review.showing import shown_prediction

_TASK = Columns(ReviewTask, "task")
_PROJECT = Columns(
    Project,
    "project",
    (
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
    ),
)
_QUEUE = Columns(ReviewQueue, "queue")
_SENTINEL = Columns(Sentinel, "sentinel")
_PREDICTION = Columns(Prediction, "prediction")
_PARTS = (_TASK, _PROJECT, _QUEUE, _SENTINEL, _PREDICTION)

# 1. the task waits for whoever else decides it; 2. an item that nobody has decided about, and that had no outcome at once,
# gets its row of `acceptedlabel`, which holds the item; 3. what is read stands still from then on, or never changes.
HOLD = f"""
with task as materialized (
    select * from labeling_reviewtask where id = %(task)s for update
), untouched as (
    insert into labeling_acceptedlabel (item_id, project_id, revision)
    select task.item_id, task.project_id, 0 from task
    where task.state = 'claimed' and task.claim_token = %(token)s and task.claimed_by_id = %(user)s
      and not exists (select from labeling_prediction first where first.id = task.item_id
                      and (first.route = 'auto' or first.final_output is not null))
    on conflict do nothing
    returning item_id
)
select {", ".join(part.sql for part in _PARTS)}, membership.role, {KEY_STANDS}, item.key,
       case when project.task_type = 'spans' then item.input end, untouched.item_id is not null,
       case when sentinel.task_id is not null then exists (
           select from labeling_decision earlier where earlier.item_id = task.item_id and earlier.task_id = task.id) end,
       clock_timestamp()
from task
join labeling_project project on project.id = task.project_id
join labeling_reviewqueue queue on queue.id = task.queue_id
join labeling_prediction prediction on prediction.id = task.prediction_id
left join labeling_item item on item.id = task.item_id
left join labeling_sentinel sentinel on sentinel.task_id = task.id
left join labeling_membership membership on membership.project_id = task.project_id and membership.user_id = %(user)s
left join untouched on untouched.item_id = task.item_id
"""


@dataclass(frozen=True, slots=True)
class Held:
    """What a decision is made from. `current` is the label of the item that counts so far, locked."""

    task: ReviewTask
    prediction: Prediction
    schema: OutputSchema
    item_key: str | None
    item_input: Any
    current: AcceptedLabel
    standing: list[Decision]
    now: datetime


def hold(*, task_id: int, token: str, by: Actor) -> Held:
    """Lock a claimed task and its item. NotFoundError, NotAllowedError, or ConflictError `claim_lost` when the token does not
    hold the task. Whatever else is decided about the item waits, so that each sees what the others have said."""
    if task_id >= 2**63:
        raise NotFoundError("not_found", say("There is no such task."))
    with prepared_cursor() as cursor:
        cursor.execute(HOLD, {"task": task_id, "token": token, "user": by.user_id, **key_values(by)})
        found = cursor.fetchone()
    if found is None:
        raise NotFoundError("not_found", say("There is no such task."))
    (task, project, queue, sentinel, prediction), rest = read_parts(found, _PARTS)
    role, key_stands, item_key, item_input, is_untouched, is_test_again, now = rest
    require_key(key_stands)
    task.project, task.queue = project, queue
    if sentinel is not None:
        task.sentinel = sentinel
    require_as(by, project.pk, Permission.REVIEW, role)
    require_held(
        task, token, by
    )  # before its queue: it may have gone to the leads, whom not everybody may ask
    if queue.leads_only:
        require_as(by, project.pk, Permission.LEAD_REVIEW, role)
    prediction = shown_prediction(task, prediction)
    current = AcceptedLabel(item_id=task.item_id, project_id=project.pk)
    standing: list[Decision] = []
    # A test item takes what work takes: the first time what an item that nobody has decided about does, from then on what one
    # does that somebody has. What is answered touches no label, and what others have said of the item says nothing of the answer.
    is_test = task.purpose == Purpose.SENTINEL
    if is_test_again or not (is_test or is_untouched):
        locked = lock_accepted_label(
            project_id=project.pk,
            item_id=task.item_id,
            first=first_prediction(task, prediction),
            task_type=project.task_type,
        )
        standing = list_standing(task.item_id)
        if is_test:
            standing = [one for one in standing if one.task_id == task.pk]
        else:
            current = locked
    return Held(
        task=task,
        prediction=prediction,
        schema=settled_output_schema(project),
        item_key=item_key,
        item_input=item_input,
        current=current,
        standing=standing,
        now=now,
    )

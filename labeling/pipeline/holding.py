"""A task that is being decided, with everything its decision depends on: locked and read in one statement."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labeling.bulk import Prepared
from labeling.decisions.models import AcceptedLabel, Decision
from labeling.decisions.services import list_standing, lock_accepted_label
from labeling.errors import NotFoundError, say
from labeling.history.actor import Actor
from labeling.ingestion.models import Prediction
from labeling.pipeline.settling import first_prediction
from labeling.projects.access import KEY_STANDS, Permission, key_values, require_as, require_key
from labeling.projects.label_schema import OutputSchema
from labeling.projects.queries import settled_output_schema
from labeling.review.given import WORK, WORK_OF_TASK, read_work
from labeling.review.models import Purpose, ReviewTask
from labeling.review.services import require_held

# 1. the task waits for whoever else decides it; 2. an item that nobody has decided about, and that had no outcome at once,
# gets its row of `acceptedlabel`, which holds the item; 3. what is read stands still from then on, or never changes.
HOLD = Prepared(f"""
with task as materialized (
    select * from labeling_reviewtask where id = %(task)s for update
), untouched as (
    insert into labeling_acceptedlabel (item_id, project_id, revision)
    select task.item_id, task.project_id, 0 from task
    where task.state = 'claimed' and task.claim_token = %(token)s and task.claimed_by_id = %(user)s
      and not exists (select from labeling_prediction_of(task.item_id) first
                      where first.route = 'auto' or first.final_output is not null)
    on conflict do nothing
    returning item_id
)
select {WORK}, membership.role, {KEY_STANDS}, untouched.item_id is not null,
       case when sentinel.task_id is not null then exists (
           select from labeling_decision earlier where earlier.item_id = task.item_id and earlier.task_id = task.id) end,
       clock_timestamp()
from task
{WORK_OF_TASK}
left join labeling_membership membership on membership.project_id = task.project_id and membership.user_id = %(user)s
left join untouched on untouched.item_id = task.item_id
""")


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
    found = HOLD.fetchone({"task": task_id, "token": token, "user": by.user_id, **key_values(by)})
    if found is None:
        raise NotFoundError("not_found", say("There is no such task."))
    given, (role, key_stands, is_untouched, is_test_again, now) = read_work(found)
    task, prediction, project, queue = given.task, given.prediction, given.task.project, given.task.queue
    require_key(key_stands)
    require_as(by, project.pk, Permission.REVIEW, role)
    require_held(
        task, token, by
    )  # before its queue: it may have gone to the leads, whom not everybody may ask
    if queue.leads_only:
        require_as(by, project.pk, Permission.LEAD_REVIEW, role)
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
        item_key=given.item_key,
        item_input=given.item_input,
        current=current,
        standing=standing,
        now=now,
    )

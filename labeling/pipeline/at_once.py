"""The usual decision in one statement: the first answer to a review of a new item, whose label counts at once.

What it is made from is what was read with the claim, where this process remembers it, and read by a statement of its own
otherwise (`review/given.py`); GATE asks whether it still holds. Whatever is not as usual, or does not hold any more, writes
nothing and goes the longer way, which reads everything anew and says what is wrong (`deciding.py`).
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import cast

from django.utils import timezone

from labeling.bulk import Prepared
from labeling.decisions.models import AcceptedLabel, Decision, Verdict
from labeling.decisions.services import Answer, apply_decision, check_answer, make_decision
from labeling.errors import LabelingError
from labeling.history.actor import Actor
from labeling.ingestion.models import Prediction, Route
from labeling.pipeline import second_looks
from labeling.pipeline.recording import PARTS, values_of
from labeling.pipeline.settling import day_counts, entries_of, told_of
from labeling.projects.access import KEY_STANDS, Permission, key_values, require_as
from labeling.projects.models import Role
from labeling.projects.queries import settled_output_schema
from labeling.review.claiming import OpenQueue, token_after
from labeling.review.claims import HELD, Claim, read_claim
from labeling.review.given import read_given, recall
from labeling.review.models import Purpose, ReviewTask
from labeling.review.services import claim_values, parts_that_claim

_USUAL = frozenset({Verdict.CONFIRMED, Verdict.CORRECTED})
_ROLES = ", ".join(f"'{role}'" for role in sorted(Permission.REVIEW.value.roles))

# 1. the task waits for whoever else decides it, and is then still this claim's, in the same queue of a project whose numbers are
# those the claim was read with; 2. an item that nobody has decided about, and that had no outcome at once (its task was made
# for review with its first prediction), gets its row of `acceptedlabel`, which holds the item. A test item makes no label; its
# earlier answer is looked for instead. 3. Ids come after the locks, so that they are in order.
GATE = f"""gate as materialized (
    select task.item_id from labeling_reviewtask task
    join labeling_project project on project.id = task.project_id
    where task.id = %(task)s and task.state = 'claimed' and task.claim_token = %(claim_token)s
      and task.claimed_by_id = %(user)s and task.queue_id = %(queue)s and not task.reopened
      and project.schema_number = %(schema)s and project.policy_number = %(policy)s
      and project.guidelines_number = %(guidelines)s
      and (%(is_admin)s or exists (select from labeling_membership membership
                                   where membership.project_id = task.project_id and membership.user_id = %(user)s
                                     and membership.role in ({_ROLES})))
      and {KEY_STANDS}
      and exists (select from labeling_dataset dataset where dataset.project_id = task.project_id)
      and (%(is_work)s or not exists (select from labeling_decision earlier
                                      where earlier.item_id = task.item_id and earlier.task_id = task.id))
    for update of task
), taken as materialized (
    select labeling_next_id() as decision, labeling_next_id() as outcome from gate
), label as (
    insert into labeling_acceptedlabel (item_id, project_id, decision_id, output, origin, revision)
    select gate.item_id, %(project)s::bigint, taken.decision, %(label)s::json, %(origin)s::text, %(revision)s::int
    from gate cross join taken where %(is_work)s
    on conflict do nothing
    returning 1
), ids as materialized (
    select * from taken where not %(is_work)s or exists (select from label)
)"""
_WRITTEN = ("made", "finished", "outcome", "batch", "offered", "delta")


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision that was made, and the next task where it was wanted and could be had at once."""

    decision: Decision
    item: str | None
    within: OpenQueue
    claim: Claim | None


def decide_at_once(*, task_id: int, token: str, answer: Answer, by: Actor, and_next: bool) -> Decided | None:
    """Decide what is held under this token. None: nothing was written, and it is to be decided the longer way."""
    if answer.verdict not in _USUAL:
        return None
    given = recall(token) or read_given(task_id=task_id, token=token, by=by)
    if given is None or (given.task.pk, given.task.claimed_by_id) != (task_id, by.user_id):
        return None
    task, prediction = given.task, given.prediction
    if not _only_adds(task, prediction):
        return None
    project = task.project
    try:
        require_as(
            by, project.pk, Permission.REVIEW, Role.REVIEWER
        )  # which of the roles it is, the gate asks
        schema = settled_output_schema(project)
        label = check_answer(
            task=task, answer=answer, prediction=prediction, schema=schema, item_input=given.item_input
        )
    except LabelingError:
        return None  # it may be wrong by what has changed since; who reads everything anew says so
    decision = make_decision(
        task=task,
        answer=answer,
        label=label,
        prediction=prediction,
        supersedes_id=None,
        by=by,
        now=max(timezone.now(), cast(datetime, task.claimed_at)),  # which another host's clock may have said
    )
    if second_looks.is_candidate(task, decision, prediction) or second_looks.is_drawn_again(task, decision):
        return None
    current = AcceptedLabel(item_id=task.item_id, project_id=project.pk)
    apply_decision(decision=decision, current=current, task_type=schema.task_type)
    told = [told_of(task, prediction, [decision], finished=task.pk)]
    entries = entries_of(task, prediction, told, day_counts(task, decision, None), None, task.queue_id)
    within = OpenQueue(project, task.queue)
    next_token = token_after(decision.claim_token) if and_next else None
    values = {
        **claim_values(task.queue, by, within.lease, next_token, decision.decided_at),
        **values_of(decision, task, current, entries),
        **key_values(by),
        "schema": project.schema_number,
        "policy": project.policy_number,
    }
    found = statement_of(and_next=and_next).fetchone(values)
    if found is None:
        return None
    decision.pk, following = found[0], found[1:]
    claim = read_claim(following) if and_next and following[0] is not None else None
    return Decided(decision, given.item_key, within, claim)


@cache
def statement_of(*, and_next: bool) -> Prepared:
    """The statement, which returns the decision's id and, `and_next`, the claimed task as HELD does; no row where the gate is
    closed."""
    parts = [GATE, *(f"{name} as ({PARTS[name]})" for name in _WRITTEN)]
    if not and_next:
        return Prepared(f"with {', '.join(parts)} select ids.decision from ids")
    parts.append(parts_that_claim("ids"))
    return Prepared(
        f"with {', '.join(parts)} select ids.decision, following.* from ids"
        f" left join ({HELD.format(held='held')}) following on true"
    )


def _only_adds(task: ReviewTask, prediction: Prediction) -> bool:
    """Whether an answer to the task finishes it and finds no label, check or disagreement that was there before."""
    return (
        task.purpose in (Purpose.REVIEW, Purpose.SENTINEL)
        and not task.reopened
        and prediction.route == Route.REVIEW
        and prediction.pk == task.item_id
        and not task.queue.leads_only
    )

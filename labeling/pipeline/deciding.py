"""A person decides, skips or takes back: claim -> decision -> label that counts -> outcome -> dataset -> counts."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.utils import timezone

from labeling.datasets.services import offer_decision, withdraw_decision
from labeling.decisions.models import Decision, Verdict, Withdrawal
from labeling.decisions.services import (
    Answer,
    accept_label,
    check_answer,
    find_repeated,
    find_settling,
    list_standing,
    lock_accepted_label,
    record_decision,
    restore_label,
    withdraw,
)
from labeling.errors import ConflictError, LabelingError, NotAllowedError, NotFoundError, invalid
from labeling.history.actor import Actor
from labeling.ingestion.models import Item, Prediction
from labeling.projects.access import Permission, require
from labeling.projects.queries import get_output_schema
from labeling.review import services as review
from labeling.review.models import ReviewQueue, ReviewTask, TaskState
from labeling.review.tasks import DEFAULT_QUEUE, LEADS_QUEUE
from labeling.trust.counting import Answer as CountedAnswer
from labeling.trust.counting import difference, label_counts, reviewer_counts
from labeling.trust.deltas import append_delta, cell_entry, place_of
from labeling.trust.timegrid import day_of


@dataclass(frozen=True, slots=True)
class DecisionAnswer:
    """What the reviewer is told; the same each time the same request comes."""

    created: bool
    body: dict[str, Any]


def decide(
    *,
    task_id: int,
    token: str,
    verdict: str,
    by: Actor,
    output: Any = None,
    seconds: float | None = None,
    note: str = "",
) -> DecisionAnswer:
    """Record a decision and all that follows from it. Repeating the request returns the first answer.

    ConflictError `claim_lost` when the token no longer holds the task, InvalidError when the answer does not fit it.
    """
    answer = Answer(verdict, output, seconds, note)
    _require_token(token, task_id, by)
    repeated = find_repeated(task_id=task_id, token=token, answer=answer, by=by)
    if repeated is None:
        try:
            return DecisionAnswer(True, _body(_decide(task_id, token, answer, by)))
        except (ConflictError, NotAllowedError) as lost:
            # The same request may have been under way twice: whoever came second finds the first one's decision.
            repeated = find_repeated(task_id=task_id, token=token, answer=answer, by=by)
            if repeated is None:
                raise _with_decision(lost, task_id) from lost
    require(by, repeated.project_id, Permission.REVIEW)
    return DecisionAnswer(False, _body(repeated))


@transaction.atomic
def _decide(task_id: int, token: str, answer: Answer, by: Actor) -> Decision:
    """1. hold the claim  2. check  3. hold the item  4. decision  5. task  6. label and outcome  7. dataset  8. counts."""
    task = review.lock_claimed_task(task_id=task_id, token=token, by=by)
    prediction = Prediction.objects.get(pk=task.prediction_id)
    item_input = Item.objects.values_list("input", flat=True).get(pk=task.item_id)
    schema = get_output_schema(task.project)
    label = check_answer(
        task=task, answer=answer, prediction=prediction, schema=schema, item_input=item_input
    )
    # Whatever else is decided about this item waits here, so that each sees what the others have said.
    current = lock_accepted_label(
        project_id=task.project_id,
        item_id=task.item_id,
        first=_first_prediction(task, prediction),
        task_type=schema.task_type,
    )
    standing = list_standing(task.item_id)
    corrected = find_settling(standing, task.pk)
    decision = record_decision(
        task=task,
        answer=answer,
        label=label,
        prediction=prediction,
        task_type=schema.task_type,
        supersedes_id=corrected.pk if corrected else current.decision_id,
        by=by,
    )
    queue_id = task.queue_id
    if answer.verdict == Verdict.ESCALATED:
        leads = ReviewQueue.objects.get(project_id=task.project_id, slug=LEADS_QUEUE)
        review.put_back(task, queue=leads)
    else:
        review.finish_task(task)
        accept_label(decision=decision, current=current, task_type=schema.task_type)
        offer_decision(decision=decision)
    _count(task, prediction, decision, queue_id, standing, [*standing, decision])
    return decision


@transaction.atomic
def undo_decision(*, decision_id: int, by: Actor, reason: str = "") -> dict[str, Any]:
    """Take back one's own decision while it is not published. Repeating changes nothing.

    Its task waits again; where it had corrected an earlier decision, that one counts again.
    """
    if "\x00" in reason or len(reason) > 1_000:
        raise invalid("/reason", "invalid", "a reason has at most 1000 characters and no U+0000")
    decision = (
        Decision.objects.select_related("project").filter(pk=decision_id).first()
        if 0 <= decision_id < 2**63
        else None
    )
    if decision is None:
        raise NotFoundError("not_found", "There is no such decision.")
    require(by, decision.project_id, Permission.REVIEW)
    task = (
        ReviewTask.objects.select_for_update(of=("self",))
        .select_related("project", "queue")
        .get(pk=decision.task_id)
    )
    if not Withdrawal.objects.filter(decision=decision).exists():
        _require_last_of_task(decision, task)
        label = withdraw(decision=decision, by=by, reason=reason)
        if not withdraw_decision(decision_id=decision.pk):
            raise ConflictError(
                "already_published", "The decision is in a dataset version; a new decision corrects it."
            )
        prediction = Prediction.objects.get(pk=decision.prediction_id)
        standing = list_standing(decision.item_id)
        corrected = find_settling(standing, task.pk)
        if corrected is None or label is None:
            _put_task_back(task, decision, by)
        else:
            _require_nobody_else_holds(task, by)
            review.finish_task(task)
            task_type = task.project.task_type
            restore_label(decision=corrected, current=label, prediction=prediction, task_type=task_type)
        before = sorted([*standing, decision], key=lambda one: one.pk)
        _count(task, prediction, decision, task.queue_id, before, standing)
    return {"decision": decision.pk, "task": task.pk, "undone": True}


def skip(*, task_id: int, token: str, by: Actor, reason: str = "") -> None:
    """Give a task back without a verdict; it is counted and offered to others."""
    _require_token(token, task_id, by)
    with transaction.atomic():
        task = review.skip_task(task_id=task_id, token=token, by=by, reason=reason)
        if task.state == TaskState.DECIDED:
            return  # a correction that was given up: the decision stands and nothing waits
        prediction = Prediction.objects.get(pk=task.prediction_id)
        append_delta(task.project_id, [cell_entry(_place(task, prediction), {"skipped": 1})])


def _put_task_back(task: ReviewTask, decision: Decision, by: Actor) -> None:
    """An escalated task may be held by a lead already: then it is too late to take the escalation back."""
    _require_nobody_else_holds(task, by)
    task.reopened = False
    queue = None
    if decision.verdict == Verdict.ESCALATED:
        queue = ReviewQueue.objects.get(project_id=task.project_id, slug=DEFAULT_QUEUE)
    try:
        with transaction.atomic():
            review.put_back(task, queue=queue)
    except IntegrityError:
        # A later prediction has made a task for the item since: that one waits, and two may not.
        review.finish_task(task, TaskState.CANCELLED)


def _require_nobody_else_holds(task: ReviewTask, by: Actor) -> None:
    if task.state == TaskState.CLAIMED and task.claimed_by_id != by.user_id:
        raise ConflictError("claim_lost", "A lead is looking at this task already.")


def _require_last_of_task(decision: Decision, task: ReviewTask) -> None:
    later = Decision.objects.filter(task=task, pk__gt=decision.pk, withdrawal=None).exists()
    if later:
        raise ConflictError("superseded", "A later decision about this item counts now.")


def _first_prediction(task: ReviewTask, prediction: Prediction) -> Prediction | None:
    """An item has the id of its first prediction."""
    if prediction.pk == task.item_id:
        return prediction
    return Prediction.objects.filter(pk=task.item_id).first()


def _place(task: ReviewTask, prediction: Prediction) -> Any:
    project = task.project
    moment = (
        prediction.occurred_at if project.simulation and prediction.occurred_at else prediction.received_at
    )
    return place_of(
        moment=moment,
        zone=ZoneInfo(project.time_zone),
        period=prediction.period_id,
        mv=prediction.model_version_id,
        confidence=prediction.confidence,
        segment=prediction.segment,
        label=prediction.label,
    )


def _count(
    task: ReviewTask,
    prediction: Prediction,
    decision: Decision,
    queue_id: int,
    before: list[Decision],
    after: list[Decision],
) -> None:
    """What the item's decisions say of the prediction after the event less what they said before; and the same of the
    reviewer's day. Reviewers are counted for each decision, also for one that corrects an earlier one."""
    counts = difference(_label_counts(prediction, after), _label_counts(prediction, before))
    sign = len(after) - len(before)
    done = reviewer_counts(decision.purpose, decision.verdict, decision.seconds)
    entries: list[Any] = [cell_entry(_place(task, prediction), counts)] if counts else []
    if done:
        entries.append(
            {
                "reviewer": decision.decided_by_id,
                "queue": queue_id,
                "day": day_of(decision.decided_at, ZoneInfo(task.project.time_zone)).isoformat(),
                **{name: sign * value for name, value in done.items()},
            }
        )
    if entries:
        append_delta(task.project_id, entries)


def _label_counts(prediction: Prediction, decisions: list[Decision]) -> dict[str, int]:
    answers = [
        CountedAnswer(one.purpose, one.verdict, one.agreed)
        for one in decisions
        if one.prediction_id == prediction.pk
    ]
    return label_counts(prediction.route, answers, audited=prediction.audited)


def _body(decision: Decision) -> dict[str, Any]:
    item = Item.objects.filter(pk=decision.item_id).values_list("key", flat=True).first()
    return {
        "decision": decision.pk,
        "task": decision.task_id,
        "item": item,
        "verdict": decision.verdict,
        "output": decision.output,
        "decided_at": _iso(decision.decided_at),
    }


def _with_decision(lost: LabelingError, task_id: int) -> LabelingError:
    """Say who decided what, where that is why the claim was lost."""
    decisions = Decision.objects.filter(task_id=task_id, withdrawal=None)
    if "taken_at" in lost.extra:  # what was decided before a lead took the claim back is not why it was lost
        decisions = decisions.filter(decided_at__gt=lost.extra["taken_at"])
    last = decisions.select_related("decided_by").order_by("-pk").first()
    if last is None or lost.code != "claim_lost" or lost.extra.get("holder"):
        return lost
    who = last.decided_by.get_username()
    detail = f"The claim was lost: {who} decided this task: {last.verdict}."
    extra = {
        **lost.extra,
        "decided_by": who,
        "verdict": last.verdict,
        "output": last.output,
        "decided_at": _iso(last.decided_at),
    }
    return ConflictError("claim_lost", detail, extra=extra)


def _require_token(token: str, task_id: int, by: Actor) -> None:
    """What was never a token has lost nothing that could be named; whether there is such a task comes first."""
    try:
        is_token = str(uuid.UUID(token)) == token
    except ValueError:
        is_token = False
    if not is_token:
        review.get_task_of_any_queue(by, task_id)
        raise ConflictError("claim_lost", "This is not the token of a claim.", extra={"holder": None})


def _iso(moment: datetime) -> str:
    return timezone.localtime(moment, timezone.get_default_timezone()).isoformat().replace("+00:00", "Z")

"""A person decides, skips or takes back: claim -> decision -> label that counts -> outcome -> dataset -> counts."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from labeling.datasets.queries import find_tests_too_old
from labeling.datasets.services import withdraw_decision
from labeling.decisions.models import Decision, Verdict, Withdrawal
from labeling.decisions.services import (
    VERDICT_WORDS,
    Answer,
    check_answer,
    find_repeated,
    find_settling,
    list_standing,
    make_decision,
    withdraw,
)
from labeling.errors import ConflictError, LabelingError, NotAllowedError, NotFoundError, invalid, say
from labeling.history.actor import Actor
from labeling.ingestion.models import Item, Prediction
from labeling.pipeline import second_looks
from labeling.pipeline.at_once import Decided, decide_at_once
from labeling.pipeline.holding import hold
from labeling.pipeline.recording import write_decision
from labeling.pipeline.settling import (
    UNCOUNTED,
    accept_check,
    count,
    day_counts,
    entries_of,
    negative,
    restore,
    serve_again,
    settle,
    told_of,
    unsettle,
)
from labeling.projects.access import Permission, require
from labeling.review import services as review
from labeling.review.claiming import (
    OpenQueue,
    claim_after_decision,
    claim_with_decision,
    open_queue,
    show_claims,
)
from labeling.review.claims import Claim
from labeling.review.models import Purpose, ReviewQueue, ReviewTask, TaskState
from labeling.review.showing import shown_prediction
from labeling.review.tasks import DEFAULT_QUEUE, LEADS_QUEUE
from labeling.trust.counting import Told, changes


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
    and_next: bool = False,
) -> DecisionAnswer:
    """Record a decision and all that follows from it; `and_next` claims the next task of its queue in the same transaction.

    Repeating the request returns the first answer, and as `next` the task that was claimed with it while that is still held.
    ConflictError `claim_lost` when the token no longer holds the task, InvalidError when the answer does not fit it.
    """
    answer = Answer(verdict, output, seconds, note)
    _require_token(token, task_id, by)
    try:
        made = decide_at_once(task_id=task_id, token=token, answer=answer, by=by, and_next=and_next)
        made = made or _decide(task_id, token, answer, by, and_next=and_next)
    except (ConflictError, NotAllowedError) as lost:
        # The same request may have come before, or be under way twice: whoever comes second finds the first one's decision.
        repeated = find_repeated(task_id=task_id, token=token, answer=answer, by=by)
        if repeated is None:
            raise _with_decision(lost, task_id) from lost
        require(by, repeated.project_id, Permission.REVIEW)
        body = _body(repeated, _key_of(repeated))
        if and_next:
            body["next"] = _next(_queue_of(repeated, by), by, token)
        return DecisionAnswer(False, body)
    body = _body(made.decision, made.item)
    if and_next:
        body["next"] = _next(made.within, by, token, made.claim)
    return DecisionAnswer(True, body)


@transaction.atomic
def _decide(task_id: int, token: str, answer: Answer, by: Actor, *, and_next: bool) -> Decided:
    """1. hold task and item  2. check  3. what follows  4. counts  5. write all of it  6. the next task, if wanted."""
    held = hold(task_id=task_id, token=token, by=by)
    task, prediction, schema = held.task, held.prediction, held.schema
    label = check_answer(
        task=task, answer=answer, prediction=prediction, schema=schema, item_input=held.item_input
    )
    corrected = find_settling(held.standing, task.pk)
    decision = make_decision(
        task=task,
        answer=answer,
        label=label,
        prediction=prediction,
        supersedes_id=_superseded(task, corrected, held.current.decision_id),
        by=by,
        now=held.now,
    )
    before, within = told_of(task, prediction, held.standing), OpenQueue(task.project, task.queue)
    goes_to_leads = answer.verdict == Verdict.ESCALATED and task.purpose != Purpose.SENTINEL
    if goes_to_leads:
        leads = ReviewQueue.objects.get(project_id=task.project_id, slug=LEADS_QUEUE)
        review.put_back(task, queue=leads)
    follows = settle(task, decision, prediction, corrected)
    finished = None if goes_to_leads else task.pk
    after = told_of(task, prediction, [*held.standing, decision], finished=finished)
    day = day_counts(task, decision, corrected)
    write_decision(
        decision=decision,
        task=task,
        current=held.current,
        finishes=not goes_to_leads,
        accepts=follows.accepts,
        entries=entries_of(task, prediction, changes(after, before), day, follows.second, within.queue.pk),
    )
    if follows.says_nothing:
        serve_again(task, decision, prediction, held.current, corrected)
    claim = None
    if and_next:
        claim = claim_with_decision(within=within, by=by, decided=decision.claim_token, now=held.now)
    return Decided(decision, held.item_key, within, claim)


def _next(within: OpenQueue, by: Actor, token: str, claim: Claim | None = None) -> dict[str, Any] | None:
    """The next task as it is shown; looked for where none was claimed with the decision. The decision is safe by now."""
    claim = claim or claim_after_decision(within=within, by=by, decided=uuid.UUID(token))
    return show_claims(within.project, [claim])[0].as_json() if claim else None


def _queue_of(decision: Decision, by: Actor) -> OpenQueue:
    """The queue that a decision was made in, if this person may still take tasks from it: an escalated task has left it."""
    task = ReviewTask.objects.select_related("project", "queue").get(pk=decision.task_id)
    slug = DEFAULT_QUEUE if decision.verdict == Verdict.ESCALATED else task.queue.slug
    return open_queue(by, task.project.slug, slug)


def _superseded(task: ReviewTask, corrected: Decision | None, counting: int | None) -> int | None:
    if corrected is not None:
        return corrected.pk
    return None if task.purpose == Purpose.SENTINEL else counting


@transaction.atomic
def undo_decision(*, decision_id: int, by: Actor, reason: str = "") -> dict[str, Any]:
    """Take back one's own decision while it is not published. Repeating changes nothing.

    Its task waits again; where it had corrected an earlier decision, that one counts again.
    """
    if "\x00" in reason or len(reason) > 1_000:
        raise invalid("/reason", "invalid", say("a reason has at most 1000 characters and no U+0000"))
    decision = (
        Decision.objects.select_related("project").filter(pk=decision_id).first()
        if 0 <= decision_id < 2**63
        else None
    )
    if decision is None:
        raise NotFoundError("not_found", say("There is no such decision."))
    require(by, decision.project_id, Permission.REVIEW)
    task = (
        ReviewTask.objects.select_for_update(of=("self",))
        .select_related("project", "queue", "sentinel")
        .get(pk=decision.task_id)
    )
    if not Withdrawal.objects.filter(decision=decision).exists():
        _require_last_of_task(decision, task)
        label = withdraw(decision=decision, by=by, reason=reason)
        too_old = decision.purpose == Purpose.SENTINEL and bool(find_tests_too_old([decision]))
        if too_old or not withdraw_decision(decision_id=decision.pk):
            raise ConflictError(
                "already_published", say("The decision is in a dataset version; a new decision corrects it.")
            )
        prediction = shown_prediction(task, Prediction.objects.get(pk=decision.prediction_id))
        standing = list_standing(decision.item_id)
        before = told_of(task, prediction, sorted([*standing, decision], key=lambda one: one.pk))
        corrected = find_settling(standing, task.pk)
        second = unsettle(task, decision, prediction, corrected)
        if corrected is None:
            _put_task_back(task, decision, by)
        else:
            _require_nobody_else_holds(task, by)
            review.finish_task(task)
            restore(task, prediction, label, corrected)
        change = changes(told_of(task, prediction, standing), before)
        count(
            task, prediction, change, negative(day_counts(task, decision, corrected)), second, task.queue_id
        )
    return {"decision": decision.pk, "task": task.pk, "undone": True}


def skip(*, task_id: int, token: str, by: Actor, reason: str = "") -> None:
    """Give a task back without a verdict; it is counted and offered to others."""
    _require_token(token, task_id, by)
    with transaction.atomic():
        task = review.skip_task(task_id=task_id, token=token, by=by, reason=reason)
        if task.state == TaskState.DECIDED:
            return  # a correction that was given up: the decision stands and nothing waits
        prediction = Prediction.objects.get(pk=task.prediction_id)
        count(task, prediction, [Told({} if task.purpose in UNCOUNTED else {"skipped": 1})])


def let_overdue_stand(now: datetime | None = None) -> int:
    """Settle what no second person has looked at in seven days: the blind check's label counts. How many."""
    found = second_looks.find_overdue(now)
    for overdue in found:
        with transaction.atomic():
            task = (
                ReviewTask.objects.select_for_update(of=("self",))
                .select_related("project")
                .get(pk=overdue.pk)
            )
            if task.state == TaskState.WAITING:
                _let_stand(task)
    return len(found)


def _let_stand(task: ReviewTask) -> None:
    prediction = Prediction.objects.get(pk=task.prediction_id)
    standing = list_standing(task.item_id)
    before = told_of(task, prediction, standing)
    review.finish_task(task, TaskState.CANCELLED)
    accept_check(task, prediction, standing)
    count(task, prediction, changes(told_of(task, prediction, standing), before))


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
        if task.purpose == Purpose.ADJUDICATION:
            accept_check(task, Prediction.objects.get(pk=task.prediction_id), list_standing(task.item_id))


def _require_nobody_else_holds(task: ReviewTask, by: Actor) -> None:
    if task.state == TaskState.CLAIMED and task.claimed_by_id != by.user_id:
        raise ConflictError("claim_lost", say("A lead is looking at this task already."))


def _require_last_of_task(decision: Decision, task: ReviewTask) -> None:
    later = Decision.objects.filter(task=task, pk__gt=decision.pk, withdrawal=None).exists()
    if later:
        raise ConflictError("superseded", say("A later decision about this item counts now."))


def _key_of(decision: Decision) -> str | None:
    return Item.objects.filter(pk=decision.item_id).values_list("key", flat=True).first()


def _body(decision: Decision, item: str | None) -> dict[str, Any]:
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
    detail = say(
        "The claim was lost: {who} decided this task: {verdict}.",
        who=who,
        verdict=VERDICT_WORDS[Verdict(last.verdict)],
    )
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
        raise ConflictError("claim_lost", say("This is not the token of a claim."), extra={"holder": None})


def _iso(moment: datetime) -> str:
    return timezone.localtime(moment, timezone.get_default_timezone()).isoformat().replace("+00:00", "Z")

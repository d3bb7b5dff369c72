"""A second person looks: adjudication of disagreements, and blind second reviews.

A blind check that differs from what was served does not count yet: a second person settles it, without knowing whose answer
is whose. Until then the outcome stays, no dataset gets a label, and no alarm is fed; after seven days the check's label
stands. A drawn share of reviews is labelled again by somebody else who sees neither the suggestion nor the answer; where the
two differ, a third person settles.
"""

import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any, TypeAlias

from django.utils import timezone

from labeling.decisions.diffing import core_output, equal
from labeling.decisions.models import Decision, Verdict
from labeling.errors import ConflictError, say
from labeling.ids import first_id_at, take_ids
from labeling.ingestion.models import Prediction, Route
from labeling.projects.models import Project
from labeling.review.models import (
    Adjudication,
    Exclusion,
    Purpose,
    ReviewQueue,
    ReviewTask,
    TaskKind,
    TaskState,
)
from labeling.review.services import finish_task, put_back
from labeling.review.tasks import DEFAULT_QUEUE
from labeling.routing.policy import is_drawn
from labeling.routing.queries import policy_body
from labeling.trust.buckets import bucket_of
from labeling.trust.holding import state_of
from labeling.trust.ladder import candidate_cut
from labeling.trust.models import AutonomyScope
from labeling.trust.scope import AutonomyPolicy

WAIT_FOR_SECOND = timedelta(days=7)
Second: TypeAlias = dict[str, Any]
"""Counters of the day of whoever gave the first answer: reviewer, decided_at, double_reviewed, agreed."""

OPEN = (TaskState.WAITING, TaskState.CLAIMED)


def disagrees(task: ReviewTask, decision: Decision) -> bool:
    """Whether this answer of a blind check differs from what was served, so that a second person is to settle it."""
    return task.purpose == Purpose.AUDIT and decision.agreed is False


def ask_second(task: ReviewTask, decision: Decision, prediction: Prediction, task_type: str) -> None:
    """Open the adjudication of an answer that differs from the model's: both outputs, in random order."""
    answers = [
        {"output": core_output(task_type, prediction.output), "origin": "model"},
        {"output": decision.output, "origin": "reviewer"},
    ]
    _open_adjudication(task, answers, barred=[decision.decided_by_id])


def is_candidate(task: ReviewTask, decision: Decision, prediction: Prediction) -> bool:
    """Whether this correction decides about the next level of autonomy, so that a second person is to settle it; the
    reviewer's label counts meanwhile.

    One false correction in a hundred answers would be as many errors as a good model makes.
    """
    if task.purpose not in (Purpose.REVIEW, Purpose.SENTINEL) or decision.verdict != Verdict.CORRECTED:
        return False
    policy = policy_body(task.project_id, task.project.policy_number)
    if policy["autonomy"] == "off" or prediction.route != Route.REVIEW:
        return False
    group = prediction.label if prediction.label in policy["alpha_by_label"] else ""
    scope = AutonomyScope.objects.filter(
        project_id=task.project_id, model_version_id=task.model_version_id, label_group=group
    ).first()
    if scope is None:
        return False
    settings = AutonomyPolicy(alpha=policy["alpha"], operator_cap=policy["operator_cap"])
    return bucket_of(prediction.confidence) >= candidate_cut(state_of(scope), settings)


def is_drawn_again(task: ReviewTask, decision: Decision) -> bool:
    """Whether this review is in the share of those that somebody else labels again."""
    if task.purpose != Purpose.REVIEW or decision.verdict == Verdict.REJECTED:
        return False
    project = task.project
    rate = policy_body(project.pk, project.policy_number)["second_review_rate"]
    return rate > 0 and is_drawn(_second_secret(project), decision.prediction_id, rate)


def draw_second_review(task: ReviewTask, decision: Decision) -> None:
    """Have a drawn share of finished reviews labelled again by somebody else, blind."""
    if not is_drawn_again(task, decision):
        return
    if ReviewTask.objects.filter(
        item_id=task.item_id, prediction_id=task.prediction_id, purpose=Purpose.SECOND_REVIEW
    ).exists():
        return
    second = _new_task(task, Purpose.SECOND_REVIEW, TaskKind.LABEL, queue=task.queue)
    _put(second, barred=[decision.decided_by_id])


def compare_with_first(task: ReviewTask, decision: Decision, corrected: Decision | None) -> Second | None:
    """What a second review says about the first: counters of the first reviewer's day, and an adjudication if they differ.

    None when the first answer was taken back meanwhile. `corrected`: what this reviewer had said before.
    """
    first = find_first_review(task)
    if first is None:
        return None
    task_type = task.project.task_type
    agreed = same_answer(task_type, first, decision)
    if not agreed:
        answers = [{"output": one.output, "origin": "reviewer"} for one in (first, decision) if one.output]
        _open_adjudication(task, answers, barred=[first.decided_by_id, decision.decided_by_id])
    before = int(corrected is not None and same_answer(task_type, first, corrected))
    return _about(first, double_reviewed=int(corrected is None), agreed=int(agreed) - before)


def forget_comparison(task: ReviewTask, decision: Decision, corrected: Decision | None) -> Second | None:
    """What `compare_with_first` had said is taken back."""
    first = find_first_review(task)
    if first is None:
        return None
    task_type = task.project.task_type
    before = int(corrected is not None and same_answer(task_type, first, corrected))
    agreed = before - int(same_answer(task_type, first, decision))
    return _about(first, double_reviewed=-int(corrected is None), agreed=agreed)


def find_first_review(task: ReviewTask) -> Decision | None:
    """The standing review that a second one repeats."""
    return (
        Decision.objects.filter(
            item_id=task.item_id,
            prediction_id=task.prediction_id,
            purpose=Purpose.REVIEW,
            withdrawal=None,
        )
        .exclude(verdict=Verdict.ESCALATED)
        .order_by("-pk")
        .first()
    )


def same_answer(task_type: str, one: Decision, other: Decision) -> bool:
    """Whether two people said the same; "cannot be labelled" is an answer too."""
    if one.output is None or other.output is None:
        return one.output is other.output
    return equal(task_type, one.output, other.output)


def cancel_adjudication(task: ReviewTask) -> None:
    """The answer that caused it is taken back. ConflictError when the second person has begun or finished."""
    asked = (
        ReviewTask.objects.filter(
            item_id=task.item_id,
            prediction_id=task.prediction_id,
            purpose=Purpose.ADJUDICATION,
            pk__gt=task.pk,
        )
        .exclude(state=TaskState.CANCELLED)
        .order_by("-pk")
        .first()
    )
    if asked is None:
        return
    # Not waiting for it: whoever decides it holds it and waits for the item, which is held here.
    adjudication = ReviewTask.objects.select_for_update(skip_locked=True).filter(pk=asked.pk).first()
    if adjudication is None or adjudication.state == TaskState.CLAIMED:
        raise ConflictError("claim_lost", say("Somebody is settling this already."))
    if adjudication.state == TaskState.DECIDED:
        raise ConflictError("superseded", say("A later decision about this item counts now."))
    finish_task(adjudication, TaskState.CANCELLED)


def cancel_second_review(task: ReviewTask) -> None:
    """The first review is taken back: nobody needs to repeat it. One that somebody holds goes on."""
    for second in ReviewTask.objects.select_for_update().filter(
        item_id=task.item_id, purpose=Purpose.SECOND_REVIEW, state=TaskState.WAITING
    ):
        finish_task(second, TaskState.CANCELLED)


def is_open(prediction: Prediction, *, finished: int | None = None) -> bool:
    """Whether a second person is asked about this prediction; the task `finished` is about to be done."""
    asked = ReviewTask.objects.filter(
        item_id=prediction.item_id,
        prediction_id=prediction.pk,
        purpose=Purpose.ADJUDICATION,
        state__in=OPEN,
    )
    return (asked.exclude(pk=finished) if finished else asked).exists()


def find_overdue(now: datetime | None = None) -> Sequence[ReviewTask]:
    """Adjudications that nobody has settled within seven days, and nobody holds."""
    before = first_id_at((now or timezone.now()) - WAIT_FOR_SECOND)
    return list(
        ReviewTask.objects.filter(purpose=Purpose.ADJUDICATION, state=TaskState.WAITING, pk__lt=before)
        .select_related("project")
        .order_by("pk")[:500]
    )


def _about(first: Decision, *, double_reviewed: int, agreed: int) -> Second:
    return {
        "reviewer": first.decided_by_id,
        "decided_at": first.decided_at,
        "double_reviewed": double_reviewed,
        "agreed": agreed,
    }


def _second_secret(project: Project) -> bytes:
    """A lottery of its own, independent of the one for blind checks."""
    return bytes(reversed(bytes(project.lottery_secret)))


def _open_adjudication(task: ReviewTask, answers: list[dict[str, Any]], barred: Iterable[int]) -> None:
    random.SystemRandom().shuffle(answers)
    queue = ReviewQueue.objects.get(project_id=task.project_id, slug=DEFAULT_QUEUE)
    settling = _new_task(task, Purpose.ADJUDICATION, TaskKind.ADJUDICATION, queue=queue)
    # Where the check stood: a second opinion must not wait behind everything that has come since.
    settling.position = task.position
    _put(settling, barred=barred)
    Adjudication.objects.create(task=settling, answers=answers)


def _new_task(task: ReviewTask, purpose: Purpose, kind: TaskKind, *, queue: ReviewQueue) -> ReviewTask:
    (identifier,) = take_ids(1)
    open_slots = ReviewTask.objects.filter(item_id=task.item_id, state__in=OPEN).values_list(
        "slot", flat=True
    )
    taken = {1, *open_slots}
    return ReviewTask(
        id=identifier,
        project_id=task.project_id,
        queue=queue,
        kind=kind,
        purpose=purpose,
        item_id=task.item_id,
        prediction_id=task.prediction_id,
        model_version_id=task.model_version_id,
        confidence=task.confidence,
        segment=task.segment,
        label=task.label,
        slot=next(slot for slot in count(2) if slot not in taken),
        priority=task.priority,
        position=identifier,
        created_at=timezone.now(),
    )


def _put(task: ReviewTask, *, barred: Iterable[int]) -> None:
    """Into the queue, for everybody but these."""
    task.save(force_insert=True)
    Exclusion.objects.bulk_create(
        Exclusion(task=task, user_id=user_id, reason="had a part in it") for user_id in dict.fromkeys(barred)
    )
    put_back(task)

"""A lead ends somebody else's claim: the task waits again, and the late answer is told who took it."""

import uuid
from datetime import timedelta
from typing import Any, cast

from django.db import transaction
from django.utils import timezone

from labeling.errors import ConflictError, invalid, say
from labeling.history.actor import Actor
from labeling.history.services import record_event
from labeling.projects.access import Permission, require
from labeling.review.models import Exclusion, ReviewTask, TakenBack, TaskState
from labeling.review.services import get_task_of_any_queue, put_back

OTHERS_FIRST = timedelta(minutes=30)


@transaction.atomic
def take_back(*, task_id: int, by: Actor, reason: str = "") -> dict[str, Any]:
    """End the claim of a task; others are offered it first. Sent again while nobody has claimed it since: the same answer.

    ConflictError `not_claimed` when nobody holds the task.
    """
    if "\x00" in reason or len(reason) > 1_000:
        raise invalid("/reason", "invalid", say("a reason has at most 1000 characters and no U+0000"))
    task = get_task_of_any_queue(by, task_id, for_update=True)
    require(by, task.project_id, Permission.LEAD_REVIEW)
    if task.state != TaskState.CLAIMED:
        return _told(_get_repeated(task, by))
    taken = TakenBack.objects.create(
        task=task,
        token=cast(uuid.UUID, task.claim_token),
        holder_id=cast(int, task.claimed_by_id),
        by_id=by.user_id,
        reason=reason,
        reopened=task.reopened,
    )
    Exclusion.objects.update_or_create(
        task=task,
        user_id=taken.holder_id,
        defaults={"reason": "taken back", "until": timezone.now() + OTHERS_FIRST},
    )
    put_back(task)
    record_event(
        action="claim.taken_back",
        subject=f"task:{task.pk}",
        by=by,
        project_id=task.project_id,
        holder=taken.holder.get_username(),
        reason=reason,
    )
    return _told(taken)


def _get_repeated(task: ReviewTask, by: Actor) -> TakenBack:
    """The taking back that this request has already done, while nothing else has happened to the task."""
    last = TakenBack.objects.filter(task=task).select_related("holder").order_by("-pk").first()
    rests = TaskState.DECIDED if last is not None and last.reopened else TaskState.WAITING
    if task.state != rests or last is None or last.by_id != by.user_id:
        raise ConflictError("not_claimed", say("Nobody holds this task."))
    return last


def _told(taken: TakenBack) -> dict[str, Any]:
    return {"task": taken.task_id, "holder": taken.holder.get_username()}

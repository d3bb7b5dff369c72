"""What is told to somebody whose claim does not hold any more."""

import uuid
from typing import Any

from labeling.errors import ConflictError, say
from labeling.review.models import ReviewTask, TakenBack, TaskState


def claim_lost(task: ReviewTask, token: str) -> ConflictError:
    """ConflictError `claim_lost`: who has the task now, and which lead took it back from the holder of this token."""
    holder = task.claimed_by.get_username() if task.claimed_by else None
    extra: dict[str, Any] = {"holder": holder}
    why = say("The claim was lost")
    taken = _find_taken_back(task, token)
    if taken is not None:
        who = taken.by.get_username()
        extra |= {
            "taken_by": who,
            "taken_at": taken.at.isoformat().replace("+00:00", "Z"),
            "reason": taken.reason,
        }
        why = say("{who} took this task back", who=who)
    elif task.state == TaskState.WAITING:
        why = say("The claim ran out")
    now = {
        TaskState.CLAIMED: say("{who} holds it now", who=holder)
        if taken
        else say("{who} holds this task now", who=holder),
        TaskState.WAITING: say("it waits in the queue again")
        if taken
        else say("the task waits in the queue again"),
    }.get(TaskState(task.state), say("it has been finished") if taken else say("the task has been finished"))
    if task.state == TaskState.WAITING or taken:
        return ConflictError("claim_lost", say("{why}; {now}.", why=why, now=now), extra=extra)
    return ConflictError("claim_lost", say("{why}: {now}.", why=why, now=now), extra=extra)


def _find_taken_back(task: ReviewTask, token: str) -> TakenBack | None:
    try:
        uuid.UUID(token)
    except ValueError:
        return None
    return TakenBack.objects.select_related("by").filter(task=task, token=token).first()

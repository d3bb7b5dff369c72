"""Correcting what was decided: the task is held again, its decision stands until another one takes its place.

Before publication as after it, a correction is one more decision on the task: the next dataset version has it as a change,
the feed as the item's next revision, and of the counts only the difference is added.
"""

from typing import Any

from django.db import transaction

from labeling.decisions.models import AcceptedLabel, Decision
from labeling.decisions.services import find_settling, list_standing
from labeling.errors import ConflictError, NotAllowedError, invalid, say
from labeling.history.actor import Actor
from labeling.history.services import record_event
from labeling.projects.access import Permission, may
from labeling.review import services as review
from labeling.review.claiming import lease_of, show_claims

MAX_REASON = 1_000


@transaction.atomic
def reopen(*, task_id: int, by: Actor, reason: str = "") -> dict[str, Any]:
    """Hold a decided task to correct it: reviewers their own, leads any. The claim as the API shows it, and what it corrects.

    Deciding, releasing and expiring are as with every claim; given back, the earlier decision simply stands.
    """
    if "\x00" in reason or len(reason) > MAX_REASON:
        raise invalid(
            "/reason",
            "invalid",
            say("a reason has at most {max_reason} characters and no U+0000", max_reason=MAX_REASON),
        )
    review.get_task(by, task_id)
    task = review.get_task_of_any_queue(by, task_id, for_update=True)
    again = task.reopened
    standing = list_standing(task.item_id)
    decision = find_settling(standing, task.pk)
    if decision is None:
        raise ConflictError("not_decided", say("Only a task that was decided can be reopened."))
    if decision.decided_by_id != by.user_id and not may(by, task.project_id, Permission.LEAD_REVIEW):
        raise NotAllowedError("not_yours", say("You can correct your own decisions; a lead can correct any."))
    _require_latest(decision)
    claim = review.reopen_task(task=task, by=by, lease=lease_of(task.project))
    if not again:
        record_event(
            action="task.reopened",
            subject=f"task:{task.pk}",
            by=by,
            project_id=task.project_id,
            decision=decision.pk,
            verdict=decision.verdict,
            decided_by=decision.decided_by.get_username(),
            reason=reason,
        )
    (shown,) = show_claims(task.project, [claim])
    return {**shown.as_json(), "corrects": _told(decision)}


def _require_latest(decision: Decision) -> None:
    later = AcceptedLabel.objects.filter(item_id=decision.item_id, decision_id__gt=decision.pk)
    if later.exists():
        raise ConflictError("superseded", say("A later decision about this item counts now."))


def _told(decision: Decision) -> dict[str, Any]:
    return {
        "decision": decision.pk,
        "verdict": decision.verdict,
        "output": decision.output,
        "decided_by": decision.decided_by.get_username(),
        "decided_at": decision.decided_at,
    }

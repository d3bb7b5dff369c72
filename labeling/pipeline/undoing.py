"""Which decisions their person may still take back, and why not the others: the questions `undo_decision` asks, for many."""

from collections.abc import Sequence
from enum import StrEnum

from labeling.datasets.models import DatasetEntry, WaitingDecision
from labeling.datasets.queries import find_tests_too_old
from labeling.decisions.models import AcceptedLabel, Decision
from labeling.review.models import TaskState


class Barrier(StrEnum):
    """What is in the way of an undo."""

    UNDONE = "undone"
    PUBLISHED = "published"
    SUPERSEDED = "superseded"
    WITH_A_LEAD = "with_a_lead"


def find_barriers(decisions: Sequence[Decision]) -> dict[int, Barrier]:
    """By decision: what is in the way. What is not in it may be undone, as far as can be said now. Five queries.

    The decisions come with their task and withdrawal (`select_related`).
    """
    ids = [decision.pk for decision in decisions]
    published = find_tests_too_old(decisions)
    published |= set(DatasetEntry.objects.filter(decision_id__in=ids).values_list("decision_id", flat=True))
    published |= set(
        WaitingDecision.objects.filter(decision_id__in=ids, publication__isnull=False).values_list(
            "decision_id", flat=True
        )
    )
    items = [decision.item_id for decision in decisions]
    counting = dict(AcceptedLabel.objects.filter(item_id__in=items).values_list("item_id", "decision_id"))
    newest: dict[int, int] = {}
    later = Decision.objects.filter(task_id__in=[d.task_id for d in decisions], withdrawal=None)
    for task_id, decision_id in later.values_list("task_id", "pk"):
        newest[task_id] = max(decision_id, newest.get(task_id, 0))
    found = {}
    for decision in decisions:
        barrier = _barrier(decision, decision.pk in published, counting.get(decision.item_id), newest)
        if barrier is not None:
            found[decision.pk] = barrier
    return found


def _barrier(
    decision: Decision, published: bool, counting: int | None, newest: dict[int, int]
) -> Barrier | None:
    if hasattr(decision, "withdrawal"):
        return Barrier.UNDONE
    if published:
        return Barrier.PUBLISHED
    if newest.get(decision.task_id, 0) > decision.pk or (counting or 0) > decision.pk:
        return Barrier.SUPERSEDED
    task = decision.task
    held_by_another = task.state == TaskState.CLAIMED and task.claimed_by_id != decision.decided_by_id
    if held_by_another:  # it was escalated, or is being corrected
        return Barrier.WITH_A_LEAD
    return None

"""How long a task may wait in a queue."""

from django.db import transaction

from labeling.errors import invalid, say
from labeling.history.actor import Actor
from labeling.history.services import record_event
from labeling.projects.access import Permission, require
from labeling.review.models import ReviewQueue

LONGEST_DEADLINE = 30 * 24 * 3600
SHORTEST_DEADLINE = 60


@transaction.atomic
def set_deadline(*, queue: ReviewQueue, seconds: int | None, by: Actor) -> ReviewQueue:
    """Say how long a task may wait, or (none) that there is no deadline. Nothing happens to late tasks but that they count."""
    require(by, queue.project_id, Permission.LEAD)
    if seconds is not None and not SHORTEST_DEADLINE <= seconds <= LONGEST_DEADLINE:
        raise invalid(
            "/deadline_seconds",
            "out_of_range",
            say(
                "a deadline is from {shortest_deadline} s to {longest_deadline} s",
                shortest_deadline=SHORTEST_DEADLINE,
                longest_deadline=LONGEST_DEADLINE,
            ),
        )
    locked = ReviewQueue.objects.select_for_update().get(pk=queue.pk)
    before = locked.deadline_seconds
    if before != seconds:
        locked.deadline_seconds = seconds
        locked.save(update_fields=["deadline_seconds"])
        record_event(
            action="queue.deadline_set",
            subject=f"queue:{locked.slug}",
            by=by,
            project_id=locked.project_id,
            before=before,
            after=seconds,
        )
    return locked

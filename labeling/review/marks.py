"""Low-water marks: where in a queue a claim starts to look."""

from collections.abc import Iterable

from django.db import connection, transaction

from labeling.review.models import QueueMark

_seen_marks: set[tuple[int, int]] = set()


def ensure_marks(queue_id: int, priorities: Iterable[int]) -> None:
    """A claim walks the marks of a queue, so every priority in use needs one. Marks are never deleted."""
    missing = {(queue_id, priority) for priority in priorities} - _seen_marks
    if missing:
        QueueMark.objects.bulk_create(
            [QueueMark(queue_id=queue, priority=priority) for queue, priority in sorted(missing)],
            ignore_conflicts=True,
        )
        # Only what is committed may be remembered: after a rollback the mark is not there.
        transaction.on_commit(lambda: _seen_marks.update(missing))


def move_marks() -> None:
    """Raise each low-water mark to the first waiting task, and heal one that stands too high.

    Inserts that have not committed yet are invisible here, so a mark never passes positions younger than a few minutes;
    tasks put back lower the mark under its row lock, which is taken here first.
    """
    for mark_id in QueueMark.objects.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("select 1 from labeling_queuemark where id = %s for update skip locked", [mark_id])
            if cursor.fetchone():
                cursor.execute(_MOVE_MARK, {"mark": mark_id})


_MOVE_MARK = """
update labeling_queuemark mark
set low = first.position
from (
    select least(
        coalesce((select task.position from labeling_reviewtask task
                  where task.queue_id = m.queue_id and task.priority = m.priority and task.state = 'waiting'
                  order by task.position limit 1), 9223372036854775807),
        (floor(extract(epoch from clock_timestamp()))::bigint - 1735689600 - 300) << 20) as position
    from labeling_queuemark m where m.id = %(mark)s
) first
where mark.id = %(mark)s and mark.low <> first.position
"""


def lower_marks(places: Iterable[tuple[int, int, int]]) -> None:
    lowest: dict[tuple[int, int], int] = {}
    for queue_id, priority, position in places:
        lowest[queue_id, priority] = min(position, lowest.get((queue_id, priority), position))
    with connection.cursor() as cursor:
        for (queue_id, priority), position in sorted(lowest.items()):
            # The lock keeps the sweep from raising the mark until this transaction has committed. It is shared, unless the
            # mark is to move: two that share it and then both want to move it would wait for each other for ever.
            cursor.execute(
                "select low > %s from labeling_queuemark where queue_id = %s and priority = %s",
                [position, queue_id, priority],
            )
            found = cursor.fetchone()
            lock = "for no key update" if found and found[0] else "for share"
            cursor.execute(
                f"select low from labeling_queuemark where queue_id = %s and priority = %s {lock}",
                [queue_id, priority],
            )
            cursor.execute(
                "update labeling_queuemark set low = %s where queue_id = %s and priority = %s and low > %s",
                [position, queue_id, priority, position],
            )

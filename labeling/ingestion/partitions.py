"""Partitions of the payload tables: weeks of ids, made ahead of time and dropped by retention, never row by row."""

from datetime import datetime, timedelta

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from labeling.ids import ID_EPOCH, SECOND_BITS, first_id_at

TABLES = ("labeling_item", "labeling_prediction")
SPAN = timedelta(days=7)
WEEKS_AHEAD = 4
_SLIM = "_slim"
# What one statement copies; at 50 million predictions a day a week has 1,750 of them.
_PIECE_ROWS = 200_000
_SAFELY_EARLIER = 3_600 << SECOND_BITS
_LOCK = (0x7061, 1)  # "pa": one process makes partitions at a time
_SLIMMING = (0x7061, 2)


def ensure_partitions(now: datetime | None = None) -> list[str]:
    """Make the partitions from last week to a month ahead that do not exist; returns the names of the new ones."""
    first = _week_of(now or timezone.now()) - 1
    wanted = [(table, week) for table in TABLES for week in range(first, first + WEEKS_AHEAD + 2)]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s, %s)", _LOCK)
        existing = set(list_partitions())
        made = []
        for table, week in wanted:
            name = f"{table}_w{week}"
            if not existing & {name, name + _SLIM}:
                low, high = (first_id_at(ID_EPOCH + SPAN * w) for w in (week, week + 1))
                cursor.execute(
                    f"create table {name} partition of {table} for values from ({low}) to ({high})"
                )
                made.append(name)
    return made


def drop_old_inputs(*, keep: timedelta, now: datetime | None = None) -> list[str]:
    """Drop inputs older than `keep` that no person has or had a task for, a whole week at a time.

    The week's partition is written anew without them and takes the old one's place in one transaction; the old file is then
    dropped as a whole. Client ids stay, so that the feed can still name every item and a repeated prediction is still known.
    Returns the names of slimmed partitions.
    """
    last_kept = _week_of((now or timezone.now()) - keep)
    names = [name for name in _whole_weeks() if _week_in(name) < last_kept]
    return [name for name in names if _slim(name)]


def drop_oldest_inputs(*, now: datetime | None = None) -> str | None:
    """For a disk that is nearly full: the same with the oldest week there is, unless it is this one or the last.

    Returns the partition's name; none when nothing may go.
    """
    week = _week_of(now or timezone.now())
    oldest = next((name for name in _whole_weeks() if _week_in(name) < week - 1), None)
    return oldest if oldest and _slim(oldest) else None


def _whole_weeks() -> list[str]:
    """The partitions of items whose inputs are all there, oldest first."""
    names = [
        name for name in list_partitions() if name.startswith("labeling_item_w") and not name.endswith(_SLIM)
    ]
    return sorted(names, key=_week_in)


def _week_in(name: str) -> int:
    return int(name.removeprefix("labeling_item_w"))


def _slim(name: str) -> bool:
    """Write a week anew without its inputs; whether that was done. Another process may be at it.

    It is copied piece by piece, each in a transaction of its own. Killed on the way, the next one goes on from there.
    """
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s, %s)", _SLIMMING)
        if not cursor.fetchone()[0]:
            return False
        try:
            while _copy_piece(name):
                pass
            _swap(name)
        finally:
            cursor.execute("select pg_advisory_unlock(%s, %s)", _SLIMMING)
    return True


def _copy_piece(name: str) -> int:
    """Copy the next rows into the slim partition that is to take this one's place; how many."""
    low, high = _bounds(name)
    with connection.cursor() as cursor:
        # The check says what the partition's bounds will say, so that attaching it need not read it again.
        cursor.execute(
            f"""
            create table if not exists {name}{_SLIM} (
                like labeling_item including defaults including constraints including indexes,
                constraint {name}{_SLIM}_bounds check (id >= {low} and id < {high}))
            """
        )
        cursor.execute(
            f"""
            insert into {name}{_SLIM} (id, project_id, key, input, received_at)
            select id, project_id, key,
                   case when exists (select from labeling_reviewtask t where t.item_id = item.id) then input end, received_at
            from {name} item
            where id > coalesce((select max(id) from {name}{_SLIM}), 0) order by id limit %s
            """,
            [_PIECE_ROWS],
        )
        return int(cursor.rowcount)


def _swap(name: str) -> None:
    """Put the slim partition in the old one's place. What came back into review since its row was copied keeps its input:
    most of it before the lock is taken, the last of it under the lock."""
    low, high = _bounds(name)
    keep = f"""
        update {name}{_SLIM} kept set input = whole.input
        from {name} whole, labeling_reviewtask task
        where task.item_id >= {low} and task.item_id < {high} and task.id >= %s
          and kept.id = task.item_id and kept.input is null and whole.id = kept.id
    """
    with connection.cursor() as cursor:
        cursor.execute("select labeling_next_id()")
        began = cursor.fetchone()[0]
        cursor.execute(keep, [0])
        with transaction.atomic():
            cursor.execute("set local lock_timeout = '3s'")  # rather later than in the way of those who write
            cursor.execute(f"alter table labeling_item detach partition {name}")
            cursor.execute(keep, [began - _SAFELY_EARLIER])
            cursor.execute(f"drop table {name}")
            cursor.execute(
                f"alter table labeling_item attach partition {name}{_SLIM} for values from ({low}) to ({high})"
            )


def _bounds(name: str) -> tuple[int, int]:
    """The first id of a week's partition, and the first after it."""
    low, high = (first_id_at(ID_EPOCH + SPAN * week) for week in (_week_in(name), _week_in(name) + 1))
    return low, high


def list_partitions() -> list[str]:
    """Names of all partitions, oldest first within each table."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select child.relname from pg_inherits
            join pg_class child on child.oid = inhrelid join pg_class parent on parent.oid = inhparent
            where parent.relname = any(%s) and child.relkind = 'r' order by parent.relname, child.oid
            """,
            [list(TABLES)],
        )
        return [row[0] for row in cursor.fetchall()]


def is_missing_partition(error: DatabaseError) -> bool:
    """Whether a write failed because nobody made the partition its ids belong to (the instance slept for weeks)."""
    return "no partition of relation" in str(error)


def _week_of(moment: datetime) -> int:
    return (moment - ID_EPOCH) // SPAN

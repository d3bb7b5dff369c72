"""Partitions of the payload tables: weeks of ids, made ahead of time and dropped by retention, never row by row."""

from datetime import datetime, timedelta

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from labeling.ids import ID_EPOCH, first_id_at

TABLES = ("labeling_item", "labeling_prediction")
SPAN = timedelta(days=7)
WEEKS_AHEAD = 4
_SLIM = "_slim"
_LOCK = (0x7061, 1)  # "pa": one process makes partitions at a time


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
    dropped as a whole. Client ids stay, so that the feed can still name every item. Returns the names of slimmed partitions.
    """
    last_kept = _week_of((now or timezone.now()) - keep)
    old = [
        name for name in list_partitions() if name.startswith("labeling_item_w") and not name.endswith(_SLIM)
    ]
    names = [name for name in old if int(name.removeprefix("labeling_item_w")) < last_kept]
    for name in names:
        _slim(name)
    return names


def _slim(name: str) -> None:
    week = int(name.removeprefix("labeling_item_w"))
    low, high = (first_id_at(ID_EPOCH + SPAN * w) for w in (week, week + 1))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set local lock_timeout = '3s'")  # rather later than in the way of those who write
        cursor.execute(
            f"create table {name}{_SLIM} (like labeling_item including defaults including constraints)"
        )
        cursor.execute(
            f"""
            insert into {name}{_SLIM} (id, project_id, key, input, received_at)
            select id, project_id, key,
                   case when exists (select from labeling_reviewtask t where t.item_id = item.id) then input end, received_at
            from {name} item
            """
        )
        cursor.execute(f"alter table labeling_item detach partition {name}")
        cursor.execute(f"drop table {name}")
        cursor.execute(
            f"alter table labeling_item attach partition {name}{_SLIM} for values from ({low}) to ({high})"
        )


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

"""Partitions of the payload tables: weeks of ids, made ahead of time and dropped by retention, never row by row."""

from datetime import datetime, timedelta

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from labeling.ids import ID_EPOCH, first_id_at

TABLES = ("labeling_item", "labeling_prediction")
SPAN = timedelta(days=7)
WEEKS_AHEAD = 4
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
            if name not in existing:
                low, high = (first_id_at(ID_EPOCH + SPAN * w) for w in (week, week + 1))
                cursor.execute(
                    f"create table {name} partition of {table} for values from ({low}) to ({high})"
                )
                made.append(name)
    return made


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

"""The folder: adds committed deltas to the rollups, each exactly once, whatever is killed or committed late.

A batch is one transaction: deltas are deleted and their sums added together, or neither. Which deltas are left is known by
their being there, never by a remembered id, so one that commits late under a small id is simply folded later. An advisory
lock lets one process fold at a time; two would update the same rows in different orders.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.db import connection, transaction

from labeling.projects.models import Project
from labeling.trust.folding import MAX_SLICE_VALUES, TABLES, Folded, SliceKey, Table, Vector, fold_rows
from labeling.trust.models import SliceValue, TrustDelta
from labeling.trust.recount import compare_rollups, recount, snapshot

__all__ = ["compare_rollups", "ensure_folded", "fold_deltas", "rebuild_rollups", "recount"]

_LOCK = (0x7472, 1)  # "tr": folding
_BATCH = 500  # a delta of a thousand-row request may hold 150 kB
_PAUSE_S = 0.02

_TAKE = """
    delete from labeling_trustdelta
    where id in (select id from labeling_trustdelta order by id limit %s for update skip locked)
    returning id, project_id, payload::text
"""


def fold_deltas(*, batch: int = _BATCH, seconds: float = 30.0) -> int:
    """Fold what is committed, batch by batch, for at most about `seconds`; the number of deltas folded.

    Returns at once when another process folds. Safe to run at any time and to kill at any step.
    """
    started, count = time.monotonic(), 0
    while True:
        folded = _fold_batch(batch)
        count += folded or 0
        if not folded or folded < batch or time.monotonic() - started > seconds:
            return count


def ensure_folded(project_id: int, *, seconds: float = 2.0) -> bool:
    """Make the rollups hold everything of this project that was committed before the call.

    A reader that finds them behind folds itself, or waits for whoever does. False when that takes more than `seconds`: what
    is then read is a little behind, and whoever shows it says so.
    """
    waiting = TrustDelta.objects.filter(project_id=project_id)
    newest = waiting.order_by("-id").values_list("id", flat=True).first()
    if newest is None:
        return True
    waiting = waiting.filter(id__lte=newest)
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if _fold_batch(_BATCH) is None:
            time.sleep(_PAUSE_S)
        if not waiting.exists():
            return True
    return False


def rebuild_rollups(project: Project) -> None:
    """Replace the project's rollups by a recount: after its time zone has changed, or after a repair of raw rows.

    Skips are lost, nothing else; from then on all answers are counted by true label. The lock is taken before the snapshot, so no folder works on rows that the snapshot does not
    show; deltas that commit meanwhile are not in the snapshot, nor in the recount, and are folded afterwards.
    """
    Project.objects.filter(pk=project.pk).update(truths_from=0)
    project.truths_from = 0
    with _folding_alone(), snapshot(), connection.cursor() as cursor:
        folded = recount(project)
        cursor.execute("delete from labeling_trustdelta where project_id = %s", [project.pk])
        for name, table in TABLES.items():
            if name == "reviewer":
                continue  # follows the decision's queue at the time, which no raw row tells
            cursor.execute(f"delete from {table.name} where project_id = %s", [project.pk])
            _upsert(cursor, table, folded.sums[name])


@contextmanager
def _folding_alone() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(%s, %s)", _LOCK)
        try:
            yield
        finally:
            cursor.execute("select pg_advisory_unlock(%s, %s)", _LOCK)


def _fold_batch(size: int) -> int | None:
    """Fold up to `size` deltas in one transaction; their number, or None when another process is folding."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_xact_lock(%s, %s)", _LOCK)
        if not cursor.fetchone()[0]:
            return None
        cursor.execute(_TAKE, [size])
        rows = cursor.fetchall()
        if rows:
            _add_to_rollups(cursor, fold_rows(sorted(rows)))
        return len(rows)


def _add_to_rollups(cursor: Any, folded: Folded) -> None:
    kept = _keep_slice_values(list(dict.fromkeys(folded.slice_keys())))
    folded.resolve(kept.__contains__)
    for name, table in TABLES.items():
        _upsert(cursor, table, folded.sums[name])


def _keep_slice_values(met: Sequence[SliceKey]) -> set[SliceKey]:
    """The values that have slices of their own, after giving free places to those just met.

    Only the folder gets here, under its lock, so two batches cannot give away the same place.
    """
    kept: dict[tuple[int, int, str], set[str]] = {}
    known = SliceValue.objects.filter(
        project_id__in={key.project_id for key in met},
        model_version_id__in={key.model_version_id for key in met},
    ).values_list("project_id", "model_version_id", "kind", "value")
    for project_id, model_version_id, kind, value in known:
        kept.setdefault((project_id, model_version_id, kind), set()).add(value)
    fresh = []
    for key in met:
        values = kept.setdefault((key.project_id, key.model_version_id, key.kind.value), set())
        if key.value not in values and len(values) < MAX_SLICE_VALUES:
            values.add(key.value)
            fresh.append(SliceValue(**key._asdict()))
    SliceValue.objects.bulk_create(fresh)
    return {key for key in met if key.value in kept[key.project_id, key.model_version_id, key.kind.value]}


def _upsert(cursor: Any, table: Table, sums: dict[tuple[Any, ...], Vector]) -> None:
    # psycopg sends no list of floats and ints: seconds that were told stand beside zeros of those who told none.
    number = float if table.counter_type == "double precision" else int
    rows = [(*key, *map(number, vector)) for key, vector in sums.items() if any(vector)]
    if not rows:
        return
    cursor.execute(_upsert_sql(table), [list(column) for column in zip(*rows, strict=True)])


@cache
def _upsert_sql(table: Table) -> str:
    keys = [name for name, _ in table.key]
    types = [kind for _, kind in table.key] + [table.counter_type] * len(table.counters)
    arrays = ", ".join(f"%s::{kind}[]" for kind in types)
    added = ", ".join(f"{name} = stored.{name} + excluded.{name}" for name in table.counters)
    return (
        f"insert into {table.name} as stored ({', '.join(keys)}, {', '.join(table.counters)}) "
        f"select * from unnest({arrays}) on conflict ({', '.join(keys)}) do update set {added}"
    )

"""Counting everything again from the raw rows, to prove the rollups right or to rebuild them.

Costs one pass over the project's predictions and one over its decisions. Quarters of an hour are grouped in SQL and turned
into hours and days here, so that PostgreSQL's idea of time zones has no say.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from labeling.errors import Sentence, say
from labeling.projects.models import Project
from labeling.review.models import Purpose
from labeling.trust.buckets import EDGES
from labeling.trust.counting import Answer, is_as_served, reviewer_counts, route_counts, told_by
from labeling.trust.folding import TABLES, Folded, SliceKey, Table, fold_rows
from labeling.trust.models import SliceKind, SliceValue
from labeling.trust.timegrid import day_of, keys_of

__all__ = ["Difference", "compare_rollups", "recount", "snapshot"]

_ROUTED = """
    select date_bin('15 minutes', {moment}, timestamptz 'epoch'), period_id, model_version_id,
           width_bucket(confidence, %(edges)s::float8[]), segment, label, route, audited,
           final_output is null, audit_probability > 0, count(*)
    from labeling_prediction prediction
    where project_id = %(project)s and route <> 'settled'
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
"""
_ANSWERED = """
    select prediction.id, date_bin('15 minutes', {moment}, timestamptz 'epoch'), prediction.period_id,
           prediction.model_version_id, width_bucket(prediction.confidence, %(edges)s::float8[]),
           prediction.segment, prediction.label, prediction.route, prediction.audited,
           decision.purpose, decision.verdict, decision.agreed,
           prediction.audited and exists (
               select from labeling_reviewtask task
               where task.item_id = prediction.item_id and task.prediction_id = prediction.id
                 and task.purpose = 'adjudication' and task.state in ('waiting', 'claimed')),
           case when prediction.id >= %(truths_from)s then decision.output->>'label' end,
           case when decision.purpose = 'shadow' then decision.output end,
           case when decision.purpose = 'shadow' then prediction.final_output end
    from labeling_decision decision
    join labeling_prediction prediction on prediction.id = decision.prediction_id
    where decision.project_id = %(project)s and prediction.route <> 'settled' and decision.purpose <> %(sentinel)s
      and not exists (select from labeling_withdrawal where decision_id = decision.id)
    order by prediction.id, decision.id
"""
_OVERFLOWED = """
    select date_bin('15 minutes', {moment}, timestamptz 'epoch'), prediction.period_id,
           prediction.model_version_id, width_bucket(prediction.confidence, %(edges)s::float8[]),
           prediction.segment, prediction.label, count(*)
    from labeling_overflowed overflowed
    join labeling_reviewtask task on task.id = overflowed.task_id
    join labeling_prediction prediction on prediction.id = task.prediction_id
    where task.project_id = %(project)s
    group by 1, 2, 3, 4, 5, 6
"""
_REVIEWED = """
    select date_bin('15 minutes', decision.decided_at, timestamptz 'epoch'), decision.decided_by_id,
           decision.purpose, decision.verdict, count(*), coalesce(sum(decision.seconds), 0)
    from labeling_decision decision
    where decision.project_id = %(project)s
      and not exists (select from labeling_withdrawal where decision_id = decision.id)
    group by 1, 2, 3, 4
"""
_MOMENT = "prediction.received_at"
_SIMULATED_MOMENT = "coalesce(prediction.occurred_at, prediction.received_at)"

# No row is kept of a skip; what test items and second reviews count is recounted by whoever knows their answers.
_UNCOUNTABLE = frozenset(
    {"skipped", "sentinels", "sentinels_missed", "gold", "gold_changed", "double_reviewed", "agreed"}
)
_CLOSE = 1e-6


@dataclass(frozen=True, slots=True)
class Difference:
    """A counter of a rollup row that is not what the raw rows say."""

    table: str
    key: tuple[Any, ...]
    counter: str
    rolled_up: float
    recounted: float

    @property
    def told(self) -> Sentence:
        return say(
            "{table} {key} {counter}: {rolled_up} rolled up, {recounted} recounted",
            table=self.table,
            key=str(self.key),
            counter=self.counter,
            rolled_up=self.rolled_up,
            recounted=self.recounted,
        )

    def __str__(self) -> str:
        return self.told


@contextmanager
def snapshot() -> Iterator[None]:
    """One view of the database for several statements, so that what commits in between is in all of them or in none.

    Inside a transaction the caller's isolation stands: PostgreSQL cannot change it any more.
    """
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set transaction isolation level repeatable read")
        yield


def recount(project: Project) -> Folded:
    """The sums of every rollup table, from predictions and the decisions that were not withdrawn."""
    zone = ZoneInfo(project.time_zone)
    moment = _SIMULATED_MOMENT if project.simulation else _MOMENT
    folded = Folded()
    values = {
        "project": project.pk,
        "edges": list(EDGES),
        "sentinel": Purpose.SENTINEL.value,
        "truths_from": project.truths_from,
    }
    for row in _stream(_ROUTED.format(moment=moment), values):
        folded.add(project.pk, _routed_entry(row, zone))
    for _id, rows in groupby(_stream(_ANSWERED.format(moment=moment), values), key=lambda row: row[0]):
        folded.add(project.pk, _answered_entry(project.task_type, list(rows), zone))
    for quarter, period, mv, bucket, segment, label, count in _stream(
        _OVERFLOWED.format(moment=moment), values
    ):
        cell = _place(quarter, zone, period, mv, bucket, segment, label)
        folded.add(project.pk, cell | {"overflowed": count})
    for quarter, reviewer, purpose, verdict, count, seconds in _stream(_REVIEWED, values):
        counts = {name: number * count for name, number in reviewer_counts(purpose, verdict).items()}
        if counts:
            place = {"reviewer": reviewer, "queue": 0, "day": day_of(quarter, zone).isoformat()}
            folded.add(project.pk, place | counts | {"seconds": seconds})
    folded.resolve(_kept_values(project.pk).__contains__)
    return folded


def compare_rollups(project: Project) -> list[Difference]:
    """Where rollups plus deltas not folded yet differ from a recount; empty when all is well."""
    with snapshot():
        expected = recount(project)
        found = _unfolded(project.pk)
        for name, table in TABLES.items():
            for key, vector in _stored(table, project.pk):
                found.put(name, key, vector)
    differences: list[Difference] = []
    for name, table in TABLES.items():
        own, other = found.sums[name], expected.sums[name]
        if name == "reviewer":
            own = _without_queue(own)  # an escalated task changes its queue, the decisions on it do not tell
        differences += _differences(name, table, own, other)
    return differences


def _routed_entry(row: tuple[Any, ...], zone: ZoneInfo) -> dict[str, Any]:
    quarter, period, mv, bucket, segment, label, route, audited, manual, drawable, count = row
    counts = route_counts(route, drawn=audited, manual=manual, drawable=drawable)
    return _place(quarter, zone, period, mv, bucket, segment, label) | {
        name: each * count for name, each in counts.items()
    }


def _answered_entry(task_type: str, rows: list[tuple[Any, ...]], zone: ZoneInfo) -> dict[str, Any]:
    _id, quarter, period, mv, bucket, segment, label, route, audited, *_ = rows[0]
    waiting = rows[0][12]
    answers = [
        Answer(row[9], row[10], row[11], row[13], is_as_served(task_type, row[14], row[15])) for row in rows
    ]
    counts, truth = told_by(route, answers, audited=audited, waiting=waiting)
    return _place(quarter, zone, period, mv, bucket, segment, label) | counts | {"truth": truth}


def _place(
    quarter: datetime,
    zone: ZoneInfo,
    period: int,
    mv: int,
    bucket: int,
    segment: str | None,
    label: str | None,
) -> dict[str, Any]:
    hour, day = keys_of(quarter, zone)
    return {
        "hour": hour,
        "day": day,
        "period": period,
        "mv": mv,
        "bucket": bucket,
        "segment": segment,
        "label": label,
    }


def _stream(sql: str, values: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Rows through a cursor on the server: a project's history does not fit into memory."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql, values)
        while rows := cursor.fetchmany(5_000):
            yield from rows


def _unfolded(project_id: int) -> Folded:
    with connection.cursor() as cursor:
        cursor.execute(
            "select id, project_id, payload::text from labeling_trustdelta where project_id = %s",
            [project_id],
        )
        folded = fold_rows(cursor.fetchall())
    folded.resolve(_kept_values(project_id).__contains__)
    return folded


def _kept_values(project_id: int) -> set[SliceKey]:
    rows = SliceValue.objects.filter(project_id=project_id).values_list("model_version_id", "kind", "value")
    return {SliceKey(project_id, mv, SliceKind(kind), value) for mv, kind, value in rows}


def _stored(table: Table, project_id: int) -> Iterator[tuple[tuple[Any, ...], list[Any]]]:
    names = [name for name, _ in table.key]
    columns = ", ".join([*names, *table.counters])
    sql = f"select {columns} from {table.name} where project_id = %(project)s"
    for row in _stream(sql, {"project": project_id}):
        yield tuple(_as_key(part) for part in row[: len(names)]), list(row[len(names) :])


def _as_key(part: Any) -> Any:
    if isinstance(part, datetime):
        return part.isoformat()
    return part.isoformat() if isinstance(part, date) else part


def _without_queue(sums: dict[tuple[Any, ...], list[Any]]) -> dict[tuple[Any, ...], list[Any]]:
    merged: dict[tuple[Any, ...], list[Any]] = {}
    for (project_id, day, reviewer, _queue), vector in sums.items():
        key = (project_id, day, reviewer, 0)
        merged[key] = [a + b for a, b in zip(merged[key], vector, strict=True)] if key in merged else vector
    return merged


def _differences(
    name: str, table: Table, own: dict[tuple[Any, ...], list[Any]], other: dict[tuple[Any, ...], list[Any]]
) -> Iterable[Difference]:
    zeros = [0] * len(table.counters)
    for key in sorted({*own, *other}, key=str):
        pairs = zip(table.counters, own.get(key, zeros), other.get(key, zeros), strict=True)
        for counter, rolled_up, recounted in pairs:
            if counter not in _UNCOUNTABLE and abs(rolled_up - recounted) > _CLOSE * max(1.0, abs(recounted)):
                yield Difference(name, key, counter, rolled_up, recounted)

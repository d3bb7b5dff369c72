"""Reading the rollups: one function per statement, sums done in SQL, rows read bounded by days and not by predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection

from labeling.errors import invalid, say
from labeling.trust.asking import TrustQuery, Window, whole_weeks
from labeling.trust.buckets import BUCKET_COUNT
from labeling.trust.figures import KnownItems, Sums
from labeling.trust.folding import slice_value
from labeling.trust.models import COUNTERS, SliceKind
from labeling.trust.people import PersonCounts

__all__ = [
    "KnownItems",
    "Line",
    "PeriodRow",
    "ReviewerLine",
    "read_cells",
    "read_days_known",
    "read_epoch",
    "read_known_items",
    "read_lines",
    "read_periods",
    "read_reviewers",
    "read_truths",
]

MAX_POINTS = 10_000
_MAX_ROWS = 5 * MAX_POINTS  # a point has a row for each policy period in it
_SUMS = ", ".join(f"sum({name})::bigint" for name in COUNTERS)
_COUNTERS = ", ".join(COUNTERS)
_PERSON = ", ".join(
    f"sum({name})::{'float8' if name == 'seconds' else 'bigint'}" for name in PersonCounts._fields
)
_DAY = timedelta(days=1)
BUCKETS_PER_BAND = 4
LAST_BAND = (BUCKET_COUNT - 2) // BUCKETS_PER_BAND - 1  # the open ends belong to the first and the last band


class Line(NamedTuple):
    """Counts of one point of a series in one policy period. `kind` tells a segment called "other" from all others."""

    slot: Any
    kind: str | None
    key: Any
    period_id: int
    sums: Sums


class ReviewerLine(NamedTuple):
    """Counts of one reviewer's day or week."""

    slot: date
    reviewer: str
    counts: PersonCounts


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """What the rates need to know of a policy period."""

    id: int
    policy_number: int
    scope: tuple[int | None, str]
    epoch: int
    level: int
    high: float
    audit_rate: float
    reason: str
    started_at: datetime
    is_open: bool


def read_days_known(project_id: int) -> tuple[date, date] | None:
    """First and last day with counts."""
    rows = _all("select min(day), max(day) from labeling_trustday where project_id = %s", [project_id])
    first, last = rows[0]
    return None if first is None else (first, last)


def read_lines(
    project_id: int, query: TrustQuery, window: Window, versions: Sequence[int] | None
) -> list[Line]:
    """What a series is drawn from: counts by point, key and policy period. `versions` restricts to model versions."""
    table, column, key, where, values = _source(query)
    slot = "date_trunc('week', day)::date" if query.every == "week" else column
    begin, end = (window.start, window.end) if column == "hour" else (window.first, window.last + _DAY)
    if versions is not None:
        where, values = f"{where} and model_version_id = any(%s)", [*values, list(versions)]
    rows = _all(
        f"select {slot}, {key}, period_id, {_SUMS} from {table} "
        f"where project_id = %s and {column} >= %s and {column} < %s{where} "
        "group by 1, 2, 3, 4 order by 1, 2, 3, 4 limit %s",
        [project_id, begin, end, *values, _MAX_ROWS + 1],
    )
    _refuse_too_many(len({row[:3] for row in rows}), len(rows))
    return [Line(row[0], row[1], row[2], row[3], Sums(*row[4:])) for row in rows]


def read_cells(
    project_id: int, window: Window, versions: Sequence[int] | None
) -> list[tuple[int, int, Sums]]:
    """Counts of whole days by policy period and bucket: whole weeks from their own rows, the days at the ends from theirs."""
    weeks_from, weeks_to = whole_weeks(window.first, window.last)
    where = "project_id = %s" + (" and model_version_id = any(%s)" if versions is not None else "")
    own = [project_id, *([list(versions)] if versions is not None else [])]
    if weeks_from >= weeks_to:
        weeks_from = weeks_to = window.last + _DAY
    rows = _all(
        f"select period_id, bucket, {_SUMS} from ("
        f"select period_id, bucket, {_COUNTERS} from labeling_trustcell where {where} and day >= %s and day < %s "
        f"union all select period_id, bucket, {_COUNTERS} from labeling_trustcell "
        f"where {where} and day >= %s and day < %s "
        f"union all select period_id, bucket, {_COUNTERS} from labeling_trustweek "
        f"where {where} and week >= %s and week < %s) cell group by 1, 2 order by 1, 2",
        [*own, window.first, weeks_from, *own, weeks_to, window.last + _DAY, *own, weeks_from, weeks_to],
    )
    return [(period, bucket, Sums(*sums)) for period, bucket, *sums in rows]


def read_epoch(
    project_id: int, query: TrustQuery, periods: Sequence[int], versions: Sequence[int] | None
) -> dict[int, Sums]:
    """Counts of policy periods from their first to their last day."""
    table, where, values = "labeling_trustday", "", list[Any]()
    if query.segment is not None or query.label is not None:
        table, where, values = _slice_filter(query)
    if versions is not None:
        where, values = f"{where} and model_version_id = any(%s)", [*values, list(versions)]
    rows = _all(
        f"select period_id, {_SUMS} from {table} where project_id = %s and period_id = any(%s){where} group by 1",
        [project_id, list(periods), *values],
    )
    return {row[0]: Sums(*row[1:]) for row in rows}


def read_periods(project_id: int, ids: Sequence[int], near: datetime) -> list[PeriodRow]:
    """The policy periods with these ids, those in force with their whole epochs, and those that began within a day of a moment."""
    rows = _all(
        """
        select period.id, period.policy_number, period.model_version_id, period.label_group, period.epoch, period.level,
               period.high, period.audit_rate, period.reason, period.started_at, period.ended_at is null
        from labeling_policyperiod period
        where period.project_id = %(project)s
          and (period.id = any(%(ids)s)
               or period.started_at between %(near)s - interval '1 day' and %(near)s + interval '1 day'
               or exists (select from labeling_policyperiod now
                          where now.project_id = %(project)s and now.ended_at is null and now.epoch = period.epoch
                            and now.model_version_id is not distinct from period.model_version_id
                            and now.label_group = period.label_group))
        order by period.id
        """,
        {"project": project_id, "ids": list(ids), "near": near},
    )
    return [PeriodRow(row[0], row[1], (row[2], row[3]), *row[4:]) for row in rows]


def read_truths(
    project_id: int, days: tuple[date, date], versions: Sequence[int] | None, labels: Sequence[str]
) -> tuple[dict[int, Sums], dict[str, dict[int, Sums]]]:
    """Counts of some days by policy period: of all predictions, and by true label of those whose answers named one of these."""
    where = "project_id = %s and day >= %s and day <= %s"
    own: list[Any] = [project_id, *days]
    if versions is not None:
        where, own = f"{where} and model_version_id = any(%s)", [*own, list(versions)]
    found = _all(
        f"select period_id, null, {_SUMS} from labeling_trustday where {where} group by 1 "
        f"union all select period_id, value, {_SUMS} from labeling_trustslice "
        f"where {where} and kind = %s and value = any(%s) group by 1, 2",
        [*own, *own, SliceKind.TRUTH.value, list(labels)],
    )
    counts: dict[int, Sums] = {}
    truths: dict[str, dict[int, Sums]] = {}
    for period, label, *sums in found:
        (counts if label is None else truths.setdefault(label, {}))[period] = Sums(*sums)
    return counts, truths


def read_known_items(project_id: int, window: Window) -> KnownItems:
    """How reviewers did on items whose answer was known, all reviewers together."""
    rows = _all(
        "select coalesce(sum(sentinels), 0)::bigint, coalesce(sum(sentinels_missed), 0)::bigint, "
        "coalesce(sum(gold), 0)::bigint, coalesce(sum(gold_changed), 0)::bigint "
        "from labeling_reviewerday where project_id = %s and day >= %s and day <= %s",
        [project_id, window.first, window.last],
    )
    return KnownItems(*rows[0])


def read_reviewers(project_id: int, query: TrustQuery, window: Window) -> list[ReviewerLine]:
    """Decisions by reviewer and by the day or week in which they were made."""
    slot = "date_trunc('week', day)::date" if query.every == "week" else "day"
    rows = _all(
        f"select {slot}, person.username, {_PERSON} from labeling_reviewerday "
        "join auth_user person on person.id = reviewer_id "
        "where project_id = %s and day >= %s and day <= %s and (%s::text is null or person.username = %s) "
        "group by 1, 2 order by 1, 2 limit %s",
        [project_id, window.first, window.last, query.reviewer, query.reviewer, _MAX_ROWS + 1],
    )
    _refuse_too_many(len(rows), len(rows))
    return [ReviewerLine(slot, reviewer, PersonCounts(*counts)) for slot, reviewer, *counts in rows]


def _source(query: TrustQuery) -> tuple[str, str, str, str, list[Any]]:
    """Table, time column, key columns (kind, key), further condition and its values."""
    kind = "segment" if query.by == "segment" or query.segment is not None else "label"
    if query.by == kind or getattr(query, kind) is not None:
        table, where, values = _slice_filter(query)
        key = "kind, value" if query.by == kind else "null::text, null::text"
        return table, "day", _by_version(query, key), where, values
    if query.by == "band":
        band = f"greatest(bucket - 1, 0) / {BUCKETS_PER_BAND}"
        return "labeling_trustcell", "day", f"null::text, least({band}, {LAST_BAND})", "", []
    table, column = ("labeling_trusthour", "hour") if query.every == "hour" else ("labeling_trustday", "day")
    return table, column, _by_version(query, "null::text, null::bigint"), "", []


def _by_version(query: TrustQuery, otherwise: str) -> str:
    return "null::text, model_version_id" if query.by == "model_version" else otherwise


def _slice_filter(query: TrustQuery) -> tuple[str, str, list[Any]]:
    kind = SliceKind.SEGMENT if query.by == "segment" or query.segment is not None else SliceKind.LABEL
    value = query.segment if kind == SliceKind.SEGMENT else query.label
    if value is None:
        kinds = [name for name in SliceKind.values if name.startswith(kind)]
        return "labeling_trustslice", " and kind = any(%s)", [kinds]
    return "labeling_trustslice", " and kind = %s and value = %s", [str(kind), slice_value(value)]


def _refuse_too_many(points: int, rows: int) -> None:
    if points > MAX_POINTS or rows > _MAX_ROWS:
        detail = say(
            "this would be more than {most} points: ask for a shorter time or a longer step", most=MAX_POINTS
        )
        raise invalid("/every", "too_many_points", detail)


def _all(sql: str, values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())

"""Rates over time and over a whole window, each with its range and its population.

Lines are drawn from day (or hour) rows. Confidence buckets are read for the window as a whole, where they sharpen the error
rates, and for series by band. The number of statements does not depend on the length of the window, and the rows read depend
on days, not on predictions. Call `services.ensure_folded` first.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone

from labeling.errors import invalid, say
from labeling.ingestion.models import ModelVersion
from labeling.projects.models import Project
from labeling.routing.models import PolicyVersion
from labeling.trust import rows
from labeling.trust.asking import TrustQuery, Window, window_of
from labeling.trust.buckets import bucket_edges
from labeling.trust.certificates import Certificate, main_certificate, read_certificates
from labeling.trust.figures import Rate, Stratum, Sums, rates_of
from labeling.trust.missed_labels import LabelMisses
from labeling.trust.people import PersonCounts, added, person_rates
from labeling.trust.reliability import Reliability, reliability_of
from labeling.trust.rows import Line, PeriodRow
from labeling.trust.standing import EpochCell, epoch_bound
from labeling.trust.timegrid import day_of, day_start, week_of
from labeling.trust.watched import ALL_TOGETHER, read_misses

__all__ = ["Autonomy", "Latest", "Point", "TrustReport", "get_trust_report", "latest_of", "weeks_of"]

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Point:
    """The rates of one stretch of time; with `by`, of one key in it. `key_kind` tells "no segment" and "beyond the 50 kept
    segments" from a segment of any name."""

    start: datetime
    end: datetime
    rates: Mapping[str, Rate]
    key: str | None = None
    key_kind: str | None = None


@dataclass(frozen=True, slots=True)
class Autonomy:
    """How much is automatic, and what is proven about it. Empty: not known, or autonomy is off."""

    level: int | None = None
    share: float | None = None
    certified_share: float | None = None
    reachable_share: float | None = None
    auto_error_upper: float | None = None
    alpha: float | None = None
    epoch: int | None = None
    audit_rate: float | None = None
    warned: bool = False
    next_step_needs: int | None = None


@dataclass(frozen=True, slots=True)
class TrustReport:
    """An answer. `totals` are the rates over the whole window by key; `now` those of all together. `lines` are the counts
    behind the series, by policy period, for whoever groups them anew; `reliability` is empty where counts by confidence are
    not kept for what was asked; `people` are the counts of each person, where it was asked about people; `misses` those of
    each watched label."""

    query: TrustQuery
    window: Window
    series: Sequence[Point]
    totals: Sequence[Point]
    now: Mapping[str, Rate]
    autonomy: Autonomy
    counts: Sums
    is_empty: bool
    lines: Sequence[Line] = ()
    periods: Mapping[int, PeriodRow] = field(default_factory=dict)
    reliability: Reliability | None = None
    people: Mapping[str, PersonCounts] = field(default_factory=dict)
    certificates: Sequence[Certificate] = ()
    misses: Sequence[LabelMisses] = ()
    names: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class Latest:
    """The end of a window: its days, rates and counts."""

    window: Window
    rates: Mapping[str, Rate]
    counts: Sums


def get_trust_report(
    project: Project,
    query: TrustQuery,
    *,
    now: datetime | None = None,
    tests_before: date | None = None,
    names: Collection[str] | None = None,
) -> TrustReport:
    """Answer a question about a project (`names`: of a series with these rates alone); with `tests_before`, as if nobody had answered a test item since then. InvalidError for an unknown model version, a reversed window or too many points."""
    now = now or timezone.now()
    zone = ZoneInfo(project.time_zone)
    known = rows.read_days_known(project.pk)
    window = window_of(query, zone, known=known, now=now)
    models = {version.pk: version for version in ModelVersion.objects.filter(project=project)}
    versions = {pk: str(version) for pk, version in models.items()}
    wanted = _wanted_versions(query, versions)
    if query.about_people:
        return _report_on_people(project, query, window, zone, is_empty=known is None)
    lines = rows.read_lines(project.pk, query, window, wanted)
    strata = _window_strata(project.pk, query, window, wanted, lines)
    ids = {period for period, _, _ in strata} | {line.period_id for line in lines}
    periods = {period.id: period for period in rows.read_periods(project.pk, sorted(ids), window.start)}
    anchored = _is_anchored(window, zone, known, periods.values())
    naming = _Naming(query, versions)
    whole = [_stratum(period_id, sums, periods) for period_id, _, sums in strata]
    rates = rates_of([whole], anchored=anchored, known_items=rows.read_known_items(project.pk, window))[0]
    policy = PolicyVersion.objects.get(project=project, number=project.policy_number).body
    only = models[wanted[0]] if wanted else None
    certificates = read_certificates(project, version=only, now=now, tests_before=tests_before)
    certificate = main_certificate(certificates)
    if certificate is not None and query.segment is None and query.label is None:
        rates["auto_error_upper"] = certificate.bound
    else:
        rates["auto_error_upper"] = _auto_error_upper(project, query, periods, wanted, float(policy["delta"]))
    chances = {period.id: period.audit_rate for period in periods.values()}
    misses = read_misses(project, query, window, policy, chances, versions=wanted, anchored=anchored)
    if misses:
        rates["miss_rate"] = misses[-1].rate
    return TrustReport(
        query=query,
        window=window,
        series=_series(lines, query, window, zone, periods, naming, names),
        names=names,
        totals=_totals(lines, window, periods, naming, anchored=anchored) if query.by else [],
        now=rates,
        autonomy=_autonomy(periods.values(), rates, policy),
        counts=_added(sums for _, _, sums in strata),
        is_empty=known is None,
        lines=lines,
        periods=periods,
        reliability=_reliability(strata),
        certificates=certificates,
        misses=[one for one in misses if one.label != ALL_TOGETHER],
    )


def weeks_of(report: TrustReport, zone: ZoneInfo) -> list[Point]:
    """The series of a report by days, by ISO weeks instead; nothing is read again."""
    query = replace(report.query, every="week")
    lines = [line._replace(slot=week_of(line.slot)) for line in report.lines]
    return _series(
        _merged(lines), query, report.window, zone, report.periods, _Naming(query, {}), report.names
    )


def latest_of(report: TrustReport, zone: ZoneInfo, *, days: int) -> Latest:
    """The last days of a report; of a report by weeks, its last week. Nothing is read again.

    A long window's average mixes what is with how it all began.
    """
    window = report.window
    first = window.last - (days - 1) * _DAY
    if report.query.every == "week":
        first = week_of(window.last)
    if first <= window.first:
        return Latest(window, report.now, report.counts)
    start = day_start(first, zone)
    begin: Any = start if report.query.every == "hour" else first
    by_period = _by_period(line for line in report.lines if line.slot >= begin)
    strata = [_stratum(period_id, sums, report.periods) for period_id, sums in by_period]
    rates = rates_of([strata], anchored=False)[0]
    rates["auto_error_upper"] = report.now["auto_error_upper"]
    window = replace(window, start=start, first=first)
    return Latest(window, rates, _added(sums for _, sums in by_period))


class _Naming:
    """What a key is called."""

    def __init__(self, query: TrustQuery, versions: Mapping[int, str]) -> None:
        self._by = query.by
        self._versions = versions

    def of(self, line: Line) -> tuple[str | None, str | None]:
        """(key, kind of key)."""
        if self._by is None:
            return None, None
        if self._by == "model_version":
            return self._versions.get(line.key, str(line.key)), "value"
        if self._by == "band":
            return band_name(line.key), "value"
        kind = str(line.kind).removeprefix(self._by).removeprefix("_") or "value"
        return (line.key if kind == "value" else None), kind


def band_name(band: int) -> str:
    """The confidences of a band, as 0.731-0.881."""
    low = 0.0 if band == 0 else bucket_edges(band * rows.BUCKETS_PER_BAND + 1)[0]
    high = 1.0 if band == rows.LAST_BAND else bucket_edges((band + 1) * rows.BUCKETS_PER_BAND)[1]
    return f"{low:.3f}-{high:.3f}" if high < 0.999 else f"{low:.4f}-{high:.4f}"


def _wanted_versions(query: TrustQuery, versions: Mapping[int, str]) -> list[int] | None:
    if query.model_version is None:
        return None
    found = [pk for pk, name in versions.items() if name == query.model_version]
    if not found:
        raise invalid(
            "/model_version",
            "unknown",
            say("there is no model version {model_version!r}", model_version=query.model_version),
        )
    return found


def _window_strata(
    project_id: int, query: TrustQuery, window: Window, wanted: list[int] | None, lines: Sequence[Line]
) -> list[tuple[int, int | None, Sums]]:
    """Counts of the whole window by policy period, and by bucket where counts by bucket are kept for what is asked."""
    if window.whole_days and query.segment is None and query.label is None:
        return list(rows.read_cells(project_id, window, wanted))
    return [(period, None, sums) for period, sums in _by_period(lines)]


def _reliability(strata: Sequence[tuple[int, int | None, Sums]]) -> Reliability | None:
    buckets: dict[int, Sums] = {}
    for _, bucket, sums in strata:
        if bucket is None:
            return None
        buckets[bucket] = buckets.get(bucket, Sums()).plus(sums)
    return reliability_of(buckets)


def _by_period(lines: Iterable[Line]) -> list[tuple[int, Sums]]:
    by_period: dict[int, Sums] = {}
    for line in lines:
        by_period[line.period_id] = by_period.get(line.period_id, Sums()).plus(line.sums)
    return sorted(by_period.items())


def _merged(lines: Iterable[Line]) -> list[Line]:
    """Lines of one place added up."""
    places: dict[tuple[Any, ...], Line] = {}
    for line in lines:
        found = places.get(line[:4])
        places[line[:4]] = line if found is None else line._replace(sums=found.sums.plus(line.sums))
    return list(places.values())


def _stratum(period_id: int, sums: Sums, periods: Mapping[int, PeriodRow]) -> Stratum:
    period = periods.get(period_id)
    return Stratum(period.audit_rate if period else 0.0, sums)


def _added(parts: Iterable[Sums]) -> Sums:
    total = Sums()
    for part in parts:
        total = total.plus(part)
    return total


def _is_anchored(
    window: Window, zone: ZoneInfo, known: tuple[date, date] | None, periods: Iterable[PeriodRow]
) -> bool:
    """Whether the window begins with the history, or on the day on which a policy period (hence an epoch) began.

    Only then is its beginning not a choice made after seeing the counts, and confidence sequences hold.
    """
    if known is None or window.first <= known[0]:
        return True
    return any(day_of(period.started_at, zone) == window.first for period in periods)


def _series(
    lines: Sequence[Line],
    query: TrustQuery,
    window: Window,
    zone: ZoneInfo,
    periods: Mapping[int, PeriodRow],
    naming: _Naming,
    names: Collection[str] | None,
) -> list[Point]:
    grouped: dict[tuple[Any, ...], list[Line]] = {}
    for line in lines:
        grouped.setdefault((line.slot, line.kind, line.key), []).append(line)
    strata = [[_stratum(line.period_id, line.sums, periods) for line in group] for group in grouped.values()]
    points = []
    for group, rates in zip(grouped.values(), rates_of(strata, anchored=False, names=names), strict=True):
        start, end = _stretch(group[0].slot, query, window, zone)
        points.append(Point(start, end, rates, *naming.of(group[0])))
    return points


def _totals(
    lines: Sequence[Line],
    window: Window,
    periods: Mapping[int, PeriodRow],
    naming: _Naming,
    *,
    anchored: bool,
) -> list[Point]:
    grouped: dict[tuple[Any, ...], dict[int, Sums]] = {}
    first: dict[tuple[Any, ...], Line] = {}
    for line in lines:
        key = (line.kind, line.key)
        first.setdefault(key, line)
        sums = grouped.setdefault(key, {})
        sums[line.period_id] = sums.get(line.period_id, Sums()).plus(line.sums)
    strata = [
        [_stratum(period, sums, periods) for period, sums in group.items()] for group in grouped.values()
    ]
    found = zip(first.values(), rates_of(strata, anchored=anchored), strict=True)
    points = [Point(window.start, window.end, rates, *naming.of(line)) for line, rates in found]
    return sorted(points, key=lambda point: -point.rates["review_rate"].n)


def _stretch(slot: Any, query: TrustQuery, window: Window, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Beginning and end of a point; weeks at the ends of the window are as long as what was counted."""
    if query.every == "hour":
        return slot, min(slot + _HOUR, window.end)
    following = slot + (_DAY if query.every == "day" else 7 * _DAY)
    return day_start(max(slot, window.first), zone), day_start(min(following, window.last + _DAY), zone)


def _auto_error_upper(
    project: Project,
    query: TrustQuery,
    periods: Mapping[int, PeriodRow],
    wanted: list[int] | None,
    delta: float,
) -> Rate:
    """The same without a certificate: before the controller has looked, and of a single segment or label."""
    in_force = {period.id: period for period in _periods_of_open_epochs(periods.values(), wanted)}
    sums = rows.read_epoch(project.pk, query, list(in_force), wanted)
    cells = [
        EpochCell(period.scope, period.audit_rate, sums.get(pk, Sums())) for pk, period in in_force.items()
    ]
    return epoch_bound(cells, delta)


def _periods_of_open_epochs(periods: Iterable[PeriodRow], wanted: list[int] | None) -> list[PeriodRow]:
    periods = list(periods)
    epochs = {(period.scope, period.epoch) for period in periods if period.is_open}
    of_version = [p for p in periods if wanted is None or p.scope[0] is None or p.scope[0] in wanted]
    return [period for period in of_version if (period.scope, period.epoch) in epochs]


def _autonomy(periods: Iterable[PeriodRow], rates: Mapping[str, Rate], policy: Mapping[str, Any]) -> Autonomy:
    """What is in force for scopes without a period of their own. Nothing is certified while autonomy is off."""
    in_force = sorted((p for p in periods if p.is_open), key=lambda p: (p.scope != (None, ""), p.id))
    period = in_force[0] if in_force else None
    return Autonomy(
        level=period.level if period else None,
        share=rates["automation_rate"].value,
        auto_error_upper=rates["auto_error_upper"].value,
        alpha=policy["alpha"],
        epoch=period.epoch if period else None,
        audit_rate=period.audit_rate if period else None,
    )


def _report_on_people(
    project: Project, query: TrustQuery, window: Window, zone: ZoneInfo, *, is_empty: bool
) -> TrustReport:
    """Rates by the person and day of the decision: confirmed, corrected and rejected, and nothing about routes."""
    lines = rows.read_reviewers(project.pk, query, window)
    by_person: dict[str, list[PersonCounts]] = {}
    slots: dict[tuple[date, str | None], list[PersonCounts]] = {}
    for line in lines:
        by_person.setdefault(line.reviewer, []).append(line.counts)
        slots.setdefault((line.slot, line.reviewer if query.by else None), []).append(line.counts)
    series = []
    for (slot, person), group in slots.items():
        start, end = _stretch(slot, query, window, zone)
        series.append(Point(start, end, person_rates(group), person, "value" if person else None))
    totals = [
        Point(window.start, window.end, person_rates(group), person, "value")
        for person, group in by_person.items()
    ]
    return TrustReport(
        query=query,
        window=window,
        series=series,
        totals=totals if query.by else [],
        now=person_rates([line.counts for line in lines]),
        autonomy=Autonomy(),
        counts=Sums(),
        is_empty=is_empty,
        people={person: added(group) for person, group in by_person.items()},
    )

"""The page "Confirmation rates" and its downloads."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from labeling.errors import InvalidError
from labeling.ingestion.models import ModelVersion
from labeling.projects.access import Permission, require
from labeling.projects.models import Project
from labeling.routing.models import PolicyPeriod
from labeling.trust.asking import TrustQuery, Window, read_query
from labeling.trust.changes import list_changes
from labeling.trust.models import SliceKind, SliceValue
from labeling.trust.queries import Point, TrustReport, get_trust_report
from labeling.trust.rows import read_days_known
from labeling.trust.services import ensure_folded
from labeling.trust.timegrid import day_of
from labeling.web.frame import ProjectFrame, project_frame
from labeling.web.page import page
from labeling.web.trust_charts import (
    Chart,
    Flag,
    axis_from_zero,
    axis_to_one,
    columns_of,
    flags_of,
    trace,
)
from labeling.web.trust_words import (
    STATS,
    Cell,
    Explanation,
    Stat,
    cell,
    change_text,
    days_text,
    explain,
    stats_of,
    titles,
)

SHOWN_DAYS = 90
NOW_DAYS = 7
MANY_DAYS = 14
MOST_ROWS = 400
_DAY = timedelta(days=1)
_TABLE = ("review_rate", "confirmation_rate", "automation_rate", "fallback_rate", "model_error_rate")
_CSV = ("start", "end", "key", "rate", "value", "low", "high", "n", "count", "population", "method", "note")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Filters:
    """What can be chosen, and what is."""

    given: Mapping[str, str]
    versions: Sequence[str]
    segments: Sequence[str]
    labels: Sequence[str]
    splits: Sequence[tuple[str, str]]
    problem: str = ""

    @property
    def are_dates(self) -> bool:
        """Whether a date picker can show what was given: an exact time, or a mistake, stays visible as text."""
        return all(_is_date(self.given.get(name, "")) for name in ("from", "to"))

    def shown(self) -> list[tuple[str, str, bool]]:
        """(name, value, whether it restricts) of each filter."""
        named = [(_("Model"), "model_version", _("all versions")), (_("Segment"), "segment", _("all"))]
        if self.labels:
            named.append((_("Label"), "label", _("all")))
        return [
            (title, self.given.get(name) or every, bool(self.given.get(name))) for title, name, every in named
        ]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: a stretch of time, or a key of a split."""

    name: str
    decisions: int
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Figures:
    """All numbers of the page."""

    days: str
    every: str
    point: str
    stats: Sequence[Stat]
    open_stat: str
    explanation: Explanation | None
    charts: Sequence[Chart]
    errors: Chart | None
    no_errors: str
    flags: Sequence[Flag]
    changes: Sequence[tuple[str, str, str]]
    earlier: int
    weeks: Sequence[Row]
    rows: Sequence[Row]
    row_count: int
    split: Sequence[Row]
    split_name: str


@page("GET")
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    """Rates now, over time, and by model version, segment or label. A filter that makes no sense is said at the filters."""
    frame = project_frame(request, slug, Permission.READ_TRUST, tab="trust")
    given = _given(request)
    is_current = ensure_folded(frame.project.pk)
    known = read_days_known(frame.project.pk)
    figures, problem, status = None, "", 200
    try:
        query = _query(frame, given, known)
        figures = _figures(frame.project, query, given) if known else None
    except InvalidError as error:
        problem, status = error.detail, 422
    context = {
        "frame": frame,
        "filters": _filters(frame, given, problem),
        "figures": figures,
        "is_current": is_current,
        "is_empty": known is None,
        "query_string": urlencode({name: value for name, value in given.items() if name != "explain"}),
    }
    return render(request, "trust/overview.html", context, status=status)


@page("GET")
def download_csv(request: HttpRequest, slug: str) -> HttpResponse:
    """Every point of the chosen series with everything that makes a rate readable, one rate a line."""
    frame, report = _download(request, slug)
    zone = ZoneInfo(frame.project.time_zone)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{_file_name(frame.project, report.window)}.csv"'
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_CSV)
    for point in report.series:
        for name, rate in point.rates.items():
            times = (point.start.astimezone(zone).isoformat(), point.end.astimezone(zone).isoformat())
            told = rate.as_json()
            writer.writerow(
                [*times, _plain(_key(point)), name, *(told.get(column, "") for column in _CSV[4:])]
            )
    response.write(text.getvalue())
    return response


@page("GET")
def download_svg(request: HttpRequest, slug: str) -> HttpResponse:
    """The two charts as one picture that explains itself."""
    frame, report = _download(request, slug)
    report = (
        report if report.query.by is None else get_trust_report(frame.project, replace(report.query, by=None))
    )
    zone = ZoneInfo(frame.project.time_zone)
    flags, _earlier = flags_of(list_changes(frame.project, report.window), report.window)
    context = {
        "project": frame.project,
        "days": days_text(report.window, zone),
        "charts": _two_charts(report, zone, has_flags=bool(flags)),
        "flags": flags,
        "changes": _told(flags, zone),
        "made_at": timezone.now().astimezone(zone),
    }
    response = render(request, "trust/rates.svg", context, content_type="image/svg+xml")
    response["Content-Disposition"] = f'attachment; filename="{_file_name(frame.project, report.window)}.svg"'
    return response


def _given(request: HttpRequest) -> dict[str, str]:
    return {name: str(request.GET[name]) for name in request.GET if request.GET[name]}


def _download(request: HttpRequest, slug: str) -> tuple[ProjectFrame, TrustReport]:
    frame = project_frame(request, slug, Permission.READ_TRUST, tab="trust")
    given = _given(request)
    ensure_folded(frame.project.pk)
    query = _query(frame, given, read_days_known(frame.project.pk))
    return frame, get_trust_report(frame.project, query)


def _query(frame: ProjectFrame, given: Mapping[str, str], known: tuple[date, date] | None) -> TrustQuery:
    """The question; without dates, the last 90 days that have counts."""
    query = read_query(given)
    if query.about_people:
        require(frame.actor, frame.project.pk, Permission.LEAD)
    if known and query.start is None and query.end is None:
        first, last = known
        last = last if frame.project.simulation else max(last, timezone.localdate())
        query = replace(query, start=max(first, last - (SHOWN_DAYS - 1) * _DAY), end=last)
    return query


def _figures(project: Project, query: TrustQuery, given: Mapping[str, str]) -> Figures:
    zone = ZoneInfo(project.time_zone)
    whole = get_trust_report(project, replace(query, by=None, reviewer=None))
    now = _rates_now(project, whole)
    days = days_text(now.window, zone)
    opened = given.get("explain", "")
    opened = opened if opened in dict(STATS) else ""
    flags, earlier = flags_of(list_changes(project, whole.window), whole.window)
    split = get_trust_report(project, query) if query.by else None
    return Figures(
        days=days_text(whole.window, zone),
        every={"hour": _("by hour"), "day": _("by day"), "week": _("by week")}[query.every],
        point={"hour": _("Hour from"), "day": _("Day"), "week": _("Week from")}[query.every],
        stats=stats_of(
            now.now, days=days, epoch_since=_epoch_since(project, zone), alpha=whole.autonomy.alpha or 0.0
        ),
        open_stat=opened,
        explanation=explain(opened, now.now[opened], now.counts, days=days) if opened else None,
        charts=_two_charts(whole, zone, has_flags=bool(flags)),
        errors=_error_chart(whole, zone),
        no_errors=now.now["model_error_rate"].note,
        flags=flags,
        changes=_told(flags, zone),
        earlier=earlier,
        weeks=_weeks(project, whole, zone),
        rows=_rows(whole, zone),
        row_count=len(whole.series),
        split=[Row(_key(point) or _rest(point), _decisions(point), _cells(point)) for point in split.totals]
        if split
        else [],
        split_name=dict(_splits(may_lead=True)).get(query.by or "", ""),
    )


def _rates_now(project: Project, whole: TrustReport) -> TrustReport:
    """The last week of a long window, so that "now" is not an average with how it all began."""
    window = whole.window
    if (window.last - window.first).days < 2 * NOW_DAYS:
        return whole
    start = window.last - (NOW_DAYS - 1) * _DAY
    return get_trust_report(project, replace(whole.query, start=start, end=window.last, every="day"))


def _two_charts(report: TrustReport, zone: ZoneInfo, *, has_flags: bool) -> list[Chart]:
    fallback, columns = report.now["fallback_rate"], columns_of(report.window, zone)
    added = cell(fallback).value if fallback.count else ""
    marks = _("Letters are explained below.") if has_flags else ""
    found = []
    for name, css, caption in (
        (
            "review_rate",
            "review",
            _("Share of all predictions; fallback adds %(share)s.") % {"share": added}
            if added
            else _("Share of all predictions."),
        ),
        ("confirmation_rate", "confirm", _("Of those reviewed; no measure of all predictions.")),
    ):
        axis = axis_to_one(report.series, name)
        begins = "" if axis.base == 0 else _("Axis starts at %(base)d %%.") % {"base": round(axis.base * 100)}
        title = _("Review rate") if name == "review_rate" else _("Confirmation rate")
        found.append(
            Chart(
                title=title,
                caption=" ".join(filter(None, [caption, begins, marks])),
                label=_aria(title, report, name),
                height=220,
                rows=axis.rows(),
                columns=columns,
                traces=(trace(report.series, name, report.window, axis, css=css, title=titles()[name]),),
                base=axis.base,
            )
        )
    return found


def _error_chart(report: TrustReport, zone: ZoneInfo) -> Chart | None:
    """Model error and error after serving: drawn as soon as anything is labelled on every route."""
    names = ("model_error_rate", "served_error_rate")
    if all(point.rates[name].value is None for point in report.series for name in names):
        return None
    axis = axis_from_zero(report.series, names)
    traces = tuple(
        trace(report.series, name, report.window, axis, css=css, title=title, dashed=dashed)
        for name, css, title, dashed in (
            ("model_error_rate", "model", _("model error, all predictions"), False),
            ("served_error_rate", "served", _("wrong after serving"), True),
        )
    )
    return Chart(
        title=_("Errors"),
        caption=_(
            "Blind checks of automatic results are weighted by how likely each was to be drawn, so this line may be compared over time."
        ),
        label=_aria(_("Model error"), report, "model_error_rate"),
        height=160,
        rows=axis.rows(),
        columns=columns_of(report.window, zone),
        traces=traces,
        base=0.0,
    )


def _aria(title: str, report: TrustReport, name: str) -> str:
    """A chart in a sentence: where it begins, where it ends."""
    known = [point.rates[name] for point in report.series if point.rates[name].value is not None]
    if not known:
        return _("%(title)s: nothing to draw") % {"title": title}
    return _(
        "%(title)s: %(first)s at first, %(last)s at last, %(count)d points; the table below has them all"
    ) % {
        "title": title,
        "first": cell(known[0]).value,
        "last": cell(known[-1]).value,
        "count": len(known),
    }


def _told(flags: Sequence[Flag], zone: ZoneInfo) -> list[tuple[str, str, str]]:
    return [
        (flag.letter, formats.date_format(change.at.astimezone(zone), "j M"), change_text(change))
        for flag in flags
        for change in flag.changes
    ]


def _weeks(project: Project, whole: TrustReport, zone: ZoneInfo) -> list[Row]:
    """Many days are read by week; the days themselves stay at hand."""
    if whole.query.every != "day" or len(whole.series) <= MANY_DAYS:
        return []
    window = whole.window
    weeks = replace(whole.query, start=window.first, end=window.last, every="week")
    return _rows(get_trust_report(project, weeks), zone)


def _rows(report: TrustReport, zone: ZoneInfo) -> list[Row]:
    """The newest points first."""
    pattern = "j M" if report.window.first.year == report.window.last.year else "j M Y"
    pattern += " H:i" if report.query.every == "hour" else ""
    newest = report.series[: -MOST_ROWS - 1 : -1]
    names = [formats.date_format(point.start.astimezone(zone), pattern) for point in newest]
    return [Row(name, _decisions(point), _cells(point)) for name, point in zip(names, newest, strict=True)]


def _is_date(text: str) -> bool:
    try:
        return not text or bool(date.fromisoformat(text))
    except ValueError:
        return False


def _decisions(point: Point) -> int:
    rate = point.rates.get("review_rate") or point.rates["reject_rate"]
    return rate.n


def _cells(point: Point) -> list[Cell]:
    return [cell(point.rates.get(name)) for name in _TABLE]


def _key(point: Point) -> str:
    return point.key or ""


def _rest(point: Point) -> str:
    return _("all others") if point.key_kind == "other" else _("none given")


def _plain(text: str) -> str:
    """A spreadsheet must not take a segment's name for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _file_name(project: Project, window: Window) -> str:
    return f"{project.slug}-rates-{window.first}-{window.last}"


def _epoch_since(project: Project, zone: ZoneInfo) -> str:
    """Since when blind checks count for the bound."""
    now = PolicyPeriod.objects.filter(
        project=project, ended_at=None, model_version=None, label_group=""
    ).first()
    if now is None:
        return ""
    first: datetime = (
        PolicyPeriod.objects.filter(project=project, model_version=None, label_group="", epoch=now.epoch)
        .order_by("id")
        .values_list("started_at", flat=True)[0]
    )
    return _("since %(day)s") % {"day": formats.date_format(day_of(first, zone), "j M Y")}


def _filters(frame: ProjectFrame, given: Mapping[str, str], problem: str) -> Filters:
    values = SliceValue.objects.filter(project_id=frame.project.pk).values_list("kind", "value").distinct()
    kept: dict[str, list[str]] = {SliceKind.SEGMENT: [], SliceKind.LABEL: []}
    for kind, value in sorted(values):
        kept[kind].append(value)
    versions = [
        str(version) for version in ModelVersion.objects.filter(project=frame.project).order_by("-pk")
    ]
    return Filters(
        given=given,
        versions=versions,
        segments=kept[SliceKind.SEGMENT],
        labels=kept[SliceKind.LABEL],
        splits=_splits(may_lead=frame.may_lead),
        problem=problem,
    )


def _splits(*, may_lead: bool) -> list[tuple[str, str]]:
    found = [
        ("model_version", _("model version")),
        ("segment", _("segment")),
        ("label", _("predicted label")),
        ("band", _("confidence")),
    ]
    return [*found, ("reviewer", _("reviewer"))] if may_lead else found


urlpatterns: list[Any] = [
    path("", overview, name="overview"),
    path("rates.csv", download_csv, name="csv"),
    path("rates.svg", download_svg, name="svg"),
]

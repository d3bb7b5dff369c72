"""The page "Confirmation rates" and its downloads."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from textwrap import wrap
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.errors import InvalidError
from labeling.ingestion.models import ModelVersion
from labeling.projects.access import Permission
from labeling.projects.models import Project
from labeling.trust.asking import TrustQuery, Window, read_query
from labeling.trust.changes import list_changes
from labeling.trust.models import ReviewerDay, SliceKind, SliceValue
from labeling.trust.queries import Point, TrustReport, get_trust_report
from labeling.trust.readers import narrow, tests_shown_before
from labeling.trust.rows import read_days_known
from labeling.trust.services import ensure_folded
from labeling.web.frame import ProjectFrame, project_frame
from labeling.web.page import page
from labeling.web.trust_charts import flags_of
from labeling.web.trust_figures import error_chart, figures_of, honesty_of, splits, told, two_charts
from labeling.web.trust_words import days_text
from labeling.web.wording import in_language

SHOWN_DAYS = 90
_DAY = timedelta(days=1)
_CSV = ("start", "end", "key", "rate", "value", "low", "high", "n", "count", "population", "method", "note")
# The light theme's series: a file knows no theme.
_COLOURS = {
    "review": "#0067a8",
    "confirm": "#b84d00",
    "model": "#b04a88",
    "served": "#00664c",
    "ghost": "#767670",
}
_ROW, _LINE, _CAPTION = 322, 17, 84
_PLACES = ((40, 84), (640, 84), (40, 84 + _ROW), (640, 84 + _ROW))
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Filters:
    """What can be chosen, and what is."""

    given: Mapping[str, str]
    versions: Sequence[str]
    segments: Sequence[str]
    labels: Sequence[str]
    splits: Sequence[tuple[str, str]]
    reviewers: Sequence[str] = ()
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
        if self.reviewers:
            named.append((_("Reviewer"), "reviewer", _("all")))
        return [
            (title, self.given.get(name) or every, bool(self.given.get(name))) for title, name, every in named
        ]


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
        before = tests_shown_before(frame.actor, frame.project, timezone.now())
        figures = (
            figures_of(frame.project, query, given, actor=frame.actor, tests_before=before) if known else None
        )
    except InvalidError as error:
        problem, status = in_language(error.detail), 422
    context = {
        "frame": frame,
        "filters": _filters(frame, given, problem),
        "figures": figures,
        "is_current": is_current,
        "is_empty": known is None,
        "made_at": timezone.now(),
        "query_string": urlencode({k: v for k, v in given.items() if k not in ("explain", "points")}),
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
def download_groups(request: HttpRequest, slug: str) -> HttpResponse:
    """The reliability curve, one group a line."""
    frame, report = _download(request, slug, all_together=True)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    name = _file_name(frame.project, report.window).replace("-rates-", "-reliability-")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    writer = csv.writer(response)
    writer.writerow(("from", "to", "confidence", "labelled", "right", "share_right", "low", "high"))
    for group in report.reliability.groups if report.reliability else ():
        days = (report.window.first, report.window.last)
        writer.writerow(
            [*days, group.confidence, group.n, group.right, group.accuracy, group.low, group.high]
        )
    return response


@page("GET")
def download_svg(request: HttpRequest, slug: str) -> HttpResponse:
    """The charts as one picture that explains itself."""
    frame, report = _download(request, slug, all_together=True)
    zone = ZoneInfo(frame.project.time_zone)
    flags, _earlier = flags_of(list_changes(frame.project, report.window), report.window)
    honesty = honesty_of(report)
    charts = two_charts(report, zone, has_flags=bool(flags))
    charts += [chart for chart in (error_chart(report, zone), honesty and honesty.chart) if chart]
    top = 84 + _ROW * ((len(charts) + 1) // 2)
    changes = [(top + _LINE * place, *change) for place, change in enumerate(told(flags, zone))]
    query = report.query
    context = {
        "project": frame.project,
        "days": days_text(report.window, zone),
        "only": ", ".join(filter(None, [query.model_version, query.segment, query.label])),
        "charts": [
            (
                x,
                y,
                chart,
                wrap(chart.caption, _CAPTION)[:2],
                [(trace, _COLOURS[trace.css]) for trace in chart.traces],
            )
            for (x, y), chart in zip(_PLACES, charts, strict=False)
        ],
        "flags": flags,
        "changes": changes,
        "height": top + _LINE * (len(changes) + 1),
        "made_at": timezone.now().astimezone(zone),
    }
    response = render(request, "trust/rates.svg", context, content_type="image/svg+xml")
    response["Content-Disposition"] = f'attachment; filename="{_file_name(frame.project, report.window)}.svg"'
    return response


def _given(request: HttpRequest) -> dict[str, str]:
    return {name: str(request.GET[name]) for name in request.GET if request.GET[name]}


def _download(
    request: HttpRequest, slug: str, *, all_together: bool = False
) -> tuple[ProjectFrame, TrustReport]:
    frame = project_frame(request, slug, Permission.READ_TRUST, tab="trust")
    given = _given(request)
    ensure_folded(frame.project.pk)
    query = _query(frame, given, read_days_known(frame.project.pk))
    if all_together:
        query = replace(query, by=None, reviewer=None)
    before = tests_shown_before(frame.actor, frame.project, timezone.now())
    return frame, get_trust_report(frame.project, query, tests_before=before)


def _query(frame: ProjectFrame, given: Mapping[str, str], known: tuple[date, date] | None) -> TrustQuery:
    """The question; without dates, the last 90 days that have counts."""
    query = read_query(given)
    if known and query.start is None and query.end is None:
        first, last = known
        last = last if frame.project.simulation else max(last, timezone.localdate())
        query = replace(query, start=max(first, last - (SHOWN_DAYS - 1) * _DAY), end=last)
    return narrow(query, actor=frame.actor, project=frame.project, now=timezone.now())


def _is_date(text: str) -> bool:
    try:
        return not text or bool(date.fromisoformat(text))
    except ValueError:
        return False


def _key(point: Point) -> str:
    return point.key or ""


def _plain(text: str) -> str:
    """A spreadsheet must not take a segment's name for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _file_name(project: Project, window: Window) -> str:
    return f"{project.slug}-rates-{window.first}-{window.last}"


def _filters(frame: ProjectFrame, given: Mapping[str, str], problem: str) -> Filters:
    kept: dict[str, list[str]] = {SliceKind.SEGMENT: [], SliceKind.LABEL: []}
    values = SliceValue.objects.filter(project_id=frame.project.pk, kind__in=list(kept))
    for kind, value in sorted(values.values_list("kind", "value").distinct()):
        kept[kind].append(value)
    versions = [
        str(version) for version in ModelVersion.objects.filter(project=frame.project).order_by("-pk")
    ]
    return Filters(
        given=given,
        versions=versions,
        segments=kept[SliceKind.SEGMENT],
        labels=kept[SliceKind.LABEL],
        splits=splits(may_lead=frame.may_lead),
        reviewers=_reviewers(frame),
        problem=problem,
    )


def _reviewers(frame: ProjectFrame) -> list[str]:
    """Whose figures this person may read: leads those of all who have decided anything, reviewers their own."""
    if not frame.may_lead:
        return [frame.actor.username] if frame.may_review else []
    found = ReviewerDay.objects.filter(project_id=frame.project.pk).values_list(
        "reviewer__username", flat=True
    )
    return sorted(set(found.distinct()), key=str.casefold)


urlpatterns: list[Any] = [
    path("", overview, name="overview"),
    path("rates.csv", download_csv, name="csv"),
    path("reliability.csv", download_groups, name="groups"),
    path("rates.svg", download_svg, name="svg"),
]

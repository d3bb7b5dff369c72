"""What the page "Confirmation rates" shows of a report: numbers, charts, flags, tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from statistics import median
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.utils import formats
from django.utils.translation import gettext as _

from labeling.history.actor import Actor
from labeling.projects.models import Project
from labeling.routing.models import PolicyPeriod
from labeling.trust.asking import TrustQuery
from labeling.trust.changes import list_changes
from labeling.trust.queries import Latest, Point, TrustReport, get_trust_report, latest_of, weeks_of
from labeling.trust.timegrid import day_of
from labeling.web.trust_charts import (
    Chart,
    Flag,
    axis_from_zero,
    axis_to_one,
    columns_of,
    flags_of,
    reliability_chart,
    trace,
)
from labeling.web.trust_explanations import Explanation, explain, explain_all
from labeling.web.trust_misses import MissRow, miss_rows
from labeling.web.trust_people import People, people_of
from labeling.web.trust_words import (
    EXPLAINED,
    Cell,
    Stat,
    bounds,
    cell,
    change_text,
    days_text,
    rate_text,
    stats_of,
    titles,
)
from labeling.web.wording import in_language

NOW_DAYS = 7
MANY_DAYS = 14
MOST_ROWS = 400
FEWEST_LABELS = 30
_TABLE = (
    "review_rate",
    "confirmation_rate",
    "automation_rate",
    "model_error_rate",
    "served_error_rate",
)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: a stretch of time, or a key of a split."""

    name: str
    decisions: int
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Group:
    """A group of the reliability curve in its table."""

    confidence: str
    right: str
    range: str
    of: str


@dataclass(frozen=True, slots=True)
class Honesty:
    """The reliability curve with its table; `off_by` in words."""

    chart: Chart
    groups: Sequence[Group]
    off_by: str


@dataclass(frozen=True, slots=True)
class Figures:
    """All numbers of the page."""

    days: str
    every: str
    point: str
    stats: Sequence[Stat]
    open_stat: str
    fallback: str
    items_of: str
    explanation: Explanation | None
    charts: Sequence[Chart]
    errors: Chart | None
    no_errors: str
    flags: Sequence[Flag]
    changes: Sequence[tuple[str, str, str]]
    earlier: int
    by_week: bool
    rows: Sequence[Row]
    row_count: int
    split: Sequence[Row]
    split_name: str
    people: People | None
    honesty: Honesty | None
    misses: Sequence[MissRow]
    explanations: Sequence[Explanation]


def figures_of(
    project: Project, query: TrustQuery, given: Mapping[str, str], *, actor: Actor, tests_before: date | None
) -> Figures:
    """Everything between the filters and the foot of the page."""
    zone = ZoneInfo(project.time_zone)
    all_together = replace(query, by=None, reviewer=None)
    whole = get_trust_report(project, all_together, tests_before=tests_before, names=_TABLE)
    many = (whole.window.last - whole.window.first).days >= 2 * NOW_DAYS
    now = latest_of(whole, zone, days=NOW_DAYS) if many else Latest(whole.window, whole.now, whole.counts)
    days = days_text(now.window, zone)
    opened = given.get("explain", "")
    opened = opened if opened in EXPLAINED else ""
    flags, earlier = flags_of(list_changes(project, whole.window), whole.window)
    split = (
        get_trust_report(project, query, tests_before=tests_before)
        if query.by and not query.about_people
        else None
    )
    misses = miss_rows(whole.misses, days=days_text(whole.window, zone))
    # Many days are read by week; each day is one link away.
    by_week = query.every == "day" and len(whole.series) > MANY_DAYS and "points" not in given
    return Figures(
        days=days_text(whole.window, zone),
        every={"hour": _("by hour"), "day": _("by day"), "week": _("by week")}[query.every],
        point=_("Week from")
        if by_week
        else {"hour": _("Hour from"), "day": _("Day"), "week": _("Week from")}[query.every],
        stats=stats_of(
            now.rates, days=days, epoch_since=_epoch_since(project, zone), alpha=whole.autonomy.alpha or 0.0
        ),
        open_stat=opened,
        fallback=cell(now.rates["fallback_rate"]).value,
        items_of=_items_of(opened, query),
        explanation=explain(opened, now.rates[opened], now.counts, days=days) if opened else None,
        charts=two_charts(whole, zone, has_flags=bool(flags)),
        errors=error_chart(whole, zone),
        no_errors=in_language(now.rates["model_error_rate"].note),
        flags=flags,
        changes=told(flags, zone),
        earlier=earlier,
        by_week=by_week,
        rows=_rows(weeks_of(whole, zone) if by_week else whole.series, whole, zone),
        row_count=len(whole.series),
        split=[Row(_name(point), _decisions(point), _cells(point)) for point in split.totals]
        if split
        else [],
        split_name=dict(splits(may_lead=True))[split.query.by or ""] if split else "",
        people=people_of(project, query, zone, actor=actor) if query.about_people else None,
        honesty=honesty_of(whole),
        misses=misses,
        explanations=[*explain_all(now.rates, now.counts, days=days), *(row.told for row in misses)],
    )


def _items_of(opened: str, query: TrustQuery) -> str:
    """The query string of the items behind a number, where a list has them."""
    only = {
        "review_rate": {"route": "review"},
        "confirmation_rate": {"verdict": "corrected"},
        "automation_rate": {"route": "auto"},
        "fallback_rate": {"route": "fallback"},
    }.get(opened)
    if only is None:
        return ""
    return urlencode({**only, **({"segment": query.segment} if query.segment else {})})


def honesty_of(report: TrustReport) -> Honesty | None:
    """The reliability curve of a report; none where nothing is labelled or counts by confidence are not kept."""
    found = report.reliability
    if found is None or not found.groups:
        return None
    chart = reliability_chart(
        found,
        title=_("Is the confidence honest?"),
        caption=_(
            "Share right by stated confidence. On the diagonal the model means what it says, below it the model is too sure. Bars: 95 % for each group."
        ),
        label=_("Reliability: %(count)d groups of labelled items; the table beside has them all")
        % {"count": len(found.groups)},
    )
    groups = [
        Group(
            f"{group.confidence:.3f}",
            rate_text(group.accuracy),
            " – ".join(bounds(group.low, group.high)),
            _("%(right)d of %(n)d") % {"right": group.right, "n": group.n},
        )
        for group in reversed(found.groups)
    ]
    off_by = "" if found.off_by is None else f"{max(found.off_by, 0.0) * 100:.1f}"
    return Honesty(chart, groups, off_by)


def two_charts(report: TrustReport, zone: ZoneInfo, *, has_flags: bool) -> list[Chart]:
    """Never one rate alone: how much people do and how much is automatic, and how often they agree."""
    fallback, columns = report.now["fallback_rate"], columns_of(report.window, zone)
    added = cell(fallback).value if fallback.count else ""
    marks = _("Letters are explained below.") if has_flags else ""
    found = []
    for names, css, caption in (
        (
            ("review_rate", "automation_rate"),
            "review",
            _("Share of all predictions; fallback adds %(share)s.") % {"share": added}
            if added
            else _("Share of all predictions."),
        ),
        (("confirmation_rate",), "confirm", _("Of those reviewed; no measure of all predictions.")),
    ):
        name = names[0]
        axis = axis_to_one(report.series, *names)
        begins = "" if axis.base == 0 else _("Axis starts at %(base)d %%.") % {"base": round(axis.base * 100)}
        title = _("Review rate") if name == "review_rate" else _("Confirmation rate")
        found.append(
            Chart(
                title=title,
                caption=" ".join(filter(None, [caption, begins, marks])),
                label=_aria(title, report.series, name),
                height=220,
                rows=axis.rows(),
                columns=columns,
                traces=tuple(
                    trace(
                        report.series,
                        each,
                        report.window,
                        axis,
                        css=css if each == name else "ghost",
                        title=titles()[each],
                        dashed=each != name,
                    )
                    for each in names
                ),
                base=axis.base,
            )
        )
    return found


def error_chart(report: TrustReport, zone: ZoneInfo) -> Chart | None:
    """Model error and error after serving: drawn as soon as anything is labelled on every route; by week where the labels of
    a day say next to nothing."""
    names = ("model_error_rate", "served_error_rate")
    if all(point.rates[name].value is None for point in report.series for name in names):
        return None
    sparse = _is_sparse(report, names[0])
    points = weeks_of(report, zone) if sparse else report.series
    axis = axis_from_zero(points, names)
    traces = tuple(
        trace(points, name, report.window, axis, css=css, title=title, dashed=dashed)
        for name, css, title, dashed in (
            ("model_error_rate", "model", _("model error, all predictions"), False),
            ("served_error_rate", "served", _("wrong after serving"), True),
        )
    )
    caption = _(
        "Blind checks of automatic results are weighted by how likely each was to be drawn, so this line may be compared over time."
    )
    by_week = _("By week: a day has too few labels for a line.") if sparse else ""
    return Chart(
        title=_("Errors"),
        caption=" ".join(filter(None, [caption, by_week])),
        label=_aria(_("Model error"), points, "model_error_rate"),
        height=160,
        rows=axis.rows(),
        columns=columns_of(report.window, zone),
        traces=traces,
        base=0.0,
    )


def _is_sparse(report: TrustReport, name: str) -> bool:
    """Whether half of the days have fewer labels than a range needs to say anything, and there are weeks to draw instead."""
    if report.query.every != "day" or len(report.series) <= MANY_DAYS:
        return False
    return median(point.rates[name].n for point in report.series) < FEWEST_LABELS


def _aria(title: str, points: Sequence[Point], name: str) -> str:
    """A chart in a sentence: where it begins, where it ends."""
    known = [point.rates[name] for point in points if point.rates[name].value is not None]
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


def told(flags: Sequence[Flag], zone: ZoneInfo) -> list[tuple[str, str, str]]:
    """(letter, day, what changed) for the list below the charts."""
    return [
        (flag.letter, formats.date_format(change.at.astimezone(zone), "j M"), change_text(change))
        for flag in flags
        for change in flag.changes
    ]


def _rows(points: Sequence[Point], whole: TrustReport, zone: ZoneInfo) -> list[Row]:
    """The newest points first."""
    pattern = "j M" if whole.window.first.year == whole.window.last.year else "j M Y"
    pattern += " H:i" if whole.query.every == "hour" else ""
    newest = points[: -MOST_ROWS - 1 : -1]
    names = [formats.date_format(point.start.astimezone(zone), pattern) for point in newest]
    return [Row(name, _decisions(point), _cells(point)) for name, point in zip(names, newest, strict=True)]


def _decisions(point: Point) -> int:
    rate = point.rates.get("review_rate") or point.rates["reject_rate"]
    return rate.n


def _cells(point: Point) -> list[Cell]:
    return [cell(point.rates.get(name)) for name in _TABLE]


def _name(point: Point) -> str:
    if point.key is not None:
        return point.key
    return _("all others") if point.key_kind == "other" else _("none given")


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


def splits(*, may_lead: bool) -> list[tuple[str, str]]:
    """By what a table can be made, and what it is called."""
    found = [
        ("model_version", _("model version")),
        ("segment", _("segment")),
        ("label", _("predicted label")),
        ("band", _("confidence")),
    ]
    return [*found, ("reviewer", _("reviewer"))] if may_lead else found

"""Figures of persons on the page "Confirmation rates": in order of names, with ranges, and no ranking."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from labeling.projects.models import Project
from labeling.templatetags.interface import seconds as seconds_text
from labeling.trust.asking import TrustQuery
from labeling.trust.people import PersonCounts
from labeling.trust.queries import Point, TrustReport, get_trust_report
from labeling.web.trust_charts import Chart, axis_to_one, columns_of, trace
from labeling.web.trust_words import Cell, cell, days_text, titles

COLUMNS = (
    "confirmation_rate",
    "reviewer_false_accept_rate",
    "reviewer_false_correct_rate",
    "override_agreement",
    "reject_rate",
)


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person's line: decisions, mean time for one, and rates."""

    name: str
    decisions: int
    pace: str
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class People:
    """What was asked about people; of a single one also over time."""

    days: str
    reviewer: str
    columns: Sequence[str]
    rows: Sequence[PersonRow]
    chart: Chart | None


def people_of(project: Project, query: TrustQuery, zone: ZoneInfo) -> People:
    """Everybody, or the one who was asked for."""
    report = get_trust_report(
        project, replace(query, by="reviewer", model_version=None, segment=None, label=None)
    )
    rows = [_row(point, report.people[str(point.key)]) for point in report.totals]
    return People(
        days=days_text(report.window, zone),
        reviewer=query.reviewer or "",
        columns=[titles()[name] for name in COLUMNS],
        rows=sorted(rows, key=lambda row: row.name.casefold()),
        chart=_chart(report, zone) if query.reviewer and rows else None,
    )


def _row(point: Point, counts: PersonCounts) -> PersonRow:
    pace = seconds_text(counts.seconds / counts.reviewed) if counts.seconds and counts.reviewed else "–"
    return PersonRow(str(point.key), counts.reviewed, pace, [cell(point.rates[name]) for name in COLUMNS])


def _chart(report: TrustReport, zone: ZoneInfo) -> Chart:
    """One person's confirmation rate, by the day of the decision."""
    name = "confirmation_rate"
    axis = axis_to_one(report.series, name)
    title = _("Confirmed unchanged by %(name)s") % {"name": report.query.reviewer}
    begins = "" if axis.base == 0 else _("Axis starts at %(base)d %%.") % {"base": round(axis.base * 100)}
    return Chart(
        title=title,
        caption=" ".join([_("Of own reviews, by the day of the decision."), begins]),
        label=_("%(title)s: %(count)d points") % {"title": title, "count": len(report.series)},
        height=160,
        rows=axis.rows(),
        columns=columns_of(report.window, zone),
        traces=(trace(report.series, name, report.window, axis, css="confirm", title=titles()[name]),),
        base=axis.base,
    )

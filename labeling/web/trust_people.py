"""Figures of persons on the page "Confirmation rates": in order of names, with ranges, and no ranking."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.history.actor import Actor
from labeling.projects.models import Project
from labeling.templatetags.interface import percent
from labeling.templatetags.interface import seconds as seconds_text
from labeling.trust.agreements import ENOUGH, FLAGGED_BELOW, Agreements
from labeling.trust.asking import TrustQuery
from labeling.trust.people import PersonCounts
from labeling.trust.queries import Point, TrustReport, get_trust_report
from labeling.trust.readers import agreements_for
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
class AgreementRow:
    """A queue or a pair: its figure beyond chance, what to make of it, and the plain share."""

    name: str
    figure: str
    verdict: str
    css: str
    agreed: str
    items: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement beyond chance."""

    queues: Sequence[AgreementRow]
    pairs: Sequence[AgreementRow]
    people: Sequence[AgreementRow]


@dataclass(frozen=True, slots=True)
class People:
    """What was asked about people; of a single one also over time."""

    days: str
    reviewer: str
    columns: Sequence[str]
    rows: Sequence[PersonRow]
    chart: Chart | None
    agreement: Agreement | None


def people_of(project: Project, query: TrustQuery, zone: ZoneInfo, *, actor: Actor) -> People:
    """Everybody, or the one who was asked for; with how far they agree with each other, as far as this person may know."""
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
        agreement=agreement_of(
            agreements_for(actor, project, query.reviewer, now=timezone.now()), query.reviewer
        ),
    )


def agreement_of(found: Agreements | None, reviewer: str | None) -> Agreement | None:
    """Second reviews of the last 90 days; of one person what they have a part in. None without any."""
    if found is None or not (found.queues or found.people):
        return None
    return Agreement(
        [_agreement_row(one.queue, one.alpha, one.agreed, one.items) for one in found.queues],
        [
            _agreement_row(" – ".join(one.people), one.kappa, one.agreed, one.items)
            for one in found.pairs
            if reviewer is None or reviewer in one.people
        ],
        [
            _agreement_row(one.person, one.kappa, one.agreed, one.items)
            for one in found.people
            if reviewer in (None, one.person)
        ],
    )


def _agreement_row(name: str, value: float | None, agreed: int, items: int) -> AgreementRow:
    if value is None:
        return AgreementRow(
            name, "–", _("only one answer was ever given"), "", percent(agreed / items), items
        )
    verdict, css = _("can be relied on"), "tag-good"
    if value < FLAGGED_BELOW:
        verdict, css = _("too low to conclude from: look at guidelines and labels"), "tag-warn"
    elif value < ENOUGH:
        verdict, css = _("tentative"), ""
    return AgreementRow(name, f"{value:.2f}", verdict, css, percent(agreed / items), items)


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

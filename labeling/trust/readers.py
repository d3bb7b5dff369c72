"""Who may ask what of the rates."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from labeling.history.actor import Actor
from labeling.projects.access import Permission, may, require_figures_of
from labeling.projects.models import Project
from labeling.trust.asking import TrustQuery
from labeling.trust.timegrid import day_of

__all__ = ["narrow", "tests_shown_before"]


def narrow(query: TrustQuery, *, actor: Actor, project: Project, now: datetime) -> TrustQuery:
    """The question as this person may ask it; NotAllowedError for figures of others by whoever does not lead.

    One's own figures end yesterday: a figure that moves, or does not, with the answer just given would tell test items from
    work.
    """
    if not query.about_people:
        return query
    require_figures_of(actor, project.pk, query.reviewer)
    if may(actor, project.pk, Permission.LEAD):
        return query
    zone = ZoneInfo(project.time_zone)
    yesterday = day_of(now, zone) - timedelta(days=1)
    end = min(_date(query.end, zone) or yesterday, yesterday)
    start = _date(query.start, zone)
    return replace(query, start=start and min(start, end), end=end)


def tests_shown_before(actor: Actor, project: Project, now: datetime) -> date | None:
    """From which day on this person is not told how test items were answered; none for leads.

    For the same reason: a count of them that moves with the answer just given would say what it was about.
    """
    if may(actor, project.pk, Permission.LEAD):
        return None
    return day_of(now, ZoneInfo(project.time_zone))


def _date(moment: date | datetime | None, zone: ZoneInfo) -> date | None:
    return day_of(moment, zone) if isinstance(moment, datetime) else moment

"""Who may ask what of the rates."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from labeling.history.actor import Actor
from labeling.projects.access import Permission, may, require_figures_of
from labeling.projects.models import Project
from labeling.trust.agreements import Agreements, only_of, read_agreements
from labeling.trust.asking import TrustQuery
from labeling.trust.timegrid import day_of, day_start

__all__ = ["agreements_for", "narrow", "tests_shown_before"]


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


def agreements_for(
    actor: Actor, project: Project, reviewer: str | None, *, now: datetime
) -> Agreements | None:
    """How far people agree beyond chance: leads read all of it, of one person what they have a part in; everybody else their
    own figure alone, up to yesterday. None where there is nothing to say."""
    if may(actor, project.pk, Permission.LEAD):
        found = read_agreements(project.pk, now=now)
        return found if found.queues else None
    zone = ZoneInfo(project.time_zone)
    found = read_agreements(project.pk, now=now, before=day_start(day_of(now, zone), zone))
    return only_of(found, reviewer) if found.queues and reviewer else None


def tests_shown_before(actor: Actor, project: Project, now: datetime) -> date | None:
    """From which day on this person is not told how test items were answered; none for leads.

    For the same reason: a count of them that moves with the answer just given would say what it was about.
    """
    if may(actor, project.pk, Permission.LEAD):
        return None
    return day_of(now, ZoneInfo(project.time_zone))


def _date(moment: date | datetime | None, zone: ZoneInfo) -> date | None:
    return day_of(moment, zone) if isinstance(moment, datetime) else moment

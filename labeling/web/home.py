"""The list of projects, and the list of keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from labeling.datasets.models import Dataset
from labeling.datasets.queries import MAIN
from labeling.history.actor import Actor
from labeling.projects.access import Permission, leads_somewhere
from labeling.projects.models import Membership, Project, Role
from labeling.projects.queries import list_projects
from labeling.review.queries import QueueState, list_queues_of
from labeling.trust.figures import POPULATIONS, Rate, one_rate
from labeling.trust.models import TrustDay
from labeling.trust.standing import Standing, list_standings
from labeling.web import actor_of
from labeling.web.autonomy_words import AutonomyWords, autonomy_words
from labeling.web.my_day import MyDay, my_day
from labeling.web.own_keys import COMMANDS
from labeling.web.page import is_fragment, page

RATE_DAYS = 7
LINE_DAYS = 90
SHORTEST_LINE_DAYS = 28


@dataclass(frozen=True, slots=True)
class Week:
    """Counts of one project over the last days: sent to people, and what they said."""

    total: int
    review: Rate
    confirmation: Rate


@dataclass(frozen=True, slots=True)
class Row:
    """A project in the list."""

    project: Project
    may_review: bool
    waiting: int
    oldest_at: datetime | None
    week: Week | None
    autonomy: AutonomyWords
    standing: Standing
    line: str
    version: int


@dataclass(frozen=True, slots=True)
class HomePage:
    """Everything the list of projects shows."""

    rows: list[Row]
    today: MyDay
    waiting: int
    next_slug: str | None
    may_create: bool
    line_days: int

    @property
    def has_lines(self) -> bool:
        return any(row.line for row in self.rows)


@page("GET")
def overview(request: HttpRequest) -> HttpResponse:
    """All projects this person may see."""
    template = "home.html#projects" if is_fragment(request) else "home.html"
    return render(request, template, {"home": _home(actor_of(request))})


@page("GET")
def keys(request: HttpRequest) -> HttpResponse:
    """What each key does, as a page or in a dialog."""
    context = {"commands": COMMANDS, "leads": leads_somewhere(actor_of(request))}
    return render(request, "keys.html#keys" if is_fragment(request) else "keys.html", context)


def _home(actor: Actor) -> HomePage:
    projects = list(list_projects(actor))
    ids = [project.pk for project in projects]
    roles = dict(Membership.objects.filter(user_id=actor.user_id).values_list("project_id", "role"))
    versions = dict(Dataset.objects.filter(project__in=ids, slug=MAIN).values_list("project_id", "head"))
    queues_of: dict[int, list[QueueState]] = {}
    for queue in list_queues_of(ids):
        queues_of.setdefault(queue.project_id, []).append(queue)
    weeks, standings, (lines, line_days) = _weeks(ids), list_standings(ids), _lines(ids)
    rows = []
    for project in projects:
        role = Role.OWNER if actor.is_admin else Role(roles[project.pk])
        leads = role in Permission.LEAD.value.roles
        queues = [queue for queue in queues_of.get(project.pk, []) if leads or not queue.leads_only]
        rows.append(
            Row(
                project=project,
                may_review=role in Permission.REVIEW.value.roles,
                waiting=sum(queue.waiting for queue in queues),
                oldest_at=min((queue.oldest_at for queue in queues if queue.oldest_at), default=None),
                week=weeks.get(project.pk),
                autonomy=autonomy_words(standings[project.pk]),
                standing=standings[project.pk],
                line=lines.get(project.pk, ""),
                version=versions.get(project.pk, 0),
            )
        )
    work = [row for row in rows if row.may_review and row.waiting]
    oldest = min(((row.oldest_at, row.project.slug) for row in work if row.oldest_at), default=None)
    return HomePage(
        rows=rows,
        today=my_day(actor),
        waiting=sum(row.waiting for row in work),
        next_slug=oldest[1] if oldest else None,
        may_create=actor.is_admin,
        line_days=line_days,
    )


_WEEKS = """
select day.project_id, sum(total)::bigint, sum(review)::bigint, sum(confirmed)::bigint, sum(corrected)::bigint
from labeling_trustday day
join (select project_id, max(day) as newest from labeling_trustday
      where project_id = any(%(projects)s) group by project_id) last on last.project_id = day.project_id
where day.day > last.newest - %(days)s
group by day.project_id
"""


def _weeks(ids: Sequence[int]) -> dict[int, Week]:
    """Rates of the last seven days with data up to a project's newest day: a replay has its own calendar."""
    with connection.cursor() as cursor:
        cursor.execute(_WEEKS, {"projects": list(ids), "days": RATE_DAYS})
        sums = cursor.fetchall()
    return {
        project_id: Week(
            total=total,
            review=one_rate(total, review, POPULATIONS["review_rate"], anchored=False),
            confirmation=one_rate(
                confirmed + corrected, confirmed, POPULATIONS["confirmation_rate"], anchored=False
            ),
        )
        for project_id, total, review, confirmed, corrected in sums
    }


def _lines(ids: Sequence[int]) -> tuple[dict[int, str], int]:
    """The daily review rate as a path in a box of 1000 x 100, and of how many days: as far back as any of these projects
    goes. Days without predictions stay gaps."""
    since = timezone.localdate() - timedelta(days=LINE_DAYS - 1)
    days = (
        TrustDay.objects.filter(project_id__in=ids, day__gte=since)
        .values_list("project_id", "day")
        .annotate(total=Sum("total"), review=Sum("review"))
        .order_by("project_id", "day")
    )
    points: dict[int, list[tuple[int, float]]] = {}
    for project_id, day, total, review in days:
        if total:
            points.setdefault(project_id, []).append(((day - since).days, review / total))
    first = min((line[0][0] for line in points.values()), default=0)
    shown = max(SHORTEST_LINE_DAYS, LINE_DAYS - first)
    moved = {
        project_id: [(day - (LINE_DAYS - shown), share) for day, share in line]
        for project_id, line in points.items()
        if len(line) > 1
    }
    return {project_id: path_of(line, shown) for project_id, line in moved.items()}, shown


def path_of(points: Sequence[tuple[int, float]], width: int) -> str:
    """An SVG path through (day, share); it starts anew after a missing day."""
    parts, last = [], None
    for day, share in points:
        step = "L" if last is not None and day == last + 1 else "M"
        parts.append(f"{step}{day * 1000 / (width - 1):.0f} {100 - share * 100:.1f}")
        last = day
    return "".join(parts)

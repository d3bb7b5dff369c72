"""Confirmation rates of many projects at a glance, from the rollups of days alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.db import connection

from labeling.trust.figures import POPULATIONS, Rate, one_rate

DAYS = 30


@dataclass(frozen=True, slots=True)
class TrendDay:
    """What people said on one day."""

    day: date
    confirmed: int
    corrected: int

    @property
    def n(self) -> int:
        return self.confirmed + self.corrected


@dataclass(frozen=True, slots=True)
class Trend:
    """The last 30 days up to a project's newest one, oldest first; `rate` is theirs together."""

    days: tuple[TrendDay, ...]
    rate: Rate
    newest: date

    @property
    def points(self) -> tuple[tuple[int, float], ...]:
        """(day counted from the first of the 30, share) where somebody decided."""
        return tuple(
            (DAYS - 1 - (self.newest - day.day).days, day.confirmed / day.n) for day in self.days if day.n
        )


# One row for each project and day; a replay has its own calendar, so the days are those before its newest.
_TRENDS = """
select day.project_id, day.day, sum(day.confirmed)::bigint, sum(day.corrected)::bigint, last.newest
from (select wanted.id, (select max(day) from labeling_trustday where project_id = wanted.id) as newest
      from unnest(%(projects)s::bigint[]) as wanted(id)) last
join labeling_trustday day on day.project_id = last.id and day.day > last.newest - %(days)s
group by day.project_id, day.day, last.newest
order by day.project_id, day.day
"""


def list_trends(project_ids: Sequence[int]) -> dict[int, Trend]:
    """The trend of each project that has counts, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(_TRENDS, {"projects": list(project_ids), "days": DAYS})
        rows = cursor.fetchall()
    days: dict[int, list[TrendDay]] = {}
    newest = {}
    for project_id, day, confirmed, corrected, last in rows:
        days.setdefault(project_id, []).append(TrendDay(day, confirmed, corrected))
        newest[project_id] = last
    return {project_id: _trend(found, newest[project_id]) for project_id, found in days.items()}


def _trend(days: list[TrendDay], newest: date) -> Trend:
    confirmed, n = sum(day.confirmed for day in days), sum(day.n for day in days)
    rate = one_rate(n, confirmed, POPULATIONS["confirmation_rate"], anchored=False)
    return Trend(tuple(days), rate, newest)

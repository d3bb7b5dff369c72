"""How many people a queue needs, from what arrives, what waits and how long a decision takes."""

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from django.db.models import Max, Sum
from django.utils import timezone

from labeling.projects.models import Project
from labeling.review.queries import QueueState
from labeling.trust.models import ReviewerDay, TrustHour

WORKING_HOURS = 8
HOURS_OF_ARRIVALS = 24
_HOUR = timedelta(hours=1)
ARRIVALS_OVER = HOURS_OF_ARRIVALS * _HOUR
PACE_OVER_DAYS = 7


@dataclass(frozen=True, slots=True)
class Staffing:
    """What comes into a queue in an hour, what one decision takes, and the people that follow from it (none: unknown).

    `arrived` are the tasks of each of the last 24 hours, the newest last; empty where they are not counted by the hour.
    """

    arriving_per_hour: float
    seconds_each: float | None
    people_needed: float | None
    arrived: tuple[int, ...] = ()


def people_needed(*, waiting: int, arriving_per_hour: float, seconds_each: float, hours: float) -> float:
    """People at work all the time: (arriving per hour + waiting / hours) x seconds each / 3600.

    Two people are needed where an hour brings two hours of work. `hours` is the time in which what waits is to be done.
    """
    return (arriving_per_hour + waiting / hours) * seconds_each / 3600


def find_staffing(project: Project, queues: list[QueueState]) -> dict[int, Staffing]:
    """For each queue, by its id. What waits is to be done within the deadline (at least an hour), without one in 8 hours.

    Arrivals are those of the last 24 hours, seconds the mean of the last 7 days with decisions (in this queue; where it
    has none, in the project). Predictions sent to people go to the general queue, what was escalated to the leads' one.
    """
    newest = ReviewerDay.objects.filter(project_id=project.pk).aggregate(Max("day"))["day__max"]
    days = ReviewerDay.objects.filter(project_id=project.pk)
    if newest is not None:
        days = days.filter(day__gt=newest - timedelta(days=PACE_OVER_DAYS))
    done = {
        queue_id: (reviewed or 0, seconds or 0.0, escalated or 0)
        for queue_id, reviewed, seconds, escalated in days.values_list("queue_id").annotate(
            Sum("reviewed"), Sum("seconds"), Sum("escalated")
        )
    }
    arrived, arriving = _arrived(project)
    escalated = sum(counts[2] for counts in done.values()) / (PACE_OVER_DAYS * 24)
    in_project = _mean(sum(c[0] for c in done.values()), sum(c[1] for c in done.values()))
    found = {}
    for queue in queues:
        reviewed, seconds, _escalated = done.get(queue.id, (0, 0.0, 0))
        each = _mean(reviewed, seconds) or in_project
        rate = escalated if queue.leads_only else arriving
        hours = max(1.0, queue.deadline_seconds / 3600) if queue.deadline_seconds else float(WORKING_HOURS)
        needed = (
            people_needed(waiting=queue.waiting, arriving_per_hour=rate, seconds_each=each, hours=hours)
            if each
            else None
        )
        found[queue.id] = Staffing(rate, each, needed, () if queue.leads_only else arrived)
    return found


def _arrived(project: Project) -> tuple[tuple[int, ...], float]:
    """Tasks made in each of the last 24 hours, and the mean of an hour since the first of them: reviews, fallbacks for people,
    blind checks and shadow reviews. A simulation has its own clock; its last day ends with its newest hour."""
    hours = TrustHour.objects.filter(project_id=project.pk)
    until = timezone.now()
    if project.simulation:
        newest = hours.aggregate(Max("hour"))["hour__max"]
        until = newest + _HOUR if newest else until
    made = Sum("review") + Sum("fallback_manual") + Sum("audit_due") + Sum("shadow_due")
    counts = [0] * HOURS_OF_ARRIVALS
    oldest = until
    for hour, tasks in hours.filter(hour__gte=until - ARRIVALS_OVER).values_list("hour").annotate(tasks=made):
        counts[-max(1, ceil((until - hour) / _HOUR))] += tasks
        oldest = min(oldest, hour)
    return tuple(counts), sum(counts) / max(1.0, (until - oldest) / _HOUR)


def _mean(count: int, total: float) -> float | None:
    return total / count if count > 0 and total > 0 else None

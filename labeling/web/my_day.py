"""What a person has done in a project today, and what they can still take back."""

from dataclasses import dataclass

from django.db.models import Aggregate, Count, FloatField
from django.utils import timezone

from labeling.decisions.models import Decision
from labeling.history.actor import Actor
from labeling.ids import first_id_at
from labeling.projects.models import Project


class Median(Aggregate):
    """`percentile_cont(0.5)`."""

    function = "percentile_cont"
    template = "%(function)s(0.5) within group (order by %(expressions)s)"
    output_field = FloatField()


@dataclass(frozen=True, slots=True)
class MyDay:
    """Today's decisions of one person, by the zone of the page."""

    count: int
    median_seconds: float | None


def my_day(by: Actor, project: Project | None = None) -> MyDay:
    """Counts of today, in one project or in all. Ids are in order of time, so the index by person answers this."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    decisions = Decision.objects.filter(
        decided_by_id=by.user_id, pk__gte=first_id_at(midnight), withdrawal=None
    )
    if project is not None:
        decisions = decisions.filter(project=project)
    found = decisions.aggregate(count=Count("pk"), median=Median("seconds"))
    return MyDay(found["count"], found["median"])


@dataclass(frozen=True, slots=True)
class LastDecision:
    """The decision that "Undo" takes back, and its task."""

    pk: int
    task: int


def find_last_decision(by: Actor, project: Project) -> LastDecision | None:
    """A person's newest decision in the project that stands."""
    mine = Decision.objects.filter(decided_by_id=by.user_id, project=project, withdrawal=None)
    found = mine.order_by("-pk").values_list("pk", "task_id").first()
    return LastDecision(*found) if found else None


def find_neighbours(decision: Decision) -> tuple[Decision | None, Decision | None]:
    """The decisions of the same person in the same project right before and after this one."""
    mine = Decision.objects.filter(
        decided_by_id=decision.decided_by_id, project_id=decision.project_id, withdrawal=None
    )
    before = mine.filter(pk__lt=decision.pk).order_by("-pk").first()
    return before, mine.filter(pk__gt=decision.pk).order_by("pk").first()

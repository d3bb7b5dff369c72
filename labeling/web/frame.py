"""What surrounds every page of a project: navigation, what the person may do, banners."""

import zoneinfo
from collections.abc import Iterable
from dataclasses import dataclass

from django.http import HttpRequest
from django.utils import timezone

from labeling.history.actor import Actor
from labeling.projects.access import Permission, find_role, get_project
from labeling.projects.models import Project, Role
from labeling.review.queries import QueueState, list_queues
from labeling.routing.models import PolicyPeriod
from labeling.routing.policy import NOTHING_IS_AUTOMATIC
from labeling.web import actor_of

MOST_SHOWN = 1_000  # what every page counts; the queues' own page counts further


@dataclass(frozen=True, slots=True)
class ProjectFrame:
    """The project as this person meets it. `tab` names the page in the navigation."""

    project: Project
    actor: Actor
    role: Role
    tab: str
    queues: tuple[QueueState, ...]
    stop: PolicyPeriod | None

    @property
    def waiting(self) -> int:
        """As the navigation shows it: up to MOST_SHOWN."""
        return min(MOST_SHOWN, sum(queue.waiting for queue in self.queues))

    @property
    def is_more_waiting(self) -> bool:
        return any(queue.waiting >= MOST_SHOWN for queue in self.queues)

    def seen(self, queues: Iterable[QueueState]) -> list[QueueState]:
        """Those of the project's queues that this person may work on."""
        return _seen_as(self.role, queues)

    def allows(self, permission: Permission) -> bool:
        return self.role in permission.value.roles

    @property
    def may_review(self) -> bool:
        return self.allows(Permission.REVIEW)

    @property
    def may_lead(self) -> bool:
        return self.allows(Permission.LEAD)

    @property
    def may_own(self) -> bool:
        return self.allows(Permission.OWN)

    @property
    def may_read_items(self) -> bool:
        return self.allows(Permission.READ_ITEMS)

    @property
    def may_read_datasets(self) -> bool:
        return self.allows(Permission.READ_DATASETS)


def project_frame(request: HttpRequest, slug: str, permission: Permission, *, tab: str) -> ProjectFrame:
    """The project for this person, or not found; times on the page are in its zone from here on."""
    actor = actor_of(request)
    project = get_project(actor, slug, permission)
    timezone.activate(zoneinfo.ZoneInfo(project.time_zone))
    role = Role.OWNER if actor.is_admin else find_role(actor, project.pk) or Role.VIEWER
    return ProjectFrame(
        project=project,
        actor=actor,
        role=role,
        tab=tab,
        queues=tuple(_seen_as(role, list_queues(project, most=MOST_SHOWN))),
        stop=_find_stop(project),
    )


def _seen_as(role: Role, queues: Iterable[QueueState]) -> list[QueueState]:
    return [queue for queue in queues if role in _LEADS or not queue.leads_only]


def _find_stop(project: Project) -> PolicyPeriod | None:
    """The period that a stop of automatic results has opened and nobody has ended; its reason says `stopped: why`."""
    return (
        PolicyPeriod.objects.filter(
            project=project, ended_at=None, high__gte=NOTHING_IS_AUTOMATIC, reason__startswith=STOPPED
        )
        .select_related("opened_by", "model_version")
        .order_by("started_at")
        .first()
    )


STOPPED = "stopped"
_LEADS = Permission.LEAD.value.roles

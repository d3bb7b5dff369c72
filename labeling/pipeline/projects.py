"""A project with everything it needs to take predictions."""

from typing import Any

from django.db import transaction

from labeling.datasets.services import create_dataset
from labeling.decisions.models import FeedHead
from labeling.errors import invalid
from labeling.history.actor import Actor
from labeling.ingestion.models import Prediction, Route
from labeling.projects import services as projects
from labeling.projects.models import Project
from labeling.review.tasks import create_queues
from labeling.routing.services import publish_policy


@transaction.atomic
def create_project(
    *,
    slug: str,
    name: str,
    task_type: str,
    label_schema: Any,
    by: Actor,
    guidelines: str = "",
    policy: Any = None,
    time_zone: str = "UTC",
    simulation: bool = False,
) -> Project:
    """Make a project with queues, first policy version, feed and the dataset `main`, all or nothing."""
    project = projects.create_project_rows(
        slug=slug,
        name=name,
        task_type=task_type,
        label_schema=label_schema,
        by=by,
        guidelines=guidelines,
        time_zone=time_zone,
        simulation=simulation,
    )
    create_queues(project)
    FeedHead.objects.create(project=project)
    create_dataset(project=project, slug="main")
    publish_policy(project=project, body={} if policy is None else policy, by=by, at="/policy")
    project.refresh_from_db()
    return project


def change_project(*, project: Project, by: Actor, **changes: Any) -> Project:
    """Change a project. Its time zone stands once something is counted: days would begin elsewhere for what is past."""
    moves_days = changes.get("time_zone", project.time_zone) != project.time_zone
    if moves_days and Prediction.objects.filter(project_id=project.pk, route__in=Route.values).exists():
        raise invalid("/time_zone", "in_use", "the time zone stands once predictions have come in")
    return projects.change_project(project=project, by=by, **changes)

"""A project with everything it needs to take predictions."""

from typing import Any

from django.db import transaction

from labeling.datasets.services import create_dataset
from labeling.decisions.models import FeedHead
from labeling.errors import invalid, say
from labeling.history.actor import Actor
from labeling.ingestion.models import Prediction, Route
from labeling.projects import services as projects
from labeling.projects.label_schema import compile_schema
from labeling.projects.models import Project
from labeling.projects.queries import get_output_schema
from labeling.review.tasks import create_queues
from labeling.routing.policy import compile_policy
from labeling.routing.queries import get_policy
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
    if moves_days and _has_predictions(project):
        raise invalid("/time_zone", "in_use", say("the time zone stands once predictions have come in"))
    if "label_schema" in changes:
        _check_label_schema(project, changes["label_schema"])
    return projects.change_project(project=project, by=by, **changes)


def _check_label_schema(project: Project, body: Any) -> None:
    """An open vocabulary may hold any label by now; and the policy in force names labels that must stay valid."""
    new, old = compile_schema(project.task_type, body), get_output_schema(project)
    if new.labels and not old.labels and _has_predictions(project):
        raise invalid(
            "/label_schema",
            "not_extendable",
            say("an open vocabulary stays open once predictions have come in"),
        )
    compile_policy(get_policy(project, project.policy_number).body, schema=new, at="/policy")


def _has_predictions(project: Project) -> bool:
    return Prediction.objects.filter(project_id=project.pk, route__in=Route.values).exists()

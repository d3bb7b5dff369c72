"""Reading projects and what belongs to them."""

from django.db.models import QuerySet

from labeling.history.actor import Actor
from labeling.projects.label_schema import OutputSchema, compile_schema
from labeling.projects.models import Guidelines, LabelSchema, Project


def list_projects(actor: Actor) -> QuerySet[Project]:
    """The projects this person may see, by slug."""
    projects = Project.objects.order_by("slug")
    if actor.project_id is not None:
        projects = projects.filter(pk=actor.project_id)
    return projects if actor.is_admin else projects.filter(memberships__user_id=actor.user_id)


def get_output_schema(project: Project) -> OutputSchema:
    """The label schema in force, made ready to check with."""
    return compile_schema(project.task_type, get_schema_body(project))


def get_schema_body(project: Project) -> dict[str, object]:
    """The label schema in force, as it was given."""
    body: dict[str, object] = LabelSchema.objects.get(project=project, number=project.schema_number).body
    return body


def get_guidelines(project: Project) -> str:
    """The guidelines in force; empty when none were written."""
    found = Guidelines.objects.filter(project=project, number=project.guidelines_number).first()
    return found.text if found else ""

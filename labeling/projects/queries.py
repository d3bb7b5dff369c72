"""Reading projects and what belongs to them."""

from functools import lru_cache

from django.db.models import QuerySet

from labeling.errors import NotFoundError, say
from labeling.history.actor import Actor
from labeling.projects.access import Permission
from labeling.projects.label_schema import OutputSchema, compile_schema
from labeling.projects.models import Guidelines, Invitation, LabelSchema, Membership, Project, Scope


def list_projects(actor: Actor) -> QuerySet[Project]:
    """The projects this person may see, by slug."""
    projects = Project.objects.order_by("slug")
    if actor.project_id is not None:
        projects = projects.filter(pk=actor.project_id)
    return projects if actor.is_admin else projects.filter(memberships__user_id=actor.user_id)


def list_led_projects(actor: Actor) -> QuerySet[Project]:
    """Those that this person leads; none for a key that may not manage."""
    if not actor.may(Scope.MANAGE):
        return Project.objects.none()
    projects = list_projects(actor)
    if actor.is_admin:
        return projects
    leads = Membership.objects.filter(user_id=actor.user_id, role__in=Permission.LEAD.value.roles)
    return projects.filter(pk__in=leads.values("project_id"))


def get_output_schema(project: Project) -> OutputSchema:
    """The label schema in force, made ready to check with."""
    return compile_schema(project.task_type, get_schema_body(project))


def settled_output_schema(project: Project) -> OutputSchema:
    """The same for whoever changes no schema in this transaction: the project's is committed then, and rows of schemas never
    change, so that processes may remember them."""
    return _schema_of(project.pk, project.schema_number, project.task_type)


@lru_cache(maxsize=1_000)
def _schema_of(project_id: int, number: int, task_type: str) -> OutputSchema:
    return compile_schema(task_type, LabelSchema.objects.get(project_id=project_id, number=number).body)


def get_schema_body(project: Project) -> dict[str, object]:
    """The label schema in force, as it was given."""
    body: dict[str, object] = LabelSchema.objects.get(project=project, number=project.schema_number).body
    return body


def get_guidelines(project: Project) -> str:
    """The guidelines in force; empty when none were written."""
    found = find_guidelines(project)
    return found.text if found else ""


def find_guidelines(project: Project) -> Guidelines | None:
    """The version in force, with who wrote it; none before the first."""
    versions = Guidelines.objects.filter(project=project, number=project.guidelines_number)
    return versions.select_related("created_by").first()


def get_member(project: Project, username: str) -> Membership:
    """The member of this name, with the account, or NotFoundError."""
    members = Membership.objects.select_related("user").filter(project=project, user__username=username)
    found = members.first() if "\x00" not in username else None
    if found is None:
        raise NotFoundError("not_found", say("{username!r} is not a member.", username=username))
    return found


def get_invitation_of(project: Project, invitation_id: int) -> Invitation:
    """An open invitation of the project, or NotFoundError."""
    found = Invitation.objects.filter(project=project, pk=invitation_id) if invitation_id < 2**63 else None
    invitation = found.select_related("created_by", "project").first() if found is not None else None
    if invitation is None:
        raise NotFoundError("not_found", say("There is no such invitation."))
    return invitation

"""Who may do what: the one place that answers "give me this project for this person", or says not found.

Every id that comes from outside ends here: stages load their row and ask `require` about its project.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from labeling.errors import NotAllowedError, NotFoundError, say
from labeling.history.actor import Actor
from labeling.projects.models import Membership, Project, Role, Scope

_ALL = frozenset(Role)
_WORKERS = frozenset({Role.OWNER, Role.LEAD, Role.REVIEWER})
_READERS = frozenset({Role.OWNER, Role.LEAD, Role.VIEWER})
_LEADS = frozenset({Role.OWNER, Role.LEAD})
_OWNERS = frozenset({Role.OWNER})


@dataclass(frozen=True, slots=True)
class _Rule:
    roles: frozenset[Role]
    scopes: frozenset[Scope]


class Permission(Enum):
    """What can be asked for: the roles that may, and the key scopes of which one is needed."""

    SEE = _Rule(_ALL, frozenset(Scope))
    # How much waits tells what was drawn for a check, which a model service must not know.
    SEE_WORK = _Rule(_ALL, frozenset({Scope.REVIEW, Scope.MANAGE}))
    READ_ITEMS = _Rule(_READERS, frozenset({Scope.INGEST, Scope.DATASETS_READ, Scope.MANAGE}))
    READ_TRUST = _Rule(_ALL, frozenset({Scope.INGEST, Scope.DATASETS_READ, Scope.MANAGE}))
    READ_DATASETS = _Rule(_READERS, frozenset({Scope.DATASETS_READ, Scope.MANAGE}))
    INGEST = _Rule(_LEADS, frozenset({Scope.INGEST}))
    REVIEW = _Rule(_WORKERS, frozenset({Scope.REVIEW}))
    LEAD_REVIEW = _Rule(_LEADS, frozenset({Scope.REVIEW}))
    LEAD = _Rule(_LEADS, frozenset({Scope.MANAGE}))
    OWN = _Rule(_OWNERS, frozenset({Scope.MANAGE}))


def get_project(actor: Actor, slug: str, permission: Permission) -> Project:
    """The project with this slug; NotFoundError for strangers, NotAllowedError for members who may not."""
    project = Project.objects.filter(slug=slug).first() if "\x00" not in slug else None
    if project is None:
        raise no_such_project()
    require(actor, project.pk, permission)
    return project


def require(actor: Actor, project_id: int, permission: Permission) -> None:
    """Refuse unless the actor may do this in this project."""
    require_as(actor, project_id, permission, None if actor.is_admin else find_role(actor, project_id))


def require_as(actor: Actor, project_id: int, permission: Permission, role: str | None) -> None:
    """The same where the actor's role in the project was read already."""
    if actor.project_id is not None and actor.project_id != project_id:
        raise no_such_project()
    if actor.is_admin:
        role = Role.OWNER
    if role is None:
        raise no_such_project()
    if actor.scopes is not None and not actor.scopes & permission.value.scopes:
        needed = " or ".join(sorted(permission.value.scopes))
        raise NotAllowedError("scope_missing", say("This key needs the scope {needed}.", needed=needed))
    if role not in permission.value.roles:
        raise NotAllowedError(
            "role_missing", say("The role {role} may not do this in this project.", role=role)
        )


def require_figures_of(actor: Actor, project_id: int, username: str | None) -> None:
    """Refuse unless the actor may read this person's figures (None: everybody's): leads may, and everybody their own."""
    if username is None or username != actor.username:
        require(actor, project_id, Permission.LEAD)


def may(actor: Actor, project_id: int, permission: Permission) -> bool:
    """Whether `require` would let the actor pass."""
    try:
        require(actor, project_id, permission)
    except (NotFoundError, NotAllowedError):
        return False
    return True


def require_admin(actor: Actor, scope: Scope = Scope.MANAGE) -> None:
    """Refuse unless the actor is an administrator of the whole instance and the key is not tied to a project."""
    if actor.scopes is not None and scope not in actor.scopes:
        raise NotAllowedError("scope_missing", say("This key needs the scope {scope}.", scope=scope))
    if not actor.is_admin or actor.project_id is not None:
        raise NotAllowedError("role_missing", say("Only an administrator may do this."))


def require_lead_somewhere(actor: Actor) -> None:
    """Refuse unless the actor leads a project, or administers."""
    if not leads_somewhere(actor):
        raise NotAllowedError("role_missing", say("Only people who lead a project may see this."))


def leads_somewhere(actor: Actor) -> bool:
    """Whether the actor leads or owns a project, or administers."""
    return actor.is_admin or (
        Membership.objects.filter(user_id=actor.user_id, role__in=Permission.LEAD.value.roles).exists()
    )


def require_account(actor: Actor, user: Any) -> None:
    """Refuse unless the actor may do something to the whole account of a person, not only to their role in one project."""
    if actor.scopes is not None and Scope.MANAGE not in actor.scopes:
        raise NotAllowedError("scope_missing", say("This key needs the scope manage."))
    if user.pk not in accounts_in_reach(actor, [user]):
        raise NotAllowedError(
            "account_elsewhere",
            say("This account reaches beyond the projects you own; an administrator can do this."),
        )


def accounts_in_reach(actor: Actor, users: Sequence[Any]) -> set[int]:
    """Those accounts that the actor may close, or give a password link to.

    Administrators may with all. An owner may where every project of that person is their own, and they are no
    administrator: otherwise owning any project would open the accounts of those who own others.
    """
    if actor.is_admin and actor.project_id is None:
        return {user.pk for user in users}
    owned = set(
        Membership.objects.filter(user_id=actor.user_id, role=Role.OWNER).values_list("project_id", flat=True)
    )
    if actor.project_id is not None:
        owned = {actor.project_id} if actor.is_admin else owned & {actor.project_id}
    plain = [user.pk for user in users if not user.is_superuser and not user.is_staff]
    memberships = Membership.objects.filter(user__in=plain)
    inside = set(memberships.values_list("user_id", flat=True))
    return inside - set(memberships.exclude(project__in=owned).values_list("user_id", flat=True))


# In statements that begin what an actor asked for: whether the key that was remembered still stands for them. Such a statement
# gets the values of `key_values`, and whoever sends it says `require_key`.
KEY_STANDS = """
(%(key)s::bigint is null or exists (
    select from labeling_apikey key join auth_user member on member.id = key.member_id
    where key.id = %(key)s and key.revoked_at is null and member.is_active and member.is_superuser = %(is_admin)s))
"""


def key_values(actor: Actor) -> dict[str, Any]:
    """What KEY_STANDS compares."""
    return {"key": actor.key_id, "is_admin": actor.is_admin}


def require_key(stands: bool) -> None:
    """Refuse for an actor whose key does not stand for them any more."""
    if not stands:
        raise NotAllowedError("key_changed", say("This key was changed while it was in use."))


def find_role(actor: Actor, project_id: int) -> Role | None:
    """The actor's role in the project, or none."""
    role = (
        Membership.objects.filter(project_id=project_id, user_id=actor.user_id)
        .values_list("role", flat=True)
        .first()
    )
    return Role(role) if role else None


def no_such_project() -> NotFoundError:
    """What a stranger hears, whether there is such a project or not."""
    return NotFoundError("not_found", say("There is no such project."))

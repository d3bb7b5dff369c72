"""People leave or change their part: what they hold goes back to the queue in the same transaction."""

from typing import Any

from django.db import transaction

from labeling.history.actor import Actor
from labeling.projects import accounts, services
from labeling.projects.access import Permission
from labeling.projects.models import Membership, Project
from labeling.review.services import release_claims_of


@transaction.atomic
def deactivate(*, user: Any, by: Actor) -> bool:
    """Close an account; its sessions end, its claims are released."""
    changed = accounts.deactivate(user=user, by=by)
    release_claims_of(user.pk)
    return changed


@transaction.atomic
def set_member(*, project: Project, username: str, role: str, by: Actor) -> Membership:
    """Give a person a role; claims that it does not allow are released."""
    member = services.set_member(project=project, username=username, role=role, by=by)
    if role not in Permission.LEAD_REVIEW.value.roles:
        release_claims_of(
            member.user_id,
            project_id=project.pk,
            leads_only=role in Permission.REVIEW.value.roles,
        )
    return member


@transaction.atomic
def remove_member(*, project: Project, username: str, by: Actor) -> None:
    """Take a person out of the project; their claims in it are released."""
    user_id = services.remove_member(project=project, username=username, by=by)
    release_claims_of(user_id, project_id=project.pk)

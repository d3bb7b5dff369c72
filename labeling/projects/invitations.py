"""Invitations: a link with which somebody joins a project, once and for a week.

The link holds 256 random bits, of which only a hash is stored. It is good while whoever made it may still invite.
"""

import secrets
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from labeling.errors import ConflictError, NotFoundError, invalid, say
from labeling.history.actor import Actor
from labeling.history.services import record_event
from labeling.projects.access import Permission, may
from labeling.projects.accounts import create_account
from labeling.projects.models import Invitation, Membership, Project, Role
from labeling.projects.services import digest_of, set_member

LASTS = timedelta(days=7)


@transaction.atomic
def invite(
    *, project: Project, name: str, role: str, by: Actor, email: str = "", now: datetime | None = None
) -> tuple[Invitation, str]:
    """A new invitation and the secret of its link, which is not stored and cannot be shown again."""
    if role not in Role.values:
        raise invalid("/role", "invalid", say("role is one of {choices}", choices=", ".join(Role.values)))
    plain = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        project=project,
        name=name,
        email=email,
        role=role,
        digest=digest_of(plain),
        created_by_id=by.user_id,
        expires_at=(now or timezone.now()) + LASTS,
    )
    _record("invitation.made", invitation, by)
    return invitation, plain


@transaction.atomic
def renew_invitation(*, invitation: Invitation, by: Actor, now: datetime | None = None) -> str:
    """A new link for another week; the one before stops working."""
    invitation = _lock(invitation)
    plain = secrets.token_urlsafe(32)
    invitation.digest = digest_of(plain)
    invitation.expires_at = (now or timezone.now()) + LASTS
    invitation.created_by_id = by.user_id
    invitation.save(update_fields=["digest", "expires_at", "created_by"])
    _record("invitation.renewed", invitation, by)
    return plain


@transaction.atomic
def withdraw_invitation(*, invitation: Invitation, by: Actor) -> None:
    """The link stops working."""
    invitation = _lock(invitation)
    _record("invitation.withdrawn", invitation, by)
    invitation.delete()


def get_invitation(plain: str, *, now: datetime | None = None, lock: bool = False) -> Invitation:
    """The invitation of a link that is good now, or NotFoundError."""
    rows = Invitation.objects.select_related("project", "created_by")
    rows = rows.select_for_update(of=("self",)) if lock else rows
    found = rows.filter(digest=digest_of(plain), expires_at__gt=now or timezone.now()).first()
    if found is None or not _may_still_invite(found):
        raise NotFoundError(
            "link_void", say("This invitation was used, taken back or has expired. Ask for a new one.")
        )
    return found


@transaction.atomic
def accept_invitation(*, plain: str, by: Actor) -> Membership:
    """A person with an account joins. Who is a member already keeps their role, and the link stays good."""
    invitation = get_invitation(plain, lock=True)
    return _join(invitation, by)


@transaction.atomic
def accept_as_newcomer(*, plain: str, username: str, password: str, name: str = "") -> Membership:
    """Make an account with this name and password, and join."""
    invitation = get_invitation(plain, lock=True)
    user = create_account(username=username, password=password, name=name, email=invitation.email)
    return _join(invitation, Actor(user_id=user.pk, username=user.get_username()))


def _join(invitation: Invitation, by: Actor) -> Membership:
    project = invitation.project
    if Membership.objects.filter(project=project, user_id=by.user_id).exists():
        raise ConflictError(
            "already_member", say("You are a member already; the link is still good for somebody else.")
        )
    inviter = invitation.created_by
    _record("invitation.accepted", invitation, by)
    invitation.delete()
    giver = Actor(user_id=inviter.pk, username=inviter.get_username(), is_admin=inviter.is_superuser)
    return set_member(project=project, username=by.username, role=invitation.role, by=giver)


def _lock(invitation: Invitation) -> Invitation:
    found = Invitation.objects.select_for_update().filter(pk=invitation.pk).first()
    if found is None:
        raise NotFoundError("not_found", say("There is no such invitation."))
    return found


def _may_still_invite(invitation: Invitation) -> bool:
    by = invitation.created_by
    actor = Actor(user_id=by.pk, username=by.get_username(), is_admin=by.is_superuser)
    return by.is_active and may(actor, invitation.project_id, Permission.OWN)


def _record(action: str, invitation: Invitation, by: Actor) -> None:
    record_event(
        action=action,
        subject=f"invitation:{invitation.pk}",
        by=by,
        project_id=invitation.project_id,
        name=invitation.name,
        role=invitation.role,
        email=invitation.email,
    )

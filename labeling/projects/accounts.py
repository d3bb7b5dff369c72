"""Accounts of people: made, given a new password, closed and opened again, signed out.

What is done to an account is told in the history of every project of that person.
"""

import secrets
from datetime import datetime, timedelta
from typing import Any

from axes.models import AccessAttempt
from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from labeling.errors import FieldError, InvalidError, NotFoundError, invalid, quote, say
from labeling.history.actor import Actor
from labeling.history.services import record_event
from labeling.projects.models import Membership, PasswordLink, Project, Role, Session
from labeling.projects.services import digest_of, require_other_owner
from labeling.projects.sessions import SessionStore

LASTS = timedelta(hours=24)
MOST_SESSIONS = 50


@transaction.atomic
def create_account(*, username: str, password: str, name: str = "", email: str = "") -> Any:
    """An account that can sign in; errors name `/username` and `/password`."""
    user = get_user_model()(username=username, first_name=name[:150], email=email)
    try:
        user.full_clean(exclude=["password"])
    except ValidationError as error:
        raise InvalidError(
            "invalid",
            quote(error.messages[0]),
            [FieldError("/username", "invalid", quote(text)) for text in error.messages],
        ) from error
    _set_password(user, password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as error:
        raise invalid("/username", "taken", say("somebody else has this name")) from error
    record_event(
        action="user.created", subject=f"user:{username}", by=Actor(user_id=user.pk, username=username)
    )
    return user


@transaction.atomic
def make_password_link(*, user: Any, by: Actor, now: datetime | None = None) -> tuple[PasswordLink, str]:
    """A link with which this person sets a new password within a day, and its secret; an earlier one stops working."""
    if not user.is_active:
        raise invalid("/username", "inactive", say("The account is deactivated; reactivate it first."))
    plain = secrets.token_urlsafe(32)
    link, _ = PasswordLink.objects.update_or_create(
        user=user,
        defaults={
            "digest": digest_of(plain),
            "created_by_id": by.user_id,
            "created_at": now or timezone.now(),
            "expires_at": (now or timezone.now()) + LASTS,
        },
    )
    _record(user, "password.link_made", by)
    return link, plain


def get_password_link(plain: str, *, now: datetime | None = None, lock: bool = False) -> PasswordLink:
    """The link that is good now, or NotFoundError."""
    links = PasswordLink.objects.select_related("user")
    links = links.select_for_update(of=("self",)) if lock else links
    found = links.filter(
        digest=digest_of(plain), expires_at__gt=now or timezone.now(), user__is_active=True
    ).first()
    if found is None:
        raise NotFoundError(
            "link_void", say("This link was used, replaced or has expired. Ask for a new one.")
        )
    return found


@transaction.atomic
def set_password_by_link(*, plain: str, password: str) -> Any:
    """Set the password, end the person's sessions, and lift a lock after wrong passwords; returns the account."""
    # The account before the link, as whoever closes an account does it.
    get_user_model().objects.select_for_update(no_key=True).get(pk=get_password_link(plain).user_id)
    link = get_password_link(plain, lock=True)
    user = link.user
    link.delete()
    change_password(user=user, password=password, by=Actor(user_id=user.pk, username=user.get_username()))
    AccessAttempt.objects.filter(username=user.get_username()).delete()
    return user


@transaction.atomic
def change_password(*, user: Any, password: str, by: Actor) -> None:
    """A new password; it signs the person out everywhere (a page may sign its own browser in again)."""
    _set_password(user, password)
    user.save(update_fields=["password"])
    PasswordLink.objects.filter(user=user).delete()
    Session.objects.filter(user=user).delete()
    _record(user, "password.changed", by)


@transaction.atomic
def change_account(*, user: Any, by: Actor, **changes: Any) -> None:
    """Change names, address or administrator's rights of an account; nobody takes those rights from themselves."""
    if user.pk == by.user_id and not changes.get("is_superuser", True):
        raise InvalidError("own_account", say("You cannot take your own administrator's rights away."))
    before = {name: getattr(user, name) for name in changes}
    for name, value in changes.items():
        setattr(user, name, value)
    if changes:
        user.save(update_fields=list(changes))
        _record(user, "user.changed", by, before=before, after=changes)


@transaction.atomic
def deactivate(*, user: Any, by: Actor) -> bool:
    """Close an account: its sessions end and its keys are refused at once. Says whether it was open.

    No project loses its last owner by this, and nobody closes their own account.
    """
    if user.pk == by.user_id:
        raise InvalidError("own_account", say("You cannot deactivate your own account."))
    owned = Project.objects.filter(memberships__user=user, memberships__role=Role.OWNER)
    held = Project.objects.select_for_update(no_key=True).filter(pk__in=owned.values("pk"))
    for project in held.order_by("pk"):
        require_other_owner(project, user.pk)
    if not _switch(user, active=False):
        return False
    PasswordLink.objects.filter(user=user).delete()
    end_sessions(user=user)
    _record(user, "user.deactivated", by, before=True, after=False)
    return True


@transaction.atomic
def reactivate(*, user: Any, by: Actor) -> bool:
    """Open it again, with the roles and keys it had. Says whether it was closed."""
    if not _switch(user, active=True):
        return False
    _record(user, "user.reactivated", by, before=False, after=True)
    return True


def end_sessions(*, user: Any) -> int:
    """Sign the person out in every browser; returns how many sessions there were."""
    ended, _ = Session.objects.filter(user=user).delete()
    return ended


@transaction.atomic
def sign_out_everywhere(*, user: Any, by: Actor) -> int:
    """The same on somebody's wish, told in the history."""
    ended = end_sessions(user=user)
    _record(user, "sessions.ended", by, count=ended)
    return ended


def forget_expired(*, now: datetime | None = None) -> int:
    """Delete sessions and password links whose time is over; they were refused already. Run by the sweep."""
    now = now or timezone.now()
    links, _ = PasswordLink.objects.filter(expires_at__lte=now).delete()
    sessions, _ = Session.objects.filter(expire_date__lte=now).delete()
    return links + sessions


def list_sessions(user: Any) -> list[tuple[str, dict[str, Any]]]:
    """Key and content of the person's sessions that are good now, the youngest first."""
    rows = Session.objects.filter(user=user, expire_date__gt=timezone.now()).order_by("-expire_date")
    store = SessionStore()
    return [(row.session_key, store.decode(row.session_data)) for row in rows[:MOST_SESSIONS]]


def _switch(user: Any, *, active: bool) -> bool:
    changed = get_user_model().objects.filter(pk=user.pk, is_active=not active).update(is_active=active)
    user.is_active = active
    return bool(changed)


def _set_password(user: Any, password: str) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise InvalidError(
            "invalid",
            quote(error.messages[0]),
            [FieldError("/password", "weak", quote(text)) for text in error.messages],
        ) from error
    user.set_password(password)


def _record(user: Any, action: str, by: Actor, **details: Any) -> None:
    places = Membership.objects.filter(user=user).order_by("project_id").values_list("project_id", flat=True)
    projects: list[int | None] = [*places]
    for project_id in projects or [None]:
        record_event(
            action=action, subject=f"user:{user.get_username()}", by=by, project_id=project_id, **details
        )

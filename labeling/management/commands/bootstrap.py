"""`manage.py bootstrap`: the first administrator of an embedded instance, and the file that lets its owner in.

Run at every start. It changes nothing while the file's password and key still open the door, and mends what does not.
"""

import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from labeling.history.actor import Actor
from labeling.history.services import record_event
from labeling.projects.models import ApiKey, Scope
from labeling.projects.services import create_api_key, digest_of
from labeling.replay.credentials import Credentials, NoCredentialsError, read_credentials, write_credentials

USERNAME = "admin"
KEY_NAME = "Credentials file of this instance"


class Command(BaseCommand):
    help = "Make the administrator and the API key of an embedded instance and write them to its credentials file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--url", default=None, help="where the instance answers; default: from the environment"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        path = Path(settings.REVIEWAPP_CREDENTIALS)
        url = options["url"] or settings.REVIEWAPP_URL
        before = _read(path)
        if before is None and settings.ENV.database_url and _has_administrator():
            self.stdout.write("The database has an administrator already; no credentials were written.")
            return
        with transaction.atomic():
            after = _mended(before, url)
        if after is None:
            self.stdout.write(
                f"The administrator in {path} was deactivated by somebody; nothing was changed."
            )
        elif after != before:
            write_credentials(path, after)
            self.stdout.write(f"Wrote the name, password and API key of {after.username!r} to {path}")


def _read(path: Path) -> Credentials | None:
    """What the file says; a missing or damaged one is written anew."""
    try:
        return read_credentials(path)
    except NoCredentialsError:
        return None


def _has_administrator() -> bool:
    return get_user_model().objects.filter(is_superuser=True, is_active=True).exists()


def _mended(before: Credentials | None, url: str) -> Credentials | None:
    """Credentials that work: what still does is kept, the rest is made. None when somebody closed this door on purpose."""
    user = _find_admin(before)
    if before is None or user is None:
        password = before.password if before else secrets.token_urlsafe(12)
        admin = _restore_admin(before.username if before else USERNAME, password)
    elif user.is_active and user.is_superuser:
        password, admin = before.password, user
    else:
        return None
    key = before.api_key if before and _opens(before.api_key, admin) else _make_key(admin)
    return Credentials(url=url, username=admin.get_username(), password=password, api_key=key)


def _find_admin(before: Credentials | None) -> User | None:
    """Whom the file is about: by name, or, when they took another one, by their key."""
    users = get_user_model().objects
    if before is None:
        return users.filter(username=USERNAME).first()
    by_key = ApiKey.objects.filter(digest=digest_of(before.api_key)).values("member")
    return users.filter(username=before.username).first() or users.filter(pk__in=by_key).first()


def _restore_admin(username: str, password: str) -> User:
    """The administrator with this password, made or let in again."""
    users = get_user_model().objects
    user = users.filter(username=username).first() or users.create_user(username)
    user.is_active = user.is_staff = user.is_superuser = True
    user.set_password(password)
    user.save(update_fields=["is_active", "is_staff", "is_superuser", "password"])
    record_event(action="admin.bootstrapped", subject=f"user:{username}", by=None)
    return user


def _opens(plain: str, user: User) -> bool:
    keys = ApiKey.objects.filter(digest=digest_of(plain), member=user, revoked_at=None, project=None)
    return any(set(key.scopes) == set(Scope.values) for key in keys)


def _make_key(user: User) -> str:
    by = Actor(user_id=user.pk, username=user.get_username(), is_admin=True)
    _, plain = create_api_key(name=KEY_NAME, scopes=list(Scope.values), project=None, member=user, by=by)
    return plain

"""Making and changing projects, members and keys."""

import hashlib
import secrets
import zoneinfo
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from labeling.errors import ConflictError, InvalidError, NotFoundError, invalid, quote, say
from labeling.history.actor import Actor
from labeling.history.services import record_event
from labeling.projects.label_schema import compile_schema
from labeling.projects.models import (
    ApiKey,
    Guidelines,
    LabelSchema,
    Membership,
    OwnKeys,
    Project,
    Role,
    Scope,
)

MAX_GUIDELINES = 200_000
KEY_PREFIX = "rva_"
MOST_PER_SECOND = 1_000_000  # the highest limit a key may be given


@transaction.atomic
def create_project_rows(
    *,
    slug: str,
    name: str,
    task_type: str,
    label_schema: Any,
    by: Actor,
    guidelines: str = "",
    time_zone: str = "UTC",
    simulation: bool = False,
) -> Project:
    """A project with its first label schema and its maker as owner. The pipeline adds queue, policy and dataset."""
    compile_schema(task_type, label_schema)
    _check_time_zone(time_zone)
    try:
        with transaction.atomic():
            project = Project.objects.create(
                slug=slug,
                name=name,
                task_type=task_type,
                time_zone=time_zone,
                simulation=simulation,
                created_by_id=by.user_id,
            )
    except IntegrityError as error:
        raise ConflictError("slug_taken", say("There is a project {slug!r} already.", slug=slug)) from error
    LabelSchema.objects.create(project=project, number=1, body=label_schema, created_by_id=by.user_id)
    if guidelines:
        _write_guidelines(project, guidelines, by)
    Membership.objects.create(project=project, user_id=by.user_id, role=Role.OWNER)
    record_event(action="project.created", subject=f"project:{slug}", by=by, project_id=project.pk, name=name)
    return project


@transaction.atomic
def change_project(*, project: Project, by: Actor, **changes: Any) -> Project:
    """Change name, notice, guidelines, time zone, publishing rhythm or (by adding labels or fields) the label schema."""
    locked = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    before = {name: getattr(locked, name) for name in _PLAIN if name in changes}
    for name in before:
        setattr(locked, name, changes[name])
    if "time_zone" in changes:
        _check_time_zone(changes["time_zone"])
    if "label_schema" in changes:
        _extend_schema(locked, changes["label_schema"], by)
    if "guidelines" in changes:
        _write_guidelines(locked, changes["guidelines"], by)
    locked.routing_epoch += 1
    locked.save()
    record_event(
        action="project.changed",
        subject=f"project:{locked.slug}",
        by=by,
        project_id=locked.pk,
        before=before,
        after={name: changes[name] for name in changes},
    )
    return locked


_PLAIN = ("name", "notice", "time_zone", "publish_every_seconds", "publish_after_decisions")


@transaction.atomic
def set_member(*, project: Project, username: str, role: str, by: Actor) -> Membership:
    """Give a person a role; someone unknown gets an account without a password. The last owner stays one."""
    user = _get_or_invite(username, by)
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    before = Membership.objects.filter(project=project, user=user).values_list("role", flat=True).first()
    if before == Role.OWNER and role != Role.OWNER:
        require_other_owner(project, user.pk)
    member, _ = Membership.objects.update_or_create(project=project, user=user, defaults={"role": role})
    Project.objects.filter(pk=project.pk).update(routing_epoch=F("routing_epoch") + 1)
    record_event(
        action="member.set",
        subject=f"user:{username}",
        by=by,
        project_id=project.pk,
        before=before,
        after=role,
    )
    return member


@transaction.atomic
def remove_member(*, project: Project, username: str, by: Actor) -> int:
    """Take a person out of the project; what they decided stays. Returns whom."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    found = Membership.objects.filter(project=project, user__username=username)
    member = found.first() if "\x00" not in username else None
    if member is None:
        raise NotFoundError("not_found", say("{username!r} is not a member.", username=username))
    if member.role == Role.OWNER:
        require_other_owner(project, member.user_id)
    member.delete()
    Project.objects.filter(pk=project.pk).update(routing_epoch=F("routing_epoch") + 1)
    record_event(
        action="member.removed", subject=f"user:{username}", by=by, project_id=project.pk, before=member.role
    )
    return member.user_id


@transaction.atomic
def create_api_key(
    *,
    name: str,
    scopes: list[str],
    project: Project | None,
    member: Any,
    by: Actor,
    requests_per_second: int | None = None,
    rows_per_second: int | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its plain text, which is not stored and cannot be shown again. Its limits stay as they are given here."""
    if not scopes or set(scopes) - set(Scope.values):
        raise invalid(
            "/scopes", "invalid", say("scopes are one or more of {choices}", choices=", ".join(Scope.values))
        )
    plain = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        name=name,
        prefix=plain[:12],
        digest=digest_of(plain),
        scopes=sorted(set(scopes)),
        project=project,
        member=member,
        created_by_id=by.user_id,
        requests_per_second=requests_per_second,
        rows_per_second=rows_per_second,
    )
    record_event(
        action="key.created",
        subject=f"key:{key.pk}",
        by=by,
        project_id=project.pk if project else None,
        name=name,
        scopes=key.scopes,
        member=member.get_username(),
        requests_per_second=requests_per_second,
        rows_per_second=rows_per_second,
    )
    return key, plain


@transaction.atomic
def revoke_api_key(*, key: ApiKey, by: Actor) -> None:
    """From the answer on, no process accepts the key. Revoking twice changes nothing."""
    changed = ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(
        revoked_at=timezone.now(), revoked_by_id=by.user_id
    )
    if changed:
        record_event(
            action="key.revoked", subject=f"key:{key.pk}", by=by, project_id=key.project_id, name=key.name
        )


def digest_of(plain: str) -> str:
    """What is stored of a key. A plain hash suffices: keys carry 256 random bits."""
    return hashlib.sha256(plain.encode()).hexdigest()


def _get_or_invite(username: str, by: Actor) -> Any:
    """The account of this name. A new one cannot sign in until somebody sets its password; keys can act as it."""
    users = get_user_model().objects
    user = users.filter(username=username).first()
    if user is None:
        user = get_user_model()(username=username)
        user.set_unusable_password()
        try:
            # Whether the name is free is the database's to say, below: it may be taken at this very moment.
            user.full_clean(exclude=["password"], validate_unique=False, validate_constraints=False)
        except ValidationError as error:
            raise invalid("/username", "invalid", quote(error.messages[0])) from error
        try:
            with transaction.atomic():
                user.save()
        except IntegrityError:  # somebody else has invited them at this moment
            user = users.get(username=username)
        else:
            record_event(action="user.created", subject=f"user:{username}", by=by)
    if not user.is_active:
        raise invalid(
            "/username", "inactive", say("the account {username!r} is not active", username=username)
        )
    return user


def _write_guidelines(project: Project, text: str, by: Actor) -> None:
    if len(text) > MAX_GUIDELINES or "\x00" in text:
        raise invalid(
            "/guidelines",
            "too_long",
            say(
                "guidelines have at most {max_guidelines} characters and no U+0000",
                max_guidelines=MAX_GUIDELINES,
            ),
        )
    project.guidelines_number += 1
    project.save(update_fields=["guidelines_number"])
    Guidelines.objects.create(
        project=project, number=project.guidelines_number, text=text, created_by_id=by.user_id
    )


def _extend_schema(project: Project, body: Any, by: Actor) -> None:
    """Labels and fields may be added and put in another order; taking one away would make old decisions invalid."""
    new = compile_schema(project.task_type, body)
    old = compile_schema(
        project.task_type, LabelSchema.objects.get(project=project, number=project.schema_number).body
    )
    lost = sorted(old.labels - new.labels) if new.labels else []
    lost += [name for name, kind in old.fields.items() if new.fields.get(name) != kind]
    if lost:
        raise invalid(
            "/label_schema",
            "not_extendable",
            say("{lost!r} is in use and cannot be taken away or changed", lost=lost[0]),
        )
    project.schema_number += 1
    LabelSchema.objects.create(
        project=project, number=project.schema_number, body=body, created_by_id=by.user_id
    )


def _check_time_zone(name: str) -> None:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise invalid(
            "/time_zone", "unknown_time_zone", say("there is no time zone {name!r}", name=name)
        ) from error


def require_other_owner(project: Project, user_id: int) -> None:
    """Refuse where nobody else, who can sign in, owns the project."""
    owners = Membership.objects.filter(project=project, role=Role.OWNER, user__is_active=True)
    if not owners.exclude(user_id=user_id).exists():
        raise InvalidError("last_owner", say("A project keeps at least one owner."))


def set_own_keys(*, by: Actor, moved: dict[str, str]) -> None:
    """Keep which keys this person has moved: usual key -> own key."""
    OwnKeys.objects.update_or_create(user_id=by.user_id, defaults={"moved": moved})

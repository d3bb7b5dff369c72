"""Projects, their people, keys, and the numbered label schemas and guidelines."""

import secrets

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.base_session import AbstractBaseSession
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from labeling.json_text import JsonText

__all__ = [
    "ApiKey",
    "Guidelines",
    "Invitation",
    "LabelSchema",
    "Membership",
    "OwnKeys",
    "PasswordLink",
    "Project",
    "Role",
    "Scope",
    "Session",
    "TaskType",
]


class TaskType(models.TextChoices):
    CLASSIFICATION = "classification", _("Classification")
    MULTILABEL = "multilabel", _("Multilabel")
    TEXT = "text", _("Text")
    FIELDS = "fields", _("Fields")
    SPANS = "spans", _("Spans")
    BOXES = "boxes", _("Boxes")


class Role(models.TextChoices):
    OWNER = "owner", _("Owner")
    LEAD = "lead", _("Lead")
    REVIEWER = "reviewer", _("Reviewer")
    VIEWER = "viewer", _("Viewer")


class Scope(models.TextChoices):
    INGEST = "ingest", _("Ingest")
    REVIEW = "review", _("Review")
    DATASETS_READ = "datasets:read", _("Datasets Read")
    MANAGE = "manage", _("Manage")


def _new_secret() -> bytes:
    return secrets.token_bytes(32)


class Project(models.Model):
    """One kind of work for one kind of item. `routing_epoch` rises with everything that changes how items are routed,
    so that a writer with an outdated copy of the rules finds no row to write through."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=200)
    task_type = models.CharField(max_length=20, choices=TaskType)
    time_zone = models.CharField(max_length=60, default="UTC")
    simulation = models.BooleanField(
        default=False,
        help_text=_("Holds replayed or invented work; days follow occurred_at, and every page says so."),
    )
    notice = models.CharField(
        max_length=300,
        blank=True,
        default="",
        help_text="One sentence for everybody, shown on every page of the project",
    )
    schema_number = models.PositiveIntegerField(default=1)
    guidelines_number = models.PositiveIntegerField(default=0)
    policy_number = models.PositiveIntegerField(default=0)
    routing_epoch = models.BigIntegerField(default=1)
    lottery_secret = models.BinaryField(default=_new_secret, editable=False)
    truths_from = models.BigIntegerField(
        db_default=0,
        default=0,
        help_text="From this prediction on, answers are also counted by the label that people gave",
    )
    shadows_from = models.BigIntegerField(
        db_default=0,
        default=0,
        help_text="From this prediction on, a part of what the fallback answers by itself is drawn for people",
    )
    publish_every_seconds = models.PositiveIntegerField(default=900)
    publish_after_decisions = models.PositiveIntegerField(default=1000)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(task_type__in=TaskType.values), name="project_task_type_known"
            )
        ]

    def __str__(self) -> str:
        return self.name


class LabelSchema(models.Model):
    """The allowed labels or fields of a project, numbered and never changed."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="label_schemas")
    number = models.PositiveIntegerField()
    body = JsonText(help_text=_("In the order it was given: fields are shown in it"))
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "number"], name="label_schema_number_once")]

    def __str__(self) -> str:
        values = {"project": self.project_id, "number": self.number}
        return gettext("%(project)s label schema %(number)s") % values


class Guidelines(models.Model):
    """What reviewers are told, numbered and never changed. Markdown."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="guidelines_versions")
    number = models.PositiveIntegerField()
    text = models.TextField()
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        verbose_name_plural = "guidelines"
        constraints = [models.UniqueConstraint(fields=["project", "number"], name="guidelines_number_once")]

    def __str__(self) -> str:
        values = {"project": self.project_id, "number": self.number}
        return gettext("%(project)s guidelines %(number)s") % values


class Membership(models.Model):
    """What a person may do in a project."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="one_role_per_project"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        values = {"user": self.user_id, "project": self.project_id, "role": self.get_role_display()}
        return gettext("%(user)s in project %(project)s: %(role)s") % values


class ApiKey(models.Model):
    """A hashed key with scopes; it acts as its member, and may be tied to one project."""

    name = models.CharField(max_length=200)
    prefix = models.CharField(max_length=12, help_text=_("The first characters, to recognise a key by"))
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=20, choices=Scope))
    project = models.ForeignKey(
        Project, null=True, blank=True, on_delete=models.CASCADE, related_name="api_keys"
    )
    member = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_keys")
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    last_used_at = models.DateTimeField(null=True, blank=True, help_text=_("To within a few minutes"))
    requests_per_second = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text=_("Empty: no limit")
    )
    rows_per_second = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("Of predictions; empty: no limit"),
    )
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(revoked_at__isnull=True, revoked_by__isnull=True)
                | models.Q(revoked_at__isnull=False, revoked_by__isnull=False),
                name="api_key_revoked_whole",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class OwnKeys(models.Model):
    """Which keys of the keyboard a person has moved: the usual key of a command -> the key that stands for it now."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="own_keys"
    )
    moved = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "own keys"

    def __str__(self) -> str:
        return f"keys of {self.user_id}"


class Invitation(models.Model):
    """A link by which one person, whoever holds it, joins a project. Taken back or used, the row is gone."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="invitations")
    name = models.CharField(max_length=200, help_text=_("For whom, to recognise it by"))
    email = models.EmailField(blank=True)
    role = models.CharField(max_length=20, choices=Role)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="invitation_role_known")
        ]

    def __str__(self) -> str:
        return gettext("invitation for %(name)s") % {"name": self.name}


class PasswordLink(models.Model):
    """A link by which a person sets a new password; one for each person at most. Used, the row is gone."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="password_link"
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"password link for {self.user_id}"


class Session(AbstractBaseSession):
    """A browser in which somebody is signed in. It knows whom, so that all of a person's can be ended."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="sessions"
    )

    class Meta(AbstractBaseSession.Meta):
        pass

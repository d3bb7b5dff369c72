"""Policy versions (people's) and policy periods (what is in force)."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from labeling.json_text import JsonText

__all__ = ["Overflowing", "PolicyPeriod", "PolicyVersion", "Stop"]


class PolicyVersion(models.Model):
    """A numbered routing policy as a person wrote it, complete with defaults. Never changed."""

    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="policy_versions")
    number = models.PositiveIntegerField()
    body = JsonText()
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "number"], name="policy_number_once")]

    def __str__(self) -> str:
        values = {"project": self.project_id, "number": self.number}
        return gettext("%(project)s policy v%(number)s") % values


class PolicyPeriod(models.Model):
    """An interval in which thresholds, audit rate, level and epoch of a scope are constant.

    The scope is a model version (none: all that have no period of their own) and a label group ("" for all labels). A new
    row is opened on any change; only `ended_at` is ever written afterwards, once.
    """

    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="policy_periods")
    policy_number = models.PositiveIntegerField()
    model_version = models.ForeignKey(
        "labeling.ModelVersion", null=True, on_delete=models.PROTECT, related_name="policy_periods"
    )
    label_group = models.CharField(max_length=200, blank=True)
    epoch = models.PositiveIntegerField(default=1)
    level = models.PositiveSmallIntegerField(default=0)
    high = models.FloatField(help_text=_("At or above this confidence a prediction is applied automatically"))
    low = models.FloatField(help_text=_("Below this confidence the fallback applies"))
    audit_rate = models.FloatField()
    forced_segments = JsonText(
        default=list, help_text=_("Segments that go to review although the average is good enough")
    )
    reason = models.TextField()
    said = models.JSONField(
        null=True, editable=False, help_text="What the text is made of (labeling.sentences)"
    )
    opened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["project", "-id"], name="period_by_project")]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "model_version", "label_group"],
                condition=models.Q(ended_at__isnull=True),
                nulls_distinct=False,
                name="one_open_period_per_scope",
            )
        ]

    def __str__(self) -> str:
        values = {"project": self.project_id, "id": self.pk, "number": self.policy_number}
        return gettext("%(project)s period %(id)s of policy v%(number)s") % values


class Stop(models.Model):
    """The kill switch of a project, or of one model version: nothing is automatic until somebody ends it."""

    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="stops")
    model_version = models.ForeignKey(
        "labeling.ModelVersion", null=True, on_delete=models.PROTECT, related_name="stops"
    )
    reason = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "model_version"],
                condition=models.Q(ended_at__isnull=True),
                nulls_distinct=False,
                name="one_stop_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"{self.project_id} stopped: {self.reason}"


class Overflowing(models.Model):
    """A time in which a project's overflow rule acted: new reviews were refused, or late ones answered by the fallback."""

    class Mode(models.TextChoices):
        FALLBACK = "fallback", _("Fallback")
        REFUSE = "refuse", _("Refuse")

    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="overflows")
    mode = models.CharField(max_length=10, choices=Mode)
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now(), help_text="When the rule last had something to do")
    answered = models.PositiveIntegerField(
        default=0, db_default=0, help_text="How many reviews the fallback has answered"
    )
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project"], condition=models.Q(ended_at__isnull=True), name="one_overflow_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"{self.project_id} overflows: {self.mode}"

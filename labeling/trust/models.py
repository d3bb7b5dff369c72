"""Counts from which every rate is worked out. Writers append deltas; one folder adds them to the cells.

All cells belong to the hour, day or week in which the *prediction* was routed (its `occurred_at` in simulated projects),
in the project's time zone; late labels update that day. The policy period is part of every key, because inside a period
the chance of a blind check is constant: without it no sum over cells could be weighted rightly.
"""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from labeling.json_text import JsonText

__all__ = [
    "COUNTERS",
    "REVIEWER_COUNTERS",
    "AutonomyEvent",
    "AutonomyScope",
    "Recall",
    "ReviewerDay",
    "SliceKind",
    "SliceValue",
    "TrustCell",
    "TrustDay",
    "TrustDelta",
    "TrustHour",
    "TrustSlice",
    "TrustWeek",
]

COUNTERS = (
    "total",  # predictions routed (settled ones are in no count)
    "auto",
    "review",
    "fallback",
    "fallback_manual",  # of fallback: a person labels
    "audit_due",  # of auto: drawn for a blind check
    "audit_done",
    "audit_err",  # the check's label differs, or there was none ("can't tell")
    "audit_err_adjudicated",  # of audit_err: settled by a second person
    "audit_err_open",  # of audit_err: a second person is asked
    "confirmed",  # of review: the label that settled it equals the prediction
    "corrected",
    "rejected",  # of review and manual fallback: the item cannot be labelled
    "skipped",
    "escalated",
    "overflowed",  # of review: nobody came in time, the fallback has answered
    "shadow_of",  # of fallback: answered by itself, with a chance of a shadow review
    "shadow_due",  # of those: drawn for one
    "shadow_done",  # fallback predictions that a person labelled
    "shadow_err",  # of shadow_done: the model's output differs
    "shadow_served_err",  # of shadow_done that were drawn: what the fallback had answered differs
    "shadow_rejected",  # of shadow_due: the item cannot be labelled
)
REVIEWER_COUNTERS = (
    "reviewed",  # decisions, sentinels and gold items excluded
    "confirmed",
    "corrected",
    "labelled",
    "rejected",
    "escalated",
    "sentinels",
    "sentinels_missed",
    "gold",
    "gold_changed",
    "double_reviewed",
    "agreed",
    "seconds",
)


class TrustDelta(models.Model):
    """What one transaction adds, as `deltas.Entry` objects. Deleted in the transaction that folds it."""

    project_id = models.BigIntegerField()
    payload = JsonText()

    def __str__(self) -> str:
        return f"delta {self.pk}"


class Counts(models.Model):
    total = models.BigIntegerField(default=0)
    auto = models.BigIntegerField(default=0)
    review = models.BigIntegerField(default=0)
    fallback = models.BigIntegerField(default=0)
    fallback_manual = models.BigIntegerField(default=0)
    audit_due = models.BigIntegerField(default=0)
    audit_done = models.BigIntegerField(default=0)
    audit_err = models.BigIntegerField(default=0)
    audit_err_adjudicated = models.BigIntegerField(default=0)
    audit_err_open = models.BigIntegerField(default=0)
    confirmed = models.BigIntegerField(default=0)
    corrected = models.BigIntegerField(default=0)
    rejected = models.BigIntegerField(default=0)
    skipped = models.BigIntegerField(default=0)
    escalated = models.BigIntegerField(default=0)
    overflowed = models.BigIntegerField(default=0, db_default=0)
    shadow_of = models.BigIntegerField(default=0, db_default=0)
    shadow_due = models.BigIntegerField(default=0, db_default=0)
    shadow_done = models.BigIntegerField(default=0)
    shadow_err = models.BigIntegerField(default=0)
    shadow_served_err = models.BigIntegerField(default=0, db_default=0)
    shadow_rejected = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        abstract = True


class TrustCell(Counts):
    """Counts of a day, policy period, model version and confidence bucket."""

    project_id = models.BigIntegerField()
    day = models.DateField()
    period_id = models.BigIntegerField()
    model_version_id = models.BigIntegerField()
    bucket = models.SmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "day", "period_id", "model_version_id", "bucket"], name="one_trust_cell"
            )
        ]

    def __str__(self) -> str:
        return f"{self.project_id} {self.day} period {self.period_id} bucket {self.bucket}"


class TrustWeek(Counts):
    """The cells of an ISO week (`week` is its Monday) in one row, so that a year of buckets stays readable."""

    project_id = models.BigIntegerField()
    week = models.DateField()
    period_id = models.BigIntegerField()
    model_version_id = models.BigIntegerField()
    bucket = models.SmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "week", "period_id", "model_version_id", "bucket"],
                name="one_trust_week",
            )
        ]

    def __str__(self) -> str:
        return f"{self.project_id} week of {self.week} period {self.period_id} bucket {self.bucket}"


class TrustDay(Counts):
    """Counts of a day, policy period and model version: what lines are drawn from."""

    project_id = models.BigIntegerField()
    day = models.DateField()
    period_id = models.BigIntegerField()
    model_version_id = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "day", "period_id", "model_version_id"], name="one_trust_day"
            )
        ]

    def __str__(self) -> str:
        return f"{self.project_id} {self.day} period {self.period_id}"


class TrustHour(Counts):
    """Counts of an hour, policy period and model version. `hour` is the instant at which the project's clock showed it."""

    project_id = models.BigIntegerField()
    hour = models.DateTimeField()
    period_id = models.BigIntegerField()
    model_version_id = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "hour", "period_id", "model_version_id"], name="one_trust_hour"
            )
        ]

    def __str__(self) -> str:
        return f"{self.project_id} {self.hour} period {self.period_id}"


class SliceKind(models.TextChoices):
    """What a slice is of. "none" are the predictions without a value, "other" those beyond the 50 values kept; both are
    kinds of their own, because a client may well call a segment "other". A slice of a truth, the label that people gave,
    holds what their answers add, and nothing about how predictions were routed."""

    SEGMENT = "segment", _("Segment")
    SEGMENT_NONE = "segment_none", _("Segment None")
    SEGMENT_OTHER = "segment_other", _("Segment Other")
    LABEL = "label", _("Label")
    LABEL_NONE = "label_none", _("Label None")
    LABEL_OTHER = "label_other", _("Label Other")
    TRUTH = "truth", _("Truth")
    TRUTH_OTHER = "truth_other", _("Truth Other")


class TrustSlice(Counts):
    """Counts of a day, policy period and model version by segment, predicted label or true label."""

    project_id = models.BigIntegerField()
    day = models.DateField()
    period_id = models.BigIntegerField()
    model_version_id = models.BigIntegerField()
    kind = models.CharField(max_length=20, choices=SliceKind)
    value = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "kind", "day", "period_id", "model_version_id", "value"],
                name="one_trust_slice",
            )
        ]

    def __str__(self) -> str:
        return f"{self.project_id} {self.day} {self.kind} {self.value}"


class SliceValue(models.Model):
    """A segment or label that has slices of its own: the 50 first seen of a model version. Written by the folder
    alone, so that what counts as "other" does not depend on the order in which a batch is read."""

    project_id = models.BigIntegerField()
    model_version_id = models.BigIntegerField()
    kind = models.CharField(max_length=20, choices=SliceKind)
    value = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "kind", "model_version_id", "value"], name="one_slice_value"
            )
        ]

    def __str__(self) -> str:
        return f"{self.project_id} {self.kind} {self.value}"


class ReviewerDay(models.Model):
    """Counts of a reviewer's day in a queue, by the day of the decision."""

    project_id = models.BigIntegerField()
    day = models.DateField()
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    queue_id = models.BigIntegerField()
    reviewed = models.BigIntegerField(default=0)
    confirmed = models.BigIntegerField(default=0)
    corrected = models.BigIntegerField(default=0)
    labelled = models.BigIntegerField(default=0)
    rejected = models.BigIntegerField(default=0)
    escalated = models.BigIntegerField(default=0)
    sentinels = models.BigIntegerField(default=0)
    sentinels_missed = models.BigIntegerField(default=0)
    gold = models.BigIntegerField(default=0)
    gold_changed = models.BigIntegerField(default=0)
    double_reviewed = models.BigIntegerField(default=0)
    agreed = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "day", "reviewer", "queue_id"], name="one_reviewer_day"
            )
        ]

    def __str__(self) -> str:
        return f"{self.reviewer_id} on {self.day}"


class AutonomyScope(models.Model):
    """What the controller remembers of a scope: predictions of one model version with labels of one group.

    `state` is a `scope.ScopeState`. Evidence are the cells of policy periods from `evidence_from` on (in a cool-down: what
    uses it up); `arrived` says how much of it has been looked at, `fed` which outcomes the detectors have had, so that a
    look that is repeated adds nothing. Written by whoever holds the project's row.
    """

    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="scopes")
    model_version = models.ForeignKey(
        "labeling.ModelVersion", on_delete=models.PROTECT, related_name="scopes"
    )
    label_group = models.CharField(max_length=200, blank=True)
    state = JsonText()
    evidence_from = models.BigIntegerField(default=0)
    level_from = models.BigIntegerField(default=0)
    schema_number = models.PositiveIntegerField(default=1)
    groups = JsonText(default=list)
    arrived = JsonText(default=list)
    fed = JsonText(default=dict)
    volume = JsonText(default=list, help_text="[hour, bucket counts] of the last day")
    drift = JsonText(default=dict)
    forced_segments = JsonText(default=list)
    signature = models.CharField(max_length=200, blank=True)
    looked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "model_version", "label_group"], name="one_scope")
        ]

    def __str__(self) -> str:
        return f"{self.model_version_id} {self.label_group}".strip()


class AutonomyEvent(models.Model):
    """A change of what is automatic or how it is checked, with the numbers it rests on. Append-only."""

    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="autonomy_events")
    model_version = models.ForeignKey(
        "labeling.ModelVersion", null=True, on_delete=models.PROTECT, related_name="+"
    )
    label_group = models.CharField(max_length=200, blank=True)
    kind = models.CharField(max_length=30)
    reason = models.TextField()
    said = models.JSONField(
        null=True, editable=False, help_text="What the text is made of (labeling.sentences)"
    )
    epoch = models.PositiveIntegerField(default=1)
    level = models.PositiveSmallIntegerField(default=0)
    period_id = models.BigIntegerField(null=True)
    numbers = JsonText(default=dict)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["project", "-id"], name="autonomy_event_by_project")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"


class Recall(models.Model):
    """Automatic results that go back to people. Waits until `done_at`; everything up to `cursor` is done."""

    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="recalls")
    model_version = models.ForeignKey(
        "labeling.ModelVersion", null=True, on_delete=models.PROTECT, related_name="+"
    )
    since = models.DateTimeField()
    until = models.DateTimeField()
    cursor = models.BigIntegerField(default=0)
    recalled = models.PositiveIntegerField(default=0)
    reason = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(db_default=Now())
    done_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"recall since {self.since}"

"""Verdicts and corrections, the label that counts, and the feed of outcomes."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from labeling.ids import NextId
from labeling.json_text import JsonText

__all__ = [
    "AcceptedLabel",
    "Decision",
    "FeedHead",
    "Origin",
    "Outcome",
    "OutcomeBatch",
    "Verdict",
    "Withdrawal",
]


class Verdict(models.TextChoices):
    CONFIRMED = "confirmed", _("Confirmed")
    CORRECTED = "corrected", _("Corrected")
    LABELLED = "labelled", _("Labelled")
    REJECTED = "rejected", _("Rejected")
    ESCALATED = "escalated", _("Escalated")


class Origin(models.TextChoices):
    AUTO = "auto", _("Auto")
    HUMAN = "human", _("Human")
    FALLBACK = "fallback", _("Fallback")


class Decision(models.Model):
    """What a person decided about a task. Append-only: undoing adds a withdrawal, correcting adds another decision.

    `output` is the label the decision stands for (the model's own when confirmed), empty when rejected or escalated.
    `agreed` says whether it equals the model's output. One claim token can make one decision.
    """

    # No foreign keys: the statement that writes a decision has read and locked what it names, and checks would lock the rows of
    # its project and person for every decision (docs/decisions/0007).
    id = models.BigIntegerField(primary_key=True, db_default=NextId())
    project = models.ForeignKey(
        "labeling.Project",
        on_delete=models.PROTECT,
        related_name="decisions",
        db_constraint=False,
        db_index=False,
    )
    task = models.ForeignKey(
        "labeling.ReviewTask", on_delete=models.PROTECT, related_name="decisions", db_constraint=False
    )
    item_id = models.BigIntegerField()
    prediction_id = models.BigIntegerField()
    purpose = models.CharField(max_length=20)
    verdict = models.CharField(max_length=20, choices=Verdict)
    output = JsonText(null=True)
    agreed = models.BooleanField(null=True)
    note = models.TextField(blank=True)
    seconds = models.FloatField(null=True)
    claim_token = models.UUIDField(unique=True)
    request_hash = models.UUIDField(
        help_text=_("Fingerprint of the request, to tell a repeat from another answer")
    )
    supersedes = models.ForeignKey(
        "self",
        null=True,
        on_delete=models.PROTECT,
        related_name="superseded_by",
        db_constraint=False,
        db_index=False,
    )
    guidelines_number = models.PositiveIntegerField(default=0)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="decisions",
        db_constraint=False,
        db_index=False,
    )
    claimed_at = models.DateTimeField(null=True)
    decided_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["item_id", "id"], name="decision_by_item"),
            models.Index(fields=["decided_by", "-id"], name="decision_by_person"),
            models.Index(fields=["project", "verdict", "-id"], name="decision_by_verdict"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(verdict__in=["rejected", "escalated"], output__isnull=True)
                | Q(verdict__in=["confirmed", "corrected", "labelled"], output__isnull=False),
                name="decision_output_fits_verdict",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_verdict_display()} {self.pk}"


class Withdrawal(models.Model):
    """The undoing of a decision. Append-only."""

    decision = models.OneToOneField(Decision, on_delete=models.PROTECT, related_name="withdrawal")
    reason = models.TextField(blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"withdrawal of {self.decision_id}"


class AcceptedLabel(models.Model):
    """The label that counts for an item now, and how many outcomes the item has had.

    Items whose only outcome was automatic have no row: their revision is 1 and their label is the prediction's.
    `decision` is empty while no person's label counts (after an undo, or for a rejected item `rejected` is set).
    """

    item_id = models.BigIntegerField(primary_key=True)
    project_id = models.BigIntegerField()
    decision = models.ForeignKey(
        Decision,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    output = JsonText(null=True)
    origin = models.CharField(max_length=20, choices=Origin, null=True)
    revision = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"label of item {self.item_id}"


class Outcome(models.Model):
    """A final outcome that is not simply an automatic route: a person's, or any later revision. Append-only."""

    id = models.BigIntegerField(primary_key=True, db_default=NextId())
    project_id = models.BigIntegerField()
    item_id = models.BigIntegerField()
    prediction_id = models.BigIntegerField()
    output = JsonText(null=True)
    origin = models.CharField(max_length=20, choices=Origin)
    verdict = models.CharField(max_length=20, choices=Verdict, null=True)
    decision = models.ForeignKey(
        Decision,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    decided_at = models.DateTimeField(db_default=Now())
    revision = models.PositiveIntegerField()

    class Meta:
        indexes = [models.Index(fields=["item_id"], name="outcome_by_item")]

    def __str__(self) -> str:
        return f"outcome {self.pk} of item {self.item_id}"


class OutcomeBatch(models.Model):
    """The outcomes of one transaction, in order: ids of `Prediction` rows (final at once) or of `Outcome` rows.

    The sequencer gives committed batches their first number; entry k of a batch has the number `first_number + k`.
    One update per transaction instead of one per outcome, and dense numbers whatever the order of commits.
    """

    id = models.BigAutoField(primary_key=True)
    project_id = models.BigIntegerField()
    of_predictions = models.BooleanField()
    entries = ArrayField(models.BigIntegerField())
    size = models.IntegerField()
    first_number = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(
                fields=["project_id", "id"],
                condition=Q(first_number__isnull=True),
                name="outcomes_unnumbered",
            ),
            models.Index(fields=["project_id", "first_number"], name="outcomes_by_number"),
            BrinIndex(fields=["created_at"], name="outcomes_by_time", pages_per_range=32, autosummarize=True),
        ]

    def __str__(self) -> str:
        return f"{self.size} outcomes of project {self.project_id}"


class FeedHead(models.Model):
    """The last number given in a project's feed; its row lock is what makes the numbers dense."""

    project = models.OneToOneField(
        "labeling.Project", primary_key=True, on_delete=models.CASCADE, related_name="feed_head"
    )
    last_number = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"feed of {self.project_id} at {self.last_number}"

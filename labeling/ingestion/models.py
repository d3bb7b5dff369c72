"""Items and the predictions made for them.

`Item` and `Prediction` are partitioned by ranges of their time-ordered id (see `partitions.py`), so other tables point at
them without a foreign key. An item takes the id of its first prediction; that, and the narrow key tables, keep the number
of index entries per row low and let idempotency outlive the payload.
"""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from labeling.json_text import JsonText

__all__ = ["Item", "ItemKey", "JsonText", "ModelVersion", "Prediction", "PredictionKey", "Route"]


class Route(models.TextChoices):
    AUTO = "auto", _("Auto")
    REVIEW = "review", _("Review")
    FALLBACK = "fallback", _("Fallback")
    SETTLED = "settled", _("Settled")


class ModelVersion(models.Model):
    """A model of a project in one version, made at its first prediction."""

    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="model_versions")
    name = models.CharField(max_length=200)
    version = models.CharField(max_length=200, blank=True)
    first_seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name", "version"], name="model_version_once")
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()


class Item(models.Model):
    """One thing to label, as the client sent it."""

    id = models.BigIntegerField(primary_key=True)
    project_id = models.BigIntegerField()
    key = models.TextField(help_text="The client's own id")
    input = JsonText(null=True, help_text="Empty when retention has dropped it")
    received_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.key


class Prediction(models.Model):
    """What a model said of an item, and how it was routed: one row, so that a prediction without a route cannot exist.

    Append-only. `policy_number`, `period_id`, `reason` and `audit_probability` say why the route was taken;
    `final_output` holds what was served at once where that is not the model's own output.
    """

    id = models.BigIntegerField(primary_key=True)
    project_id = models.BigIntegerField()
    item_id = models.BigIntegerField()
    model_version_id = models.BigIntegerField()
    output = JsonText()
    confidence = models.FloatField()
    label = models.TextField(null=True, help_text="The predicted label where the task type has exactly one")
    segment = models.TextField(null=True)
    details = JsonText(null=True, help_text="probabilities, explanation, latency_ms, cost")
    occurred_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField(db_default=Now())
    route = models.TextField(choices=Route)
    reason = models.TextField()
    policy_number = models.IntegerField()
    period_id = models.BigIntegerField()
    audit_probability = models.FloatField()
    audited = models.BooleanField()
    final_output = JsonText(null=True)

    class Meta:
        indexes = [models.Index(fields=["project_id", "route", "id"], name="prediction_by_route")]

    def __str__(self) -> str:
        return f"prediction {self.pk}"


class ItemKey(models.Model):
    """Client id -> item, with the fingerprint of the input and of the first prediction. Outlives the payload."""

    key_hash = models.UUIDField(primary_key=True)
    project_id = models.BigIntegerField()
    item_id = models.BigIntegerField()
    input_hash = models.UUIDField()
    model_version_id = models.BigIntegerField()
    content_hash = models.UUIDField()
    route = models.TextField(choices=Route)
    policy_number = models.IntegerField()

    class Meta:
        indexes = [
            BrinIndex(fields=["item_id"], name="itemkey_by_time", pages_per_range=32, autosummarize=True)
        ]

    def __str__(self) -> str:
        return f"key of item {self.item_id}"


class PredictionKey(models.Model):
    """Fingerprint of every further prediction of an item: (item, model version) -> prediction."""

    prediction_id = models.BigIntegerField(primary_key=True)
    item_id = models.BigIntegerField()
    model_version_id = models.BigIntegerField()
    content_hash = models.UUIDField()
    route = models.TextField(choices=Route)
    policy_number = models.IntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item_id", "model_version_id"], name="prediction_once_per_model_version"
            )
        ]

    def __str__(self) -> str:
        return f"key of prediction {self.prediction_id}"

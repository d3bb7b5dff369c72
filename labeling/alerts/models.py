"""What an operator must know: alerts, who is told, and every message on its way."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

__all__ = ["Alert", "AlertDelivery", "AlertKind", "AlertRecipient", "Channel", "DeliveryState"]


class AlertKind(models.TextChoices):
    PUBLISH_FAILING = "publish_failing", _("Publishing fails")
    QUEUE_TOO_OLD = "queue_too_old", _("Queue too old")
    QUEUE_OVERFLOWING = "queue_overflowing", _("Queue overflows")
    DISK_NEARLY_FULL = "disk_nearly_full", _("Disk nearly full")
    STRAGGLERS = "stragglers", _("Work left behind")
    LEDGER_BROKEN = "ledger_broken", _("Ledger broken")
    TRUST_ALARM = "trust_alarm", _("Trust alarm")
    TEST = "test", _("Test")


class Channel(models.TextChoices):
    EMAIL = "email", _("Email")
    WEBHOOK = "webhook", _("Webhook")


class DeliveryState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Failed")


class Alert(models.Model):
    """Something that is not as it should be, from when it was first seen until it was over.

    While it is open there is one row for a (kind, subject), however often it is seen.
    """

    project = models.ForeignKey(
        "labeling.Project", null=True, on_delete=models.PROTECT, related_name="alerts"
    )
    kind = models.CharField(max_length=30, choices=AlertKind)
    subject = models.CharField(max_length=200, help_text=_("What it is about, as kind:id"))
    detail = models.TextField(help_text=_("One sentence for a person"))
    said = models.JSONField(
        null=True, editable=False, help_text="What the text is made of (labeling.sentences)"
    )
    opened_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    times = models.PositiveIntegerField(default=1, db_default=1, help_text=_("How often it was seen"))
    closed_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"], condition=Q(closed_at__isnull=True), name="one_open_alert"
            ),
            models.CheckConstraint(
                condition=Q(acknowledged_at__isnull=True, acknowledged_by__isnull=True)
                | Q(acknowledged_at__isnull=False, acknowledged_by__isnull=False),
                name="acknowledged_by_somebody",
            ),
        ]
        indexes = [models.Index(fields=["project", "-id"], name="alert_by_project")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.subject}"


class AlertRecipient(models.Model):
    """Who is told: an e-mail address or a webhook; of one project, or of the whole instance."""

    project = models.ForeignKey(
        "labeling.Project", null=True, blank=True, on_delete=models.PROTECT, related_name="alert_recipients"
    )
    channel = models.CharField(max_length=10, choices=Channel)
    address = models.CharField(max_length=500, help_text=_("An e-mail address, or an https URL"))
    secret = models.CharField(
        max_length=100, blank=True, editable=False, help_text="Signs what a webhook is sent"
    )
    kinds = ArrayField(
        models.CharField(max_length=30, choices=AlertKind), default=list, blank=True, help_text=_("None: all")
    )
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    removed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "address"],
                condition=Q(removed_at__isnull=True),
                nulls_distinct=False,
                name="recipient_once",
            )
        ]

    def __str__(self) -> str:
        return self.address


class AlertDelivery(models.Model):
    """One message to one recipient. Its id goes along, so that whoever gets it twice can tell."""

    class Event(models.TextChoices):
        OPENED = "opened", _("Opened")
        CLOSED = "closed", _("Closed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="deliveries")
    recipient = models.ForeignKey(AlertRecipient, on_delete=models.PROTECT, related_name="deliveries")
    event = models.CharField(max_length=10, choices=Event)
    state = models.CharField(max_length=10, choices=DeliveryState, default=DeliveryState.WAITING)
    attempt = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(db_default=Now())
    error = models.TextField(blank=True)
    said = models.JSONField(
        null=True, editable=False, help_text="What the text is made of (labeling.sentences)"
    )
    sent_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "alert deliveries"
        constraints = [
            models.UniqueConstraint(fields=["alert", "recipient", "event"], name="one_message_per_event")
        ]
        indexes = [
            models.Index(fields=["next_try_at"], condition=Q(state="waiting"), name="delivery_waiting")
        ]

    def __str__(self) -> str:
        return gettext("%(event)s, to recipient %(recipient)s") % {
            "event": self.get_event_display(),
            "recipient": self.recipient_id,
        }

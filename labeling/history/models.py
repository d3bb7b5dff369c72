"""Who did what: append-only events, one per change a person or key made to anything but the work itself."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

__all__ = ["HistoryEvent"]


class HistoryEvent(models.Model):
    """One change, by whom, with what stood before and after. The database refuses update and delete."""

    at = models.DateTimeField(auto_now_add=True)
    project = models.ForeignKey(
        "labeling.Project", null=True, on_delete=models.PROTECT, related_name="history_events"
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", verbose_name="who"
    )
    key = models.ForeignKey("labeling.ApiKey", null=True, on_delete=models.PROTECT, related_name="+")
    action = models.CharField(max_length=60)
    subject = models.CharField(max_length=200, help_text=_("What was changed, as kind:id"))
    details = models.JSONField(default=dict)
    said = models.JSONField(
        null=True, editable=False, help_text="What its texts are made of (labeling.sentences)"
    )

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["project", "-id"], name="history_by_project"),
            models.Index(fields=["subject", "-id"], name="history_by_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"

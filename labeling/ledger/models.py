"""Ledger checks that were asked for, and what they found."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

__all__ = ["LedgerRun"]


class LedgerRun(models.Model):
    """One check of the ledger. `findings` is a list of {name, promise, checked, wrong, examples, said}, empty until it is done.

    An example is {text, said}, in rows from before it was a plain text.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")

    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    since = models.DateTimeField(null=True, help_text=_("Only what began after this time; empty: everything"))
    findings = models.JSONField(default=list)
    error = models.TextField(blank=True)
    said = models.JSONField(
        null=True, editable=False, help_text="What the text is made of (labeling.sentences)"
    )
    asked_at = models.DateTimeField(db_default=Now())
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return gettext("ledger check %(id)s (%(state)s)") % {"id": self.pk, "state": self.get_state_display()}

    @property
    def is_under_way(self) -> bool:
        return self.state in (self.State.WAITING, self.State.RUNNING)

    @property
    def broken(self) -> int:
        """How many promises are broken."""
        return sum(bool(finding["wrong"]) for finding in self.findings)

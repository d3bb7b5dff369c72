"""Alerts, who is told, what was sent; and the checks of the ledger."""

from django.contrib import admin

from labeling.admin.base import ReadOnly
from labeling.alerts.models import Alert, AlertDelivery, AlertRecipient
from labeling.ledger.models import LedgerRun


@admin.register(Alert)
class AlertAdmin(ReadOnly):
    sentences = ("detail",)
    list_display = ("kind", "project", "subject", "opened_at", "times", "closed_at", "acknowledged_by")
    list_filter = ("kind", "project")


@admin.register(AlertRecipient)
class AlertRecipientAdmin(ReadOnly):
    """Recipients come and go on their page or by the API, which checks addresses and shows a webhook's secret once."""

    list_display = ("channel", "address", "project", "kinds", "created_by", "removed_at")


@admin.register(AlertDelivery)
class AlertDeliveryAdmin(ReadOnly):
    sentences = ("error",)
    list_display = ("id", "alert", "recipient", "event", "state", "attempt", "next_try_at", "error")
    list_filter = ("state",)


@admin.register(LedgerRun)
class LedgerRunAdmin(ReadOnly):
    sentences = ("error",)
    list_display = ("asked_at", "asked_by", "since", "state", "finished_at", "error")
    list_filter = ("state",)

"""Closed lists in the words of the interface, as they stand inside a line. At its beginning stand the labels of the choices."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from labeling.alerts.models import Channel
from labeling.decisions.models import Origin, Verdict
from labeling.projects.models import Role, Scope
from labeling.review.models import TaskState
from labeling.routing.models import Overflowing

NAMES: dict[str, dict[str, str | Promise]] = {
    "change": {"added": _("added"), "changed": _("changed"), "removed": _("removed")},
    "channel": {Channel.EMAIL: _("e-mail"), Channel.WEBHOOK: _("webhook")},
    "origin": {
        Origin.AUTO: _("automatic"),
        Origin.HUMAN: _("by a person"),
        Origin.FALLBACK: _("fallback"),
    },
    "overflow": {
        Overflowing.Mode.FALLBACK: _("the fallback answers late reviews"),
        Overflowing.Mode.REFUSE: _("new reviews are refused"),
    },
    "role": {
        Role.OWNER: _("owner"),
        Role.LEAD: _("lead"),
        Role.REVIEWER: _("reviewer"),
        Role.VIEWER: _("viewer"),
    },
    "scope": {
        Scope.INGEST: _("send predictions, read outcomes"),
        Scope.REVIEW: _("claim and decide"),
        Scope.DATASETS_READ: _("read versions and records"),
        Scope.MANAGE: _("policy, people, keys, autonomy"),
    },
    "state": {
        TaskState.WAITING: _("waiting"),
        TaskState.CLAIMED: _("claimed"),
        TaskState.DECIDED: _("decided"),
        TaskState.CANCELLED: _("cancelled"),
    },
    "verdict": {
        Verdict.CONFIRMED: _("confirmed"),
        Verdict.CORRECTED: _("corrected"),
        Verdict.LABELLED: _("labelled"),
        Verdict.REJECTED: _("rejected"),
        Verdict.ESCALATED: _("escalated"),
    },
}


def named(value: str, kind: str) -> str:
    """A value of a closed list in words; what has none is shown as it is."""
    return str(NAMES[kind].get(value, value))

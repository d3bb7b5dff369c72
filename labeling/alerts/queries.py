"""Reading alerts: those a person may see, newest first."""

from django.db.models import Q, QuerySet

from labeling.alerts.models import Alert, AlertKind, AlertRecipient
from labeling.errors import invalid, say
from labeling.history.actor import Actor
from labeling.projects.queries import list_led_projects

STATES = ("open", "closed", "all")


def list_alerts(
    by: Actor, *, state: str = "open", kind: str = "", project: str = "", before: int | None = None
) -> QuerySet[Alert]:
    """Alerts of the projects this person leads; administrators also see those of the instance. InvalidError for wrong filters."""
    if state not in STATES:
        raise invalid("/state", "invalid", say("state is one of {choices}", choices=", ".join(STATES)))
    if kind and kind not in AlertKind.values:
        raise invalid(
            "/kind", "invalid", say("kind is one of {choices}", choices=", ".join(AlertKind.values))
        )
    if "\x00" in project:
        raise invalid("/project", "invalid", say("a project is named by its slug"))
    visible = Q(project__in=list_led_projects(by))
    if by.is_admin and by.project_id is None and by.may("manage"):
        visible |= Q(project=None)
    found = Alert.objects.filter(visible).select_related("project", "acknowledged_by").order_by("-pk")
    if state != "all":
        found = found.filter(closed_at__isnull=state == "open")
    if kind:
        found = found.filter(kind=kind)
    if project:
        found = found.filter(project__slug=project)
    return found.filter(pk__lt=before) if before is not None else found


def list_recipients() -> QuerySet[AlertRecipient]:
    """Everybody who is told."""
    return AlertRecipient.objects.filter(removed_at=None).select_related("project").order_by("pk")

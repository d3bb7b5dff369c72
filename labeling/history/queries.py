"""Reading the history of a project: newest first, by person, kind and period."""

from django.db.models import QuerySet

from labeling.days import beginning_of, end_of
from labeling.errors import invalid, say
from labeling.history.models import HistoryEvent

FILTERS = ("who", "kind", "from", "to")
KINDS = (
    "project",
    "policy",
    "autonomy",
    "member",
    "invitation",
    "user",
    "password",
    "sessions",
    "key",
    "queue",
    "task",
    "claim",
    "alert",
    "alert_recipient",
    "dataset",
    "publication",
    "overflow",
)
"""What comes before the point in `HistoryEvent.action`."""


def list_events(
    project_id: int, *, filters: dict[str, str], before: int | None = None, zone: str = "UTC"
) -> QuerySet[HistoryEvent]:
    """Events of a project before an id, newest first; slice it. Filters: who, kind or a whole action, from and to (days).

    Every filter narrows a walk down the index (project, -id); this table grows with what people change, not with work.
    """
    events = HistoryEvent.objects.filter(project_id=project_id).select_related("by", "key").order_by("-pk")
    for name, value in filters.items():
        if "\x00" in value:
            raise invalid(f"/{name}", "invalid", say("{name} has no U+0000", name=name))
    if who := filters.get("who"):
        events = events.filter(by__username=who)
    if kind := filters.get("kind"):
        events = events.filter(action=kind) if "." in kind else events.filter(action__startswith=f"{kind}.")
    if "from" in filters:
        events = events.filter(at__gte=beginning_of("from", filters["from"], zone))
    if "to" in filters:
        events = events.filter(at__lt=end_of("to", filters["to"], zone))
    return events if before is None else events.filter(pk__lt=before)

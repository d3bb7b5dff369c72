"""Writing history: the one door for events."""

from typing import Any

from labeling.errors import Sentence
from labeling.history.actor import Actor
from labeling.history.models import HistoryEvent
from labeling.sentences import stored


def record_event(
    *, action: str, subject: str, by: Actor | None, project_id: int | None = None, **details: Any
) -> HistoryEvent:
    """Append one event inside the caller's transaction. `by=None` means the system itself."""
    return HistoryEvent.objects.create(
        action=action,
        subject=subject,
        project_id=project_id,
        by_id=by.user_id if by else None,
        key_id=by.key_id if by else None,
        details=details,
        said=stored(**{name: text for name, text in details.items() if isinstance(text, Sentence)})["said"],
    )

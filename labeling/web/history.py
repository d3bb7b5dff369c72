"""Who changed what in a project."""

import json
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from labeling.history.models import HistoryEvent
from labeling.projects.access import Permission
from labeling.projects.models import Project
from labeling.web.frame import project_frame
from labeling.web.page import is_fragment, page

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A page of events, newest first."""

    events: list[HistoryEvent]
    next_before: int | None
    actions: list[str]
    action: str
    who: str


@page("GET")
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    """Events of a project; the work itself is told by items and rates."""
    frame = project_frame(request, slug, Permission.LEAD, tab="audit")
    context = _history(frame.project, request.GET)
    template = "project/history.html#rows" if is_fragment(request) else "project/history.html"
    return render(request, template, {"frame": frame, "history": context})


def _history(project: Project, wanted: Any) -> HistoryPage:
    events = HistoryEvent.objects.filter(project=project).select_related("by", "key").order_by("-pk")
    action, who = wanted.get("action", ""), wanted.get("who", "")
    actions = sorted(
        set(HistoryEvent.objects.filter(project=project).values_list("action", flat=True).distinct())
    )
    if action in actions:
        events = events.filter(action=action)
    if who and "\x00" not in who:
        events = events.filter(by__username=who)
    before = wanted.get("before", "")
    if before.isdecimal() and before.isascii() and len(before) <= 18:
        events = events.filter(pk__lt=int(before))
    found = list(events[: PAGE_SIZE + 1])
    page_of = found[:PAGE_SIZE]
    for event in page_of:
        event.told = tell(event.details)  # type: ignore[attr-defined]
    return HistoryPage(page_of, page_of[-1].pk if len(found) > PAGE_SIZE else None, actions, action, who)


def tell(details: dict[str, Any]) -> str:
    """The details of an event in one line; long ones are cut."""
    parts = [
        f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in details.items()
        if value not in (None, "", {}, [])
    ]
    text = "; ".join(parts)
    return text if len(text) <= 300 else text[:299] + "…"

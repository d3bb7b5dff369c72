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
    """The details of an event in one line: what changed, from what to what. Long ones are cut, whole bodies left out."""
    before, after = details.get("before"), details.get("after")
    told = []
    if isinstance(after, dict):
        known = before if isinstance(before, dict) else {}
        told = [f"{name}: {_word(known.get(name))} → {_word(value)}" for name, value in after.items()]
    elif after is not None:
        told = [f"{_word(before)} → {_word(after)}"]
    told += [
        f"{name}: {_word(value)}"
        for name, value in details.items()
        if name not in ("before", "after", "body") and value not in (None, "", {}, [])
    ]
    return _cut("; ".join(told), 300)


def _word(value: Any) -> str:
    if value is None:
        return "–"
    return _cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 80)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"

"""Who changed what in a project."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from labeling.errors import InvalidError
from labeling.history.models import HistoryEvent
from labeling.history.queries import FILTERS, KINDS, list_events
from labeling.projects.access import Permission
from labeling.projects.models import Project
from labeling.web.frame import project_frame
from labeling.web.history_words import action_name, kind_name, subject_name, tell_details
from labeling.web.page import is_fragment, page
from labeling.web.wording import in_language

PAGE_SIZE = 50
_MOST_PEOPLE = 500


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A page of events, newest first."""

    events: list[HistoryEvent]
    next_before: int | None
    kinds: list[tuple[str, str]]
    people: list[str]
    filters: dict[str, str]
    query: str
    problem: str


@page("GET")
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    """Events of a project; the work itself is told by items and rates."""
    frame = project_frame(request, slug, Permission.LEAD, tab="audit")
    context = _history(frame.project, request.GET)
    template = "project/history.html#rows" if is_fragment(request) else "project/history.html"
    status = 422 if context.problem else 200
    return render(request, template, {"frame": frame, "history": context}, status=status)


def _history(project: Project, wanted: Any) -> HistoryPage:
    filters = {name: wanted[name].strip() for name in FILTERS if wanted.get(name, "").strip()}
    try:
        rows = list_events(project.pk, filters=filters, before=_before(wanted), zone=project.time_zone)
        found, problem = list(rows[: PAGE_SIZE + 1]), ""
    except InvalidError as error:
        found, problem = [], in_language(error.detail)
    page_of = found[:PAGE_SIZE]
    for event in page_of:
        event.told = tell_details(event)  # type: ignore[attr-defined]
        event.done = action_name(event.action)  # type: ignore[attr-defined]
        event.about = subject_name(event.subject)  # type: ignore[attr-defined]
    members = project.memberships.order_by("user__username").values_list("user__username", flat=True)
    return HistoryPage(
        events=page_of,
        next_before=page_of[-1].pk if len(found) > PAGE_SIZE else None,
        kinds=[(kind, kind_name(kind)) for kind in KINDS],
        people=list(members[:_MOST_PEOPLE]),
        filters=filters,
        query=urlencode(filters),
        problem=problem,
    )


def _before(wanted: Any) -> int | None:
    before = wanted.get("before", "")
    return int(before) if before.isdecimal() and before.isascii() and len(before) <= 18 else None

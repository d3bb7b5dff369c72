"""Who changed what in a project."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from labeling.errors import InvalidError
from labeling.history.models import HistoryEvent
from labeling.history.queries import FILTERS, KINDS, list_events
from labeling.projects.access import Permission
from labeling.projects.models import Project
from labeling.sentences import restored
from labeling.web.frame import project_frame
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
        event.told = tell(_in_words(event))  # type: ignore[attr-defined]
        event.done = action_name(event.action)  # type: ignore[attr-defined]
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


def _in_words(event: HistoryEvent) -> dict[str, Any]:
    """The details, with stored sentences in the language of the page."""
    said = event.said or {}
    return {
        name: in_language(restored({name: value, "said": said}, name)) if name in said else value
        for name, value in event.details.items()
    }


def kind_name(kind: str) -> str:
    """A kind of change in the words of the interface."""
    return {
        "project": _("project"),
        "policy": _("policy"),
        "autonomy": _("autonomy"),
        "member": _("members"),
        "invitation": _("invitations"),
        "user": _("accounts"),
        "password": _("passwords"),
        "sessions": _("sessions"),
        "key": _("keys"),
        "queue": _("queues"),
        "task": _("tasks"),
        "alert": _("alerts"),
        "alert_recipient": _("who is told of alerts"),
        "claim": _("claims"),
        "dataset": _("datasets"),
        "publication": _("publications"),
    }.get(kind, kind)


def action_name(action: str) -> str:
    """What was done, in words; an action without any is shown as it is."""
    return {
        "admin.bootstrapped": _("made the first account"),
        "alert.acknowledged": _("took note of an alert"),
        "alert_recipient.added": _("added who is told of alerts"),
        "alert_recipient.removed": _("removed who is told of alerts"),
        "autonomy.accepted": _("accepted a level of autonomy"),
        "autonomy.lowered": _("lowered autonomy"),
        "autonomy.resumed": _("resumed autonomy"),
        "autonomy.stopped": _("stopped everything automatic"),
        "claim.taken_back": _("took a claim back"),
        "dataset.publication_requested": _("asked for a dataset version"),
        "dataset.stuck_retried": _("tried a stuck dataset again"),
        "dataset.tagged": _("tagged a dataset version"),
        "dataset.untagged": _("took a tag off"),
        "invitation.accepted": _("joined by invitation"),
        "invitation.made": _("invited somebody"),
        "invitation.renewed": _("renewed an invitation"),
        "invitation.withdrawn": _("withdrew an invitation"),
        "key.created": _("made a key"),
        "key.revoked": _("revoked a key"),
        "ledger.check_asked": _("asked for a check of the ledger"),
        "member.removed": _("removed a member"),
        "member.set": _("set a role"),
        "overflow.ended": _("overflow over"),
        "overflow.started": _("too much work: the overflow rule began"),
        "password.changed": _("changed the password"),
        "password.link_made": _("made a password link"),
        "policy.published": _("published a policy"),
        "project.changed": _("changed the project"),
        "project.created": _("made the project"),
        "publication.failed": _("could not publish"),
        "queue.deadline_set": _("set a deadline"),
        "sessions.ended": _("signed out everywhere"),
        "task.reopened": _("reopened a task"),
        "user.changed": _("changed an account"),
        "user.created": _("made an account"),
        "user.deactivated": _("deactivated an account"),
        "user.reactivated": _("reactivated an account"),
    }.get(action, action)


def _before(wanted: Any) -> int | None:
    before = wanted.get("before", "")
    return int(before) if before.isdecimal() and before.isascii() and len(before) <= 18 else None


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

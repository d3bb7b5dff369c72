"""Reviewing: the page with one task on the desk, and what a decision, a skip or an undo answers.

A fragment that answers a decision brings the next task along, so that moving on is one request.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from labeling.errors import ConflictError, InvalidError, LabelingError, say
from labeling.history.actor import Actor
from labeling.pipeline import reopening
from labeling.pipeline.deciding import undo_decision
from labeling.projects.access import Permission, get_project
from labeling.projects.models import Project
from labeling.review import services
from labeling.review.claiming import lease_of
from labeling.review.claims import Claim
from labeling.review.models import ReviewQueue, ReviewTask
from labeling.review.queries import list_queues
from labeling.web import actor_of, workplace
from labeling.web.desk import Desk, build_desks
from labeling.web.filters import ReviewFilter, filter_of, show_form
from labeling.web.frame import ProjectFrame, project_frame
from labeling.web.my_day import LastDecision, MyDay, find_last_decision, my_day
from labeling.web.outputs import describe
from labeling.web.page import is_fragment, page
from labeling.web.wording import in_language

IN_HAND = 2  # the task on the desk and the one that waits behind it
SOON = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Toast:
    """What was just done, in one line."""

    text: str
    undo: bool = False


@dataclass(frozen=True, slots=True)
class ReviewPage:
    """The review page, and what its fragments put in place of older parts."""

    project: Project
    queue: ReviewQueue
    desks: Sequence[Desk]
    today: MyDay
    last_decision: LastDecision | None
    is_empty: bool
    filter: ReviewFilter
    waiting: int = 0
    toast: Toast | None = None
    frame: ProjectFrame | None = None

    @property
    def last_task(self) -> int | None:
        return self.last_decision.task if self.last_decision else None


@page("GET")
def review(request: HttpRequest, slug: str, queue: str = "") -> HttpResponse:
    """The desk: what this person holds already, or the next task of the queue."""
    frame = project_frame(request, slug, Permission.REVIEW, tab="queues")
    stream = workplace.open_queue(frame.project, queue, frame.actor)
    try:
        wanted = filter_of(frame.project, request.GET)
    except InvalidError as error:
        return show_form(request, frame.project, stream, error)
    claims = workplace.own_claims(frame.project, frame.actor, queue=queue, only=wanted.only)[:1]
    claims = claims or workplace.take(stream, frame.actor, 1, wanted.only)
    return _show(request, frame, claims[0].task.queue if claims else stream, claims, wanted=wanted)


@page("GET")
def task(request: HttpRequest, slug: str, task_id: int) -> HttpResponse:
    """One certain task: on the desk when it is free or mine, otherwise what became of it."""
    frame = project_frame(request, slug, Permission.REVIEW, tab="queues")
    found = workplace.get_project_task(frame.actor, slug, task_id)
    may_take = not found.queue.leads_only or frame.allows(Permission.LEAD_REVIEW)
    claim = workplace.take_one(frame.project, frame.actor, task_id) if may_take else None
    if claim:
        return _show(request, frame, claim.task.queue, [claim])
    context = {"frame": frame, "task": found, "closed": workplace.closed(found, frame.actor)}
    return render(request, "review/closed.html", context)


@page("POST")
def decide(request: HttpRequest, slug: str, task_id: int) -> HttpResponseBase:
    """Take a decision and bring the next task. A refused form comes back as it was typed."""
    actor = actor_of(request)
    found = workplace.get_project_task(actor, slug, task_id)
    filter_of(
        found.project, request.POST.get("filter", "")
    )  # a broken one must not turn up after the decision
    try:
        body = workplace.record_posted(found, request.POST, actor)
    except InvalidError as error:
        return _refused(request, found, actor, error)
    except ConflictError as error:
        return _lost(request, found, error)
    toast = Toast(workplace.describe_decision(found.project, body), undo=True)
    last = (
        LastDecision(body["decision"], found.pk) if "decision" in body else None
    )  # sent once more: not known
    return _next(request, found.project, actor, toast, left=found, last=last)


@page("POST")
def skip(request: HttpRequest, slug: str, task_id: int) -> HttpResponseBase:
    """Give the task back without a verdict and bring the next one."""
    actor = actor_of(request)
    found = workplace.get_project_task(actor, slug, task_id)
    filter_of(found.project, request.POST.get("filter", ""))
    try:
        item = workplace.skip_posted(found, request.POST, actor)
    except ConflictError as error:
        return _lost(request, found, error)
    toast = Toast(_("%(item)s skipped, it waits for others") % {"item": item})
    return _next(request, found.project, actor, toast, left=found)


@page("POST")
def undo(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Take back a decision of mine; its task comes back onto the desk."""
    actor = actor_of(request)
    project = get_project(actor, slug, Permission.REVIEW)
    number = request.POST.get("decision", "")
    if not number.isdecimal() or len(number) > 18:
        return _next(request, project, actor, Toast(_("There is nothing to undo")), bring=0)
    try:
        undone = undo_decision(decision_id=int(number), by=actor)
    except ConflictError as error:
        return _next(request, project, actor, Toast(in_language(error.detail)), bring=0)
    if not is_fragment(request):
        messages.info(request, _("Undone. The task is open again."))
        return redirect("task:detail", slug, undone["task"])
    claim = workplace.take_one(project, actor, undone["task"])
    first = build_desks(project, actor, [claim] if claim else [], is_first=True, is_hidden=True)
    return _next(request, project, actor, Toast(_("Undone, the task is open again")), first=first, bring=0)


@page("POST")
def reopen(request: HttpRequest, slug: str, task_id: int) -> HttpResponseBase:
    """Put a decided task back onto the desk, to correct its decision."""
    actor = actor_of(request)
    found = workplace.get_project_task(actor, slug, task_id)
    corrects = reopening.reopen(task_id=found.pk, by=actor, reason=request.POST.get("reason", ""))["corrects"]
    said = _(corrects["verdict"])
    if corrects["output"] is not None:
        said = f"{said}, {describe(found.project.task_type, corrects['output'])[:120]}"
    messages.info(
        request,
        _("You are correcting a decision: %(who)s said %(said)s. It stands until you save another one.")
        % {"who": corrects["decided_by"], "said": said},
    )
    return redirect("task:detail", slug, task_id)


@page("POST")
def more(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The next tasks for a page that has fewer in hand than it should."""
    actor = actor_of(request)
    return _next(request, get_project(actor, slug, Permission.REVIEW), actor, None)


@page("POST")
def heartbeat(request: HttpRequest, slug: str) -> HttpResponseBase:
    """A visible page holds on to its tasks; it is told which ones it has lost."""
    actor = actor_of(request)
    project = get_project(actor, slug, Permission.REVIEW)
    timezone.activate(ZoneInfo(project.time_zone))
    lease = lease_of(project)
    held, lost = [], []
    for task_id, token in workplace.held_by_page(request):
        try:
            until = services.heartbeat(task_id=task_id, token=token, by=actor, lease=lease)
            held.append({"task": task_id, "until": formats.date_format(timezone.localtime(until), "H:i")})
        except LabelingError as error:
            html = render_to_string("review/lost.html#banner", {"error": error, "decided": None}, request)
            lost.append({"task": task_id, "html": html})
    return JsonResponse({"held": held, "lost": lost})


@page("POST")
def release(request: HttpRequest, slug: str) -> HttpResponseBase:
    """A page that is left gives its tasks back; one that may only be loading again lets their leases run out soon."""
    actor = actor_of(request)
    get_project(actor, slug, Permission.REVIEW)
    for task_id, token in workplace.held_by_page(request):
        try:
            if request.POST.get("soon"):
                services.heartbeat(task_id=task_id, token=token, by=actor, lease=SOON)
            else:
                services.release_task(task_id=task_id, token=token, by=actor)
        except LabelingError:  # lost or decided meanwhile: nothing to give back
            continue
    return HttpResponse(status=204)


def _show(
    request: HttpRequest,
    frame: ProjectFrame,
    queue: ReviewQueue,
    claims: Sequence[Claim],
    *,
    typed: Any = None,
    wanted: ReviewFilter | None = None,
) -> HttpResponse:
    wanted = wanted or filter_of(frame.project, request.POST.get("filter", ""))
    desks = build_desks(frame.project, frame.actor, claims, typed=typed)
    context = ReviewPage(
        project=frame.project,
        queue=queue,
        desks=desks,
        today=my_day(frame.actor, frame.project),
        last_decision=find_last_decision(frame.actor, frame.project),
        is_empty=not desks,
        filter=wanted,
        waiting=0 if desks else _waiting(frame.project, queue),
        frame=frame,
    )
    response = render(
        request,
        "review/task.html",
        {"frame": frame, "review": context, "csrf_cookie": settings.CSRF_COOKIE_NAME},
        status=200 if typed is None else 422,
    )
    response["Cache-Control"] = "no-store"  # going back must not show a task that was decided
    return response


def _next(
    request: HttpRequest,
    project: Project,
    by: Actor,
    toast: Toast | None,
    *,
    first: Sequence[Desk] = (),
    bring: int = IN_HAND,
    left: ReviewTask | None = None,
    last: LastDecision | None = None,
) -> HttpResponseBase:
    """The answer to everything that moves on: a fragment with further tasks, or the page for forms without scripts. `left` is
    the task this person was just allowed to work on, `last` the decision just taken."""
    queue = workplace.open_queue(project, request.POST.get("queue", ""), by, left=left)
    wanted = filter_of(project, request.POST.get("filter", ""))
    if not is_fragment(request):
        if toast:
            messages.info(request, toast.text)
        address = reverse("queue:detail", args=[project.slug, queue.slug])
        return redirect(f"{address}?{wanted.query}" if wanted.query else address)
    timezone.activate(ZoneInfo(project.time_zone))
    held = {task_id for task_id, _token in workplace.held_by_page(request)}
    kept = (
        workplace.own_claims(project, by, queue=queue.slug, only=wanted.only)
        if request.POST.get("own")
        else []
    )
    claims = [claim for claim in kept if claim.task.pk not in held][: max(0, bring - len(held))]
    claims += workplace.take(queue, by, bring - len(held) - len(claims), wanted.only)
    desks = [*first, *build_desks(project, by, claims, is_hidden=True)]
    is_empty = not desks and not held
    context = ReviewPage(
        project=project,
        queue=queue,
        desks=desks,
        today=my_day(by, project),
        last_decision=last or find_last_decision(by, project),
        is_empty=is_empty,
        filter=wanted,
        waiting=_waiting(project, queue) if is_empty and wanted.only else 0,
        toast=toast,
    )
    return render(request, "review/task.html#after", {"review": context})


def _waiting(project: Project, queue: ReviewQueue) -> int:
    return next((state.waiting for state in list_queues(project) if state.id == queue.pk), 0)


def _refused(request: HttpRequest, found: ReviewTask, by: Actor, error: InvalidError) -> HttpResponseBase:
    """The form again with what was typed, or for scripts only what is wrong with it."""
    if is_fragment(request):
        raise error
    claims = workplace.own_claims(found.project, by, task_id=found.pk)
    if not claims:
        return _lost(request, found, ConflictError("claim_lost", say("The claim ran out.")))
    messages.error(request, in_language(error.detail))
    frame = project_frame(request, found.project.slug, Permission.REVIEW, tab="queues")
    return _show(request, frame, found.queue, claims, typed=request.POST)


def _lost(request: HttpRequest, found: ReviewTask, error: ConflictError) -> HttpResponse:
    """Who decided what meanwhile; what was typed stays to compare."""
    decided = None
    if "decided_by" in error.extra:
        decided = {
            **error.extra,
            "text": describe(found.project.task_type, error.extra["output"]),
            "when": datetime.fromisoformat(error.extra["decided_at"]),
        }
        timezone.activate(ZoneInfo(found.project.time_zone))
    context = {"error": error, "decided": decided, "entered": workplace.entered(request.POST)}
    if is_fragment(request):
        return render(request, "review/lost.html#banner", context, status=409)
    frame = project_frame(request, found.project.slug, Permission.REVIEW, tab="queues")
    return render(request, "review/lost.html", {**context, "frame": frame}, status=409)

"""Reviewing: the page with one task on the desk, and what a decision, a skip or an undo answers.

A fragment that answers a decision brings the next task along, so that moving on is one request.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from labeling.errors import ConflictError, InvalidError, LabelingError, NotFoundError
from labeling.history.actor import Actor
from labeling.ingestion.models import Item, Prediction
from labeling.pipeline.deciding import decide as record
from labeling.pipeline.deciding import skip as skip_task
from labeling.pipeline.deciding import undo_decision
from labeling.projects.access import Permission, get_project, require
from labeling.projects.models import Project
from labeling.projects.queries import get_output_schema
from labeling.review import services
from labeling.review.claiming import get_queue, lease_of
from labeling.review.models import ReviewQueue, ReviewTask, TaskKind
from labeling.review.services import Claim
from labeling.web import actor_of
from labeling.web.answers import read_answer
from labeling.web.desk import Desk, build_desks, describe
from labeling.web.frame import ProjectFrame, project_frame
from labeling.web.my_day import MyDay, last_decision_id, my_day
from labeling.web.page import is_fragment, page

IN_HAND = 2  # the task on the desk and the one that waits behind it


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
    desks: list[Desk]
    today: MyDay
    last_decision: int | None
    is_empty: bool
    toast: Toast | None = None
    frame: ProjectFrame | None = None


@page("GET")
def review(request: HttpRequest, slug: str, queue: str = "") -> HttpResponse:
    """The desk: what this person holds already, or the next task of the queue."""
    frame = project_frame(request, slug, Permission.REVIEW, tab="queues")
    stream = _open_queue(frame.project, queue or services.DEFAULT_QUEUE, frame.actor)
    claims = _own_claims(frame.project, frame.actor, queue)[:1]
    claims = claims or _claim(stream, frame.actor, 1)
    return _show_page(request, frame, claims[0].task.queue if claims else stream, claims)


@page("GET")
def task(request: HttpRequest, slug: str, task_id: int) -> HttpResponse:
    """One certain task: on the desk when it is free or mine, otherwise what became of it."""
    frame = project_frame(request, slug, Permission.REVIEW, tab="queues")
    found = _get_task(frame.actor, slug, task_id)
    mine = [claim for claim in _own_claims(frame.project, frame.actor) if claim.task.pk == task_id]
    claim = mine[0] if mine else services.claim_task(task_id=task_id, by=frame.actor, lease=lease_of(frame.project))
    if claim:
        return _show_page(request, frame, claim.task.queue, [claim])
    return render(request, "review/closed.html", {"frame": frame, "task": found, "closed": _closed(found, frame.actor)})


@page("POST")
def decide(request: HttpRequest, slug: str, task_id: int) -> HttpResponseBase:
    """Take a decision and bring the next task. A refused form comes back as it was typed."""
    actor = actor_of(request)
    found = _get_task(actor, slug, task_id)
    try:
        body = _decide(request, found, actor)
    except InvalidError as error:
        return _refused(request, found, actor, error)
    except ConflictError as error:
        return _lost(request, found, error)
    return _next(request, found.project, actor, Toast(_said(found.project, body), undo=True))


@page("POST")
def skip(request: HttpRequest, slug: str, task_id: int) -> HttpResponseBase:
    """Give the task back without a verdict and bring the next one."""
    actor = actor_of(request)
    found = _get_task(actor, slug, task_id)
    key = Item.objects.values_list("key", flat=True).get(pk=found.item_id)
    try:
        skip_task(task_id=task_id, token=request.POST.get("token", ""), by=actor)
    except ConflictError as error:
        return _lost(request, found, error)
    toast = Toast(_("%(item)s skipped, it waits for others") % {"item": key})
    return _next(request, found.project, actor, toast)


@page("POST")
def undo(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Take back a decision of mine; its task comes back onto the desk."""
    actor = actor_of(request)
    project = _project(actor, slug)
    number = request.POST.get("decision", "")
    if not number.isdecimal():
        return _next(request, project, actor, Toast(_("There is nothing to undo")), bring=0)
    try:
        undone = undo_decision(decision_id=int(number), by=actor)
    except ConflictError as error:
        return _next(request, project, actor, Toast(error.detail), bring=0)
    claim = services.claim_task(task_id=undone["task"], by=actor, lease=lease_of(project))
    if not is_fragment(request):
        messages.info(request, _("Undone. The task is open again."))
        return redirect("task:detail", slug, undone["task"])
    first = build_desks(project, actor, [claim] if claim else [], is_first=True, is_hidden=True)
    return _next(request, project, actor, Toast(_("Undone, the task is open again")), first=first, bring=0)


@page("POST")
def more(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The next tasks for a page that has fewer in hand than it should."""
    actor = actor_of(request)
    return _next(request, _project(actor, slug), actor, None)


@page("POST")
def heartbeat(request: HttpRequest, slug: str) -> HttpResponseBase:
    """A visible page holds on to its tasks; it is told which ones it has lost."""
    actor = actor_of(request)
    project = _project(actor, slug)
    lease = lease_of(project)
    held, lost = [], []
    for task_id, token in _held(request):
        try:
            until = services.heartbeat(task_id=task_id, token=token, by=actor, lease=lease)
            held.append({"task": task_id, "until": formats.date_format(timezone.localtime(until), "H:i")})
        except LabelingError as error:
            html = render_to_string("review/lost.html#banner", {"error": error, "decided": None}, request)
            lost.append({"task": task_id, "html": html})
    return JsonResponse({"held": held, "lost": lost})


@page("POST")
def release(request: HttpRequest, slug: str) -> HttpResponseBase:
    """A page that is left gives its tasks back."""
    actor = actor_of(request)
    for task_id, token in _held(request):
        try:
            services.release_task(task_id=task_id, token=token, by=actor)
        except LabelingError:  # lost or decided meanwhile: nothing to give back
            continue
    return HttpResponse(status=204)


# --- what the views are made of --------------------------------------------------------------------------------


def _project(actor: Actor, slug: str) -> Project:
    return get_project(actor, slug, Permission.REVIEW)


def _get_task(actor: Actor, slug: str, task_id: int) -> ReviewTask:
    found = services.get_task(actor, task_id)
    if found.project.slug != slug:
        raise NotFoundError("not_found", "There is no such task.")
    return found


def _open_queue(project: Project, slug: str, by: Actor) -> ReviewQueue:
    queue = get_queue(project, slug)
    require(by, project.pk, Permission.LEAD_REVIEW if queue.leads_only else Permission.REVIEW)
    return queue


def _own_claims(project: Project, by: Actor, queue: str = "") -> list[Claim]:
    claims = services.list_own_claims(project_id=project.pk, by=by)
    return [claim for claim in claims if not queue or claim.task.queue.slug == queue]


def _claim(queue: ReviewQueue, by: Actor, count: int) -> list[Claim]:
    return services.claim_next(queue=queue, by=by, count=count, lease=lease_of(queue.project)) if count > 0 else []


def _show_page(
    request: HttpRequest, frame: ProjectFrame, queue: ReviewQueue, claims: Sequence[Claim], **desk: Any
) -> HttpResponse:
    desks = build_desks(frame.project, frame.actor, claims, **desk)
    context = ReviewPage(
        project=frame.project,
        queue=queue,
        desks=desks,
        today=my_day(frame.actor, frame.project),
        last_decision=last_decision_id(frame.actor, frame.project),
        is_empty=not desks,
        frame=frame,
    )
    return render(request, "review/task.html", {"frame": frame, "review": context, "csrf_cookie": settings.CSRF_COOKIE_NAME}, status=422 if desk else 200)


def _next(
    request: HttpRequest,
    project: Project,
    by: Actor,
    toast: Toast | None,
    *,
    first: Sequence[Desk] = (),
    bring: int = IN_HAND,
) -> HttpResponseBase:
    """The answer to everything that moves on: a fragment with further tasks, or the page for forms without scripts."""
    queue = _open_queue(project, request.POST.get("queue", "") or services.DEFAULT_QUEUE, by)
    if not is_fragment(request):
        if toast:
            messages.info(request, toast.text)
        return redirect("queue:detail", project.slug, queue.slug)
    timezone.activate(project.time_zone)
    have = _number(request.POST.get("have", ""))
    desks = [*first, *build_desks(project, by, _claim(queue, by, bring - have), is_hidden=True)]
    context = ReviewPage(
        project=project,
        queue=queue,
        desks=desks,
        today=my_day(by, project),
        last_decision=last_decision_id(by, project),
        is_empty=not desks and not have,
        toast=toast,
    )
    return render(request, "review/task.html#after", {"review": context})


def _decide(request: HttpRequest, found: ReviewTask, by: Actor) -> dict[str, Any]:
    schema = get_output_schema(found.project)
    predicted = None
    if found.kind == TaskKind.REVIEW:
        predicted = Prediction.objects.values_list("output", flat=True).get(pk=found.prediction_id)
    answer = read_answer(request.POST, kind=found.kind, schema=schema, predicted=predicted)
    return record(
        task_id=found.pk,
        token=request.POST.get("token", ""),
        verdict=answer.verdict,
        output=answer.output,
        seconds=answer.seconds,
        note=answer.note,
        by=by,
    ).body


def _said(project: Project, body: dict[str, Any]) -> str:
    """`dsp-204410 corrected to Refund missing`."""
    text = describe(project.task_type, body["output"]).replace("\n", " ")
    values = {"item": _short(body["item"]), "output": _short(text)}
    return {
        "confirmed": _("%(item)s confirmed"),
        "corrected": _("%(item)s corrected to %(output)s"),
        "labelled": _("%(item)s labelled %(output)s"),
        "rejected": _("%(item)s: none fits"),
        "escalated": _("%(item)s sent to the leads"),
    }[body["verdict"]] % values


def _short(text: str, length: int = 48) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _refused(request: HttpRequest, found: ReviewTask, by: Actor, error: InvalidError) -> HttpResponseBase:
    """The form again with what was typed, or for scripts only what is wrong with it."""
    if is_fragment(request):
        raise error
    claims = [claim for claim in _own_claims(found.project, by) if claim.task.pk == found.pk]
    if not claims:
        return _lost(request, found, ConflictError("claim_lost", _("You no longer hold this task.")))
    messages.error(request, error.detail)
    frame = project_frame(request, found.project.slug, Permission.REVIEW, tab="queues")
    return _show_page(request, frame, found.queue, claims, typed=request.POST)


def _lost(request: HttpRequest, found: ReviewTask, error: ConflictError) -> HttpResponse:
    """Who decided what meanwhile; what was typed stays to compare."""
    decided = None
    if "decided_by" in error.extra:
        decided = {**error.extra, "text": describe(found.project.task_type, error.extra["output"])}
    context = {"error": error, "decided": decided, "task": found, "typed": _typed(request)}
    if is_fragment(request):
        return render(request, "review/lost.html#banner", context, status=409)
    frame = project_frame(request, found.project.slug, Permission.REVIEW, tab="queues")
    return render(request, "review/lost.html", {**context, "frame": frame}, status=409)


def _typed(request: HttpRequest) -> list[tuple[str, str]]:
    silent = ("csrfmiddlewaretoken", "token", "seconds", "queue", "action", "have")
    return [
        (name.removeprefix("field:"), value)
        for name, values in request.POST.lists()
        for value in values
        if name not in silent and value
    ]


def _closed(found: ReviewTask, by: Actor) -> dict[str, Any]:
    """What became of a task that is not free: my own decision in full, others' only by name."""
    decision = found.decisions.filter(withdrawal=None).select_related("decided_by").order_by("-pk").first()
    is_mine = decision is not None and decision.decided_by_id == by.user_id
    return {
        "decision": decision,
        "is_mine": is_mine,
        "text": describe(found.project.task_type, decision.output) if is_mine and decision else "",
        "holder": found.claimed_by,
        "item": Item.objects.values_list("key", flat=True).get(pk=found.item_id) if is_mine else "",
    }


def _held(request: HttpRequest) -> list[tuple[int, str]]:
    pairs = (entry.partition(":") for entry in request.POST.getlist("held")[:IN_HAND * 10])
    return [(int(task_id), token) for task_id, _colon, token in pairs if task_id.isdecimal()]


def _number(text: str) -> int:
    return min(int(text), IN_HAND) if text.isdecimal() else 0

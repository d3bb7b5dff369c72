"""The list of items, and one item with everything that happened to it."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from labeling.decisions.diffing import core_output
from labeling.decisions.models import Verdict
from labeling.errors import InvalidError, NotFoundError, invalid, say
from labeling.ingestion.models import Item, ModelVersion, Prediction, Route
from labeling.pipeline.items import get_item_story
from labeling.pipeline.search import FILTERS, PredictionPage, list_predictions
from labeling.projects.access import Permission
from labeling.projects.models import Project
from labeling.projects.queries import get_output_schema
from labeling.review.models import TaskKind, TaskState
from labeling.web.frame import project_frame
from labeling.web.history_words import action_name
from labeling.web.inputs import Block, show_input
from labeling.web.media import MediaLinks
from labeling.web.names import named
from labeling.web.outputs import describe
from labeling.web.page import is_fragment, page
from labeling.web.suggestions import override_number
from labeling.web.wording import in_language

PAGE_SIZE = 50
_MOST_CHOICES = 500
_INDEXED = {"route", "id", "from", "to"}


@dataclass(frozen=True, slots=True)
class ItemList:
    """A page of predictions and the filters that led to it. `bounded`: it looked at a part only, and says how far."""

    found: PredictionPage
    filters: dict[str, str]
    query: str
    bounded: bool
    models: list[str]
    versions: list[str]
    labels: list[str]
    routes: list[tuple[str, str]]
    verdicts: list[tuple[str, str]]
    problem: str


@dataclass(frozen=True, slots=True)
class ItemPage:
    """One item, its input as what it is, and its story."""

    story: dict[str, Any]
    blocks: tuple[Block, ...]
    label_text: str
    reopens: int | None
    """The task whose decision counts, for whoever may correct it."""
    waits_in: str | None
    """The queue of a review that waits, for whoever may take it. Not of one without a suggestion: this page shows it."""


@page("GET")
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    """Predictions, newest first; pages go on by id, without a count."""
    frame = project_frame(request, slug, Permission.READ_ITEMS, tab="items")
    project = frame.project
    filters = {name: request.GET[name].strip() for name in FILTERS if request.GET.get(name, "").strip()}
    problem = ""
    try:
        found = list_predictions(project, filters=filters, before=_before(request), limit=PAGE_SIZE)
    except InvalidError as error:
        found, problem = PredictionPage([], None, 0, None), in_language(error.detail)
    for row in found.rows:
        row["text"] = describe(project.task_type, row["prediction"])
        row["route_name"] = route_name(row["route"])
    names = ModelVersion.objects.filter(project=project).values_list("name", "version")[:_MOST_CHOICES]
    context = ItemList(
        found=found,
        filters=filters,
        query=urlencode(filters),
        bounded=not set(filters) <= _INDEXED,
        models=sorted({name for name, _version in names}),
        versions=sorted({version for _name, version in names if version}),
        labels=sorted(get_output_schema(project).labels)[:_MOST_CHOICES],
        routes=[(value, route_name(value)) for value in Route.values],
        verdicts=[(value, named(value, "verdict")) for value in Verdict.values],
        problem=problem,
    )
    template = "item/list.html#rows" if is_fragment(request) else "item/list.html"
    return render(request, template, {"frame": frame, "items": context}, status=422 if problem else 200)


@page("GET")
def detail(request: HttpRequest, slug: str, item_id: str) -> HttpResponse:
    """An item by the client's id, or by the number of one of its predictions."""
    frame = project_frame(request, slug, Permission.READ_ITEMS, tab="items")
    try:
        story = get_item_story(frame.project, item_id)
    except NotFoundError:
        key = _find_key(frame.project, item_id)
        if key is None:
            raise
        return redirect("item:detail", slug, key)
    links = MediaLinks(slug, story["item_id"], frame.actor.user_id)
    context = ItemPage(
        story=_told(frame.project, story),
        blocks=show_input(story["input"], links) if story["input"] is not None else (),
        label_text=describe(frame.project.task_type, story["accepted_label"]["output"])
        if story["accepted_label"]
        else "",
        reopens=_find_reopenable(story) if frame.may_lead else None,
        waits_in=_find_waiting(story) if frame.may_review else None,
    )
    return render(request, "item/detail.html", {"frame": frame, "item": context})


def route_name(route: str) -> str:
    """A route in the words of the interface."""
    return {
        Route.AUTO: _("automatic"),
        Route.REVIEW: _("review"),
        Route.FALLBACK: _("fallback"),
        Route.SETTLED: _("already labelled"),
    }[Route(route)]


def route_reason(reason: str) -> str:
    """Why a prediction took its route, in a word or two: `medium/override 2` -> medium confidence, exception 2."""
    tier, _rest, _number = reason.partition("/")
    told = {
        "high": _("high confidence"),
        "medium": _("medium confidence"),
        "low": _("low confidence"),
        "forced": _("always to people"),
        "segment": _("segment under review"),
        "settled": _("labelled before"),
    }.get(tier, tier)
    number = override_number(reason)
    return (
        told if number is None else _("%(reason)s, exception %(number)d") % {"reason": told, "number": number}
    )


def _told(project: Project, story: dict[str, Any]) -> dict[str, Any]:
    """The story with every output also in words."""
    task_type = project.task_type
    for prediction in story["predictions"]:
        prediction["text"] = describe(task_type, core_output(task_type, prediction["prediction"]))
        prediction["route_name"] = route_name(prediction["route"])
        prediction["told_reason"] = route_reason(prediction["reason"])
    for decision in story["decisions"]:
        decision["text"] = describe(task_type, decision["output"]) if decision["output"] is not None else ""
    for task in story["tasks"]:
        for event in task["events"]:
            event["done"] = action_name(event["action"])
    for outcome in story["outcomes"]:
        outcome["text"] = describe(task_type, outcome["output"]) if outcome["output"] is not None else ""
    return story


def _find_reopenable(story: dict[str, Any]) -> int | None:
    """The task of the last decision that stands and settles something."""
    settling = [d for d in story["decisions"] if not d["undone_at"] and d["verdict"] != Verdict.ESCALATED]
    return settling[-1]["task"] if settling else None


def _find_waiting(story: dict[str, Any]) -> str | None:
    waiting = (t for t in story["tasks"] if t["state"] == TaskState.WAITING and t["kind"] == TaskKind.REVIEW)
    return next((task["queue"] for task in waiting), None)


def _find_key(project: Project, number: str) -> str | None:
    if not number.isdecimal() or not number.isascii() or len(number) > 18:
        return None
    prediction = Prediction.objects.filter(pk=int(number), project_id=project.pk).first()
    return (
        Item.objects.filter(pk=prediction.item_id).values_list("key", flat=True).first()
        if prediction
        else None
    )


def _before(request: HttpRequest) -> int | None:
    text = request.GET.get("before", "")
    if not text:
        return None
    if not text.isdecimal() or not text.isascii() or len(text) > 18:
        raise invalid("/before", "invalid", say("This is not an address that was given out."))
    return int(text)

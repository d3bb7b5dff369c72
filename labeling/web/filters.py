"""The filter of the review page: read from the address, shown as chips, chosen in a form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _

from labeling.errors import InvalidError
from labeling.ingestion.models import ModelVersion
from labeling.projects.access import Permission
from labeling.projects.models import Project
from labeling.projects.queries import get_schema_body
from labeling.review.filters import FIELDS, TaskFilter, read_filter
from labeling.review.models import ReviewQueue
from labeling.trust.models import SliceKind, SliceValue
from labeling.web import workplace
from labeling.web.frame import project_frame
from labeling.web.page import is_fragment, page
from labeling.web.wording import in_language


@dataclass(frozen=True, slots=True)
class Chip:
    """One part of a filter in words, and the query without it."""

    name: str
    title: str
    value: str
    without: str


@dataclass(frozen=True, slots=True)
class ReviewFilter:
    """A filter as the address says it, and as claims take it."""

    only: TaskFilter
    given: Mapping[str, str]

    @property
    def query(self) -> str:
        """The part of the address after the question mark."""
        return urlencode(self.given)

    @property
    def chips(self) -> list[Chip]:
        return [
            Chip(name, _titles()[name], value, urlencode({n: v for n, v in self.given.items() if n != name}))
            for name, value in self.given.items()
        ]


@dataclass(frozen=True, slots=True)
class FilterForm:
    """What can be chosen."""

    given: Mapping[str, str]
    labels: Sequence[str]
    is_single: bool
    segments: Sequence[str]
    versions: Sequence[str]
    problem: str
    field: str


def filter_of(project: Project, query: str | QueryDict) -> ReviewFilter:
    """The filter that an address says; InvalidError that names the field."""
    values = QueryDict(query) if isinstance(query, str) else query
    given = {name: text for name in FIELDS if (text := str(values.get(name, "")).strip())}
    return ReviewFilter(read_filter(project, given), given)


@page("GET")
def choose(request: HttpRequest, slug: str, queue: str) -> HttpResponse:
    """The form, as a page or in a dialog."""
    frame = project_frame(request, slug, Permission.REVIEW, tab="queues")
    return show_form(request, frame.project, workplace.open_queue(frame.project, queue, frame.actor))


def show_form(
    request: HttpRequest, project: Project, queue: ReviewQueue, error: InvalidError | None = None
) -> HttpResponse:
    """The form with what was given, and what is wrong with it."""
    frame = project_frame(request, project.slug, Permission.REVIEW, tab="queues")
    schema = get_schema_body(project)
    labels = schema.get("labels")
    segments = SliceValue.objects.filter(project_id=project.pk, kind=SliceKind.SEGMENT)
    form = FilterForm(
        given={name: request.GET[name] for name in FIELDS if name in request.GET},
        labels=labels if isinstance(labels, list) else (),
        is_single=project.task_type == "classification",
        segments=sorted(set(segments.values_list("value", flat=True))),
        versions=[str(v) for v in ModelVersion.objects.filter(project=project).order_by("-pk")],
        problem=in_language(error.detail) if error else "",
        field=error.errors[0].pointer.strip("/") if error and error.errors else "",
    )
    template = "review/filter.html#form" if is_fragment(request) else "review/filter.html"
    context = {"frame": frame, "queue": queue, "form": form}
    return render(request, template, context, status=422 if error else 200)


def _titles() -> dict[str, str]:
    return {
        "label": _("Label"),
        "segment": _("Segment"),
        "model_version": _("Model"),
        "min_confidence": _("Confidence from"),
        "max_confidence": _("Confidence to"),
        "q": _("Text"),
    }

"""The component sheet: every part of the pages in every state, drawn by the pages' own templates."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from labeling.projects.access import require_lead_somewhere
from labeling.web import actor_of, component_samples
from labeling.web.page import page

SWATCHES = [
    "page",
    "surface",
    "sunken",
    "hover",
    "selected",
    "line",
    "line-2",
    "line-control",
    "ink",
    "ink-2",
    "ink-3",
    "model",
    "model-wash",
    "person",
    "person-wash",
    "ok",
    "ok-wash",
    "warn",
    "warn-wash",
    "danger",
    "danger-wash",
    "series-review",
    "series-confirm",
    "series-model",
    "series-served",
    "series-ghost",
]


@page("GET")
def sheet(request: HttpRequest) -> HttpResponse:
    """For people who lead a project, and administrators."""
    require_lead_somewhere(actor_of(request))
    context = {
        "swatches": SWATCHES,
        "frame": component_samples.frame(),
        "sample": component_samples.samples(),
    }
    return render(request, "components.html", context)

"""The models that have sent predictions, with what became of those."""

from dataclasses import dataclass

from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from labeling.ingestion.models import ModelVersion
from labeling.projects.access import Permission
from labeling.projects.models import Project
from labeling.trust.figures import POPULATIONS, Rate, one_rate
from labeling.trust.models import TrustDay
from labeling.web.frame import project_frame
from labeling.web.page import page

_COUNTS = ("total", "auto", "review", "fallback", "confirmed", "corrected")


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model version since its first prediction."""

    version: ModelVersion
    total: int
    auto: int
    review: int
    fallback: int
    review_rate: Rate
    confirmation_rate: Rate


@page("GET")
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    """All model versions, the newest first."""
    frame = project_frame(request, slug, Permission.SEE, tab="models")
    return render(request, "project/models.html", {"frame": frame, "models": _rows(frame.project)})


def _rows(project: Project) -> list[ModelRow]:
    days = TrustDay.objects.filter(project_id=project.pk).values_list("model_version_id")
    sums = days.annotate(*map(Sum, _COUNTS)).order_by()
    counts = {version_id: dict(zip(_COUNTS, values, strict=True)) for version_id, *values in sums}
    rows = []
    for version in ModelVersion.objects.filter(project=project).order_by("-first_seen_at", "-pk"):
        found = counts.get(version.pk, dict.fromkeys(_COUNTS, 0))
        decided = found["confirmed"] + found["corrected"]
        rows.append(
            ModelRow(
                version=version,
                total=found["total"],
                auto=found["auto"],
                review=found["review"],
                fallback=found["fallback"],
                review_rate=one_rate(
                    found["total"], found["review"], POPULATIONS["review_rate"], anchored=True
                ),
                confirmation_rate=one_rate(
                    decided, found["confirmed"], POPULATIONS["confirmation_rate"], anchored=True
                ),
            )
        )
    return rows

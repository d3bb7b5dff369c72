"""Dataset versions: the timeline, what changed, and "Publish now"."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from kombu.exceptions import OperationalError as BrokerError

from labeling.datasets.models import Dataset, DatasetVersion
from labeling.datasets.queries import (
    MAIN,
    Waiting,
    find_version_number,
    get_dataset,
    get_version,
    get_waiting,
    list_tags,
    list_versions,
)
from labeling.datasets.services import request_publication, retry_stuck
from labeling.projects.access import Permission
from labeling.projects.models import Project
from labeling.tasks import publish_dataset
from labeling.web.dataset_changes import Comparison, compare
from labeling.web.frame import project_frame
from labeling.web.page import is_fragment, page

logger = logging.getLogger(__name__)

SHOWN_VERSIONS = 30
MIX = 4  # labels with a colour of their own; the rest shares the last


@dataclass(frozen=True, slots=True)
class MixPart:
    """A label's share of a version, as a piece of a bar of 100."""

    number: int
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version on the timeline."""

    version: DatasetVersion
    tags: list[str]
    mix: list[MixPart]
    is_picked: bool


@dataclass(frozen=True, slots=True)
class DatasetPage:
    """Everything the page of a dataset shows."""

    dataset: Dataset
    waiting: Waiting
    versions: list[VersionRow]
    legend: list[tuple[int, str]]
    older_before: int | None
    picked: DatasetVersion | None
    comparison: Comparison | None
    address: str


@page("GET")
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    """The timeline of `main` and one version's difference to an older one.

    As a fragment: how far the publication is, and when it is done, the timeline anew.
    """
    frame = project_frame(request, slug, Permission.READ_DATASETS, tab="datasets")
    context = _context(request, frame.project)
    template = "dataset/list.html#progress" if is_fragment(request) else "dataset/list.html"
    return render(request, template, {"frame": frame, "datasets": context})


@page("POST")
def publish(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Ask for a version with everything that waits now."""
    frame = project_frame(request, slug, Permission.LEAD, tab="datasets")
    dataset = get_dataset(frame.project, MAIN)
    publication = request_publication(
        dataset=dataset, by=frame.actor, note=request.POST.get("note", "").strip()
    )
    if publication is None:
        messages.info(request, _("Nothing waits: v%(number)d has everything.") % {"number": dataset.head})
    else:
        messages.success(request, _("Publishing. The version appears here when it is complete."))
        _ring(dataset)
    return redirect("dataset:list", slug)


@page("POST")
def retry(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Let what could not be published try again, after somebody has removed the reason."""
    frame = project_frame(request, slug, Permission.LEAD, tab="datasets")
    dataset = get_dataset(frame.project, MAIN)
    count = retry_stuck(dataset=dataset, by=frame.actor)
    if count:
        request_publication(dataset=dataset, by=frame.actor)
        _ring(dataset)
    messages.info(
        request,
        ngettext("%(count)d decision is tried again.", "%(count)d decisions are tried again.", count)
        % {"count": count},
    )
    return redirect("dataset:list", slug)


def _ring(dataset: Dataset) -> None:
    """Tell a worker. Without a broker the publication waits in its row, and the sweep does it."""
    try:
        publish_dataset.delay_on_commit(dataset.pk)
    except BrokerError as error:
        logger.warning("no broker for the publication of dataset %s: %s", dataset.pk, error)


def _context(request: HttpRequest, project: Project) -> DatasetPage:
    dataset = get_dataset(project, MAIN)
    found = list_versions(dataset)
    before = request.GET.get("before", "")
    if before:
        found = found.filter(number__lt=find_version_number(dataset, before) or 0)
    shown = list(found[: SHOWN_VERSIONS + 1])
    versions = shown[:SHOWN_VERSIONS]
    tags = list_tags(dataset, [version.number for version in versions])
    wanted = request.GET.get("version")
    picked = get_version(dataset, wanted) if wanted else next(iter(versions), None)
    order = _label_order(versions)
    rows = [
        VersionRow(
            version, tags.get(version.number, []), mix_of(version.label_counts, order), version == picked
        )
        for version in versions
    ]
    path = f"/api/v1/projects/{project.slug}/datasets/{dataset.slug}/versions/"
    return DatasetPage(
        dataset=dataset,
        waiting=get_waiting(dataset),
        versions=rows,
        legend=_legend(order),
        older_before=versions[-1].number if len(shown) > SHOWN_VERSIONS else None,
        picked=picked,
        comparison=compare(project, dataset, _older(request, dataset, picked), picked.number)
        if picked
        else None,
        address=request.build_absolute_uri(reverse("home")).rstrip("/") + path,
    )


def _older(request: HttpRequest, dataset: Dataset, picked: DatasetVersion) -> int:
    if request.GET.get("from"):
        return min(get_version(dataset, request.GET["from"]).number, picked.number)
    return picked.parent or 0


def _label_order(versions: Sequence[DatasetVersion]) -> list[str]:
    """Labels by their number in the newest version; colours stay with them down the timeline."""
    counts = versions[0].label_counts if versions else {}
    return sorted(counts, key=lambda label: (-counts[label], label))


def _legend(order: Sequence[str]) -> list[tuple[int, str]]:
    if len(order) <= MIX:
        return [(index + 1, label) for index, label in enumerate(order)]
    return [*((index + 1, label) for index, label in enumerate(order[: MIX - 1])), (MIX, _("others"))]


def mix_of(counts: dict[str, int], order: Sequence[str]) -> list[MixPart]:
    """The shares of labels as pieces of a bar of 100, with gaps."""
    total = sum(counts.values())
    if not total:
        return []
    known = order[:MIX] if len(order) <= MIX else order[: MIX - 1]
    shares = [counts.get(label, 0) for label in known]
    rest = total - sum(shares)
    parts, x = [], 0.0
    for index, count in enumerate([*shares, rest] if rest else shares):
        width = 100 * count / total
        if width:
            parts.append(MixPart(min(index + 1, MIX), round(x, 2), round(max(width - 0.6, 0.3), 2)))
        x += width
    return parts

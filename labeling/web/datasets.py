"""Dataset versions: the timeline, what changed, and "Publish now"."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError as BrokerError

from labeling.datasets.differences import Difference, compare_versions
from labeling.datasets.models import Dataset, DatasetVersion
from labeling.datasets.queries import (
    MAIN,
    Waiting,
    get_dataset,
    get_version,
    get_waiting,
    list_tags,
    list_versions,
)
from labeling.datasets.services import request_publication
from labeling.datasets.storage import StorageError, open_storage
from labeling.errors import LabelingError
from labeling.projects.access import Permission
from labeling.projects.models import Project
from labeling.tasks import publish_dataset
from labeling.web.frame import project_frame
from labeling.web.outputs import describe
from labeling.web.page import is_fragment, page

logger = logging.getLogger(__name__)

SHOWN_VERSIONS = 30
SHOWN_CHANGES = 50
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
class Change:
    """A record that differs, with its labels in words."""

    record_id: str
    op: str
    before: str
    after: str
    split: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed between two versions."""

    older: int
    newer: int
    difference: Difference | None
    changes: list[Change]
    problem: str


@dataclass(frozen=True, slots=True)
class DatasetPage:
    """Everything the page of a dataset shows."""

    dataset: Dataset
    waiting: Waiting
    versions: list[VersionRow]
    legend: list[tuple[int, str]]
    picked: DatasetVersion | None
    comparison: Comparison | None
    address: str


@page("GET")
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    """The timeline of `main` and one version's difference to an older one."""
    frame = project_frame(request, slug, Permission.READ_DATASETS, tab="datasets")
    context = _context(request, frame.project)
    template = "dataset/list.html#state" if is_fragment(request) else "dataset/list.html"
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
        try:
            publish_dataset.delay_on_commit(dataset.pk)
        except BrokerError as error:
            logger.warning("no broker for the publication of dataset %s: %s", dataset.pk, error)
    return redirect("dataset:list", slug)


def _context(request: HttpRequest, project: Project) -> DatasetPage:
    dataset = get_dataset(project, MAIN)
    versions = list(list_versions(dataset)[:SHOWN_VERSIONS])
    tags = list_tags(dataset, [version.number for version in versions])
    picked = get_version(dataset, request.GET.get("version") or "latest") if versions else None
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
        picked=picked,
        comparison=_comparison(request, project, dataset, picked) if picked else None,
        address=request.build_absolute_uri(reverse("home")).rstrip("/") + path,
    )


def _comparison(
    request: HttpRequest, project: Project, dataset: Dataset, picked: DatasetVersion
) -> Comparison:
    """A storage that cannot be read costs this panel, not the page."""
    older = picked.parent or 0
    if request.GET.get("from"):
        older = min(get_version(dataset, request.GET["from"]).number, picked.number)
    try:
        found = compare_versions(open_storage(), dataset, older, picked.number, limit=SHOWN_CHANGES)
    except LabelingError as error:
        return Comparison(older, picked.number, None, [], error.detail)
    except StorageError as error:
        logger.warning("dataset storage: %s", error)
        return Comparison(
            older, picked.number, None, [], _("The storage of the dataset cannot be reached now.")
        )
    return Comparison(older, picked.number, found, [_change(project, change) for change in found.changes], "")


def _change(project: Project, change: dict[str, Any]) -> Change:
    def words(output: Any) -> str:
        return describe(project.task_type, output) if output is not None else ""

    return Change(
        change["record_id"],
        change["op"],
        words(change["previous_label"]),
        words(change["label"]),
        change["split"],
    )


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

"""One version of a dataset, the difference of two, and one record through all of them."""

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from labeling.datasets.differences import KINDS
from labeling.datasets.models import Dataset, DatasetEntry, DatasetTag, DatasetVersion, EntryOp
from labeling.datasets.queries import (
    MAIN,
    get_dataset,
    get_version,
    list_record_entries,
    list_versions,
)
from labeling.datasets.services import remove_tag, set_tag, verify_version
from labeling.decisions.models import Decision
from labeling.errors import ConflictError, InvalidError, NotFoundError
from labeling.pipeline.items import get_item_story
from labeling.projects.access import Permission
from labeling.projects.models import Project
from labeling.web.dataset_changes import Comparison, compare
from labeling.web.dataset_reading import Reader, list_readers
from labeling.web.frame import ProjectFrame, project_frame
from labeling.web.outputs import describe
from labeling.web.page import page
from labeling.web.wording import in_language

SHOWN_LABELS = 40
OFFERED_VERSIONS = 200


@dataclass(frozen=True, slots=True)
class LabelCount:
    """A label's rows in a version, its share in percent, and what has become of it since the parent."""

    label: str
    count: int
    share: float
    change: int


@dataclass(frozen=True, slots=True)
class VersionPage:
    """Everything the page of a version shows. `records` is the address of its records."""

    dataset: Dataset
    version: DatasetVersion
    tags: list[DatasetTag]
    parent: DatasetVersion | None
    child: DatasetVersion | None
    labels: list[LabelCount]
    further_labels: int
    readers: list[Reader]
    records: str


@dataclass(frozen=True, slots=True)
class DifferencePage:
    """A page of a difference. `choices` are the versions that can be compared."""

    dataset: Dataset
    comparison: Comparison
    kinds: list[tuple[str, str, int]]
    choices: list[int]


@dataclass(frozen=True, slots=True)
class RecordChange:
    """What a version did to a record."""

    entry: DatasetEntry
    op: str
    decision: Decision | None
    label: str


@page("GET")
def version(request: HttpRequest, slug: str, reference: str) -> HttpResponse:
    """A version by number, tag or `latest`."""
    frame = project_frame(request, slug, Permission.READ_DATASETS, tab="datasets")
    dataset = get_dataset(frame.project, MAIN)
    context = _version_page(request, frame.project, dataset, get_version(dataset, reference))
    return render(request, "dataset/version_page.html", {"frame": frame, "page": context})


@page("POST")
def tag(request: HttpRequest, slug: str, reference: str) -> HttpResponseBase:
    """Put a name on a version, or take one away."""
    frame, dataset, found = _for_leads(request, slug, reference)
    name = request.POST.get("tag", "").strip()
    try:
        if request.POST.get("action") == "remove":
            remove_tag(dataset=dataset, number=found.number, name=name, by=frame.actor)
        else:
            protected = True if request.POST.get("protected") else None
            set_tag(dataset=dataset, number=found.number, name=name, protected=protected, by=frame.actor)
    except (InvalidError, ConflictError, NotFoundError) as error:
        messages.error(request, in_language(error.detail))
    return redirect("dataset:version", slug, found.number)


@page("POST")
def verify(request: HttpRequest, slug: str, reference: str) -> HttpResponseBase:
    """Check the files of a version and the chain of digests."""
    _frame, dataset, found = _for_leads(request, slug, reference)
    result = verify_version(dataset=dataset, number=found.number)
    if result.is_intact:
        messages.success(
            request,
            _("v%(number)d is what was published: %(files)d files and %(rows)d rows give the same digest.")
            % {"number": found.number, "files": result.files, "rows": result.rows},
        )
    else:
        messages.error(request, " ".join(in_language(problem) for problem in result.problems[:3]))
    return redirect("dataset:version", slug, found.number)


@page("GET")
def difference(request: HttpRequest, slug: str, older: str, newer: str) -> HttpResponse:
    """What is left of all changes from one version to another, by record id; `older` 0 is nothing at all."""
    frame = project_frame(request, slug, Permission.READ_DATASETS, tab="datasets")
    dataset = get_dataset(frame.project, MAIN)
    numbers = sorted(0 if name == "0" else get_version(dataset, name).number for name in (older, newer))
    only = request.GET.get("only", "")
    found = compare(
        frame.project,
        dataset,
        numbers[0],
        numbers[1],
        only=only if only in KINDS else "",
        after=request.GET.get("after") or None,
    )
    context = DifferencePage(
        dataset=dataset,
        comparison=found,
        kinds=_kinds(found),
        choices=list(list_versions(dataset).values_list("number", flat=True)[:OFFERED_VERSIONS]),
    )
    return render(request, "dataset/difference.html", {"frame": frame, "page": context})


@page("GET")
def choose_difference(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The form that names two versions leads to the address of their difference."""
    project_frame(request, slug, Permission.READ_DATASETS, tab="datasets")
    given = (request.GET.get(name, "").replace("/", "").strip() for name in ("from", "to"))
    older, newer = (name or "latest" for name in given)
    return redirect("dataset:difference", slug, older, newer)


@page("GET")
def record(request: HttpRequest, slug: str) -> HttpResponse:
    """One record, `?id=`, and what each version did to it."""
    frame = project_frame(request, slug, Permission.READ_DATASETS, tab="datasets")
    dataset = get_dataset(frame.project, MAIN)
    record_id = request.GET.get("id", "").strip()
    try:
        item = get_item_story(frame.project, record_id)["item_id"] if record_id else None
    except NotFoundError:
        item = None
    changes = _record_changes(frame.project, dataset, item) if item else []
    context = {
        "frame": frame,
        "dataset": dataset,
        "record_id": record_id,
        "is_known": item is not None,
        "changes": changes,
        "now": changes[0] if changes and changes[0].op != EntryOp.REMOVE else None,
    }
    return render(request, "dataset/record.html", context)


def _for_leads(
    request: HttpRequest, slug: str, reference: str
) -> tuple[ProjectFrame, Dataset, DatasetVersion]:
    frame = project_frame(request, slug, Permission.LEAD, tab="datasets")
    dataset = get_dataset(frame.project, MAIN)
    return frame, dataset, get_version(dataset, reference)


def _version_page(
    request: HttpRequest, project: Project, dataset: Dataset, found: DatasetVersion
) -> VersionPage:
    beside = {
        v.number: v for v in list_versions(dataset).filter(number__in=[found.parent or 0, found.number + 1])
    }
    parent = beside.get(found.parent or 0)
    labels = _label_counts(found, parent)
    versions = (
        request.build_absolute_uri(reverse("home")).rstrip("/")
        + f"/api/v1/projects/{project.slug}/datasets/{dataset.slug}/versions/"
    )
    return VersionPage(
        dataset=dataset,
        version=found,
        tags=list(DatasetTag.objects.filter(dataset=dataset, version=found.number).order_by("name")),
        parent=parent,
        child=beside.get(found.number + 1),
        labels=labels[:SHOWN_LABELS],
        further_labels=len(labels[SHOWN_LABELS:]),
        readers=list_readers(
            address=versions, slug=project.slug, number=found.number, task_type=project.task_type
        ),
        records=f"{versions}{found.number}/records/",
    )


def _label_counts(found: DatasetVersion, parent: DatasetVersion | None) -> list[LabelCount]:
    before = parent.label_counts if parent else {}
    total = sum(found.label_counts.values()) or 1
    names = sorted({*found.label_counts, *before}, key=lambda name: (-found.label_counts.get(name, 0), name))
    return [
        LabelCount(name, count, 100 * count / total, count - before.get(name, 0))
        for name in names
        for count in [found.label_counts.get(name, 0)]
    ]


def _kinds(found: Comparison) -> list[tuple[str, str, int]]:
    """The tabs above a difference: value, name, count."""
    counts = found.difference
    if counts is None:
        return []
    return [
        ("", _("All"), counts.added + counts.changed + counts.removed),
        ("added", _("Added"), counts.added),
        ("changed", _("Changed"), counts.changed),
        ("removed", _("Removed"), counts.removed),
    ]


def _record_changes(project: Project, dataset: Dataset, item_id: int) -> list[RecordChange]:
    entries = list_record_entries(dataset, item_id)
    decisions = Decision.objects.select_related("decided_by").in_bulk(
        [entry.decision_id for entry in entries]
    )
    return [
        RecordChange(
            entry,
            entry.op,
            decision,
            describe(project.task_type, decision.output) if decision and decision.output is not None else "",
        )
        for entry in entries
        for decision in [decisions.get(entry.decision_id)]
    ]

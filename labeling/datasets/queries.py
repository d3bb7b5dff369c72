"""Reading datasets: versions, tags, publications, and what is due to be published."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Max, QuerySet

from labeling.datasets.batches import CLAIM_LIMITS
from labeling.datasets.models import (
    Dataset,
    DatasetEntry,
    DatasetTag,
    DatasetVersion,
    Publication,
    PublicationState,
    WaitingDecision,
)
from labeling.datasets.tags import LATEST
from labeling.decisions.models import Decision
from labeling.errors import NotFoundError, say
from labeling.projects.models import LabelSchema, Project
from labeling.review.models import Purpose

MAIN = "main"
STALLED_AFTER = timedelta(minutes=5)
FIRST_PAUSE = timedelta(seconds=3)
LONGEST_OUTAGE_PAUSE = timedelta(minutes=1)
UNFINISHED = (PublicationState.OPEN, PublicationState.QUEUED)
LOCK_CLASS = 0x6473  # "ds": the advisory locks of publishing workers

_NUMBER = re.compile(r"v?([0-9]{1,9})")

# Due are: a publication that was asked for; one whose worker died (it holds no lock any more, and left no error); one that
# failed a while ago; and datasets whose decisions have waited long enough, or are enough. Not due is what just failed: the
# pause triples with each attempt that was the batch's fault. Full storage is not, so its attempts are not counted; there the
# pause follows how long it has lasted, so that publishing goes on soon after there is room again.
_LIST_DUE = """
    with state as (
        select d.id, p.publish_every_seconds, p.publish_after_decisions,
               opened.id as open_id, opened.tried_at, opened.error, opened.attempt, opened.opened_at,
               exists (select from labeling_publication q where q.dataset_id = d.id and q.state = 'queued') as is_queued,
               exists (
                   select from pg_locks l
                   where l.locktype = 'advisory' and l.classid = %(lock)s and l.objid = (d.id %% 2147483648)::oid
                     and l.database = (select oid from pg_database where datname = current_database())) as is_busy
        from labeling_dataset d
        join labeling_project p on p.id = d.project_id
        left join labeling_publication opened on opened.dataset_id = d.id and opened.state = 'open')
    select id from state
    where case
        when open_id is not null then
            tried_at is null or tried_at < %(now)s - %(stalled)s or (error = '' and not is_busy)
            or (error <> '' and tried_at < %(now)s - greatest(
                    %(pause)s * power(3, attempt), least((tried_at - opened_at) / 10, %(longest)s)))
        when is_queued then true
        when publish_every_seconds = 0 then false
        else exists (
                select from labeling_waitingdecision w
                where w.dataset_id = state.id and w.publication_id is null and w.failures < %(levels)s
                  and w.since <= %(now)s - make_interval(secs => publish_every_seconds))
            or (select count(*) from labeling_waitingdecision w
                where w.dataset_id = state.id and w.publication_id is null and w.failures < %(levels)s)
               >= greatest(publish_after_decisions, 1)
        end
    order by id
"""


def get_dataset(project: Project, slug: str = MAIN) -> Dataset:
    """A project's dataset. Whether somebody may read it has been asked of the project."""
    found = Dataset.objects.filter(project=project, slug=slug).first() if "\x00" not in slug else None
    if found is None:
        raise NotFoundError("not_found", say("There is no such dataset."))
    return found


def get_version(dataset: Dataset, reference: str) -> DatasetVersion:
    """A version by its number (`12` or `v12`), by a tag, or the newest one (`latest`)."""
    number = find_version_number(dataset, reference)
    version = DatasetVersion.objects.filter(dataset=dataset, number=number).first() if number else None
    if version is None:
        raise NotFoundError("not_found", say("There is no such version."))
    return version


def find_version_number(dataset: Dataset, reference: str) -> int | None:
    """What a reference stands for now; the version may still be missing."""
    if reference == LATEST:
        return Dataset.objects.values_list("head", flat=True).get(pk=dataset.pk)
    if match := _NUMBER.fullmatch(reference):
        return int(match[1])
    if "\x00" in reference:
        return None
    return (
        DatasetTag.objects.filter(dataset=dataset, name=reference).values_list("version", flat=True).first()
    )


def list_versions(dataset: Dataset) -> QuerySet[DatasetVersion]:
    """All versions, newest first."""
    return DatasetVersion.objects.filter(dataset=dataset).order_by("-number")


def list_tags(dataset: Dataset, numbers: list[int] | None = None) -> dict[int, list[str]]:
    """Tag names by version, all or of some versions."""
    tags = DatasetTag.objects.filter(dataset=dataset).order_by("name")
    if numbers is not None:
        tags = tags.filter(version__in=numbers)
    found: dict[int, list[str]] = {}
    for tag in tags:
        found.setdefault(tag.version, []).append(tag.name)
    return found


def list_field_names(project: Project) -> list[str]:
    """The fields of a form project's label schemas, the oldest first: fields are only ever added."""
    bodies = LabelSchema.objects.filter(project=project).order_by("number").values_list("body", flat=True)
    return list(dict.fromkeys(name for body in bodies for name in body.get("fields", {})))


def get_publication(dataset: Dataset, publication_id: int) -> Publication:
    """One publication of a dataset."""
    found = (
        Publication.objects.filter(dataset=dataset, pk=publication_id).first()
        if publication_id < 2**63
        else None
    )
    if found is None:
        raise NotFoundError("not_found", say("There is no such publication."))
    return found


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a dataset has still to publish. `stuck` decisions failed in every batch and wait for a person."""

    decisions: int
    oldest_at: datetime | None
    stuck: int
    publication: Publication | None


def get_waiting(dataset: Dataset) -> Waiting:
    """How much waits, since when, and the publication that is queued or open."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select count(*), min(since), count(*) filter (where failures >= %s) from labeling_waitingdecision "
            "where dataset_id = %s and publication_id is null",
            [len(CLAIM_LIMITS), dataset.pk],
        )
        decisions, oldest_at, stuck = cursor.fetchone()
    publication = Publication.objects.filter(dataset=dataset, state__in=UNFINISHED).order_by("id").first()
    return Waiting(decisions, oldest_at, stuck, publication)


def find_tests_too_old(decisions: Sequence[Decision]) -> set[int]:
    """Answers to test items that would be in a version by now if they were real work.

    They never are; but an undo that still worked when all those around it do not any more would tell which they were.
    """
    opened = Publication.objects.filter(
        dataset__project_id__in={decision.project_id for decision in decisions},
        dataset__slug=MAIN,
        state__in=(PublicationState.OPEN, PublicationState.DONE),
    )
    newest = dict(opened.values_list("dataset__project_id").annotate(Max("opened_at")).order_by())
    return {
        decision.pk
        for decision in decisions
        if decision.purpose == Purpose.SENTINEL
        and decision.output is not None
        and (at := newest.get(decision.project_id)) is not None
        and at > decision.decided_at
    }


def has_waiting(dataset: Dataset) -> bool:
    """Whether a publication would find anything to claim."""
    return WaitingDecision.objects.filter(
        dataset=dataset, publication=None, failures__lt=len(CLAIM_LIMITS)
    ).exists()


def list_item_entries(project_id: int, item_id: int) -> list[dict[str, Any]]:
    """In which versions an item was added, changed or removed: `{"dataset","version","op","decision"}`, oldest first."""
    entries = DatasetEntry.objects.filter(
        dataset__project_id=project_id, item_id=item_id, op__in=["a", "c", "r"]
    ).order_by("dataset_id", "version")
    rows = entries.values_list("dataset__slug", "version", "op", "decision_id")
    names = {"a": "added", "c": "changed", "r": "removed"}
    return [
        {"dataset": slug, "version": version, "op": names[op], "decision": decision}
        for slug, version, op, decision in rows
    ]


def list_record_entries(dataset: Dataset, item_id: int) -> list[DatasetEntry]:
    """What happened to one record, the newest version first: its lines in the ledger that made or ended a row."""
    return list(
        DatasetEntry.objects.filter(dataset=dataset, item_id=item_id, op__in=["a", "c", "r"]).order_by(
            "-version"
        )
    )


def list_due(now: datetime) -> list[int]:
    """The datasets that something is to be published in now."""
    wanted: dict[str, Any] = {
        "now": now,
        "stalled": STALLED_AFTER,
        "pause": FIRST_PAUSE,
        "longest": LONGEST_OUTAGE_PAUSE,
        "lock": LOCK_CLASS,
        "levels": len(CLAIM_LIMITS),
    }
    with connection.cursor() as cursor:
        cursor.execute(_LIST_DUE, wanted)
        return [row[0] for row in cursor.fetchall()]

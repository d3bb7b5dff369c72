"""What is done to a dataset's files between publications. Nothing here changes what any version says.

Restores readable manifests, merges small segments, and removes files that nothing refers to. All of it may be killed and
repeated.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from labeling.datasets.manifests import (
    list_files_set_aside,
    list_manifest_numbers,
    list_manifests,
    write_tags_manifest,
    write_version_manifest,
)
from labeling.datasets.models import Dataset, DatasetSegment, DatasetVersion, Publication, PublicationState
from labeling.datasets.segments import keep_segment, new_segment, open_segment
from labeling.datasets.storage import Storage, StoredFile, open_storage
from labeling.errors import ConflictError, say

ORPHAN_AGE = timedelta(hours=24)
RETIRED_AGE = timedelta(days=7)
SMALL_BYTES = 64 * 1024 * 1024
MERGED_BYTES = 256 * 1024 * 1024
MANY_SEGMENTS = 50
_DELETIONS_AT_ONCE = 200
_CLOCKS_DIFFER = timedelta(seconds=1)  # a folder's times are whole ticks behind the database's


@dataclass(slots=True)
class Upkeep:
    """What was done."""

    manifests: int = 0
    merged: int = 0
    deleted: int = 0


def maintain_storage(now: datetime | None = None) -> Upkeep:
    """Upkeep of every dataset. All are tried, then the errors are raised together."""
    moment = now or timezone.now()
    storage = open_storage()
    done = Upkeep()
    errors: list[Exception] = []
    for dataset in Dataset.objects.filter(head__gt=0).order_by("id"):
        try:
            done.manifests += restore_manifests(storage, dataset)
            done.merged += merge_segments(storage, dataset, moment)
            done.deleted += sweep_files(storage, dataset, moment)
        except Exception as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup("the upkeep of some datasets did not succeed", errors)
    return done


def restore_manifests(storage: Storage, dataset: Dataset) -> int:
    """Write the readable manifests that a worker died before writing; how many. One that is older than its version was
    written for another one, before this database was restored."""
    there = list_manifests(storage, dataset)
    missing = [
        version
        for version in DatasetVersion.objects.filter(dataset=dataset).order_by("number").iterator()
        if version.number not in there or there[version.number] < version.created_at - _CLOCKS_DIFFER
    ]
    for version in missing:
        write_version_manifest(storage, dataset, version)
    write_tags_manifest(storage, dataset)
    return len(missing)


def merge_segments(storage: Storage, dataset: Dataset, now: datetime) -> int:
    """Put adjacent small segments into larger ones when there are many: reading opens every file. How many were merged.

    Rows are copied as they stand, in order, so every version reads as before and the digests stay what they are.
    """
    live = DatasetSegment.objects.filter(dataset=dataset, state=DatasetSegment.State.LIVE)
    small = live.filter(size_bytes__lt=SMALL_BYTES)
    if small.count() <= MANY_SEGMENTS:
        return 0
    merged = 0
    for run in _adjacent_runs(list(live.order_by("lo"))):
        _merge(storage, dataset, run, now)
        merged += len(run)
    return merged


def _adjacent_runs(segments: list[DatasetSegment]) -> Iterator[list[DatasetSegment]]:
    """Small neighbours, together not larger than a merged segment is to be."""
    run: list[DatasetSegment] = []
    size = 0
    for segment in segments:
        is_small = segment.size_bytes < SMALL_BYTES
        if run and (not is_small or size + segment.size_bytes > MERGED_BYTES):
            if len(run) > 1:
                yield run
            run, size = [], 0
        if is_small:
            run.append(segment)
            size += segment.size_bytes
    if len(run) > 1:
        yield run


def _merge(storage: Storage, dataset: Dataset, run: list[DatasetSegment], now: datetime) -> None:
    lo, hi = run[0].lo, run[-1].hi
    with new_segment(storage, dataset.folder) as segment:
        for source in run:
            with open_segment(storage, source.path) as file:
                for group in range(file.num_row_groups):
                    segment.add_table(file.read_row_group(group, use_threads=False))
        file = keep_segment(storage, segment, dataset.folder, lo, hi)
    if file.rows != sum(source.row_count for source in run):
        raise ConflictError(
            "rows_lost", say("The segments {lo}-{hi} were not merged: the row counts differ.", lo=lo, hi=hi)
        )
    with transaction.atomic(durable=True):
        Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
        replaced = DatasetSegment.objects.filter(
            pk__in=[source.pk for source in run], state=DatasetSegment.State.LIVE
        )
        if replaced.update(state=DatasetSegment.State.RETIRED, retired_at=now) != len(run):
            raise ConflictError(
                "overtaken", say("The segments {lo}-{hi} were merged by another worker.", lo=lo, hi=hi)
            )
        DatasetSegment.objects.create(
            dataset=dataset,
            lo=lo,
            hi=hi,
            path=file.path,
            sha256=file.sha256,
            size_bytes=file.size,
            row_count=file.rows,
        )
    for version in DatasetVersion.objects.filter(dataset=dataset, number__range=(lo, hi)).iterator():
        write_version_manifest(storage, dataset, version)


def sweep_files(storage: Storage, dataset: Dataset, now: datetime) -> int:
    """Delete files that nothing refers to: what a killed publication left, and merged segments after a week."""
    with _unmoving(dataset) as locked:
        newest = max(list_manifest_numbers(storage, locked), default=0)
        if newest > locked.head:
            raise ConflictError(
                "storage_is_newer",
                say(
                    "The storage knows v{newest}, the database only v{head}: an older database was restored. Nothing is deleted; what looks like leftovers may be the only copy.",
                    newest=newest,
                    head=locked.head,
                ),
            )
        return _delete_retired(storage, locked, now) + _delete_orphans(storage, locked, now)


@contextmanager
def _unmoving(dataset: Dataset) -> Iterator[Dataset]:
    """Holds the dataset: while it is held no publication opens and none commits. Offers go on."""
    with transaction.atomic():
        yield Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)


def _delete_retired(storage: Storage, dataset: Dataset, now: datetime) -> int:
    old = DatasetSegment.objects.filter(
        dataset=dataset, state=DatasetSegment.State.RETIRED, retired_at__lt=now - RETIRED_AGE
    )
    segments = list(old.order_by("lo")[:_DELETIONS_AT_ONCE])
    for segment in segments:
        storage.delete(segment.path)
        segment.delete()
    return len(segments)


def _delete_orphans(storage: Storage, dataset: Dataset, now: datetime) -> int:
    """Only what is old, and not of a version that a publication under way is to become: it may write that very name again."""
    known = set(DatasetSegment.objects.filter(dataset=dataset).values_list("path", flat=True))
    known |= list_files_set_aside(storage, dataset)
    is_open = Publication.objects.filter(dataset=dataset, state=PublicationState.OPEN).exists()
    in_flight = f"{dataset.folder}/segments/{dataset.head + 1:08}-" if is_open else None
    orphans = [
        file
        for file in storage.list_files(f"{dataset.folder}/segments")
        if file.path not in known
        and _is_old(file, now)
        and not (in_flight and file.path.startswith(in_flight))
    ]
    for file in orphans[:_DELETIONS_AT_ONCE]:
        storage.delete(file.path)
    return len(orphans[:_DELETIONS_AT_ONCE])


def _is_old(file: StoredFile, now: datetime) -> bool:
    return file.modified_at < now - ORPHAN_AGE

"""How waiting decisions become a version, exactly once, whatever dies on the way.

    claim    transaction A: open or resume the publication, freeze its batch row by row
    build    one ledger entry for each claimed decision; rows for what changes a record
    write    the rows as one Parquet segment, on the disk before anything points at it
    commit   transaction B, the only commit point: ledger, segment, version, head and tags together

A worker may die anywhere. Before the commit it leaves an open publication, which the next worker resumes, and perhaps a
file nobody refers to. After the commit only the readable manifest can be missing, and the upkeep writes it.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from labeling.datasets import batches, manifest
from labeling.datasets.manifests import write_version_manifest
from labeling.datasets.models import (
    Dataset,
    DatasetSegment,
    DatasetVersion,
    Publication,
    PublicationState,
)
from labeling.datasets.queries import LOCK_CLASS, STALLED_AFTER, UNFINISHED, has_waiting
from labeling.datasets.rows import RowBuilder, WrittenRows
from labeling.datasets.storage import StorageError, open_storage
from labeling.datasets.tags import move_tag_unless_protected
from labeling.errors import ConflictError, LabelingError, Sentence, quote, say
from labeling.history.services import record_event
from labeling.sentences import keep, restored, shortened, stored

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
MAX_ERROR = 2_000

Pause = Callable[[str], None]


def _go_on(point: str) -> None:
    """What `publish` does at each step outside of tests."""


class OvertakenError(ConflictError):
    """Another worker has finished this publication; what this one has built is thrown away."""


def publish(dataset_id: int, *, now: datetime | None = None, pause: Pause = _go_on) -> Publication | None:
    """Publish one batch of what waits, or resume the batch that a dead worker left open.

    Returns the publication, or none when nothing waits or another worker is at it. A storage that cannot be written, or any
    other error, is kept in the open publication and raised; the sweep tries again. `pause` is called at each step, so that
    tests can stop or kill the process there.
    """
    with _sole_worker(dataset_id) as is_sole:
        publication = _claim(dataset_id, now or timezone.now(), is_sole)
        if publication is None or publication.state != PublicationState.OPEN:
            return publication
        pause("claimed")
        try:
            _finish(publication, pause)
        except OvertakenError:
            logger.info("publication %s was finished by another worker", publication.pk)
        except Exception as error:
            _keep_error(publication, error)
            raise
    publication.refresh_from_db()
    return publication


@contextmanager
def _sole_worker(dataset_id: int) -> Iterator[bool]:
    """Whether no other worker is publishing this dataset now.

    Two workers on one publication are harmless, one of them works for nothing; the lock saves that. It ends with the
    database session, so a killed worker's publication is resumed at once.
    """
    key = [LOCK_CLASS, dataset_id % 2**31]
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s, %s)", key)
        is_sole: bool = cursor.fetchone()[0]
    session = connection.connection
    try:
        yield is_sole
    finally:
        if is_sole and session is connection.connection and not session.closed:
            with connection.cursor() as cursor:
                cursor.execute("select pg_advisory_unlock(%s, %s)", key)


@transaction.atomic(durable=True)
def _claim(dataset_id: int, now: datetime, is_sole: bool) -> Publication | None:
    """Transaction A: the open publication to work on, with its frozen batch."""
    dataset = Dataset.objects.select_for_update(no_key=True).get(pk=dataset_id)
    unfinished = Publication.objects.filter(dataset=dataset, state__in=UNFINISHED)
    by_state = {publication.state: publication for publication in unfinished}
    publication = by_state.get(PublicationState.OPEN)
    if publication is None:
        publication = _open_publication(dataset, by_state.get(PublicationState.QUEUED))
        if publication is None:
            return None
    elif not is_sole and publication.tried_at and publication.tried_at > now - STALLED_AFTER:
        return None
    elif publication.attempt >= MAX_ATTEMPTS:
        return _give_up(publication, now)
    if publication.state == PublicationState.OPEN:
        publication.attempt += 1
        publication.tried_at = now
        keep(publication, error="")
    publication.save()
    return publication


def _open_publication(dataset: Dataset, publication: Publication | None) -> Publication | None:
    """Open the queued publication, or a scheduled one; none when nothing waits. The caller saves it."""
    if publication is None:
        if not has_waiting(dataset):
            return None
        publication = Publication.objects.create(dataset=dataset)
    publication.decision_count = batches.claim_rows(dataset.pk, publication.pk)
    if publication.decision_count:
        publication.state = PublicationState.OPEN
        publication.number = dataset.head + 1
    else:  # what waited was withdrawn in the meantime, or is left alone after too many failures
        publication.state = PublicationState.EMPTY
        publication.closed_at = timezone.now()
        publication.seed = None
    return publication


def _give_up(publication: Publication, now: datetime) -> Publication:
    """A batch that failed every time must not block the dataset: give it back, to be tried in smaller batches."""
    logger.error("publication %s failed %s times: %s", publication.pk, publication.attempt, publication.error)
    batches.release_rows(publication.pk)
    publication.state = PublicationState.FAILED
    publication.closed_at = now
    publication.seed = None
    publication.number = None
    publication.save()
    record_event(
        action="publication.failed",
        subject=f"publication:{publication.pk}",
        by=None,
        project_id=publication.dataset.project_id,
        error=restored(publication, "error"),
        decisions=publication.decision_count,
    )
    return publication


def _keep_error(publication: Publication, error: Exception) -> None:
    """Say in the open publication why the attempt failed. A storage that is full or away is not the batch's fault, so it
    does not count towards giving up."""
    still_open = Publication.objects.filter(pk=publication.pk, state=PublicationState.OPEN)
    text = shortened(_told(error), MAX_ERROR)
    uncounted = 1 if isinstance(error, StorageError) else 0
    still_open.update(attempt=F("attempt") - uncounted, **stored(error=text))


def _told(error: Exception) -> Sentence:
    """What went wrong: our own errors in words that can be translated, others as they are."""
    if isinstance(error, LabelingError):
        return say("{kind}: {detail}", kind=type(error).__name__, detail=error.detail)
    return quote(f"{type(error).__name__}: {error}")


def _finish(publication: Publication, pause: Pause) -> None:
    dataset = Dataset.objects.select_related("project").get(pk=publication.dataset_id)
    offers, sizes = batches.read_offers(publication.pk)
    entries = manifest.build_entries(offers, salt=bytes(dataset.split_salt), ratios=dataset.split_ratios)
    pause("built")
    rows = None
    if any(entry.op in manifest.ROW_OPS for entry in entries):
        builder = RowBuilder(dataset, publication, still_mine=lambda: _keep_alive(publication))
        rows = builder.write(open_storage(), entries, sizes, pause)
    pause("written")
    version = _commit(publication, entries, rows, pause)
    pause("committed")
    if version is not None:
        _write_manifest(dataset, version)


def _keep_alive(publication: Publication) -> None:
    """A sign of life during a long build; stops it when another worker was faster."""
    alive = Publication.objects.filter(pk=publication.pk, state=PublicationState.OPEN)
    if not alive.update(tried_at=timezone.now()):
        raise OvertakenError("overtaken", say("Another worker has finished this publication."))


@transaction.atomic(durable=True)
def _commit(
    publication: Publication, entries: list[manifest.Entry], rows: WrittenRows | None, pause: Pause
) -> DatasetVersion | None:
    """Transaction B. The dataset's lock and the publication's state decide between two workers; the second rolls back."""
    dataset = Dataset.objects.select_for_update(no_key=True).get(pk=publication.dataset_id)
    current = Publication.objects.select_for_update(no_key=True).get(pk=publication.pk)
    if current.state != PublicationState.OPEN or current.number != dataset.head + 1:
        raise OvertakenError("overtaken", say("Another worker has finished this publication."))
    number = current.number if rows else None
    batches.write_entries(dataset.pk, number, entries, rows.digests if rows else {})
    if batches.delete_rows(current.pk) != len(entries):
        raise ConflictError("batch_changed", say("The batch of this publication is not what was read."))
    keep(current, error="")
    version = _write_version(dataset, current, rows) if rows else None
    current.state = PublicationState.DONE if version else PublicationState.EMPTY
    current.number = number
    current.closed_at = timezone.now()
    current.seed = None
    current.save()
    pause("uncommitted")
    return version


def _write_version(dataset: Dataset, publication: Publication, rows: WrittenRows) -> DatasetVersion:
    number = dataset.head + 1
    file = rows.file
    DatasetSegment.objects.create(
        dataset=dataset,
        lo=number,
        hi=number,
        path=file.path,
        sha256=file.sha256,
        size_bytes=file.size,
        row_count=file.rows,
    )
    version = DatasetVersion.objects.create(
        dataset=dataset,
        number=number,
        parent=dataset.head or None,
        publication=publication,
        created_by_id=publication.opened_by_id,
        note=publication.note,
        **rows.version_fields(),
    )
    dataset.head = number
    dataset.save(update_fields=["head"])
    left = [
        name
        for name in publication.tags
        if not move_tag_unless_protected(dataset, name, number, by_id=publication.opened_by_id)
    ]
    if left:
        keep(publication, error=_unmoved(left))
    return version


def _unmoved(tags: Sequence[str]) -> Sentence:
    if len(tags) == 1:
        return say("The tag {tag!r} was protected in the meantime and has not moved.", tag=tags[0])
    names = ", ".join(map(repr, tags))
    return say("The tags {tags} were protected in the meantime and have not moved.", tags=names)


def _write_manifest(dataset: Dataset, version: DatasetVersion) -> None:
    """A copy for people without the API. The version is committed: the upkeep writes what is missing here."""
    try:
        write_version_manifest(open_storage(), dataset, version)
    except StorageError as error:
        logger.warning("the readable manifest of %s v%s is still missing: %s", dataset, version.number, error)

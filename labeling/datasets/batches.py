"""The SQL of a publication: claim waiting decisions, read what they say, write the ledger.

Every probe into a table that may be large is a LATERAL subquery with a limit. That makes it an index lookup for each claimed
row whatever the planner believes about sizes; without statistics it once chose to scan a ledger of a million rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from labeling.bulk import NULL, copy_lines
from labeling.datasets.manifest import Entry, Head, Offer
from labeling.errors import ConflictError, say

# How many rows a publication claims, by how many failed publications its rows were part of. A row that cannot be published
# ends up in a publication of its own, and the others get through; after that it is left alone.
CLAIM_LIMITS = (100_000, 1_000, 10, 1)
_PIECE_ROWS = 2_000
_PIECE_BYTES = 16 * 1024 * 1024

_CLAIM = """
    with batch as materialized (
        select id from labeling_waitingdecision
        where dataset_id = %(dataset)s and publication_id is null and failures = %(failures)s
        order by since, id limit %(limit)s for update skip locked)
    update labeling_waitingdecision waiting set publication_id = %(publication)s
    from batch where waiting.id = batch.id
"""

_FAILURES_OF_OLDEST = """
    select failures from labeling_waitingdecision
    where dataset_id = %s and publication_id is null and failures < %s
    order by since, id limit 1
"""

# `id + 0` keeps a planner with stale statistics from walking the primary key backwards through the whole ledger.
_READ_OFFERS = """
    select w.id, w.decision_id, w.removes, d.item_id, i.key, coalesce(i.size, 0),
           head.id, head.decision_id, head.op, head.split
    from labeling_waitingdecision w
    cross join lateral (select item_id from labeling_decision where id = w.decision_id limit 1) d
    left join lateral (
        select key, pg_column_size(input) as size from labeling_item where id = d.item_id limit 1) i on true
    left join lateral (
        select e.id, e.decision_id, e.op, e.split from labeling_datasetentry e
        where e.dataset_id = w.dataset_id and e.item_id = d.item_id and (e.op in ('a', 'c', 'r') or e.removes)
        order by e.id + 0 desc limit 1) head on true
    where w.publication_id = %s
"""

_READ_PAYLOADS = """
    select d.output::text, d.decided_at, d.decided_by_id, d.purpose, before.output::text, i.input::text,
           p.output::text, p.confidence, p.segment, p.policy_number, m.name, m.version
    from unnest(%s::bigint[], %s::bigint[]) with ordinality as wanted (decision_id, previous_id, place)
    cross join lateral (select * from labeling_decision where id = wanted.decision_id limit 1) d
    left join lateral (select output from labeling_decision where id = wanted.previous_id limit 1) before on true
    left join lateral (select input from labeling_item where id = d.item_id limit 1) i on true
    left join lateral (select * from labeling_prediction where id = d.prediction_id limit 1) p on true
    left join lateral (select * from labeling_modelversion where id = p.model_version_id limit 1) m on true
    order by wanted.place
"""

_ENTRY_COLUMNS = (
    "id",
    "dataset_id",
    "decision_id",
    "item_id",
    "version",
    "op",
    "removes",
    "supersedes",
    "split",
    "row_digest",
)


@dataclass(frozen=True, slots=True)
class Payload:
    """What a decision, its item and its prediction say. JSON is text, as it was sent and decided."""

    label: str | None
    decided_at: datetime
    decided_by: int
    purpose: str
    previous_label: str | None
    input: str | None
    predicted: str | None
    confidence: float | None
    segment: str | None
    policy_number: int | None
    model: str | None
    model_version: str | None


@contextmanager
def index_scans_only() -> Iterator[Any]:
    """A cursor whose statements use indexes, within the current transaction.

    Waiting rows come and go, and an analysis at a moment when none waits makes the planner believe in an empty table. It then
    joins ten thousand claimed rows with ten thousand waiting ones row by row, which took eleven seconds instead of 0.07.
    """
    with connection.cursor() as cursor:
        cursor.execute("set local enable_seqscan = off")
        yield cursor
        cursor.execute("set local enable_seqscan to default")


def claim_rows(dataset_id: int, publication_id: int) -> int:
    """Freeze the oldest waiting decisions as the publication's batch; how many.

    By row, never by "greater than the last one": a transaction that commits late brings rows with small ids.
    """
    with index_scans_only() as cursor:
        cursor.execute(_FAILURES_OF_OLDEST, [dataset_id, len(CLAIM_LIMITS)])
        oldest = cursor.fetchone()
        if oldest is None:
            return 0
        wanted = {
            "dataset": dataset_id,
            "failures": oldest[0],
            "limit": CLAIM_LIMITS[oldest[0]],
            "publication": publication_id,
        }
        cursor.execute(_CLAIM, wanted)
        return int(cursor.rowcount)


def read_offers(publication_id: int) -> tuple[list[Offer], dict[int, int]]:
    """The frozen batch with the head of each record, and roughly how large each item is by its id."""
    with connection.cursor() as cursor:
        cursor.execute(_READ_OFFERS, [publication_id])
        rows = cursor.fetchall()
    offers, sizes = [], {}
    for sequence, decision_id, removes, item_id, key, size, *head in rows:
        if key is None:
            raise ConflictError(
                "item_gone",
                say("The item of decision {decision_id} is no longer stored.", decision_id=decision_id),
            )
        known = Head(*head) if head[0] is not None else None
        offers.append(Offer(sequence, decision_id, item_id, key, removes, known))
        sizes[item_id] = size
    return offers, sizes


def read_payloads(entries: Sequence[Entry], sizes: dict[int, int]) -> Iterator[tuple[Entry, Payload]]:
    """The rows' contents in the order of the entries, read piece by piece so that large items fit into memory."""
    for piece in _pieces(entries, sizes):
        with connection.cursor() as cursor:
            cursor.execute(
                _READ_PAYLOADS, [[entry.offer.decision_id for entry in piece], [e.supersedes for e in piece]]
            )
            yield from zip(piece, (Payload(*row) for row in cursor.fetchall()), strict=True)


def write_entries(
    dataset_id: int, version: int | None, entries: Iterable[Entry], digests: dict[int, bytes]
) -> None:
    """COPY the ledger's lines. `digests` are the row digests by sequence; folded and stale entries have none."""
    lines = []
    for entry in entries:
        digest = digests.get(entry.offer.sequence)
        fields = (
            str(entry.offer.sequence),
            str(dataset_id),
            str(entry.offer.decision_id),
            str(entry.offer.item_id),
            NULL if version is None else str(version),
            entry.op,
            "t" if entry.offer.removes else "f",
            NULL if entry.supersedes is None else str(entry.supersedes),
            entry.split,
            NULL if digest is None else rf"\\x{digest.hex()}",
        )
        lines.append("\t".join(fields))
    copy_lines("labeling_datasetentry", _ENTRY_COLUMNS, lines)


def release_rows(publication_id: int) -> None:
    """Give the batch of a failed publication back, to be tried in smaller ones."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update labeling_waitingdecision set publication_id = null, failures = failures + 1, since = now() "
            "where publication_id = %s",
            [publication_id],
        )


def delete_rows(publication_id: int) -> int:
    """Take the batch out of the waiting ones; its ledger lines are written in the same transaction. How many."""
    with connection.cursor() as cursor:
        cursor.execute("delete from labeling_waitingdecision where publication_id = %s", [publication_id])
        return int(cursor.rowcount)


def _pieces(entries: Sequence[Entry], sizes: dict[int, int]) -> Iterator[list[Entry]]:
    piece: list[Entry] = []
    size = 0
    for entry in entries:
        size += sizes[entry.offer.item_id]
        piece.append(entry)
        if len(piece) >= _PIECE_ROWS or size >= _PIECE_BYTES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece

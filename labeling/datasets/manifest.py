"""What a dataset version is made of: which decisions become rows, how rows and versions are hashed, who is in which split.

Pure. Everything here must give the same answer on every machine and for ever: versions are identified by these digests.
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from labeling.canonical import canonical_bytes

ADD, CHANGE, REMOVE, FOLDED, STALE = "a", "c", "r", "f", "s"
ROW_OPS = (ADD, CHANGE, REMOVE)
OP_NAMES = {ADD: "add", CHANGE: "change", REMOVE: "remove"}

# The fields of a record as the API shows them, in that order.
RECORD_FIELDS = (
    "record_id",
    "version",
    "input",
    "label",
    "previous_label",
    "predicted_label",
    "confidence",
    "model",
    "model_version",
    "decision_id",
    "decided_by",
    "decided_at",
    "policy_version",
    "origin",
    "split",
    "segment",
)
# What a row digest covers: the record, and what places its row among the other rows.
DIGEST_FIELDS = ("op", "supersedes", *RECORD_FIELDS)

_SPLIT_STEPS = 10_000


@dataclass(frozen=True, slots=True)
class Head:
    """The newest offer that had a say in a record: what became of it, and the record's split. It may be a removal that
    found nothing, op folded: what was offered before it must not come back after it."""

    sequence: int
    decision_id: int
    op: str
    split: str

    @property
    def is_live(self) -> bool:
        return self.op in (ADD, CHANGE)


@dataclass(frozen=True, slots=True)
class Offer:
    """A claimed decision. Of the offers of one item, a greater sequence was made later."""

    sequence: int
    decision_id: int
    item_id: int
    record_id: str
    removes: bool = False
    head: Head | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """What becomes of an offer: exactly one line of the ledger, and for the ops a, c and r a row of the version."""

    offer: Offer
    op: str
    supersedes: int | None = None
    split: str = ""


def build_entries(offers: Sequence[Offer], *, salt: bytes, ratios: Mapping[str, float]) -> list[Entry]:
    """One entry for every offer, in record order.

    The newest offer of a record decides: it adds, changes or removes. Its older siblings are folded into it. An offer older
    than the record's head came too late and is stale. Removing what is not there is folded too: nothing changes.
    """
    newest: dict[int, int] = {}
    for offer in offers:
        newest[offer.item_id] = max(offer.sequence, newest.get(offer.item_id, 0))
    entries = []
    for offer in sorted(offers, key=lambda offer: (offer.record_id, offer.sequence)):
        head = offer.head
        if head is not None and head.sequence > offer.sequence:
            entries.append(Entry(offer, STALE))
        elif newest[offer.item_id] != offer.sequence:
            entries.append(Entry(offer, FOLDED))
        elif head is not None and head.is_live:
            op = REMOVE if offer.removes else CHANGE
            entries.append(Entry(offer, op, supersedes=head.decision_id, split=head.split))
        elif offer.removes:
            entries.append(Entry(offer, FOLDED, split=head.split if head is not None else ""))
        else:
            kept = head.split if head is not None else ""
            split = kept or split_of(offer.record_id, salt=salt, ratios=ratios)
            entries.append(Entry(offer, ADD, split=split))
    return entries


def split_of(record_id: str, *, salt: bytes, ratios: Mapping[str, float]) -> str:
    """The split a new record falls into. Names are taken in order, because JSON in PostgreSQL keeps no order of keys."""
    place = int.from_bytes(hashlib.sha256(salt + record_id.encode()).digest()) % _SPLIT_STEPS
    total = sum(ratios.values())
    reached = 0.0
    for name in sorted(ratios):
        reached += ratios[name]
        if place < reached * _SPLIT_STEPS / total:
            return name
    return max(ratios)


def pseudonym(user_id: int, *, salt: bytes) -> str:
    """A stable name for a person within one dataset, which cannot be turned back without the dataset's salt."""
    return "r" + hmac.new(salt, b"person %d" % user_id, hashlib.sha256).hexdigest()[:16]


def row_salt(seed: bytes, sequence: int) -> bytes:
    """The salt of a row. It follows from the publication's seed, so a resumed publication writes the same bytes; the seed
    is forgotten at the end, and then nobody can guess a digest back to a row whose salt was erased."""
    return hmac.new(seed, b"row %d" % sequence, hashlib.sha256).digest()[:16]


def row_digest(salt: bytes, row: Mapping[str, Any]) -> bytes:
    """sha256 of the salt and the canonical JSON of the row's DIGEST_FIELDS (JSON values decoded, times as text)."""
    return hashlib.sha256(salt + canonical_bytes({name: row[name] for name in DIGEST_FIELDS})).digest()


class VersionDigest:
    """sha256("v1", parent's digest, number, row digests in record order), fed row by row."""

    def __init__(self, number: int, parent: bytes) -> None:
        self._hash = hashlib.sha256(b"v1" + parent + number.to_bytes(8))

    def add(self, digest: bytes) -> None:
        """The next row's digest."""
        self._hash.update(digest)

    def digest(self) -> bytes:
        """The digest of the rows so far."""
        return self._hash.digest()


def timestamp_text(moment: datetime) -> str:
    """A time as it is hashed and shown: UTC, always with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def labels_in(task_type: str, output: Mapping[str, Any] | None) -> list[str]:
    """The labels for which a record is counted, each once; none for free text and fields."""
    if output is None:
        return []
    if task_type == "classification":
        return [output["label"]]
    if task_type == "multilabel":
        return sorted(set(output["labels"]))
    if task_type in ("spans", "boxes"):
        return sorted({part["label"] for part in output[task_type]})
    return []


@dataclass(slots=True)
class Counts:
    """How many live records a version has, in all, by split and by label; carried from version to version."""

    rows: int
    splits: dict[str, int]
    labels: dict[str, int]

    def count_row(self, op: str, split: str, *, before: Iterable[str], after: Iterable[str]) -> None:
        """Count one more row; `before` and `after` are the labels it takes away and brings."""
        step = {ADD: 1, CHANGE: 0, REMOVE: -1}[op]
        self.rows += step
        self.splits[split] = self.splits.get(split, 0) + step
        for label in before:
            self.labels[label] = self.labels.get(label, 0) - 1
        for label in after:
            self.labels[label] = self.labels.get(label, 0) + 1


@dataclass(frozen=True, slots=True)
class RowKey:
    """One change of a record: enough to work out a difference between two versions."""

    record_id: str
    version: int
    op: str


@dataclass(frozen=True, slots=True)
class NetChange:
    """How a record differs between two versions. `first` and `last` are the versions of its rows in between."""

    record_id: str
    op: str
    first: int
    last: int


def net_changes(rows: Iterable[RowKey]) -> Iterator[NetChange]:
    """The difference that is left of many changes: first state against last. Rows come by record, then version."""
    for record_id, group in groupby(rows, key=lambda row: row.record_id):
        changes = list(group)
        was_there = changes[0].op != ADD
        is_there = changes[-1].op != REMOVE
        if not was_there and not is_there:
            continue
        op = CHANGE if was_there and is_there else ADD if is_there else REMOVE
        yield NetChange(record_id, op, changes[0].version, changes[-1].version)

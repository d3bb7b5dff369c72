"""What writers leave behind for the folder: one row per transaction, holding a few small entries.

A writer locks no counter. It adds an entry per cell it touched to its own transaction, and `services.fold_deltas` adds the
committed ones up. Numbers may be negative: undoing something adds what it takes back.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, NotRequired, TypedDict
from zoneinfo import ZoneInfo

import msgspec

from labeling.bulk import Prepared
from labeling.trust.buckets import bucket_of
from labeling.trust.models import COUNTERS, REVIEWER_COUNTERS
from labeling.trust.timegrid import keys_of

__all__ = [
    "Entry",
    "Place",
    "ReviewerEntry",
    "Tally",
    "append_delta",
    "cell_entry",
    "encode_entries",
    "place_of",
]


class _EntryCounts(TypedDict, total=False):
    total: int
    auto: int
    review: int
    fallback: int
    fallback_manual: int
    audit_due: int
    audit_done: int
    audit_err: int
    audit_err_adjudicated: int
    audit_err_open: int
    confirmed: int
    corrected: int
    rejected: int
    skipped: int
    escalated: int
    overflowed: int
    shadow_of: int
    shadow_due: int
    shadow_done: int
    shadow_err: int
    shadow_served_err: int
    shadow_rejected: int


class Entry(_EntryCounts):
    """Counts of one cell. `hour` and `day` are the prediction's (`timegrid.keys_of`), never those of a later answer; `truth`
    is the label that people gave, where the counts are those of their answers."""

    hour: str
    day: str
    period: int
    mv: int
    bucket: int
    segment: NotRequired[str | None]
    label: NotRequired[str | None]
    truth: NotRequired[str]


class ReviewerEntry(TypedDict, total=False):
    """Counts of one reviewer in one queue; `day` is the decision's. `seconds` is a sum and may have a fraction."""

    reviewer: int
    queue: int
    day: str
    reviewed: int
    confirmed: int
    corrected: int
    labelled: int
    rejected: int
    escalated: int
    sentinels: int
    sentinels_missed: int
    gold: int
    gold_changed: int
    double_reviewed: int
    agreed: int
    seconds: float


class Place(NamedTuple):
    """Where a prediction is counted."""

    hour: str
    day: str
    period: int
    mv: int
    bucket: int
    segment: str | None
    label: str | None


_PLACE = frozenset(Place._fields)
_PLACE_NEEDED = _PLACE - {"segment", "label"}
_CELL_NAMES = _PLACE | {"truth"} | frozenset(COUNTERS)
_REVIEWER_PLACE = frozenset({"reviewer", "queue", "day"})
_REVIEWER_NAMES = _REVIEWER_PLACE | frozenset(REVIEWER_COUNTERS)

_encode = msgspec.json.Encoder().encode
_INSERT = Prepared(
    "insert into labeling_trustdelta (project_id, payload) values (%(project)s, %(payload)s::jsonb)"
)


def append_delta(project_id: int, entries: Sequence[Mapping[str, object]]) -> None:
    """Leave `Entry` and `ReviewerEntry` objects for the folder, inside the caller's transaction. Nothing for no entries."""
    if entries:
        _INSERT.run({"project": project_id, "payload": encode_entries(entries)})


def encode_entries(entries: Sequence[Mapping[str, object]]) -> str:
    """The payload of a delta, for writers that insert it with everything else they write.

    ValueError for a name the folder would not know: it fails here, at its cause, instead of stopping every later count.
    """
    for entry in entries:
        _check(entry)
    return _encode(entries).decode()


def place_of(
    *,
    moment: datetime,
    zone: ZoneInfo,
    period: int,
    mv: int,
    confidence: float,
    segment: str | None,
    label: str | None,
) -> Place:
    """Where a prediction is counted. `moment`: `received_at`, in simulated projects `occurred_at` where there is one."""
    hour, day = keys_of(moment, zone)
    return Place(hour, day, period, mv, bucket_of(confidence), segment, label)


def cell_entry(place: Place, counts: Mapping[str, int], truth: str | None = None) -> dict[str, object]:
    """An `Entry` of these counts at this place, by the label that people gave where there is one."""
    entry = {**place._asdict(), **counts}
    return entry if truth is None else entry | {"truth": truth}


class Tally:
    """Adds up counts by place, so that a batch of a thousand rows leaves as few entries as it has cells."""

    def __init__(self) -> None:
        self._places: dict[Place, dict[str, int]] = {}

    def add(self, place: Place, counts: Mapping[str, int]) -> None:
        """Add these counts at this place."""
        sums = self._places.setdefault(place, {})
        for name, count in counts.items():
            sums[name] = sums.get(name, 0) + count

    def entries(self) -> list[dict[str, object]]:
        """One entry per place."""
        return [cell_entry(place, counts) for place, counts in self._places.items()]


def _check(entry: Mapping[str, object]) -> None:
    names: Iterable[str] = entry.keys()
    if "reviewer" in entry:
        unknown, missing = set(names) - _REVIEWER_NAMES, _REVIEWER_PLACE - set(names)
    else:
        unknown, missing = set(names) - _CELL_NAMES, _PLACE_NEEDED - set(names)
    if unknown or missing:
        raise ValueError(f"trust delta entry: unknown {sorted(unknown)}, missing {sorted(missing)}")

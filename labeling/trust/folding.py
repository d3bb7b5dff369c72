"""Adding up deltas: which table gets what. Pure but for the table names it carries.

One entry is counted once in every table below: by hour, by day, by day and bucket, by week and bucket, and by its segment,
its predicted label, and the label that people gave.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from labeling.trust.models import COUNTERS, REVIEWER_COUNTERS, SliceKind
from labeling.trust.timegrid import week_of

__all__ = ["MAX_SLICE_VALUES", "TABLES", "Folded", "SliceKey", "Table", "Vector", "fold_rows", "slice_value"]

MAX_SLICE_VALUES = 50
_MAX_VALUE_LENGTH = 200
_COUNTER_PLACE = {name: place for place, name in enumerate(COUNTERS)}
_REVIEWER_PLACE = {name: place for place, name in enumerate(REVIEWER_COUNTERS)}

Vector = list[Any]

_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode


class Table(NamedTuple):
    """A rollup table: the columns of its key with their SQL types, and its counters."""

    name: str
    key: tuple[tuple[str, str], ...]
    counters: tuple[str, ...]
    counter_type: str


def _cells(name: str, *key: tuple[str, str]) -> Table:
    return Table(f"labeling_{name}", (("project_id", "bigint"), *key), COUNTERS, "bigint")


_PERIOD = (("period_id", "bigint"), ("model_version_id", "bigint"))
TABLES: dict[str, Table] = {
    "hour": _cells("trusthour", ("hour", "timestamptz"), *_PERIOD),
    "day": _cells("trustday", ("day", "date"), *_PERIOD),
    "cell": _cells("trustcell", ("day", "date"), *_PERIOD, ("bucket", "smallint")),
    "week": _cells("trustweek", ("week", "date"), *_PERIOD, ("bucket", "smallint")),
    "slice": _cells("trustslice", ("kind", "text"), ("day", "date"), *_PERIOD, ("value", "text")),
    "reviewer": Table(
        "labeling_reviewerday",
        (("project_id", "bigint"), ("day", "date"), ("reviewer_id", "bigint"), ("queue_id", "bigint")),
        REVIEWER_COUNTERS,
        "double precision",
    ),
}

_NONE = {SliceKind.SEGMENT: SliceKind.SEGMENT_NONE, SliceKind.LABEL: SliceKind.LABEL_NONE}
_OTHER = {
    SliceKind.SEGMENT: SliceKind.SEGMENT_OTHER,
    SliceKind.LABEL: SliceKind.LABEL_OTHER,
    SliceKind.TRUTH: SliceKind.TRUTH_OTHER,
}


class SliceKey(NamedTuple):
    """Whose list of kept values a slice belongs to, and the value itself."""

    project_id: int
    model_version_id: int
    kind: SliceKind
    value: str


def slice_value(value: str) -> str:
    """A segment or label as a slice spells it: cut, because an index entry has a largest size."""
    return value[:_MAX_VALUE_LENGTH]


@dataclass
class Folded:
    """The sums of a batch, by table and key. `add` takes entries, `resolve` then decides which slices are kept apart."""

    sums: dict[str, dict[tuple[Any, ...], Vector]] = field(
        default_factory=lambda: {name: {} for name in TABLES}
    )
    _slices: dict[tuple[Any, ...], Vector] = field(default_factory=dict)

    def add(self, project_id: int, entry: Mapping[str, Any]) -> None:
        """Count one entry (`deltas.Entry` or `deltas.ReviewerEntry`) in every table it belongs to."""
        if "reviewer" in entry:
            key: tuple[Any, ...] = (project_id, entry["day"], entry["reviewer"], entry["queue"])
            _increase(self.sums["reviewer"], key, _changes(entry, _REVIEWER_PLACE), len(REVIEWER_COUNTERS))
            return
        changes = _changes(entry, _COUNTER_PLACE)
        if not changes:
            return
        day, period, mv, bucket = entry["day"], entry["period"], entry["mv"], entry["bucket"]
        sums = self.sums
        for table, key in (
            (sums["hour"], (project_id, _instant(entry["hour"]), period, mv)),
            (sums["day"], (project_id, day, period, mv)),
            (sums["cell"], (project_id, day, period, mv, bucket)),
            (sums["week"], (project_id, _monday(day), period, mv, bucket)),
            (self._slices, (project_id, SliceKind.SEGMENT, day, period, mv, entry.get("segment"))),
            (self._slices, (project_id, SliceKind.LABEL, day, period, mv, entry.get("label"))),
        ):
            _increase(table, key, changes, len(COUNTERS))
        if entry.get("truth") is not None:
            key = (project_id, SliceKind.TRUTH, day, period, mv, entry["truth"])
            _increase(self._slices, key, changes, len(COUNTERS))

    def put(self, table: str, key: tuple[Any, ...], vector: Vector) -> None:
        """Add a stored row of a table."""
        _increase(self.sums[table], key, enumerate(vector), len(vector))

    def slice_keys(self) -> Iterable[SliceKey]:
        """The values met, in the order they came."""
        for project_id, kind, _day, _period, mv, value in self._slices:
            if value is not None:
                yield SliceKey(project_id, mv, kind, slice_value(value))

    def resolve(self, is_kept: Callable[[SliceKey], bool]) -> None:
        """Move the slices to their table: a kept value under its name, the others together."""
        for (project_id, kind, day, period, mv, value), vector in self._slices.items():
            if value is None:
                stored_kind, stored = _NONE[kind], ""
            elif is_kept(SliceKey(project_id, mv, kind, slice_value(value))):
                stored_kind, stored = kind, slice_value(value)
            else:
                stored_kind, stored = _OTHER[kind], ""
            key = (project_id, str(stored_kind), day, period, mv, stored)
            _increase(self.sums["slice"], key, enumerate(vector), len(COUNTERS))
        self._slices = {}


def fold_rows(rows: Iterable[tuple[int, int, str]]) -> Folded:
    """The sums of deltas (id, project, payload)."""
    folded = Folded()
    for _id, project_id, payload in rows:
        for entry in _decode(payload):
            folded.add(project_id, entry)
    return folded


@lru_cache(maxsize=4096)
def _monday(day: str) -> str:
    return week_of(date.fromisoformat(day)).isoformat()


@lru_cache(maxsize=4096)
def _instant(hour: str) -> str:
    """One spelling for each instant: 10:30+05:30 and 05:00+00:00 are one row."""
    return datetime.fromisoformat(hour).astimezone(UTC).isoformat()


def _changes(entry: Mapping[str, Any], places: Mapping[str, int]) -> list[tuple[int, Any]]:
    return [(places[name], count) for name, count in entry.items() if name in places and count]


def _increase(
    table: dict[tuple[Any, ...], Vector], key: tuple[Any, ...], changes: Iterable[tuple[int, Any]], width: int
) -> None:
    vector = table.get(key)
    if vector is None:
        vector = table[key] = [0] * width
    for place, count in changes:
        vector[place] += count

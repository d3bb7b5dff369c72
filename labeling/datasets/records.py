"""Reading a version's records from its segments: the rows up to the version that no later row of it replaces.

Memory holds one piece of a row group, and eight bytes for each correction up to the version. The records come ordered by
the version that last changed them, then by record id; merging segments into one does not change that order.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from labeling.datasets.manifest import RECORD_FIELDS
from labeling.datasets.models import Dataset, DatasetSegment, DatasetVersion
from labeling.datasets.segments import read_batches
from labeling.datasets.storage import Storage, StorageError
from labeling.errors import say

_PLACING = ("version", "op", "decision_id")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A version as a list of files, read from the database once; reading the records needs no database."""

    number: int
    paths: tuple[str, ...]
    correcting: tuple[str, ...]


def open_snapshot(dataset: Dataset, number: int) -> Snapshot:
    """The files of a version. The database says which files count; a listing of the folder never does."""
    segments = DatasetSegment.objects.filter(dataset=dataset, state=DatasetSegment.State.LIVE, lo__lte=number)
    spans = list(segments.order_by("lo").values_list("lo", "hi", "path"))
    corrections = array("q", _list_correcting_numbers(dataset, number))
    return Snapshot(
        number=number,
        paths=tuple(path for _lo, _hi, path in spans),
        correcting=tuple(
            path for lo, hi, path in spans if bisect_left(corrections, lo) < bisect_right(corrections, hi)
        ),
    )


def require_files(storage: Storage, dataset: Dataset, snapshot: Snapshot) -> None:
    """Refuse before the first byte is sent when a file is missing, rather than break off in the middle."""
    there = {file.path for file in storage.list_files(f"{dataset.folder}/segments")}
    missing = [path for path in snapshot.paths if path not in there]
    if missing:
        raise StorageError(
            "segment_missing",
            say("The dataset file {missing} is missing from the storage.", missing=missing[0]),
        )


def read_records(
    storage: Storage, snapshot: Snapshot, *, split: str | None = None, columns: Sequence[str] = RECORD_FIELDS
) -> Iterator[Any]:
    """The records of a version, as pyarrow record batches with these columns."""
    superseded = _read_superseded(storage, snapshot)
    wanted = [*columns, *(name for name in (*_PLACING, "split") if name not in columns)]
    for path in snapshot.paths:
        for batch in read_batches(storage, path, wanted):
            live = batch.filter(_is_live(batch, snapshot.number, superseded))
            if split is not None:
                live = live.filter(pc.equal(live.column("split"), split))
            if live.num_rows:
                yield live.select(list(columns))


def _list_correcting_numbers(dataset: Dataset, number: int) -> Iterator[int]:
    """The versions that replaced or removed rows: only their files have to be asked which."""
    versions = DatasetVersion.objects.filter(dataset=dataset, number__lte=number).exclude(
        changed=0, removed=0
    )
    return versions.order_by("number").values_list("number", flat=True).iterator()


def _read_superseded(storage: Storage, snapshot: Snapshot) -> "array[int]":
    """The decisions whose rows were replaced up to the version, in order."""
    found = array("q")
    for path in snapshot.correcting:
        for batch in read_batches(storage, path, ["version", "supersedes"]):
            rows = batch.filter(pc.less_equal(batch.column("version"), snapshot.number))
            found.extend(pc.drop_null(rows.column("supersedes")).to_pylist())
    return array("q", sorted(found))


def _is_live(batch: Any, number: int, superseded: "array[int]") -> Any:
    """Which rows of a batch are records of the version."""
    live = pc.and_(pc.less_equal(batch.column("version"), number), pc.not_equal(batch.column("op"), "remove"))
    if not superseded or not batch.num_rows:
        return live
    # Ids follow time, so the rows of a batch can only be replaced by a small stretch of all corrections.
    decisions = batch.column("decision_id")
    span = pc.min_max(decisions)
    nearby = superseded[
        bisect_left(superseded, span["min"].as_py()) : bisect_right(superseded, span["max"].as_py())
    ]
    return pc.and_not(live, pc.is_in(decisions, value_set=pa.array(nearby, pa.int64())))

"""What changed from one version to another: first state against last, record by record."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from labeling.datasets import manifest
from labeling.datasets.models import Dataset, DatasetSegment
from labeling.datasets.segments import read_batches
from labeling.datasets.storage import Storage
from labeling.errors import InvalidError, say

# Rows are held by key only, about 100 bytes each.
MAX_ROWS = 1_000_000
_OPS = {name: op for op, name in manifest.OP_NAMES.items()}
_SHOWN = {manifest.ADD: "added", manifest.CHANGE: "changed", manifest.REMOVE: "removed"}
KINDS = tuple(_SHOWN.values())


@dataclass(frozen=True, slots=True)
class Difference:
    """Net counts over everything, and one page of the changes in record order; `next_after` continues it."""

    added: int
    changed: int
    removed: int
    changes: list[dict[str, Any]]
    next_after: str | None


def compare_versions(
    storage: Storage,
    dataset: Dataset,
    older: int,
    newer: int,
    *,
    only: str | None = None,
    after: str | None = None,
    limit: int = 1_000,
) -> Difference:
    """The difference from `older` to `newer`; `only` lists one kind of change. Added and removed again is no difference."""
    if older > newer:
        raise InvalidError(
            "wrong_order",
            say(
                "v{older} is newer than v{newer}; ask for the difference the other way round.",
                older=older,
                newer=newer,
            ),
        )
    segments = DatasetSegment.objects.filter(
        dataset=dataset, state=DatasetSegment.State.LIVE, hi__gt=older, lo__lte=newer
    )
    files = list(segments.order_by("lo").values_list("path", "row_count"))
    if sum(rows for _path, rows in files) > MAX_ROWS:
        raise InvalidError(
            "too_large",
            say(
                "More than {max_rows:,} rows changed between the two; read the records of both instead.",
                max_rows=MAX_ROWS,
            ),
        )
    paths = [path for path, _rows in files]
    net = list(manifest.net_changes(_read_keys(storage, paths, older, newer)))
    counts = {op: sum(1 for change in net if change.op == op) for op in manifest.ROW_OPS}
    rest = (
        change
        for change in net
        if (after is None or change.record_id > after) and (only is None or _SHOWN[change.op] == only)
    )
    page = list(islice(rest, limit + 1))
    return Difference(
        added=counts[manifest.ADD],
        changed=counts[manifest.CHANGE],
        removed=counts[manifest.REMOVE],
        changes=_with_labels(storage, paths, page[:limit]),
        next_after=page[limit - 1].record_id if len(page) > limit else None,
    )


def _read_keys(storage: Storage, paths: list[str], older: int, newer: int) -> Iterator[manifest.RowKey]:
    """The rows between two versions by record, then version."""
    columns = ["record_id", "version", "op"]
    pieces = [
        batch.filter(
            pc.and_(pc.greater(batch.column("version"), older), pc.less_equal(batch.column("version"), newer))
        )
        for path in paths
        for batch in read_batches(storage, path, columns)
    ]
    if not pieces:
        return
    table = pa.Table.from_batches(pieces)
    ordered = table.sort_by([("record_id", "ascending"), ("version", "ascending")])
    for batch in ordered.to_batches(max_chunksize=10_000):
        for record_id, version, op in zip(*(batch.column(name).to_pylist() for name in columns), strict=True):
            yield manifest.RowKey(record_id, version, _OPS[op])


def _with_labels(
    storage: Storage, paths: list[str], changes: list[manifest.NetChange]
) -> list[dict[str, Any]]:
    """The page's changes with the label before (of the first row between) and after (of the last)."""
    wanted = pa.array([change.record_id for change in changes], pa.string())
    labels: dict[tuple[str, int], tuple[str | None, str | None, str]] = {}
    columns = ["record_id", "version", "previous_label", "label", "split"]
    for path in paths if changes else ():
        for batch in read_batches(storage, path, columns):
            for row in batch.filter(pc.is_in(batch.column("record_id"), value_set=wanted)).to_pylist():
                labels[row["record_id"], row["version"]] = (row["previous_label"], row["label"], row["split"])
    shown = []
    for change in changes:
        before, _label, split = labels[change.record_id, change.first]
        _previous, after, _split = labels[change.record_id, change.last]
        shown.append(
            {
                "record_id": change.record_id,
                "op": _SHOWN[change.op],
                "version": change.last,
                "split": split,
                "previous_label": None
                if change.op == manifest.ADD or before is None
                else msgspec.json.decode(before),
                "label": None if after is None else msgspec.json.decode(after),
            }
        )
    return shown

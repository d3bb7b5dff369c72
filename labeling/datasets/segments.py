"""The Parquet files of a dataset: how change rows are written and read back.

A segment holds the rows of versions lo..hi, ordered by version and within a version by record. JSON is kept as the text
that was decided or sent. Row groups are bounded in rows and in bytes, so neither side ever holds more than one of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa
from pyarrow import parquet

from labeling.datasets import manifest
from labeling.datasets.storage import Draft, Storage, StorageError
from labeling.errors import say

ROW_GROUP_ROWS = 128 * 1024
ROW_GROUP_BYTES = 32 * 1024 * 1024
BATCH_ROWS = 8 * 1024
JSON_COLUMNS = ("input", "label", "previous_label", "predicted_label")
REPETITIVE_COLUMNS = [
    "op",
    "model",
    "model_version",
    "decided_by",
    "origin",
    "split",
    "segment",
    "version",
    "policy_version",
]
# Statistics of payload columns would copy whole texts into the file's footer.
_WITH_STATISTICS = ["record_id", "version", "decision_id", "supersedes"]

Row = dict[str, Any]


def segment_schema() -> Any:
    """The columns of a segment: the record, what places it among other rows, and its digest."""
    types = {
        "version": pa.int32(),
        "confidence": pa.float64(),
        "decision_id": pa.int64(),
        "decided_at": pa.timestamp("us", tz="UTC"),
        "policy_version": pa.int32(),
    }
    record = [(name, types.get(name, pa.string())) for name in manifest.RECORD_FIELDS]
    placing = [("op", pa.string()), ("supersedes", pa.int64())]
    return pa.schema([*record, *placing, ("salt", pa.binary(16)), ("row_digest", pa.binary(32))])


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """A segment that was written; its path is relative to the storage root."""

    path: str
    sha256: str
    size: int
    rows: int


class SegmentWriter:
    """Writes rows, given in order, into a draft; memory holds one row group."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.rows = 0
        self._schema = segment_schema()
        self._waiting: list[Row] = []
        self._tables: list[Any] = []
        self._bytes = 0
        self._writer = parquet.ParquetWriter(
            pa.PythonFile(draft, mode="w"),
            self._schema,
            compression="zstd",
            use_dictionary=REPETITIVE_COLUMNS,
            write_statistics=_WITH_STATISTICS,
        )

    def add(self, row: Row) -> None:
        """The next row."""
        self._waiting.append(row)
        self._bytes += sum(len(row[name] or "") for name in JSON_COLUMNS)
        if len(self._waiting) >= ROW_GROUP_ROWS or self._bytes >= ROW_GROUP_BYTES:
            self._write_group()

    def add_table(self, table: Any) -> None:
        """Rows as they were read from another segment."""
        self._tables.append(table.select(self._schema.names))
        self._bytes += table.nbytes
        if (
            sum(waiting.num_rows for waiting in self._tables) >= ROW_GROUP_ROWS
            or self._bytes >= ROW_GROUP_BYTES
        ):
            self._write_group()

    def close(self) -> None:
        """Write what waits, and the footer."""
        if self._waiting or self._tables:
            self._write_group()
        self._writer.close()

    def abandon(self) -> None:
        """Let go of the draft. pyarrow wants to write a footer even when it is only thrown away."""
        self.draft.is_abandoned = True
        self._writer.close()

    def _write_group(self) -> None:
        if self._waiting:
            columns = [
                pa.array([row[field.name] for row in self._waiting], field.type) for field in self._schema
            ]
            self._tables.append(pa.Table.from_arrays(columns, schema=self._schema))
        group = pa.concat_tables(self._tables)
        self._writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
        self.rows += group.num_rows
        self._waiting, self._tables, self._bytes = [], [], 0


@contextmanager
def new_segment(storage: Storage, folder: str) -> Iterator[SegmentWriter]:
    """A segment to write rows into; `keep_segment` gives it its name, otherwise nothing is left of it."""
    with storage.draft(f"{folder}/segments") as draft:
        writer = SegmentWriter(draft)
        try:
            yield writer
        finally:
            writer.abandon()


def keep_segment(storage: Storage, writer: SegmentWriter, folder: str, lo: int, hi: int) -> SegmentFile:
    """Finish a segment and name it after its versions and its content."""
    writer.close()
    sha256 = writer.draft.sha256
    path = f"{folder}/segments/{lo:08}-{hi:08}-{sha256[:16]}.parquet"
    storage.keep(writer.draft, path)
    return SegmentFile(path, sha256, writer.draft.size, writer.rows)


def read_batches(storage: Storage, path: str, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """The rows of a segment in order, a few thousand at a time and never from two row groups at once."""
    with open_segment(storage, path) as file:
        for group in range(file.num_row_groups):
            with _readable(path):
                yield from file.iter_batches(
                    BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False
                )


@contextmanager
def open_segment(storage: Storage, path: str) -> Iterator[Any]:
    """A segment's ParquetFile."""
    with storage.open(path) as source:
        with _readable(path):
            file = parquet.ParquetFile(source, pre_buffer=False, buffer_size=256 * 1024)
        yield file


@contextmanager
def _readable(path: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        raise StorageError(
            "segment_unreadable",
            say("The dataset file {path} cannot be read: {error}.", path=path, error=error),
        ) from error


def digest_row(row: Mapping[str, Any]) -> bytes:
    """The digest of a row as the columns hold it: JSON as text, the time as a datetime, the salt in its own column."""
    logical = {**row, "decided_at": time_text(row["decided_at"])}
    for name in JSON_COLUMNS:
        logical[name] = None if row[name] is None else msgspec.json.decode(row[name])
    return manifest.row_digest(row["salt"], logical)


def time_text(moment: datetime | None) -> str | None:
    """A column's time as text."""
    return None if moment is None else manifest.timestamp_text(moment)

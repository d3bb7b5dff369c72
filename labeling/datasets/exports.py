"""A version's records as JSON Lines, CSV or Parquet, piece by piece. Nothing is kept in memory or on a disk."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import pyarrow as pa
from pyarrow import parquet

from labeling.datasets.manifest import RECORD_FIELDS
from labeling.datasets.segments import (
    JSON_COLUMNS,
    REPETITIVE_COLUMNS,
    ROW_GROUP_BYTES,
    ROW_GROUP_ROWS,
    segment_schema,
    time_text,
)
from labeling.errors import ConflictError, say

LABEL_COLUMNS = ("label", "previous_label", "predicted_label")
_PARTS = {
    "classification": "label",
    "multilabel": "labels",
    "text": "text",
    "fields": "fields",
    "spans": "spans",
    "boxes": "boxes",
}
_PIECE_BYTES = 256 * 1024
_SPECIAL = re.compile(r'[",\r\n]|^\s|\s$')


def to_jsonl(batches: Iterable[Any]) -> Iterator[bytes]:
    """One record a line. What was sent and decided as JSON is copied as it stands, digit by digit."""
    encoder = msgspec.json.Encoder()
    lines = bytearray()
    for row in _rows(batches):
        for name in JSON_COLUMNS:
            row[name] = None if row[name] is None else msgspec.Raw(row[name].encode())
        encoder.encode_into(row, lines, -1)
        lines += b"\n"
        if len(lines) >= _PIECE_BYTES:
            yield bytes(lines)
            lines.clear()
    yield bytes(lines)


def to_csv(batches: Iterable[Any], *, task_type: str, fields: Sequence[str]) -> Iterator[bytes]:
    """Comma-separated, UTF-8, with a header. Labels are flattened: one column for each field of a form, for other types one
    column with the value (lists as JSON). What is missing is an empty cell; an empty text is a pair of quotes."""
    parts = [f"fields.{field}" for field in fields] if task_type == "fields" else [_PARTS[task_type]]
    header = [
        column
        for name in RECORD_FIELDS
        for column in ([f"{name}.{part}" for part in parts] if name in LABEL_COLUMNS else [name])
    ]
    pieces = [_csv_line(header)]
    size = 0
    for row in _rows(batches):
        cells: list[Any] = []
        for name in RECORD_FIELDS:
            cells += _label_cells(row[name], task_type, fields) if name in LABEL_COLUMNS else [row[name]]
        pieces.append(_csv_line(cells))
        size += len(pieces[-1])
        if size >= _PIECE_BYTES:
            yield "".join(pieces).encode()
            pieces, size = [], 0
    yield "".join(pieces).encode()


def to_parquet(batches: Iterable[Any]) -> Iterator[bytes]:
    """One Parquet file, handed on whenever a row group is complete."""
    sink = _Sink()
    schema = pa.schema([segment_schema().field(name) for name in RECORD_FIELDS])
    with parquet.ParquetWriter(
        pa.PythonFile(sink, mode="w"), schema, compression="zstd", use_dictionary=REPETITIVE_COLUMNS
    ) as writer:
        waiting: list[Any] = []
        for batch in batches:
            waiting.append(batch)
            rows = sum(piece.num_rows for piece in waiting)
            if rows >= ROW_GROUP_ROWS or sum(piece.nbytes for piece in waiting) >= ROW_GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(waiting, schema))
                waiting = []
                yield sink.take()
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting, schema))
    yield sink.take()


class _Sink:
    """A file that forgets what was taken from it."""

    closed = False
    mode = "wb"

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._written += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """The end is taken after closing."""

    def take(self) -> bytes:
        content = b"".join(self._pieces)
        self._pieces.clear()
        return content


def _label_cells(text: str | None, task_type: str, fields: Sequence[str]) -> list[Any]:
    """A label's values in the order of its columns. A value without a column would be lost without a word: that is refused,
    though no valid label has one."""
    if text is None:
        return [None] * (len(fields) if task_type == "fields" else 1)
    label = msgspec.json.decode(text)
    part = _PARTS[task_type]
    values = label.pop(part, None)
    cells = [values.pop(field, None) for field in fields] if task_type == "fields" else [values]
    if label or (task_type == "fields" and values):
        raise ConflictError(
            "no_such_column", say("A label has a value that the label schemas do not name; use jsonl.")
        )
    return cells


def _csv_line(cells: Iterable[Any]) -> str:
    return ",".join(_csv_cell(cell) for cell in cells) + "\r\n"


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if text and not _SPECIAL.search(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def _rows(batches: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        for row in batch.to_pylist():
            row["decided_at"] = time_text(row["decided_at"])
            yield row

"""The database's faster ways in: COPY, in its text or its binary format, for many rows, and prepared statements for one.

The binary format (PostgreSQL's documentation, COPY, File Formats) costs both sides less where a row is mostly JSON and hashes.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import Any, Final

from django.db import connection
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.backends.utils import CursorWrapper

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
NULL = r"\N"

_COPY_BEGINS: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_ENDS: Final = b"\xff\xff"
_POSTGRES_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_length = Struct(">i").pack
_int64 = Struct(">iq").pack
NULL_FIELD: Final = _length(-1)


def text(value: str | None) -> str:
    """A text (or JSON) as a COPY field."""
    if value is None:
        return NULL
    if "\\" not in value and value.isprintable():
        return value
    return value.translate(_ESCAPES)


def bytes_field(value: bytes | None) -> bytes:
    """Encoded JSON, or the UTF-8 of a text, as a field of a binary row."""
    return NULL_FIELD if value is None else _length(len(value)) + value


@lru_cache(maxsize=4_096)
def text_field(value: str | None) -> bytes:
    """A text as a field of a binary row; for the few that come again and again."""
    return bytes_field(None if value is None else value.encode())


@lru_cache(maxsize=64)
def moment_field(value: datetime | None) -> bytes:
    """A moment as a field of a binary row: microseconds since 2000."""
    return NULL_FIELD if value is None else _int64(8, (value - _POSTGRES_EPOCH) // _MICROSECOND)


@lru_cache(maxsize=64)
def _spelled(value: datetime) -> str:
    return value.isoformat()


def moment(value: datetime | None) -> str:
    """A moment as a COPY field; the rows of a request share few."""
    return NULL if value is None else _spelled(value)


def array(values: Iterable[object]) -> str:
    """Numbers or hashes as PostgreSQL spells an array; to be cast by the statement it is a parameter of."""
    return "{" + ",".join(map(str, values)) + "}"


def prepared_cursor() -> CursorWrapper:
    """A cursor whose statements the server parses and plans once for each connection and keeps."""
    connection.ensure_connection()
    cursor: Any = ServerBindingCursor(connection.connection)  # type: ignore[call-arg]
    return (
        connection.make_debug_cursor(cursor) if connection.queries_logged else connection.make_cursor(cursor)
    )


def fetch_meanwhile(
    statement: str, values: Sequence[Any], meanwhile: Callable[[], None]
) -> list[tuple[Any, ...]]:
    """The rows of a statement, which the server looks for while `meanwhile` runs; that may not use the connection."""
    with prepared_cursor() as cursor, connection.wrap_database_errors, connection.connection.pipeline():
        cursor.execute(statement, values)
        meanwhile()
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def copy_lines(table: str, columns: Sequence[str], lines: Iterable[str]) -> None:
    """COPY prepared lines (fields joined by tabs) into a table, within the current transaction."""
    _copy(f"copy {table} ({', '.join(columns)}) from stdin", "\n".join(lines), None)


def copy_rows(
    table: str, columns: Sequence[str], rows: Iterable[bytes], *, meanwhile: Callable[[], None] | None = None
) -> None:
    """COPY prepared binary rows (the number of fields, then the fields) into a table, within the current transaction.

    The server works through them while `meanwhile` runs; that may not ask the server.
    """
    statement = f"copy {table} ({', '.join(columns)}) from stdin (format binary)"
    _copy(statement, b"".join((_COPY_BEGINS, *rows, _COPY_ENDS)), meanwhile)


def _copy(statement: str, data: str | bytes, meanwhile: Callable[[], None] | None) -> None:
    # Django turns the driver's errors into its own around `execute` only.
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(data)
        if meanwhile:
            meanwhile()

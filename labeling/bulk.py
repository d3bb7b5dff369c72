"""The database's faster ways in: COPY, in its text format, for many rows, and prepared statements for one."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.backends.utils import CursorWrapper

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
NULL = r"\N"


def text(value: str | None) -> str:
    """A text (or JSON) as a COPY field."""
    if value is None:
        return NULL
    if "\\" not in value and value.isprintable():
        return value
    return value.translate(_ESCAPES)


def json_text(encoded: bytes | None) -> str:
    """Encoded JSON as a COPY field: control characters are escaped in it already, only backslashes are left."""
    return NULL if encoded is None else encoded.decode().replace("\\", "\\\\")


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


def copy_lines(
    table: str, columns: Sequence[str], lines: Iterable[str], *, meanwhile: Callable[[], None] | None = None
) -> None:
    """COPY prepared lines (fields joined by tabs) into a table, within the current transaction.

    The server works through them while `meanwhile` runs.
    """
    # Django turns the driver's errors into its own around `execute` only.
    with connection.wrap_database_errors, connection.cursor() as cursor:
        statement = f"copy {table} ({', '.join(columns)}) from stdin"
        with cursor.copy(statement) as copy:
            copy.write("\n".join(lines))
            if meanwhile:
                meanwhile()

"""Writing many rows at once with COPY, in its text format."""

from collections.abc import Iterable, Sequence

from django.db import connection

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
NULL = r"\N"


def text(value: str | None) -> str:
    """A text (or JSON) as a COPY field."""
    return NULL if value is None else value.translate(_ESCAPES)


def json_text(encoded: bytes | None) -> str:
    """Encoded JSON as a COPY field: control characters are escaped in it already, only backslashes are left."""
    return NULL if encoded is None else encoded.decode().replace("\\", "\\\\")


def copy_lines(table: str, columns: Sequence[str], lines: Iterable[str]) -> None:
    """COPY prepared lines (fields joined by tabs) into a table, within the current transaction."""
    # Django turns the driver's errors into its own around `execute` only.
    with connection.wrap_database_errors, connection.cursor() as cursor:
        statement = f"copy {table} ({', '.join(columns)}) from stdin"
        with cursor.copy(statement) as copy:
            copy.write("".join(f"{line}\n" for line in lines))

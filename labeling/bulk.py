"""The database's faster ways in: COPY, in its text or its binary format, for many rows, and prepared statements for one.

The binary format (PostgreSQL's documentation, COPY, File Formats) costs both sides less where a row is mostly JSON and hashes.
"""

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from struct import Struct
from typing import Any, Final, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.utils import CursorWrapper, debug_transaction
from psycopg import RawCursor, adapters
from psycopg.copy import LibpqWriter
from psycopg.errors import error_from_result
from psycopg.generators import fetch_many
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

NULL = r"\N"
Row = tuple[Any, ...]
T = TypeVar("T")

_COPY_BEGINS: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_ENDS: Final = b"\xff\xff"
# True of every row. PostgreSQL keeps up to 1,000 rows of a COPY to insert them together, unless a condition is volatile. Each of
# them holds a reference to the table's description in a hash table where all of these collide, so that keeping them costs more
# than inserting them together saves: 1,000 rows cost the server 18 to 26 % less without (docs/decisions/0006).
_ROW_BY_ROW: Final = "random() >= 0"
# The driver's own, in C. Django's is in Python and takes over ten times as long, to say UTC where the connection says UTC.
_TIMESTAMPTZ: Final[Any] = adapters.get_loader(adapters.types["timestamptz"].oid, Format.TEXT)
_PARAMETER: Final = re.compile(r"%\((\w+)\)s")
PIECE: Final = 64
_MESSAGE_BYTES: Final = 32 * 1024
_POSTGRES_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_length = Struct(">i").pack
_int64 = Struct(">iq").pack
NULL_FIELD: Final = _length(-1)


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


def array(values: Iterable[object]) -> str:
    """Numbers or hashes as PostgreSQL spells an array; to be cast by the statement it is a parameter of."""
    return "{" + ",".join(map(str, values)) + "}"


class Prepared:
    """A statement with named parameters, `%(name)s`, which the server parses and plans once for each connection and keeps, and
    which is taken apart once in the process: the driver would do that each time where it is long."""

    def __init__(self, statement: str) -> None:
        self.statement = statement
        self.names = tuple(dict.fromkeys(_PARAMETER.findall(statement)))
        numbers = {name: f"${number}" for number, name in enumerate(self.names, 1)}
        self._raw = _PARAMETER.sub(lambda found: numbers[found[1]], statement).replace("%%", "%")

    def fetchone(self, values: Mapping[str, Any]) -> Row | None:
        """Its first row. `values` may hold more than it asks for; KeyError where one is missing."""
        return self.fetchone_with(self._in_order(values))

    def fetchall(self, values: Mapping[str, Any]) -> list[Row]:
        """Its rows."""
        with self._execute(self._in_order(values)) as cursor:
            found: list[Row] = cursor.fetchall()
        return found

    def fetchone_with(self, parameters: Sequence[Any]) -> Row | None:
        """Its first row with these parameters, in the order of `names`."""
        with self._execute(parameters) as cursor:
            found: Row | None = cursor.fetchone()
        return found

    def fetch_meanwhile(self, values: Mapping[str, Any], meanwhile: Callable[[], None]) -> list[Row]:
        """Its rows, which the server looks for while `meanwhile` runs; that may ask the server by other statements, which then
        share the way there and back, but not COPY."""
        with one_trip(), self._execute(self._in_order(values)) as cursor:
            meanwhile()
            found: list[Row] = cursor.fetchall()
        return found

    def run(self, values: Mapping[str, Any]) -> None:
        """Run it for what it changes."""
        with self._execute(self._in_order(values)):
            pass

    def _in_order(self, values: Mapping[str, Any]) -> list[Any]:
        return [values[name] for name in self.names]

    def _execute(self, parameters: Sequence[Any]) -> CursorWrapper:
        wrapper = connections[DEFAULT_DB_ALIAS]
        wrapper.ensure_connection()
        raw: Any = RawCursor(wrapper.connection)  # it takes a statement as the server does
        raw.adapters.register_loader("timestamptz", _TIMESTAMPTZ)
        cursor: CursorWrapper = (
            wrapper.make_debug_cursor(raw) if wrapper.queries_logged else wrapper.make_cursor(raw)
        )
        cursor.execute(self._raw, parameters)
        return cursor


@contextmanager
def one_trip() -> Iterator[None]:
    """Statements within go to the server one after the other without a wait for the answer of the one before, until one is read
    or at the end; there the error of the first that failed is raised. The statement that begins a transaction is one of them."""
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield


def copy_lines(table: str, columns: Sequence[str], lines: Iterable[str]) -> None:
    """COPY prepared lines (fields joined by tabs) into a table, within the current transaction."""
    _copy(f"copy {table} ({', '.join(columns)}) from stdin", ["\n".join(lines).encode()], ())


def copy_rows(
    table: str, columns: Sequence[str], rows: Iterable[bytes], *, meanwhile: Iterable[object] = ()
) -> None:
    """COPY binary rows (the number of fields, then the fields) into a table, within the current transaction.

    The server takes them in as they are made, and goes on while `meanwhile` is run through; that may not ask the server.
    What the socket could not take at once is sent between its steps, so they should be short.
    """
    statement = f"copy {table} ({', '.join(columns)}) from stdin (format binary) where {_ROW_BY_ROW}"
    _copy(statement, _binary(rows), meanwhile)


def pieces_of(values: Iterable[T]) -> Iterator[list[T]]:
    """Some values at a time: a step that is short beside what the server does meanwhile."""
    rest = iter(values)
    while piece := list(islice(rest, PIECE)):
        yield piece


def _binary(rows: Iterable[bytes]) -> Iterable[bytes]:
    """Some rows at a time, as a file in the binary format."""
    yield _COPY_BEGINS
    for part in pieces_of(rows):
        yield b"".join(part)
    yield _COPY_ENDS


def _copy(statement: str, data: Iterable[bytes], meanwhile: Iterable[object]) -> None:
    # Django turns the driver's errors into its own around `execute` only, and its cursor that logs knows no `writer`.
    with connection.wrap_database_errors, connection.cursor() as wrapped:
        cursor: Any = wrapped.cursor
        sender = _Sender(cursor)
        with debug_transaction(connection, statement), cursor.copy(statement, writer=sender) as copy:
            for part in data:
                copy.write(part)
            sender.end()
            for _ in meanwhile:
                sender.send()


class _Sender(LibpqWriter):
    """Sends what the socket takes, whenever it can, and the end of the data before anybody waits for the result.

    The driver's own keeps data until the end of the COPY, and sends it in messages that the server must have wholly before it
    looks at the first row: the server would do nothing meanwhile.
    """

    _has_ended = False

    def write(self, data: Any) -> None:
        for at in range(0, len(data), _MESSAGE_BYTES):
            super().write(data[at : at + _MESSAGE_BYTES])
        self.send()

    def send(self) -> None:
        """Hand over what waits to be sent, as far as that goes at once."""
        self._pgconn.flush()

    def end(self) -> None:
        """No more data comes."""
        self.connection.wait(_end_copy(self._pgconn))
        self._has_ended = True

    def finish(self, exc: BaseException | None = None) -> None:
        if not self._has_ended:
            super().finish(exc)
            return
        result = self.connection.wait(_result_of(self._pgconn))
        if result.status != ExecStatus.COMMAND_OK and exc is None:
            raise error_from_result(result, encoding=self.connection.info.encoding)


def _end_copy(pgconn: PGconn) -> Generator[Wait, Ready | int, None]:
    while pgconn.put_copy_end() == 0:
        yield Wait.W


def _result_of(pgconn: PGconn) -> Generator[Wait, Ready | int, PGresult]:
    while pgconn.flush():
        yield Wait.W
    results: list[PGresult] = yield from fetch_many(pgconn)
    return results[-1]

"""COPY while other work goes on: what the server has done by then, and what is left when either side fails."""

import time
from collections.abc import Iterator
from struct import pack

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction

from labeling.bulk import bytes_field, copy_rows, pieces_of

pytestmark = pytest.mark.django_db(transaction=True)
COLUMNS = ("id", "content")
PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def table() -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute("create table copied (id bigint primary key, content text)")
    yield "copied"
    with connection.cursor() as cursor:
        cursor.execute("drop table copied")


def rows(count: int, *, size: int = 1_000, first: int = 0) -> Iterator[bytes]:
    content = bytes_field(b"x" * size)
    return (pack(">hiq", 2, 8, first + number) + content for number in range(count))


def count_rows() -> int:
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from copied")
        return int(cursor.fetchone()[0])


def state_of(watcher: "psycopg.Connection[tuple[str]]", pid: int) -> str:
    found = watcher.execute("select state from pg_stat_activity where pid = %s", [pid]).fetchone()
    assert found
    return found[0]


@pytest.mark.parametrize(
    "size", [pytest.param(100, id="fits-the-socket"), pytest.param(5_000, id="more-than-that")]
)
def test_the_server_is_done_before_anybody_waits_for_it(size: int) -> None:
    states: list[str] = []
    with (
        transaction.atomic(),
        psycopg.connect(**connection.get_connection_params(), autocommit=True) as watcher,
    ):
        connection.ensure_connection()
        pid = connection.connection.info.backend_pid

        def until_it_is_done() -> Iterator[None]:
            give_up_at = time.monotonic() + PATIENCE_S
            while not states or (states[-1] == "active" and time.monotonic() < give_up_at):
                states.append(state_of(watcher, pid))
                yield

        copy_rows("copied", COLUMNS, rows(1_000, size=size), meanwhile=until_it_is_done())
    assert states[-1] == "idle in transaction"
    assert count_rows() == 1_000


def test_nothing_is_a_table_too() -> None:
    copy_rows("copied", COLUMNS, [])
    assert count_rows() == 0


def test_values_larger_than_a_message() -> None:
    copy_rows("copied", COLUMNS, rows(3, size=3_000_000))
    with connection.cursor() as cursor:
        cursor.execute("select count(*), min(length(content)), max(length(content)) from copied")
        assert cursor.fetchone() == (3, 3_000_000, 3_000_000)


def test_what_the_server_refuses_is_an_error_and_the_connection_goes_on() -> None:
    copy_rows("copied", COLUMNS, rows(1, first=500))
    ran: list[int] = []
    with pytest.raises(IntegrityError), transaction.atomic():
        copy_rows("copied", COLUMNS, rows(2_000), meanwhile=map(ran.append, range(10)))
    assert ran == list(range(10))
    assert count_rows() == 1


class BrokenError(Exception):
    pass


def fails() -> Iterator[None]:
    yield
    raise BrokenError


def test_what_fails_meanwhile_leaves_nothing_and_the_connection_goes_on() -> None:
    with pytest.raises(BrokenError), transaction.atomic():
        copy_rows("copied", COLUMNS, rows(2_000), meanwhile=fails())
    assert count_rows() == 0


def test_what_fails_while_both_fail_is_ours() -> None:
    copy_rows("copied", COLUMNS, rows(1))
    with pytest.raises(BrokenError), transaction.atomic():
        copy_rows("copied", COLUMNS, rows(2_000), meanwhile=fails())
    assert count_rows() == 1


def test_rows_that_cannot_be_made_leave_nothing() -> None:
    def broken() -> Iterator[bytes]:
        yield from rows(1_000)
        raise BrokenError

    with pytest.raises(BrokenError), transaction.atomic():
        copy_rows("copied", COLUMNS, broken())
    assert count_rows() == 0


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1_000])
def test_pieces_hold_everything_in_order(count: int) -> None:
    pieces = list(pieces_of(range(count)))
    assert [value for piece in pieces for value in piece] == list(range(count))
    assert all(pieces)

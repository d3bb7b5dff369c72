"""What a pool hands out lives, although it is not asked each time."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection
from psycopg_pool import ConnectionPool

from reviewapp.postgresql import stall
from reviewapp.postgresql.base import DatabaseWrapper
from reviewapp.postgresql.pool import WarmPool
from reviewapp.postgresql.stall import StallAwareConnection


@pytest.fixture
def pooled(db: None) -> Iterator[StallAwareConnection]:
    with StallAwareConnection.connect(**connection.get_connection_params(), autocommit=True) as made:
        yield made


def last_asked(one: StallAwareConnection) -> str:
    """When the server began to work on something for it the last time."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_stat_clear_snapshot()")
        cursor.execute(
            "select query_start::text from pg_stat_activity where pid = %s", [one.info.backend_pid]
        )
        return str(cursor.fetchone()[0])


def test_asked_once_in_a_while(pooled: StallAwareConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stall, "ASK_AGAIN_S", 3_600.0)
    ConnectionPool.check_connection(pooled)
    first = last_asked(pooled)
    ConnectionPool.check_connection(pooled)
    assert last_asked(pooled) == first
    monkeypatch.setattr(stall, "ASK_AGAIN_S", 0.0)
    ConnectionPool.check_connection(pooled)
    assert last_asked(pooled) > first


def test_one_that_the_server_has_ended_is_noticed_at_once(
    pooled: StallAwareConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stall, "ASK_AGAIN_S", 3_600.0)
    ConnectionPool.check_connection(pooled)
    with connection.cursor() as cursor:
        cursor.execute("select pg_terminate_backend(%s, 10000)", [pooled.info.backend_pid])
        assert cursor.fetchone()[0]
    with pytest.raises(psycopg.OperationalError):
        ConnectionPool.check_connection(pooled)


def test_the_connection_that_came_back_last_is_handed_out_first(db: None) -> None:
    pool = WarmPool(kwargs=connection.get_connection_params(), min_size=3, max_size=3, open=True)
    try:
        pool.wait(10)
        first, second, third = pool.getconn(5), pool.getconn(5), pool.getconn(5)
        for one in (third, first, second):
            pool.putconn(one)
        assert pool.getconn(5) is second
        assert pool.getconn(5) is first
        pool.putconn(second)
        assert pool.getconn(5) is second
        assert pool.getconn(5) is third
    finally:
        pool.close()


def test_a_wrapper_with_a_pool_has_one_of_that_kind() -> None:
    given = {**connection.settings_dict, "CONN_MAX_AGE": 0}
    given["OPTIONS"] = {**given["OPTIONS"], "pool": {"min_size": 1, "max_size": 1}}
    wrapper = DatabaseWrapper(given, "pooled")
    try:
        assert isinstance(wrapper.pool, WarmPool)
        assert wrapper.pool is wrapper.pool
    finally:
        wrapper.close_pool()

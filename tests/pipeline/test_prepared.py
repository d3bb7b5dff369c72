"""Statements that run for every request are taken apart once in the process, and planned once for each connection."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext

from labeling.bulk import Prepared

SAME = Prepared("select %(one)s::int, %(other)s::text, %(one)s::int + 1, 5 %% 3")
VALUES = {"one": 4, "other": "it's 100 %(one)s", "more": object()}
FOUND = (4, "it's 100 %(one)s", 5, 2)


def planned() -> int:
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from pg_prepared_statements where statement like '%%5 %% 3'", [])
        return int(cursor.fetchone()[0])


@pytest.mark.django_db
def test_each_value_is_sent_once_by_its_name_and_the_server_keeps_the_statement() -> None:
    assert SAME.names == ("one", "other")
    assert SAME.fetchone(VALUES) == FOUND
    assert SAME.fetchall(VALUES) == [FOUND]
    assert planned() == 1


@pytest.mark.django_db
def test_it_is_logged_and_listened_to_like_any_other() -> None:
    heard: list[str] = []

    def listen(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        heard.append(sql)
        return execute(sql, params, many, context)

    with CaptureQueriesContext(connection) as captured, connection.execute_wrapper(listen):
        assert SAME.fetchone(VALUES) == FOUND
    (query,) = captured.captured_queries
    assert heard == [query["sql"]] == ["select $1::int, $2::text, $1::int + 1, 5 % 3"]


@pytest.mark.django_db
def test_errors_are_those_of_django() -> None:
    with pytest.raises(DataError), transaction.atomic():
        Prepared("select %(text)s::text::int").fetchone({"text": "one"})


def test_a_value_that_is_missing_is_named(db: None) -> None:
    with pytest.raises(KeyError, match="other"):
        SAME.fetchone({"one": 1})


@pytest.mark.django_db
def test_something_is_done_while_the_server_looks() -> None:
    done: list[str] = []
    assert SAME.fetch_meanwhile(VALUES, lambda: done.append("this")) == [FOUND]
    assert done == ["this"]

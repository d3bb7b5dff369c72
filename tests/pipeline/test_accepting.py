"""Accepting predictions when not everything is as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.decisions.models import OutcomeBatch
from labeling.ingestion.models import Item, ItemKey, Prediction
from labeling.ingestion.partitions import ensure_partitions, list_partitions
from labeling.ledger.checks import check_ledger
from labeling.review.models import ReviewTask
from tests.world import World, a_row, in_threads


@pytest.fixture
def no_partitions(live_world: World) -> Iterator[World]:
    """The instance slept for weeks: nobody has made the partitions of today."""
    with connection.cursor() as cursor:
        for name in list_partitions():
            cursor.execute(f"drop table {name}")
    yield live_world
    ensure_partitions()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["single", "array", "lines"])
def test_a_missing_partition_is_made_when_it_is_missed(no_partitions: World, form: str) -> None:
    api, row = no_partitions.api("otto"), a_row()
    reply = {"single": api.predict, "array": lambda r: api.predict([r]), "lines": api.predict_lines}[form](
        row
    )
    assert reply.status in (200, 201)
    assert Prediction.objects.count() == 1
    assert not ensure_partitions()


@pytest.mark.slow
def test_many_miss_the_same_partition(no_partitions: World) -> None:
    api = no_partitions.api("otto")
    replies = in_threads([lambda: api.predict(a_row()), lambda: api.predict([a_row()])] * 4)
    assert [reply.status for reply in replies] == [201, 200] * 4
    assert Prediction.objects.count() == 8
    assert [finding for finding in check_ledger() if finding.wrong] == []


def looks_for_keys(queries: CaptureQueriesContext) -> int:
    return sum("from labeling_itemkey where key_hash = any" in query["sql"] for query in queries)


def test_rows_are_looked_up_first_only_while_some_are_known(live_world: World) -> None:
    api = live_world.api("otto")
    first, second, third, fourth = ([a_row() for _ in range(3)] for _ in range(4))
    looks = []
    for rows in (first, second, [*first, *third], third, fourth, [a_row()]):
        with CaptureQueriesContext(connection) as queries:
            answer = api.predict(rows).expect(200)
        looks.append(looks_for_keys(queries))
        assert answer["created"] + answer["duplicates"] == len(rows)
    # The third is written as new, which fails, and then looked up; the fifth finds none that is known.
    assert looks == [0, 0, 1, 1, 1, 0]
    assert Item.objects.count() == ItemKey.objects.count() == Prediction.objects.count() == 13
    assert [finding for finding in check_ledger() if finding.wrong] == []


def test_a_request_that_fails_as_new_leaves_nothing_of_its_first_try(live_world: World) -> None:
    api = live_world.api("otto")
    known = a_row(confidence=0.8)
    api.predict([known]).expect(200)
    answer = api.predict([a_row(confidence=0.8), known, a_row(confidence=0.99)]).expect(200)
    assert [line["status"] for line in answer["results"]] == ["created", "duplicate", "created"]
    assert Prediction.objects.count() == Item.objects.count() == 3
    assert ReviewTask.objects.count() == 2
    assert sum(len(batch.entries) for batch in OutcomeBatch.objects.all()) == 1
    assert [finding for finding in check_ledger() if finding.wrong] == []


def test_the_fields_of_a_row_are_stored_as_they_were_sent(live_world: World) -> None:
    rows = [
        a_row(
            id="été\\ 1", segment="n\\orth", confidence=0.95, priority=-3, occurred_at="2026-11-20T10:00:00.123456+02:00",
            input={"text": "a\tb\n\\ \u2028", "n": [1.5, -0.0, 2**53], "b": None},
            probabilities={"a": 0.95}, latency_ms=1.25,
        ),
        a_row(confidence=0.8),
    ]  # fmt: skip
    live_world.api("otto").predict(rows).expect(200)
    item = Item.objects.get(key=rows[0]["id"])
    stored = Prediction.objects.get(item_id=item.pk)
    assert item.input == rows[0]["input"]
    assert list(item.input) == ["text", "n", "b"]
    assert (stored.output, stored.confidence, stored.segment) == (rows[0]["prediction"], 0.95, "n\\orth")
    assert stored.details == {"probabilities": {"a": 0.95}, "latency_ms": 1.25}
    assert stored.occurred_at == datetime(2026, 11, 20, 8, 0, 0, 123456, tzinfo=UTC)
    other = Prediction.objects.get(route="review")
    assert (other.segment, other.details, other.occurred_at, other.final_output) == (None, None, None, None)
    assert abs(stored.received_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert stored.received_at == other.received_at == item.received_at

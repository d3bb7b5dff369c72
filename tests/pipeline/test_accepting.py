"""Accepting predictions when not everything is as it should be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from labeling.ingestion.models import Prediction
from labeling.ingestion.partitions import ensure_partitions, list_partitions
from labeling.ledger.checks import check_ledger
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

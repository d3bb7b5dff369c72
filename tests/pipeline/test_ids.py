"""Time-ordered ids: never the same twice, in rising order, and telling when they were made."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from labeling.ids import BLOCK_SIZE, SECOND_BITS, first_id_at, moment_of, take_ids
from tests.world import in_threads


@pytest.mark.parametrize("count", [1, 2, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, 3 * BLOCK_SIZE])
def test_as_many_as_were_asked_for(db: None, count: int) -> None:
    ids = [*take_ids(count), *take_ids(1)]
    assert len(set(ids)) == count + 1
    assert ids[:-1] == sorted(ids[:-1])


def test_they_tell_when(db: None) -> None:
    (number,) = take_ids(1)
    assert abs(moment_of(number) - timezone.now()) < timedelta(minutes=1)
    assert first_id_at(moment_of(number)) <= number < first_id_at(moment_of(number) + timedelta(seconds=1))


def test_a_reader_that_only_knows_doubles_can_hold_them(db: None) -> None:
    far = first_id_at(timezone.now() + timedelta(days=365 * 100))
    assert far + (1 << SECOND_BITS) < 2**53


def test_the_databases_own_ids_are_like_them(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select labeling_next_id() from generate_series(1, 300)")
        ids = [row[0] for row in cursor.fetchall()]
    assert len(set(ids)) == 300
    assert abs(moment_of(ids[0]) - timezone.now()) < timedelta(minutes=1)


@pytest.mark.slow
def test_nobody_gets_anothers(transactional_db: None) -> None:
    """Twelve threads take 40 times a few, or a few hundred."""

    def take() -> list[int]:
        return [number for turn in range(40) for number in take_ids(1 if turn % 4 else 300)]

    ids = [number for taken in in_threads([take] * 12) for number in taken]
    assert len(ids) == len(set(ids)) == 12 * (30 + 10 * 300)

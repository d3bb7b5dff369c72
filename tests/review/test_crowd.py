"""Two hundred reviewers at a small queue, each with a connection of their own."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from django.utils import timezone

from labeling.review.claiming import get_queue
from labeling.review.services import claim_next, release_task, skip_task
from tests.review.test_claiming import LEASE
from tests.world import Person, World, a_row, in_threads

PEOPLE = 200
FEW, ENOUGH = 150, 205


@pytest.mark.slow
def test_two_hundred_never_share_a_task_and_never_find_nothing_while_one_is_free(live_world: World) -> None:
    """First fewer tasks than people: each goes to exactly one. Then a few more tasks than people, who take, hold and give
    back: one is free at every moment, so nobody may ever be told that there is nothing."""
    queue = get_queue(live_world.letters, "default")
    otto = live_world.api("otto")
    otto.predict([a_row() for _ in range(FEW)]).expect(200)
    people = live_world.newcomers(PEOPLE)
    holders: dict[int, str] = {}
    guard, all_have_asked = threading.Lock(), threading.Barrier(PEOPLE)

    def work(person: Person) -> list[int]:
        counts = []
        for turn in range(3):
            claims = claim_next(queue=queue, by=person.actor, count=1, lease=LEASE, now=timezone.now())
            counts.append(len(claims))
            for claim in claims:
                with guard:
                    assert claim.task.pk not in holders, "two hold one task"
                    holders[claim.task.pk] = person.name
            if turn == 0:
                # Everybody has asked once before anything is given back; one of them brings more work.
                if all_have_asked.wait(60) == 0:
                    otto.predict([a_row() for _ in range(ENOUGH - FEW)]).expect(200)
                all_have_asked.wait(60)
            for claim in claims:
                with guard:
                    del holders[claim.task.pk]
                give_back = skip_task if turn == 1 else release_task
                give_back(task_id=claim.task.pk, token=str(claim.token), by=person.actor)
        return counts

    found = in_threads([partial(work, person) for person in people])
    assert sorted(counts[0] for counts in found) == [0] * (PEOPLE - FEW) + [1] * FEW
    assert {tuple(counts[1:]) for counts in found} == {(1, 1)}

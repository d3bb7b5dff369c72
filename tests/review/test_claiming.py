"""Claims: who gets which task, for how long, and that two never hold one."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from labeling.errors import ConflictError
from labeling.ids import first_id_at
from labeling.review.claiming import get_queue
from labeling.review.marks import move_marks
from labeling.review.models import QueueMark, ReviewTask, TaskState
from labeling.review.services import (
    LONGEST_CLAIM,
    SKIPPED_FOR,
    claim_next,
    claim_task,
    heartbeat,
    list_own_claims,
    release_expired,
    release_task,
    skip_task,
)
from tests.world import Api, Person, World, a_row, in_threads, uncommitted

LEASE = timedelta(minutes=10)
NOW = timezone.now()


@pytest.fixture
def otto(world: World) -> Api:
    return world.api("otto")


class Desk:
    """A reviewer at the default queue of `letters`, and a clock that stands still."""

    def __init__(self, world: World, person: Person) -> None:
        self.queue = get_queue(world.letters, "default")
        self.by = person.actor

    def claim(self, count: int = 1, now: Any = NOW) -> list[Any]:
        return claim_next(queue=self.queue, by=self.by, count=count, lease=LEASE, now=now)

    def keys(self, count: int = 1, now: Any = NOW) -> list[str]:
        return [claim.task.label for claim in self.claim(count, now)]


@pytest.fixture
def rita(world: World) -> Desk:
    return Desk(world, world.rita)


@pytest.fixture
def rolf(world: World) -> Desk:
    return Desk(world, world.rolf)


def send(api: Api, *labels: str, **changes: Any) -> None:
    """A row for each label, in this order; tests tell the tasks apart by it."""
    api.predict([a_row(prediction={"label": label}, **changes) for label in labels]).expect(200)


def held(claim: Any) -> dict[str, Any]:
    return {"task_id": claim.task.pk, "token": str(claim.token)}


# --- Order -----------------------------------------------------------------------------------------------------------


def test_first_come_first_served(otto: Api, rita: Desk, rolf: Desk) -> None:
    send(otto, "a", "b", "c")
    assert rita.keys() == ["a"]
    assert rolf.keys(5) == ["b", "c"]
    assert rita.keys() == []


def test_higher_priority_first(otto: Api, rita: Desk) -> None:
    for label, priority in (("a", 0), ("b", -100), ("c", 100)):
        send(otto, label, priority=priority)
    assert rita.keys() == ["c"]
    send(otto, "a", priority=7)
    assert rita.keys(5) == ["a", "a", "b"]


def test_more_than_there_are(otto: Api, rita: Desk) -> None:
    for priority in (1, 2, 3):
        send(otto, "a", "b", priority=priority)
    assert rita.keys(4) == ["a", "b", "a", "b"]
    assert rita.keys(50) == ["a", "b"]


def test_exactly_as_many_as_were_asked_for(otto: Api, rita: Desk) -> None:
    """Also where several priorities have enough."""
    for priority in (1, 2, 3):
        send(otto, "a", "b", "c", priority=priority)
    assert len(rita.claim(2)) == 2
    assert ReviewTask.objects.filter(state=TaskState.CLAIMED).count() == 2


def test_a_claim_lasts_as_long_as_the_policy_says(world: World) -> None:
    project = world.make_project("hasty", policy={"lease_seconds": 30, "audit_rate": 0})
    api = world.api("otto", at=project)
    api.predict(a_row()).expect(201)
    api.claim_one()
    task = ReviewTask.objects.get()
    assert task.lease_expires_at - task.claimed_at == timedelta(seconds=30)


# --- Giving back -----------------------------------------------------------------------------------------------------


def test_a_released_task_is_at_its_old_place(otto: Api, world: World, rita: Desk, rolf: Desk) -> None:
    send(otto, "a", "b")
    (claim,) = rita.claim()
    release_task(**held(claim), by=world.rita.actor)
    assert rolf.keys(2) == ["a", "b"]


def test_a_skipped_task_goes_to_others_first(otto: Api, world: World, rita: Desk, rolf: Desk) -> None:
    send(otto, "a", "b")
    (claim,) = rita.claim()
    skip_task(**held(claim), by=world.rita.actor, now=NOW)
    assert rita.keys() == ["b"]
    assert rolf.keys(2) == ["a"]


def test_when_nothing_else_is_left_the_skipped_ones_come_again(otto: Api, world: World, rita: Desk) -> None:
    send(otto, "a", "b")
    for claim in rita.claim(2):
        skip_task(**held(claim), by=world.rita.actor, now=NOW)
    assert rita.keys(5) == ["a", "b"]


def test_a_skip_is_forgotten_after_a_while(otto: Api, world: World, rita: Desk) -> None:
    send(otto, "a")
    (claim,) = rita.claim()
    skip_task(**held(claim), by=world.rita.actor, now=NOW)
    send(otto, "b")
    assert rita.keys(now=NOW + SKIPPED_FOR + timedelta(seconds=1)) == ["a"]


# --- Leases ----------------------------------------------------------------------------------------------------------


def test_an_expired_claim_goes_to_the_next_person(otto: Api, world: World, rita: Desk, rolf: Desk) -> None:
    send(otto, "a")
    (late,) = rita.claim()
    assert rolf.keys(now=NOW + LEASE - timedelta(seconds=1)) == []
    (claim,) = rolf.claim(now=NOW + LEASE)
    assert claim.task == late.task
    assert claim.token != late.token
    with pytest.raises(ConflictError) as lost:
        release_task(**held(late), by=world.rita.actor)
    assert (lost.value.code, lost.value.extra) == ("claim_lost", {"holder": "rolf"})


def test_the_sweep_puts_expired_claims_back_and_no_others(otto: Api, rita: Desk, rolf: Desk) -> None:
    send(otto, "a", "b")
    rita.claim(now=NOW - timedelta(hours=1))
    rolf.claim()
    assert release_expired(now=NOW) == 1
    assert release_expired(now=NOW) == 0
    assert Counter(ReviewTask.objects.values_list("state", flat=True)) == {"waiting": 1, "claimed": 1}


def test_until_somebody_else_has_it_a_late_one_may_still_finish(otto: Api, world: World, rita: Desk) -> None:
    send(otto, "a")
    (claim,) = rita.claim(now=NOW - timedelta(hours=1))
    release_task(**held(claim), by=world.rita.actor)


def test_a_heartbeat_prolongs_up_to_four_hours(otto: Api, world: World, rita: Desk) -> None:
    send(otto, "a")
    (claim,) = rita.claim()
    beat = partial(heartbeat, **held(claim), by=world.rita.actor, lease=LEASE)
    later = NOW + timedelta(minutes=9)
    assert beat(now=later) == later + LEASE
    assert ReviewTask.objects.get().lease_expires_at == later + LEASE
    assert beat(now=NOW + LONGEST_CLAIM - timedelta(minutes=1)) == NOW + LONGEST_CLAIM
    assert beat(now=NOW + LONGEST_CLAIM + timedelta(hours=1)) == NOW + LONGEST_CLAIM
    assert release_expired(now=NOW + LONGEST_CLAIM) == 1


@pytest.mark.parametrize("token", ["", "x", "9f2c1a34-5b6d-4e7f-8a90-1b2c3d4e5f60", str(uuid.UUID(int=0))])
def test_only_the_token_holds_the_task(otto: Api, world: World, rita: Desk, token: str) -> None:
    send(otto, "a")
    (claim,) = rita.claim()
    for verb in (release_task, skip_task, partial(heartbeat, lease=LEASE)):
        with pytest.raises(ConflictError) as lost:
            verb(task_id=claim.task.pk, token=token, by=world.rita.actor)
        assert lost.value.code == "claim_lost"


def test_the_token_of_one_is_nothing_in_the_hands_of_another(otto: Api, world: World, rita: Desk) -> None:
    send(otto, "a")
    (claim,) = rita.claim()
    with pytest.raises(ConflictError):
        release_task(**held(claim), by=world.rolf.actor)


# --- A certain task --------------------------------------------------------------------------------------------------


def test_claiming_a_certain_task(otto: Api, world: World, rita: Desk) -> None:
    send(otto, "a", "b")
    wanted = ReviewTask.objects.get(label="b").pk
    claim = claim_task(task_id=wanted, by=world.rita.actor, lease=LEASE, now=NOW)
    assert claim is not None
    assert claim.task.pk == wanted
    assert claim_task(task_id=wanted, by=world.rolf.actor, lease=LEASE, now=NOW) is None


def test_claiming_ones_own_task_again_gives_another_token(otto: Api, world: World, rita: Desk) -> None:
    """Two tabs: the newer one holds it."""
    send(otto, "a")
    (old,) = rita.claim()
    new = claim_task(task_id=old.task.pk, by=world.rita.actor, lease=LEASE, now=NOW)
    assert new is not None
    assert new.token != old.token
    with pytest.raises(ConflictError) as lost:
        release_task(**held(old), by=world.rita.actor)
    assert lost.value.extra == {"holder": "rita"}
    release_task(**held(new), by=world.rita.actor)


def test_what_somebody_holds(otto: Api, world: World, rita: Desk) -> None:
    send(otto, "a", "b", "c")
    assert rita.keys(2, now=timezone.now()) == ["a", "b"]
    found = list_own_claims(project_id=world.letters.pk, by=world.rita.actor)
    assert [claim.task.label for claim in found] == ["a", "b"]
    assert list_own_claims(project_id=world.letters.pk, by=world.rolf.actor) == []


# --- Low-water marks -------------------------------------------------------------------------------------------------


@pytest.fixture
def old_tasks(otto: Api) -> list[int]:
    """Five tasks from an hour ago, in the order of their labels."""
    send(otto, "a", "b", "c", "a", "b")
    for task in ReviewTask.objects.all():
        ReviewTask.objects.filter(pk=task.pk).update(position=task.position - (3600 << 20))
    return list(ReviewTask.objects.order_by("position").values_list("position", flat=True))


def mark() -> int:
    return QueueMark.objects.get().low


def test_a_mark_rises_to_the_first_waiting_task(old_tasks: list[int], world: World, rita: Desk) -> None:
    assert mark() <= old_tasks[0]
    rita.claim(2)
    move_marks()
    assert mark() == old_tasks[2]
    assert rita.keys(5) == ["c", "a", "b"]


def test_a_mark_never_passes_what_may_not_be_committed_yet(otto: Api, rita: Desk) -> None:
    move_marks()  # with nothing waiting
    send(otto, "a")
    move_marks()
    assert mark() < first_id_at(timezone.now() - timedelta(minutes=4))
    assert rita.keys() == ["a"]


def test_whoever_puts_a_task_back_lowers_the_mark(
    old_tasks: list[int], world: World, rita: Desk, rolf: Desk
) -> None:
    claims = rita.claim(4)
    move_marks()
    release_task(**held(claims[1]), by=world.rita.actor)
    assert mark() == old_tasks[1]
    skip_task(**held(claims[0]), by=world.rita.actor)
    assert mark() == old_tasks[0]
    assert rolf.keys(5) == ["a", "b", "b"]


def test_the_sweep_lowers_the_mark(old_tasks: list[int], rita: Desk, rolf: Desk) -> None:
    rita.claim(3, now=NOW - timedelta(hours=1))
    move_marks()
    release_expired(now=NOW)
    assert mark() == old_tasks[0]
    assert len(rolf.claim(5)) == 5


def test_a_mark_that_stands_too_high_is_healed(old_tasks: list[int], rita: Desk) -> None:
    QueueMark.objects.update(low=2**62)
    move_marks()
    assert mark() == old_tasks[0]
    assert len(rita.claim(5)) == 5


# --- Many at once ----------------------------------------------------------------------------------------------------


@pytest.fixture
def crowd(live_world: World) -> list[Desk]:
    """Thirty reviewers."""
    return [Desk(live_world, person) for person in live_world.newcomers(30)]


def claim_now(desk: Desk, count: int = 1) -> list[int]:
    return [claim.task.pk for claim in desk.claim(count, now=timezone.now())]


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(3))
def test_thirty_on_twenty_tasks(live_world: World, crowd: list[Desk], round_: int) -> None:
    """Twenty get one each, ten get nothing: no task goes to two, and nobody sees nothing while one is free."""
    send(live_world.api("otto"), *"abcab" * 4)
    found = in_threads([partial(claim_now, desk) for desk in crowd])
    assert sorted(map(len, found)) == [0] * 10 + [1] * 20
    assert len({task for tasks in found for task in tasks}) == 20


@pytest.mark.slow
def test_thirty_take_several_of_several_priorities(live_world: World, crowd: list[Desk]) -> None:
    """150 tasks, five each: everybody gets something, and all are taken once."""
    for priority in range(5):
        send(live_world.api("otto"), *"abc" * 10, priority=priority)
    found = in_threads([partial(claim_now, desk, 5) for desk in crowd])
    assert all(found)
    taken = Counter(task for tasks in found for task in tasks)
    assert set(taken.values()) == {1}
    while rest := claim_now(crowd[0], 50):
        taken.update(rest)
    assert len(taken) == 150
    assert set(taken.values()) == {1}


@pytest.mark.slow
def test_nobody_sees_nothing_while_more_tasks_than_people_come_and_go(
    live_world: World, crowd: list[Desk]
) -> None:
    """Six people take, hold and give back eight tasks, two hundred times."""
    send(live_world.api("otto"), *"abcabcab")
    holders: dict[int, Desk] = {}
    guard = threading.Lock()

    def work(desk: Desk) -> int:
        times = 0
        for turn in range(35):
            claims = desk.claim(1, now=timezone.now())
            for claim in claims:
                times += 1
                with guard:
                    assert claim.task.pk not in holders, "two hold one task"
                    holders[claim.task.pk] = desk
                time.sleep(0.002)
                with guard:
                    del holders[claim.task.pk]
                (skip_task if turn % 5 == 4 else release_task)(**held(claim), by=desk.by)
        return times

    assert in_threads([partial(work, desk) for desk in crowd[:6]]) == [35] * 6


@pytest.mark.slow
def test_a_claim_that_is_not_committed_hides_only_its_own_tasks(live_world: World, crowd: list[Desk]) -> None:
    send(live_world.api("otto"), "a", "b", "c")
    with uncommitted(lambda: crowd[0].claim(2, now=timezone.now())):
        assert crowd[1].keys(5, now=timezone.now()) == ["c"]


@pytest.mark.slow
def test_expired_claims_are_given_out_once_each(live_world: World, crowd: list[Desk]) -> None:
    """All leases run out at the same moment, and everybody asks."""
    send(live_world.api("otto"), *"abc" * 5)
    crowd[0].claim(15, now=timezone.now() - timedelta(hours=1))
    found = in_threads([partial(claim_now, desk) for desk in crowd[1:16]])
    assert Counter(map(len, found)) == {1: 15}
    assert len({task for tasks in found for task in tasks}) == 15


@pytest.mark.slow
def test_tasks_that_are_sent_meanwhile_reach_somebody(live_world: World, crowd: list[Desk]) -> None:
    """The queue is drained while it is filled; in the end every task was held once."""
    otto = live_world.api("otto")
    senders_left = threading.Semaphore(3)
    taken: list[int] = []

    def fill() -> None:
        for _ in range(10):
            send(otto, "a", "b", priority=1)
        senders_left.acquire()

    def drain(desk: Desk) -> None:
        while True:
            empty = not senders_left.acquire(blocking=False)
            if not empty:
                senders_left.release()
            found = claim_now(desk, 3)
            taken.extend(found)
            if empty and not found:
                return

    in_threads([fill] * 3 + [partial(drain, desk) for desk in crowd[:6]])
    assert len(taken) == len(set(taken)) == 60

"""Deciding and taking the next task in one request."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from labeling.projects.models import Membership
from labeling.review.models import ReviewTask
from tests.world import Api, World, a_row, in_threads


@pytest.fixture
def rita(world: World) -> Api:
    return world.api("rita")


@pytest.fixture
def held(world: World, rita: Api) -> dict[str, Any]:
    """A task that Rita holds, with two more waiting."""
    world.api("otto").predict([a_row(id=name) for name in ("x", "y", "z")]).expect(200)
    return rita.claim_one()


def test_the_next_task_comes_with_the_decision(rita: Api, held: dict[str, Any]) -> None:
    answer = rita.decide(held, "confirmed", next=True).expect(201)
    following = answer["next"]
    assert following.keys() == held.keys()
    assert (held["item"]["id"], following["item"]["id"]) == ("x", "y")
    last = rita.decide(following, "confirmed", next=True).expect(201)["next"]
    assert last["item"]["id"] == "z"
    assert rita.decide(last, "confirmed", next=True).expect(201)["next"] is None


def test_it_comes_only_where_it_was_asked_for(rita: Api, held: dict[str, Any]) -> None:
    assert "next" not in rita.decide(held, "confirmed").expect(201)
    assert ReviewTask.objects.filter(state="claimed").count() == 0


def test_what_is_no_yes_or_no_is_refused_and_nothing_decided(rita: Api, held: dict[str, Any]) -> None:
    refused = rita.decide(held, "confirmed", next="perhaps").expect(422)
    assert refused["errors"][0]["pointer"] == "/next"
    assert rita.decide(held, "confirmed").expect(201)


def test_the_same_request_again_finds_the_same_next_task(rita: Api, held: dict[str, Any]) -> None:
    """An answer that was lost on its way costs nobody a task."""
    first = rita.decide(held, "confirmed", next=True).expect(201)
    again = rita.decide(held, "confirmed", next=True).expect(200)
    assert again == first
    assert ReviewTask.objects.filter(state="claimed").count() == 1


def test_a_repeat_after_the_next_was_decided_takes_another(rita: Api, held: dict[str, Any]) -> None:
    following = rita.decide(held, "confirmed", next=True).expect(201)["next"]
    rita.decide(following, "confirmed").expect(201)
    again = rita.decide(held, "confirmed", next=True).expect(200)
    assert again["next"]["item"]["id"] == "z"
    assert rita.decide(again["next"], "confirmed").expect(201)


def test_escalating_goes_on_in_the_queue_that_was_left(rita: Api, held: dict[str, Any]) -> None:
    first = rita.decide(held, "escalated", next=True).expect(201)
    assert first["next"]["item"]["id"] == "y"
    assert rita.decide(held, "escalated", next=True).expect(200)["next"] == first["next"]


def test_a_repeat_brings_nothing_from_a_queue_that_one_may_not_take_from_any_more(
    world: World, rita: Api, held: dict[str, Any]
) -> None:
    for task in (held, rita.claim_one()):
        rita.decide(task, "escalated").expect(201)
    lea = world.api("lea")
    task = lea.claim_one(queue="leads")
    lea.decide(task, "confirmed").expect(201)
    Membership.objects.filter(project=world.letters, user__username="lea").update(role="reviewer")
    lea.decide(task, "confirmed", next=True).expect(403)
    assert not ReviewTask.objects.filter(state="claimed").exists()


def test_a_task_of_ones_own_that_was_skipped_comes_back_when_nothing_else_waits(
    rita: Api, held: dict[str, Any]
) -> None:
    """The decision's statement finds nothing, the search after it does."""
    for _ in range(2):
        rita.on_task(rita.claim_one(), "skip").expect(204)
    assert rita.decide(held, "confirmed", next=True).expect(201)["next"]["item"]["id"] in ("y", "z")


@pytest.mark.slow
def test_two_who_decide_at_once_never_get_the_same_task(live_world: World) -> None:
    live_world.api("otto").predict([a_row() for _ in range(60)]).expect(200)
    people = [live_world.api(person) for person in live_world.newcomers(2)]

    def work(api: Api, task: dict[str, Any] | None) -> list[int]:
        done = []
        while task:
            done.append(task["task"])
            task = api.decide(task, "confirmed", next=True).expect(201)["next"]
        return done

    one, other = in_threads([partial(work, api, api.claim_one()) for api in people])
    assert len(set(one) | set(other)) == len(one) + len(other) == 60

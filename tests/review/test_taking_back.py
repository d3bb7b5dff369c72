"""A lead ends a claim: the task goes to others, and the late answer is told by whom."""

from __future__ import annotations

from typing import Any

import pytest

from labeling.decisions.models import Decision
from labeling.history.models import HistoryEvent
from labeling.review.models import ReviewTask, TakenBack
from tests.world import Api, World, a_row


@pytest.fixture
def held(world: World) -> dict[str, Any]:
    """A task that Rita holds."""
    world.api("otto").predict(a_row(id="x")).expect(201)
    return world.api("rita").claim_one()


def take(api: Api, task: dict[str, Any], **more: Any) -> Any:
    return api.post(f"/tasks/{task['task']}/take-back/", more)


def test_the_late_answer_is_told_who_took_it_and_who_has_it(world: World, held: dict[str, Any]) -> None:
    lea, rita, rolf = (world.api(name) for name in ("lea", "rita", "rolf"))
    assert take(lea, held, reason="gone home").expect(200) == {"task": held["task"], "holder": "rita"}
    for late in (rita.decide(held, "confirmed"), rita.on_task(held, "heartbeat"), rita.on_task(held, "skip")):
        problem = late.expect_problem(409, "claim_lost")
        assert (problem["taken_by"], problem["reason"], problem["holder"]) == ("lea", "gone home", None)
        assert "lea took this task back" in problem["detail"]
    again = rolf.claim_one()
    assert again["task"] == held["task"]
    assert rita.decide(held, "confirmed").expect_problem(409, "claim_lost")["holder"] == "rolf"
    rolf.decide(again, "corrected", {"label": "b"}).expect(201)
    problem = rita.decide(held, "confirmed").expect_problem(409, "claim_lost")
    assert (problem["taken_by"], problem["decided_by"], problem["verdict"]) == ("lea", "rolf", "corrected")
    assert Decision.objects.count() == 1


def test_it_is_offered_to_others_first_and_to_the_same_person_when_nothing_else_is_left(
    world: World, held: dict[str, Any]
) -> None:
    world.api("otto").predict(a_row(id="y")).expect(201)
    take(world.api("lea"), held).expect(200)
    rita = world.api("rita")
    assert [rita.claim_one()["item"]["id"] for _ in range(2)] == ["y", "x"]


def test_taking_back_can_be_repeated_and_is_one_event(world: World, held: dict[str, Any]) -> None:
    lea = world.api("lea")
    assert take(lea, held).expect(200) == take(lea, held).expect(200)
    assert TakenBack.objects.count() == 1
    event = HistoryEvent.objects.get(action="claim.taken_back")
    assert (event.by.get_username(), event.details["holder"]) == ("lea", "rita")
    take(world.api("otto"), held).expect_problem(409, "not_claimed")


def test_taking_back_a_correction_can_be_repeated_too(world: World, held: dict[str, Any]) -> None:
    lea, rita = world.api("lea"), world.api("rita")
    rita.decide(held, "confirmed").expect(201)
    rita.post(f"/tasks/{held['task']}/reopen/", {}).expect(200)
    assert (
        take(lea, held).expect(200) == take(lea, held).expect(200) == {"task": held["task"], "holder": "rita"}
    )
    assert TakenBack.objects.count() == 1
    assert ReviewTask.objects.get().state == "decided"
    take(world.api("otto"), held).expect_problem(409, "not_claimed")


def test_what_was_decided_in_time_stays_and_cannot_be_taken_back(world: World, held: dict[str, Any]) -> None:
    world.api("rita").decide(held, "confirmed").expect(201)
    take(world.api("lea"), held).expect_problem(409, "not_claimed")
    assert ReviewTask.objects.get().state == "decided"


def test_what_an_earlier_person_decided_is_not_why_a_later_claim_was_lost(
    world: World, held: dict[str, Any]
) -> None:
    world.api("rita").decide(held, "escalated").expect(201)
    lea = world.api("lea")
    at_leads = lea.claim_one(queue="leads")
    take(world.api("otto"), at_leads).expect(200)
    problem = lea.decide(at_leads, "confirmed").expect_problem(409, "claim_lost")
    assert problem["taken_by"] == "otto"
    assert "decided_by" not in problem


def test_a_reviewer_takes_nothing_back(world: World, held: dict[str, Any]) -> None:
    take(world.api("rolf"), held).expect_problem(403, "role_missing")
    take(world.api("lea"), held, reason="x" * 1001).expect_problem(422)
    world.api("rita").decide(held, "confirmed").expect(201)


def test_leads_see_who_holds_what(world: World, held: dict[str, Any]) -> None:
    (claim,) = world.api("lea").get("/projects/letters/claims/").expect(200)["results"]
    assert (claim["task"], claim["item"], claim["holder"], claim["queue"]) == (
        held["task"],
        "x",
        "rita",
        "default",
    )

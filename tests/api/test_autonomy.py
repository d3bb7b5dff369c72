"""Stop, resume, lower, recall over the API (contract section 7), and what consumers are told."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from labeling.ledger.checks import check_ledger
from labeling.pipeline.recalling import continue_recalls, count_recallable
from labeling.review.given import recall
from labeling.review.models import ReviewTask
from labeling.review.services import release_expired
from labeling.trust.looking import look_at_project
from labeling.trust.models import Recall
from labeling.trust.services import compare_rollups, fold_deltas
from tests.world import Api, World, a_row


@pytest.fixture
def otto(world: World) -> Api:
    return world.api("otto")


def steer(api: Api, verb: str, **body: Any) -> Any:
    return api.post(api.below(f"autonomy/{verb}/"), body)


def route(api: Api, **row: Any) -> str:
    return str(api.predict(a_row(**{"confidence": 0.99, **row})).expect(201)["route"])


def hour_ago() -> str:
    return (timezone.now() - timedelta(hours=1)).isoformat()


class TestStop:
    def test_from_the_next_prediction_on_everything_goes_to_people(self, otto: Api) -> None:
        assert route(otto) == "auto"
        assert steer(otto, "stop", reason="fraud").expect(200) == {"stopped": True, "level": 0}
        assert route(otto) == "review"
        assert steer(otto, "stop", reason="again").expect(200)["stopped"]
        assert otto.get(otto.below("trust/")).expect(200)["autonomy"]["stopped"]
        steer(otto, "resume").expect(200)
        assert route(otto) == "auto"
        kinds = [e["kind"] for e in otto.get(otto.below("autonomy/events/")).expect(200)["results"]]
        assert kinds[-1] == "stopped"
        assert "resumed" in kinds

    def test_a_single_model_version(self, otto: Api) -> None:
        assert (route(otto), route(otto, model_version="2")) == ("auto", "auto")
        steer(otto, "stop", reason="v2 drifts", model_version="reader 2").expect(200)
        assert (route(otto), route(otto, model_version="2")) == ("auto", "review")
        assert not otto.get(otto.below("trust/")).expect(200)["autonomy"]["stopped"]
        steer(otto, "stop", reason="?", model_version="reader 9").expect_problem(422)
        steer(otto, "resume", model_version="reader 2").expect(200)
        assert route(otto, model_version="2") == "auto"

    @pytest.mark.parametrize(
        "body", [{}, {"reason": ""}, {"reason": "x", "recall_since": "yesterday"}, {"reason": "a\x00b"}]
    )
    def test_it_says_why(self, otto: Api, body: dict[str, Any]) -> None:
        steer(otto, "stop", **body).expect_problem(422)

    def test_leads_may_and_reviewers_may_not(self, world: World) -> None:
        steer(world.api("rita"), "stop", reason="x").expect_problem(403)
        steer(world.api("nora"), "stop", reason="x").expect_problem(404)
        steer(world.api("otto", "ingest"), "stop", reason="x").expect_problem(403)
        steer(world.api("lea"), "stop", reason="x").expect(200)


class TestLower:
    def test_nobody_raises_above_what_is_certified(self, otto: Api) -> None:
        route(otto)
        fold_deltas()
        look_at_project(otto.at.pk)
        problem = steer(otto, "lower", level=1, reason="more").expect_problem(409, "above_certified")
        assert problem["certified"] == 0
        steer(otto, "lower", level=0, reason="x").expect_problem(409, "autonomy_off")
        steer(otto, "lower", level=-1, reason="x").expect_problem(422)
        steer(otto, "accept", level=0).expect_problem(409, "nothing_proposed")

    def test_down_is_always_open(self, world: World) -> None:
        api = world.api("otto", at=world.make_project("on", policy={"autonomy": "on"}))
        api.predict(a_row()).expect(201)
        fold_deltas()
        look_at_project(api.at.pk)
        assert steer(api, "lower", level=0, reason="wary").expect(200) == {"stopped": False, "level": 0}


class TestRecall:
    def test_consumers_are_told_at_once_and_people_are_asked(self, world: World, otto: Api) -> None:
        otto.predict([a_row(id="x", confidence=0.99), a_row(id="y", confidence=0.99), a_row(id="z")]).expect(
            200
        )
        answer = steer(otto, "stop", reason="wrong", recall_since=hour_ago()).expect(200)
        assert (answer["recalled"], answer["recall_done"]) == (2, True)
        feed = [(e["id"], e["revision"], e["output"], e["origin"]) for e in otto.outcomes()]
        assert feed[2:] == [("x", 2, None, "auto"), ("y", 2, None, "auto")]
        again = otto.predict(a_row(id="x", confidence=0.99)).expect(200)
        assert (again["status"], again["output"]) == ("pending", None)

        rita = world.api("rita")
        for task in rita.claim(5):
            if task["item"]["id"] == "x":
                rita.decide(task, "confirmed").expect(201)
            elif task["item"]["id"] == "y":
                rita.decide(task, "corrected", {"label": "b"}).expect(201)
        feed = [(e["id"], e["revision"], e["output"], e["origin"]) for e in otto.outcomes()]
        assert feed[4:] == [("x", 3, {"label": "a"}, "human"), ("y", 3, {"label": "b"}, "human")]
        now = otto.get(otto.below("trust/")).expect(200)["now"]
        assert now["confirmation_rate"]["n"] == 0, "what was recalled was not drawn: it is in no rate"
        assert compare_rollups(otto.at) == []
        assert not [finding for finding in check_ledger() if finding.wrong]

    def test_what_people_have_settled_and_other_versions_are_left_alone(self, world: World) -> None:
        project = world.make_project("audited", policy={"audit_rate": 1, "sentinel_rate": 0})
        api, rita = world.api("otto", at=project), world.api("rita", at=project)
        api.predict(a_row(id="settled", confidence=0.99)).expect(201)
        rita.decide(rita.claim_one(), "labelled", {"label": "a"}).expect(201)
        api.predict(
            [a_row(id="old", confidence=0.99), a_row(id="new", confidence=0.99, model_version="2")]
        ).expect(200)
        assert count_recallable(project.pk, timezone.now() - timedelta(hours=1)) == 2
        answer = steer(api, "stop", reason="v2", model_version="reader 2", recall_since=hour_ago()).expect(
            200
        )
        assert answer["recalled"] == 1
        assert [e["id"] for e in api.outcomes() if e["revision"] == 2] == ["new"]
        assert ReviewTask.objects.filter(state="waiting").count() == 2, (
            "one that is being checked has its task"
        )

    def test_since_then_and_not_before(self, otto: Api) -> None:
        route(otto)
        since = (timezone.now() + timedelta(hours=1)).isoformat()
        steer(otto, "stop", reason="x", recall_since=since).expect_problem(422)
        now = timezone.now().isoformat()
        assert steer(otto, "stop", reason="x", recall_since=now).expect(200)["recalled"] == 0

    def test_what_is_left_over_is_done_by_the_worker(self, world: World, otto: Api) -> None:
        otto.predict([a_row(confidence=0.99) for _ in range(3)]).expect(200)
        recall = Recall.objects.create(
            project=otto.at, since=timezone.now() - timedelta(hours=1), until=timezone.now(), reason="late"
        )
        assert continue_recalls() == 1
        recall.refresh_from_db()
        assert (recall.recalled, recall.done_at is None) == (3, False)
        assert continue_recalls() == 0


def test_the_figures_of_a_project_that_has_just_begun(otto: Api) -> None:
    route(otto)
    body = otto.get(otto.below("trust/")).expect(200)["autonomy"]
    assert {"level", "share", "certified_share", "reachable_share", "auto_error_upper", "alpha", "epoch",
            "audit_rate", "warned", "next_step_needs"} <= set(body)  # fmt: skip
    fold_deltas()
    look_at_project(otto.at.pk)
    body = otto.get(otto.below("trust/")).expect(200)["autonomy"]
    (scope,) = body["scopes"]
    assert (scope["model_version"], scope["level"], scope["next_step"]["needs"]) == (
        "reader 1",
        0,
        "confidences",
    )
    assert body["next_step_needs"] == 499


def test_prometheus_is_told(world: World, otto: Api) -> None:
    otto.predict([a_row(confidence=0.99), a_row()]).expect(200)
    rita = world.api("rita")
    otto.predict([a_row()]).expect(200)
    rita.claim_one()
    assert release_expired(now=timezone.now() + timedelta(hours=1)) == 1
    task = rita.claim_one()
    ReviewTask.objects.filter(pk=task["task"]).update(
        created_at=timezone.now() - timedelta(minutes=3), claimed_at=timezone.now() - timedelta(minutes=1)
    )
    recall(task["token"])  # these times are not those that were read with the claim
    rita.decide(task, "confirmed", seconds=3).expect(201)
    fold_deltas()
    look_at_project(otto.at.pk)
    steer(otto, "stop", reason="x").expect(200)
    text = otto.client.get("/metrics").content.decode()
    for line in (
        'reviewapp_autonomy_level{label_group="",model_version="reader 1",project="letters"} 0.0',
        'reviewapp_autonomy_alarms_total{label_group="",model_version="reader 1",project="letters"} 0.0',
        'reviewapp_autonomy_stopped{project="letters"} 1.0',
        'reviewapp_week_predictions{project="letters",what="auto"} 1.0',
        'reviewapp_week_predictions{project="letters",what="confirmed"} 1.0',
        'reviewapp_hour_decisions{project="letters"} 1.0',
        'reviewapp_seconds_of_work{project="letters"} 3.0',
        'reviewapp_lease_expiries_total{project="letters",queue="default"} 1.0',
    ):
        assert line in text
    for name, seconds in (("seconds_to_claim", 120), ("seconds_from_claim_to_decision", 60)):
        (told,) = re.findall(rf'reviewapp_{name}{{project="letters",quantile="0.5"}} (\S+)', text)
        assert float(told) == pytest.approx(seconds, abs=5)

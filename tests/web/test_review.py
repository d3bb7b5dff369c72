"""The review page and its fragments, as requests."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from labeling.decisions.models import Decision
from labeling.review.models import ReviewTask, TaskState
from labeling.review.services import claim_next
from labeling.web.desk import GivenAnswer, build_desks
from tests.web.conftest import As
from tests.web.reading import FRAGMENT, desk_of, desks_of, words_of
from tests.world import World, a_row

REVIEW = "/projects/letters/review/"


def rows(world: World, count: int, **changes: Any) -> None:
    world.api("otto").predict([a_row(id=f"l-{n}", **changes) for n in range(1, count + 1)]).expect(200)


def send(client: Any, desk: dict[str, str], verb: str = "decide", fragment: bool = True, **form: Any) -> Any:
    """What the page of a desk sends."""
    form = {"token": desk["token"], "queue": "default", "action": "submit", **form}
    url = f"/projects/letters/tasks/{desk['task']}/{verb}/"
    return client.post(url, form, headers=FRAGMENT if fragment else {})


class TestThePage:
    def test_shows_the_oldest_task_with_the_suggestion_marked_as_the_models(
        self, as_: As, world: World
    ) -> None:
        rows(
            world,
            3,
            input={"subject": "An offer", "text": "Dear Sir"},
            segment="post",
            probabilities={"a": 0.8, "b": 0.1},
        )
        response = as_("rita").get(REVIEW)
        desk = desk_of(response)
        assert (desk["item"], desk["kind"]) == ("l-1", "review")
        text = words_of(response)
        for part in (
            "An offer",
            "Dear Sir",
            "post",
            "Model says 0.80",
            "Here because 0.80 is between 0.70 and 0.95 (policy v1).",
        ):
            assert part in text
        assert 'class="label-row is-model"' in desk["html"]
        assert response.headers["Cache-Control"] == "no-store"
        assert "HX-Request" in response.headers["Vary"]

    def test_a_reload_shows_the_same_task(self, as_: As, world: World) -> None:
        rows(world, 3)
        rita = as_("rita")
        first, again = desk_of(rita.get(REVIEW)), desk_of(rita.get(REVIEW))
        assert (first["task"], first["token"]) == (again["task"], again["token"])
        assert desk_of(as_("rolf").get(REVIEW))["item"] == "l-2"

    @pytest.mark.parametrize("purpose", ["fallback", "audit"])
    def test_without_a_suggestion_nothing_of_the_prediction_is_in_the_html(
        self, as_: As, world: World, purpose: str
    ) -> None:
        audited = purpose == "audit"
        project = world.make_project(
            "blind", policy={"audit_rate": 1.0 if audited else 0, "sentinel_rate": 0}
        )
        row = a_row(
            prediction={"label": "b"},
            confidence=0.987 if audited else 0.123,
            probabilities={"b": 0.876},
            explanation={"because": "secret words"},
            model="tell-tale",
            model_version="7.7",
        )
        world.api("otto", at=project).predict(row).expect(201)
        response = as_("rita").get("/projects/blind/review/")
        body = response.content.decode()
        for leak in (
            "0.98",
            "0.12",
            "0.87",
            "secret",
            "tell-tale",
            "7.7",
            "checked",
            "is-model",
            "audit",
            "fallback",
            "says-model",
        ):
            assert leak not in body, leak
        assert "Without a suggestion" in body

    def test_an_empty_queue_says_so(self, as_: As, world: World) -> None:
        assert world.letters
        assert "Nothing waits for you" in words_of(as_("rita").get(REVIEW))

    def test_an_unknown_queue_is_not_there(self, as_: As, world: World) -> None:
        assert world.letters
        assert as_("rita").get(REVIEW + "nowhere/").status_code == 404

    def test_queries_do_not_grow_with_the_queue(self, as_: As, world: World) -> None:
        counts = []
        for size in (1, 5, 20):  # the first has what the process remembers read
            rows(world, size)
            client = as_("rita")
            client.get("/")
            with CaptureQueriesContext(
                connection,
            ) as queries:
                assert client.get(REVIEW).status_code == 200
            counts.append(len(queries))
            ReviewTask.objects.filter(state=TaskState.CLAIMED).update(
                state=TaskState.CANCELLED,
                claimed_by=None,
                claim_token=None,
                claimed_at=None,
                lease_expires_at=None,
            )
        assert counts[1] == counts[2]


class TestDeciding:
    def test_the_answer_brings_the_next_two_tasks_a_toast_and_the_count(self, as_: As, world: World) -> None:
        rows(world, 4)
        rita = as_("rita")
        response = send(rita, desk_of(rita.get(REVIEW)), label="a", seconds="2.5")
        assert response.status_code == 200
        assert [desk["item"] for desk in desks_of(response)] == ["l-2", "l-3"]
        assert "l-1 confirmed Undo" in words_of(response)
        assert "<b>1</b>" in response.content.decode()
        decision = Decision.objects.get()
        assert (decision.verdict, decision.seconds) == ("confirmed", 2.5)
        assert f'value="{decision.pk}"' in response.content.decode()

    def test_a_page_that_has_the_next_task_gets_one_more(self, as_: As, world: World) -> None:
        rows(world, 4)
        rita = as_("rita")
        first = desk_of(rita.get(REVIEW))
        (second,) = desks_of(
            rita.post(
                "/projects/letters/tasks/more/",
                {"held": f"{first['task']}:{first['token']}"},
                headers=FRAGMENT,
            )
        )
        assert second["item"] == "l-2"
        response = send(rita, first, label="b", held=f"{second['task']}:{second['token']}")
        assert [desk["item"] for desk in desks_of(response)] == ["l-3"]
        assert Decision.objects.get().verdict == "corrected"

    def test_sent_twice_it_is_one_decision(self, as_: As, world: World) -> None:
        rows(world, 3)
        rita = as_("rita")
        desk = desk_of(rita.get(REVIEW))
        assert send(rita, desk, label="b").status_code == 200
        assert send(rita, desk, label="b").status_code == 200
        assert Decision.objects.count() == 1

    def test_another_answer_with_the_same_token_is_refused(self, as_: As, world: World) -> None:
        rows(world, 3)
        rita = as_("rita")
        desk = desk_of(rita.get(REVIEW))
        send(rita, desk, label="b")
        answer = send(rita, desk, label="c")
        assert answer.status_code == 409
        assert "rita decided this one meanwhile." in words_of(answer) or "You no longer hold" in words_of(
            answer
        )
        assert Decision.objects.get().output == {"label": "b"}

    @pytest.mark.parametrize(("action", "verdict"), [("reject", "rejected"), ("escalate", "escalated")])
    def test_reject_and_escalate(self, as_: As, world: World, action: str, verdict: str) -> None:
        rows(world, 2)
        rita = as_("rita")
        desk = desk_of(rita.get(REVIEW))
        assert send(rita, desk, action=action, label="a", note="why\r\nso").status_code == 200
        assert send(rita, desk, action=action, label="a", note="why\r\nso").status_code == 200
        decision = Decision.objects.get()
        assert (decision.verdict, decision.note) == (verdict, "why\nso")

    def test_leads_decide_what_was_escalated(self, as_: As, world: World) -> None:
        rows(world, 1)
        rita = as_("rita")
        send(rita, desk_of(rita.get(REVIEW)), action="escalate")
        lea = as_("lea")
        desk = desk_of(lea.get(REVIEW + "leads/"))
        assert desk["item"] == "l-1"
        assert send(lea, desk, label="a", queue="leads").status_code == 200
        assert send(rita, desk, label="a").status_code in (403, 409)

    def test_an_answer_outside_the_schema_is_refused_and_nothing_is_stored(
        self, as_: As, world: World
    ) -> None:
        rows(world, 1)
        rita = as_("rita")
        desk = desk_of(rita.get(REVIEW))
        answer = send(rita, desk, label="zebra")
        assert answer.status_code == 422
        assert "zebra" in words_of(answer)
        plain = send(rita, desk, fragment=False, label="zebra", note="kept")
        assert plain.status_code == 422
        assert "kept" in plain.content.decode()
        assert desk_of(plain)["token"] == desk["token"]
        assert not Decision.objects.exists()

    def test_a_label_that_was_added_is_there_and_counts_at_once(self, as_: As, world: World) -> None:
        rows(world, 2)
        rita = as_("rita")
        desk = desk_of(rita.get(REVIEW))
        assert send(rita, desk, label="d").status_code == 422
        world.api("ada").patch(
            "/projects/letters/", {"label_schema": {"labels": ["a", "b", "c", "d"]}}
        ).expect(200)
        assert 'value="d"' in rita.get(REVIEW).content.decode()
        assert send(rita, desk, label="d").status_code == 200
        assert Decision.objects.get().output == {"label": "d"}

    def test_without_scripts_it_leads_to_the_queue(self, as_: As, world: World) -> None:
        rows(world, 2)
        rita = as_("rita")
        answer = send(rita, desk_of(rita.get(REVIEW)), fragment=False, label="a")
        assert answer.status_code == 302
        assert answer.headers["Location"] == REVIEW + "default/"
        assert "l-1 confirmed" in words_of(rita.get(answer.headers["Location"]))

    def test_a_claim_that_ran_out_is_taken_again_when_nobody_else_wants_it(
        self, as_: As, world: World
    ) -> None:
        rows(world, 1)
        rita = as_("rita")
        desk = desk_of(rita.get(REVIEW))
        give_back()
        assert send(rita, desk, label="b").status_code == 200
        assert send(rita, desk, label="b").status_code == 200
        assert Decision.objects.count() == 1

    def test_somebody_elses_decision_is_named_and_what_was_typed_is_kept(self, as_: As, world: World) -> None:
        rows(world, 1)
        rita = as_("rita")
        desk = desk_of(rita.get(REVIEW))
        give_back()
        rolf = world.api("rolf")
        rolf.decide(rolf.claim_one(), "corrected", {"label": "c"}).expect(201)
        answer = send(rita, desk, label="b")
        assert answer.status_code == 409
        assert "rolf decided this one meanwhile. It was corrected: c, today" in words_of(answer)
        plain = send(rita, desk, fragment=False, label="b", note="my note")
        assert plain.status_code == 409
        assert "my note" in words_of(plain)

    def test_somebody_elses_claim_is_named(self, as_: As, world: World) -> None:
        rows(world, 1)
        rita = as_("rita")
        desk = desk_of(rita.get(REVIEW))
        give_back()
        world.api("rolf").claim_one()
        answer = send(rita, desk, label="b")
        assert answer.status_code == 409
        assert "rolf holds this task now" in words_of(answer)


class TestSkippingAndHolding:
    def test_skip_gives_the_task_to_others_and_brings_the_next(self, as_: As, world: World) -> None:
        rows(world, 8)
        rita = as_("rita")
        desk = desk_of(rita.get(REVIEW))
        response = send(rita, desk, "skip")
        assert [other["item"] for other in desks_of(response)] == ["l-2", "l-3"]
        assert "l-1 skipped" in words_of(response)
        assert send(rita, desk, "skip").status_code == 200
        assert desk_of(as_("rolf").get(REVIEW))["item"] == "l-1"

    def test_skip_of_a_lost_claim_says_so(self, as_: As, world: World) -> None:
        rows(world, 1)
        rita = as_("rita")
        desk = desk_of(rita.get(REVIEW))
        give_back()
        world.api("rolf").claim_one()
        assert send(rita, desk, "skip").status_code == 409

    def test_heartbeat_renews_and_names_what_is_lost(self, as_: As, world: World) -> None:
        rows(world, 2)
        rita = as_("rita")
        desk = desk_of(rita.get(REVIEW))
        url = "/projects/letters/tasks/heartbeat/"
        answer = rita.post(url, {"held": [f"{desk['task']}:{desk['token']}", "77:x", "nonsense"]}).json()
        assert [held["task"] for held in answer["held"]] == [int(desk["task"])]
        assert [lost["task"] for lost in answer["lost"]] == [77]
        give_back()
        world.api("rolf").claim_one()
        (lost,) = rita.post(url, {"held": f"{desk['task']}:{desk['token']}"}).json()["lost"]
        assert "rolf holds this task now" in lost["html"]

    def test_release_at_once_or_soon(self, as_: As, world: World) -> None:
        rows(world, 1)
        rita = as_("rita")
        desk = desk_of(rita.get(REVIEW))
        held = {"held": f"{desk['task']}:{desk['token']}"}
        url = "/projects/letters/tasks/release/"
        before = ReviewTask.objects.get().lease_expires_at
        assert rita.post(url, {**held, "soon": "1"}).status_code == 204
        task = ReviewTask.objects.get()
        assert task.state == TaskState.CLAIMED
        assert before
        assert task.lease_expires_at
        assert task.lease_expires_at < before
        assert rita.post(url, held).status_code == 204
        assert rita.post(url, held).status_code == 204
        assert ReviewTask.objects.get().state == TaskState.WAITING

    def test_after_a_reload_the_page_gets_what_it_had_in_hand(self, as_: As, world: World) -> None:
        rows(world, 4)
        rita = as_("rita")
        first = desk_of(rita.get(REVIEW))
        held = {"held": f"{first['task']}:{first['token']}"}
        (second,) = desks_of(rita.post("/projects/letters/tasks/more/", held, headers=FRAGMENT))
        (again,) = desks_of(
            rita.post("/projects/letters/tasks/more/", {**held, "own": "1"}, headers=FRAGMENT)
        )
        assert again["token"] == second["token"]


class TestUndoAndTheTaskPage:
    def test_undo_brings_the_task_back(self, as_: As, world: World) -> None:
        rows(world, 2)
        rita = as_("rita")
        send(rita, desk_of(rita.get(REVIEW)), label="b")
        decision = Decision.objects.get()
        url = "/projects/letters/tasks/undo/"
        response = rita.post(url, {"decision": decision.pk, "queue": "default"}, headers=FRAGMENT)
        desk = desk_of(response)
        assert desk["item"] == "l-1"
        assert "data-first" in desk["html"]
        assert Decision.objects.filter(withdrawal=None).count() == 0
        again = rita.post(url, {"decision": decision.pk}, headers=FRAGMENT)
        assert again.status_code == 200
        plain = rita.post(url, {"decision": decision.pk})
        assert plain.headers["Location"] == f"/projects/letters/tasks/{desk['task']}/"

    def test_nothing_to_undo(self, as_: As, world: World) -> None:
        assert world.letters
        response = as_("rita").post("/projects/letters/tasks/undo/", {"decision": ""}, headers=FRAGMENT)
        assert "There is nothing to undo" in words_of(response)

    def test_others_decisions_cannot_be_undone(self, as_: As, world: World) -> None:
        rows(world, 1)
        rolf = world.api("rolf")
        decision = rolf.decide(rolf.claim_one(), "confirmed").expect(201)["decision"]
        assert (
            as_("rita")
            .post("/projects/letters/tasks/undo/", {"decision": decision}, headers=FRAGMENT)
            .status_code
            == 403
        )
        assert Decision.objects.filter(withdrawal=None).count() == 1

    def test_the_page_of_a_task(self, as_: As, world: World) -> None:
        rows(world, 2)
        rita, rolf = as_("rita"), as_("rolf")
        desk = desk_of(rita.get(REVIEW))
        url = f"/projects/letters/tasks/{desk['task']}/"
        assert desk_of(rita.get(url))["token"] == desk["token"]
        assert "rita holds it now" in words_of(rolf.get(url))
        send(rita, desk, label="b", note="odd")
        text = words_of(rita.get(url))
        assert "Corrected" in text
        assert "odd" in text
        others = words_of(rolf.get(url))
        assert "Decided by rita" in others
        assert "odd" not in others


def give_back() -> None:
    """The sweep has found every lease expired."""
    ReviewTask.objects.filter(state=TaskState.CLAIMED).update(
        state=TaskState.WAITING, claimed_by=None, claim_token=None, claimed_at=None, lease_expires_at=None
    )


class TestAdjudication:
    def test_the_answers_are_shown_without_saying_whose_and_one_can_be_taken_over(
        self, as_: As, world: World
    ) -> None:
        rows(world, 1)
        ReviewTask.objects.update(kind="adjudication", purpose="adjudication")
        rita = as_("rita")
        desk = desk_of(rita.get(REVIEW))
        assert desk["kind"] == "adjudication"
        assert "is-model" not in desk["html"]
        assert send(rita, desk, as_answer='{"label": "c"}', label="").status_code == 200
        assert Decision.objects.get().output == {"label": "c"}

    def test_the_options_of_the_desk(self, world: World, rf: RequestFactory) -> None:
        rows(world, 1)
        project = world.letters
        claims = claim_next(
            queue=project.queues.get(slug="default"), by=world.rita.actor, count=1, lease=timedelta(60)
        )
        (desk,) = build_desks(project, world.rita.actor, claims)
        given = (GivenAnswer(1, "a", '{"label": "a"}'), GivenAnswer(2, "b", '{"label": "b"}'))
        context = {"desk": replace(desk, suggestion=None, given=given), "review": {"project": project}}
        html = render_to_string("review/desk.html", context, rf.get("/"))
        assert "Two answers disagree" in html
        assert 'value="{&quot;label&quot;: &quot;b&quot;}"' in html
        assert 'data-option="3"' in html


class TestReopening:
    def test_a_lead_corrects_from_the_item_page(self, as_: As, world: World) -> None:
        world.api("otto").predict(a_row(id="x")).expect(201)
        rita = world.api("rita")
        made = rita.decide(rita.claim_one(), "confirmed").expect(201)
        address = f"/projects/letters/tasks/{made['task']}/reopen/"
        assert address in as_("lea").get("/projects/letters/items/x/").content.decode()
        assert address not in as_("vic").get("/projects/letters/items/x/").content.decode()

        desk = as_("lea").post(address, follow=True).content.decode()

        assert "rita said confirmed" in desk
        assert f'data-task="{made["task"]}"' in desk or str(made["task"]) in desk
        assert ReviewTask.objects.get().claimed_by == world.lea.user
        assert as_("otto").post(address).status_code == 409

    def test_a_reviewer_corrects_what_is_published(self, as_: As, world: World) -> None:
        world.api("otto").predict(a_row(id="x")).expect(201)
        rita = world.api("rita")
        made = rita.decide(rita.claim_one(), "confirmed").expect(201)
        address = f"/projects/letters/tasks/{made['task']}/"
        assert f"{address}reopen/" in as_("rita").get(address).content.decode()
        assert as_("rolf").post(f"{address}reopen/").status_code == 403
        assert as_("rita").post(f"{address}reopen/").status_code == 302

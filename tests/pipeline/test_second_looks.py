"""Blind checks that differ wait for a second person; drawn reviews are labelled twice; nobody settles their own case."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.datasets.models import WaitingDecision
from labeling.ledger.checks import check_ledger
from labeling.pipeline.deciding import let_overdue_stand
from labeling.projects.models import Project
from labeling.review.models import Exclusion, Purpose, ReviewTask
from labeling.trust.models import ReviewerDay, TrustDay
from labeling.trust.services import compare_rollups, fold_deltas
from tests.world import Api, World, a_row

AUDITED = {"audit_rate": 1, "sentinel_rate": 0}
TWICE = {"audit_rate": 0, "sentinel_rate": 0, "second_review_rate": 1}


def counts(project: Project, *names: str) -> tuple[int, ...]:
    fold_deltas()
    assert compare_rollups(project) == []
    return tuple(sum(TrustDay.objects.filter(project_id=project.pk).values_list(n, flat=True)) for n in names)


def is_sound() -> bool:
    fold_deltas()
    return not [finding for finding in check_ledger() if finding.wrong]


ERRORS = ("audit_done", "audit_err", "audit_err_open", "audit_err_adjudicated")


@pytest.fixture
def audited(world: World) -> Project:
    return world.make_project("audited", policy=AUDITED)


def check(world: World, project: Project, label: str, **row: object) -> tuple[Api, dict]:
    """An automatic result that Rita has checked."""
    world.api("otto", at=project).predict(a_row(id="x", confidence=0.99, **row)).expect(201)
    rita = world.api("rita", at=project)
    return rita, rita.decide(rita.claim_one(), "labelled", {"label": label}).expect(201)


class TestAdjudication:
    def test_a_check_that_agrees_counts_at_once(self, world: World, audited: Project) -> None:
        check(world, audited, "a")
        assert counts(audited, *ERRORS) == (1, 0, 0, 0)
        assert WaitingDecision.objects.count() == 1
        assert not ReviewTask.objects.filter(purpose=Purpose.ADJUDICATION).exists()

    def test_one_that_differs_changes_nothing_until_a_second_person_settles_it(
        self, world: World, audited: Project
    ) -> None:
        rita, _ = check(world, audited, "b")
        assert counts(audited, *ERRORS) == (1, 1, 1, 0), "an error at once, but an open one"
        assert [e["revision"] for e in rita_sees(world, audited)] == [1]
        assert WaitingDecision.objects.count() == 0
        assert rita.claim(5) == [], "never to one of the two"
        assert is_sound()

        rolf = world.api("rolf", at=audited)
        task = rolf.claim_one()
        assert (task["kind"], task["prediction"], task["confidence"]) == ("adjudication", None, None)
        answers = {(a["origin"], a["output"]["label"]) for a in task["answers"]}
        assert answers == {("model", "a"), ("reviewer", "b")}
        rolf.decide(task, "labelled", {"label": "b"}).expect(201)
        assert counts(audited, *ERRORS) == (1, 1, 0, 1)
        assert [(e["revision"], e["output"]) for e in rita_sees(world, audited)] == [
            (1, {"label": "a"}),
            (2, {"label": "b"}),
        ]
        assert WaitingDecision.objects.count() == 1
        assert is_sound()

    def test_whose_case_it_is_cannot_claim_it_by_number_either(self, world: World, audited: Project) -> None:
        rita, _ = check(world, audited, "b")
        settling = ReviewTask.objects.get(purpose=Purpose.ADJUDICATION).pk
        assert rita.claim(task=settling) == []
        assert [task["task"] for task in world.api("rolf", at=audited).claim(task=settling)] == [settling]

    def test_the_model_may_be_found_right(self, world: World, audited: Project) -> None:
        check(world, audited, "b")
        rolf = world.api("rolf", at=audited)
        settled = rolf.decide(rolf.claim_one(), "labelled", {"label": "a"}).expect(201)
        assert counts(audited, *ERRORS) == (1, 0, 0, 0)
        assert len(rita_sees(world, audited)) == 1, "what was served stays"
        rolf.undo(settled["decision"]).expect(200)
        assert counts(audited, *ERRORS) == (1, 1, 1, 0)
        assert is_sound()

    @pytest.mark.parametrize("verdict", ["rejected", "escalated"])
    def test_who_cannot_tell_leaves_an_error(self, world: World, audited: Project, verdict: str) -> None:
        check(world, audited, "b")
        rolf = world.api("rolf", at=audited)
        rolf.decide(rolf.claim_one(), verdict).expect(201)
        is_open = int(verdict == "escalated")
        assert counts(audited, *ERRORS) == (1, 1, is_open, 1 - is_open)
        assert len(rita_sees(world, audited)) == 1
        assert is_sound()

    def test_a_check_without_an_answer_is_an_error_and_nothing_to_settle(
        self, world: World, audited: Project
    ) -> None:
        world.api("otto", at=audited).predict(a_row(confidence=0.99)).expect(201)
        rita = world.api("rita", at=audited)
        rita.decide(rita.claim_one(), "rejected").expect(201)
        assert counts(audited, *ERRORS) == (1, 1, 0, 0)
        assert not ReviewTask.objects.filter(purpose=Purpose.ADJUDICATION).exists()
        assert len(rita_sees(world, audited)) == 1

    def test_taking_the_check_back_takes_the_question_back(self, world: World, audited: Project) -> None:
        rita, answer = check(world, audited, "b")
        rita.undo(answer["decision"]).expect(200)
        assert counts(audited, *ERRORS) == (0, 0, 0, 0)
        assert world.api("rolf", at=audited).claim(5)[0]["kind"] == "label", "the check waits again"
        assert is_sound()

    def test_it_cannot_be_taken_back_once_somebody_settles_it(self, world: World, audited: Project) -> None:
        rita, answer = check(world, audited, "b")
        rolf = world.api("rolf", at=audited)
        task = rolf.claim_one()
        rita.undo(answer["decision"]).expect_problem(409, "claim_lost")
        rolf.decide(task, "rejected").expect(201)
        rita.undo(answer["decision"]).expect_problem(409, "superseded")
        assert counts(audited, *ERRORS) == (1, 1, 0, 1)

    def test_after_seven_days_the_checks_label_stands(self, world: World, audited: Project) -> None:
        check(world, audited, "b")
        now = timezone.now()
        assert let_overdue_stand(now + timedelta(days=6, hours=23)) == 0
        assert let_overdue_stand(now + timedelta(days=7, minutes=1)) == 1
        assert counts(audited, *ERRORS) == (1, 1, 0, 0)
        assert [e["revision"] for e in rita_sees(world, audited)] == [1, 2]
        assert is_sound()
        assert let_overdue_stand(now + timedelta(days=8)) == 0

    def test_a_check_that_shows_the_suggestion_is_settled_too(self, world: World) -> None:
        project = world.make_project("open", policy={**AUDITED, "blind_audit": False})
        world.api("otto", at=project).predict(a_row(confidence=0.99)).expect(201)
        rita, rolf = world.api("rita", at=project), world.api("rolf", at=project)
        rita.decide(rita.claim_one(), "corrected", {"label": "b"}).expect(201)
        assert rolf.claim_one()["kind"] == "adjudication"


class TestSecondReviews:
    def test_somebody_else_labels_it_again_blind(self, world: World) -> None:
        project = world.make_project("twice", policy=TWICE)
        world.api("otto", at=project).predict(a_row(id="x")).expect(201)
        rita, rolf = world.api("rita", at=project), world.api("rolf", at=project)
        rita.decide(rita.claim_one(), "confirmed").expect(201)
        assert rita.claim(5) == []
        second = rolf.claim_one()
        assert (second["kind"], second["prediction"], second["confidence"]) == ("label", None, None)
        rolf.decide(second, "labelled", {"label": "a"}).expect(201)
        assert twice(world.rita.user.pk) == (1, 1)
        assert len(rita_sees(world, project)) == 1
        assert WaitingDecision.objects.count() == 1, "the first label, once"
        assert counts(project, "confirmed", "corrected") == (1, 0)
        assert is_sound()

    def test_where_they_differ_a_third_person_settles(self, world: World) -> None:
        project = world.make_project("twice", policy=TWICE)
        world.api("otto", at=project).predict(a_row(id="x")).expect(201)
        rita, rolf, lea = (world.api(name, at=project) for name in ("rita", "rolf", "lea"))
        first = rita.decide(rita.claim_one(), "confirmed").expect(201)
        rolf.decide(rolf.claim_one(), "labelled", {"label": "b"}).expect(201)
        assert twice(world.rita.user.pk) == (1, 0)
        assert (rita.claim(5), rolf.claim(5)) == ([], [])
        task = lea.claim_one()
        assert {a["origin"] for a in task["answers"]} == {"reviewer"}
        lea.decide(task, "labelled", {"label": "b"}).expect(201)
        assert counts(project, "confirmed", "corrected") == (0, 1)
        assert [e["revision"] for e in rita_sees(world, project)] == [1, 2]
        rita.undo(first["decision"]).expect_problem(409, "superseded")
        assert is_sound()

    def test_a_first_answer_taken_back_needs_no_second(self, world: World) -> None:
        project = world.make_project("twice", policy=TWICE)
        world.api("otto", at=project).predict(a_row(id="x")).expect(201)
        rita = world.api("rita", at=project)
        rita.undo(rita.decide(rita.claim_one(), "confirmed").expect(201)["decision"]).expect(200)
        assert [task["kind"] for task in world.api("rolf", at=project).claim(5)] == ["review"]
        assert is_sound()

    def test_a_second_answer_can_be_taken_back(self, world: World) -> None:
        project = world.make_project("twice", policy=TWICE)
        world.api("otto", at=project).predict(a_row(id="x")).expect(201)
        rita, rolf = world.api("rita", at=project), world.api("rolf", at=project)
        rita.decide(rita.claim_one(), "confirmed").expect(201)
        answer = rolf.decide(rolf.claim_one(), "labelled", {"label": "b"}).expect(201)
        rolf.undo(answer["decision"]).expect(200)
        assert twice(world.rita.user.pk) == (0, 0)
        assert world.api("lea", at=project).claim_one()["kind"] == "label"
        assert is_sound()

    def test_none_without_a_rate(self, world: World) -> None:
        world.api("otto").predict(a_row(id="x")).expect(201)
        rita = world.api("rita")
        rita.decide(rita.claim_one(), "confirmed").expect(201)
        assert not ReviewTask.objects.filter(purpose=Purpose.SECOND_REVIEW).exists()
        assert not Exclusion.objects.exists()


def twice(person: int) -> tuple[int, int]:
    fold_deltas()
    days = ReviewerDay.objects.filter(reviewer_id=person)
    return tuple(sum(days.values_list(name, flat=True)) for name in ("double_reviewed", "agreed"))


def rita_sees(world: World, project: Project) -> list[dict]:
    return world.api("otto", at=project).outcomes()

"""Of what the fallback answers by itself a drawn part is labelled by people, for ever, and nobody outside can tell which."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

import pytest
from django.db import connection
from django.utils import timezone

from labeling.datasets.models import Dataset, DatasetEntry, EntryOp, WaitingDecision
from labeling.datasets.services import publish
from labeling.decisions.models import Decision
from labeling.ids import moment_of
from labeling.ingestion.models import Prediction
from labeling.ledger.checks import check_ledger
from labeling.pipeline import placing
from labeling.pipeline.overflowing import keep_within_limits
from labeling.projects.models import Project
from labeling.review.models import Purpose, ReviewQueue, ReviewTask
from labeling.review.queries import count_waiting
from labeling.routing.services import touch_routing
from labeling.trust.models import TrustDay
from labeling.trust.services import compare_rollups, fold_deltas
from labeling.trust.worth import SHADOW_RATE
from tests.world import Api, World, a_row

CONSTANT = {"mode": "constant", "output": {"label": "c"}}
POLICY = {"audit_rate": 0, "sentinel_rate": 0, "fallback": CONSTANT}
COUNTERS = ("shadow_of", "shadow_due", "shadow_done", "shadow_err", "shadow_served_err", "shadow_rejected")


@pytest.fixture
def project(world: World) -> Project:
    return world.make_project("constant", policy=POLICY)


@pytest.fixture
def all_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "SHADOW_RATE", 1.0)


def counts(project: Project) -> tuple[int, ...]:
    fold_deltas()
    assert compare_rollups(project) == []
    assert not [finding for finding in check_ledger() if finding.wrong]
    rows = TrustDay.objects.filter(project_id=project.pk)
    return tuple(sum(rows.values_list(name, flat=True)) for name in COUNTERS)


def publish_now(project: Project) -> list[tuple[str, bool]]:
    """What the newest version has that the one before had not: (change, whether it is a shadow review's)."""
    version = publish(Dataset.objects.get(project=project).pk)
    assert version is not None
    entries = DatasetEntry.objects.filter(dataset__project=project, version=version.number)
    return [(e.op, Decision.objects.get(pk=e.decision_id).purpose == Purpose.SHADOW) for e in entries]


def unsure(**changes: object) -> dict:
    return a_row(confidence=0.1, **changes)


def answered(world: World, project: Project) -> Api:
    """Item x was answered by the constant, and Rita is to look."""
    world.api("otto", at=project).predict(unsure(id="x")).expect(201)
    return world.api("rita", at=project)


def served(world: World, project: Project) -> list[tuple[int, str, str]]:
    entries = world.api("otto", at=project).outcomes()
    return [(e["revision"], e["output"]["label"], e["origin"]) for e in entries]


def test_a_twentieth_is_drawn_and_its_chance_is_stored_before_anybody_looks(
    world: World, project: Project
) -> None:
    world.api("otto", at=project).predict([unsure() for _ in range(900)] + [a_row()]).expect(200)
    world.api("otto", at=project).predict(unsure()).expect(201)
    rows = Prediction.objects.filter(project_id=project.pk)
    assert set(rows.values_list("route", "audit_probability")) == {("fallback", SHADOW_RATE), ("review", 0.0)}
    drawn = set(rows.filter(audited=True).values_list("pk", flat=True))
    assert 15 <= len(drawn) <= 85, "45 of 901, six standard deviations either way"
    tasks = ReviewTask.objects.filter(purpose=Purpose.SHADOW)
    assert set(tasks.values_list("prediction_id", flat=True)) == drawn
    assert counts(project) == (901, len(drawn), 0, 0, 0, 0)


def test_where_a_person_labels_nothing_is_drawn(world: World, all_drawn: None) -> None:
    project = world.make_project("manual", policy={"audit_rate": 0, "sentinel_rate": 0})
    world.api("otto", at=project).predict([unsure() for _ in range(5)]).expect(200)
    assert set(Prediction.objects.values_list("audit_probability", "audited")) == {(0.0, False)}
    assert counts(project)[:2] == (0, 0)


def test_before_the_release_before_has_ended_nothing_is_drawn(
    world: World, project: Project, all_drawn: None
) -> None:
    """Its processes know neither such tasks nor their counts."""
    migration = import_module("labeling.migrations.0029_shadow_reviews")
    (statement,) = [one.sql for one in migration.Migration.operations if hasattr(one, "sql")]
    with connection.cursor() as cursor:
        cursor.execute(statement)
    project.refresh_from_db()
    later = moment_of(project.shadows_from) - timezone.now()
    assert timedelta(minutes=59) < later < timedelta(minutes=61)
    world.api("otto", at=project).predict(unsure()).expect(201)
    assert set(Prediction.objects.values_list("audit_probability", "audited")) == {(0.0, False)}
    assert counts(project)[:2] == (0, 0)
    Project.objects.update(shadows_from=Prediction.objects.get().pk + 1)
    touch_routing(project.pk)
    world.api("otto", at=project).predict(unsure()).expect(201)
    assert counts(project)[:2] == (1, 1)


@pytest.mark.usefixtures("all_drawn")
class TestAnswering:
    def test_the_model_service_has_its_answer_and_the_reviewer_sees_no_suggestion(
        self, world: World, project: Project
    ) -> None:
        otto = world.api("otto", at=project)
        first = otto.predict(unsure(id="x")).expect(201)
        assert (first["route"], first["status"], first["output"]) == ("fallback", "final", {"label": "c"})
        task = world.api("rita", at=project).claim_one()
        assert (task["kind"], task["prediction"], task["confidence"]) == ("label", None, None)
        assert "shadow" not in str(task)
        assert otto.predict(unsure(id="x")).expect(200)["output"] == {"label": "c"}

    @pytest.mark.parametrize(
        ("label", "counted", "feed"),
        [
            ("a", (1, 1, 1, 0, 1, 0), [(1, "c", "fallback"), (2, "a", "human")]),
            ("b", (1, 1, 1, 1, 1, 0), [(1, "c", "fallback"), (2, "b", "human")]),
            ("c", (1, 1, 1, 1, 0, 0), [(1, "c", "fallback")]),
        ],
    )
    def test_a_label_tells_of_the_model_and_of_the_fallback_and_is_served(
        self, world: World, project: Project, label: str, counted: tuple[int, ...], feed: list
    ) -> None:
        """The model said a, the fallback c. One person's label counts: nobody is asked a second time."""
        rita = answered(world, project)
        rita.decide(rita.claim_one(), "labelled", {"label": label}).expect(201)
        assert counts(project) == counted
        assert served(world, project) == feed
        assert WaitingDecision.objects.count() == 1
        assert not ReviewTask.objects.exclude(purpose=Purpose.SHADOW).exists()

    def test_who_cannot_tell_leaves_what_was_served_and_says_nothing_of_either(
        self, world: World, project: Project
    ) -> None:
        rita = answered(world, project)
        rita.decide(rita.claim_one(), "rejected").expect(201)
        assert counts(project) == (1, 1, 0, 0, 0, 1)
        assert served(world, project) == [(1, "c", "fallback")]
        assert WaitingDecision.objects.count() == 0

    def test_undone_and_changed_it_counts_what_stands(self, world: World, project: Project) -> None:
        rita = answered(world, project)
        decided = rita.decide(rita.claim_one(), "labelled", {"label": "a"}).expect(201)
        rita.undo(decided["decision"]).expect(200)
        assert counts(project) == (1, 1, 0, 0, 0, 0)
        task = rita.claim_one()
        rita.decide(task, "rejected").expect(201)
        assert served(world, project)[1:] == [(2, "a", "human"), (3, "c", "fallback")], (
            "a is served no longer"
        )
        again = rita.post(f"/tasks/{task['task']}/reopen/", {}).expect(200)
        changed = rita.decide(again, "labelled", {"label": "b"}).expect(201)
        assert counts(project) == (1, 1, 1, 1, 1, 0)
        rita.undo(changed["decision"]).expect(200)
        assert counts(project) == (1, 1, 0, 0, 0, 1), "nobody could tell, once more"
        assert served(world, project)[3:] == [(4, "b", "human"), (5, "c", "fallback")]

    def test_a_label_that_is_changed_to_cannot_tell_is_taken_back_everywhere(
        self, world: World, project: Project
    ) -> None:
        rita = answered(world, project)
        task = rita.claim_one()
        rita.decide(task, "labelled", {"label": "a"}).expect(201)
        assert publish_now(project) == [(EntryOp.ADD, True)]
        again = rita.post(f"/tasks/{task['task']}/reopen/", {}).expect(200)
        decided = rita.decide(again, "rejected").expect(201)
        assert counts(project) == (1, 1, 0, 0, 0, 1)
        assert served(world, project)[1:] == [(2, "a", "human"), (3, "c", "fallback")]
        assert world.api("lea", at=project).story("x")["accepted_label"]["output"] == {"label": "c"}
        rita.undo(decided["decision"]).expect(200)
        assert served(world, project)[3:] == [(4, "a", "human")]
        again = rita.post(f"/tasks/{task['task']}/reopen/", {}).expect(200)
        rita.decide(again, "rejected").expect(201)
        assert publish_now(project) == [(EntryOp.REMOVE, True)]
        assert counts(project) == (1, 1, 0, 0, 0, 1)

    def test_one_that_agreed_and_is_changed_to_cannot_tell_counts_no_longer(
        self, world: World, project: Project
    ) -> None:
        rita, otto = answered(world, project), world.api("otto", at=project)
        task = rita.claim_one()
        rita.decide(task, "labelled", {"label": "c"}).expect(201)
        again = rita.post(f"/tasks/{task['task']}/reopen/", {}).expect(200)
        rita.decide(again, "rejected").expect(201)
        assert served(world, project) == [(1, "c", "fallback")]
        assert counts(project) == (1, 1, 0, 0, 0, 1)
        later = otto.predict(unsure(id="x", model_version="2")).expect(201)
        assert later["route"] == "fallback", "no person's label settles it"

    def test_one_about_an_older_answer_does_not_bring_that_back(self, world: World, project: Project) -> None:
        """Version 2 has answered meanwhile; that version 1's fallback cannot be judged changes nothing about it."""
        rita = answered(world, project)
        row = a_row(id="x", model_version="2", confidence=0.99, prediction={"label": "b"})
        world.api("otto", at=project).predict(row).expect(201)
        rita.decide(rita.claim_one(), "rejected").expect(201)
        assert served(world, project) == [(1, "c", "fallback"), (2, "b", "auto")]

    def test_one_that_was_escalated_is_settled_by_a_lead(self, world: World, project: Project) -> None:
        rita = answered(world, project)
        rita.decide(rita.claim_one(), "escalated").expect(201)
        assert counts(project) == (1, 1, 0, 0, 0, 0)
        service = Api(world.make_key("otto", "ingest", project=project), project)
        assert service.story("x")["decisions"] == []
        listed = service.get(service.below("predictions/?verdict=escalated")).expect(200)
        assert listed["results"] == []
        assert service.get(service.below("predictions/")).expect(200)["results"][0]["verdict"] is None
        lea = world.api("lea", at=project)
        lea.decide(lea.claim_one(queue="leads"), "labelled", {"label": "a"}).expect(201)
        assert counts(project) == (1, 1, 1, 0, 1, 0)

    def test_a_settled_item_is_not_drawn_again(self, world: World, project: Project) -> None:
        rita = answered(world, project)
        rita.decide(rita.claim_one(), "labelled", {"label": "a"}).expect(201)
        reply = world.api("otto", at=project).predict(unsure(id="x", model_version="2")).expect(201)
        assert (reply["route"], reply["output"]) == ("settled", {"label": "a"})
        assert counts(project) == (1, 1, 1, 0, 1, 0)

    def test_while_one_waits_a_further_prediction_makes_no_second_task(
        self, world: World, project: Project
    ) -> None:
        answered(world, project)
        world.api("otto", at=project).predict(unsure(id="x", model_version="2")).expect(201)
        assert ReviewTask.objects.count() == 1
        assert counts(project)[:2] == (2, 2)

    def test_a_model_service_cannot_see_which_are_looked_at(self, world: World, project: Project) -> None:
        answered(world, project)
        service = Api(world.make_key("otto", "ingest", project=project), project)
        assert service.story("x")["tasks"] == []
        assert len(world.api("lea", at=project).story("x")["tasks"]) == 1
        rita = world.api("rita", at=project)
        rita.decide(rita.claim_one(), "labelled", {"label": "c"}).expect(201)
        assert len(service.story("x")["tasks"]) == 1, "it is found out"

    @pytest.mark.parametrize("confidence", [0.1, 0.99])
    def test_nor_by_asking_for_rates_or_for_what_waits(
        self, world: World, monkeypatch: pytest.MonkeyPatch, confidence: float
    ) -> None:
        """Two projects alike, but that everything served is drawn in the second one, and nothing in the first."""
        told, known = [], []
        for drawn in (False, True):
            monkeypatch.setattr(placing, "is_drawn", lambda *_, drawn=drawn: drawn)
            project = world.make_project(f"drawn-{drawn}".lower(), policy={**POLICY, "audit_rate": 0.5})
            world.api("otto", at=project).predict(a_row(confidence=confidence)).expect(201)
            assert ReviewTask.objects.filter(project=project).exists() == drawn
            service = Api(world.make_key("otto", "ingest", project=project), project)
            told.append(service.get(service.below("trust/")).expect(200))
            service.get(service.below("queues/")).expect_problem(403, "scope_missing")
            known.append(world.api("otto", at=project).get(service.below("trust/")).expect(200))
        assert told[0]["now"] == told[1]["now"]
        assert told[0]["autonomy"] == told[1]["autonomy"]
        assert [point["rates"] for point in told[0]["series"]] == [
            point["rates"] for point in told[1]["series"]
        ]
        assert [one["now"]["human_touch_rate"]["count"] for one in known] == [0, 1], "people are told"

    def test_nor_by_sending_another_version_of_the_item(self, world: World) -> None:
        """Of an item with an open task no second one is made, so a review that waits for none would tell."""
        told = []
        for drawn in (0.0, 1.0):
            placing.SHADOW_RATE = drawn  # the fixture puts it back
            policy = {**POLICY, "overflow": {"mode": "refuse", "waiting_max": 5}}
            project = world.make_project(f"versions-{drawn:.0f}", policy=policy)
            service = Api(world.make_key("otto", "ingest", project=project), project)
            service.predict(unsure(id="x")).expect(201)
            service.predict(a_row(id="x", model_version="2")).expect(201)
            told.append(service.story("x")["tasks"])
            queue = ReviewQueue.objects.get(project=project, slug="default")
            assert count_waiting(queue, most=9) == 1 - drawn, "nobody waits for a shadow review"
        assert told == [[], []]

    def test_too_much_work_takes_none_of_them_away(self, world: World) -> None:
        policy = {**POLICY, "overflow": {"mode": "fallback", "after_seconds": 60}}
        project = world.make_project("late", policy=policy)
        answered(world, project)
        ReviewTask.objects.update(position=1, created_at="2025-01-02T00:00Z")
        assert keep_within_limits() == 0
        assert len(world.api("rita", at=project).claim(5)) == 1

    def test_rules_are_drawn_from_like_a_constant(self, world: World) -> None:
        rules = [{"when": "confidence < 0.2", "output": {"label": "b"}}]
        fallback = {"mode": "rules", "rules": rules, "else": {"label": "c"}}
        project = world.make_project("rules", policy={**POLICY, "fallback": fallback})
        rita = answered(world, project)
        rita.decide(rita.claim_one(), "labelled", {"label": "b"}).expect(201)
        assert counts(project) == (1, 1, 1, 1, 0, 0)
        assert served(world, project) == [(1, "b", "fallback")]

"""What may change about a project once predictions have come in, and what a draft policy would have done to them."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.errors import InvalidError
from labeling.ingestion.decoding import Row
from labeling.ingestion.models import Prediction
from labeling.pipeline.accepting import accept_predictions
from labeling.pipeline.past_traffic import read_past_traffic
from labeling.pipeline.placing import Door
from labeling.pipeline.projects import change_project
from labeling.pipeline.simulation import simulate_policy
from labeling.review.models import ReviewQueue
from labeling.routing.models import PolicyVersion
from labeling.routing.queries import load_rules
from labeling.trust.services import fold_deltas
from tests.trust.test_controlling import ON, Scope, climbed
from tests.world import a_row

pytestmark = pytest.mark.django_db
CONFIDENCES = (0.2, 0.7, 0.8, 0.94, 0.95, 0.99)


@pytest.fixture
def letters(world):
    return world.letters


@pytest.fixture
def traffic(letters):
    queue = ReviewQueue.objects.get(project=letters, slug="default")
    rows = [
        Row(id=f"i{c}", input={"text": "x"}, prediction={"label": "a"}, confidence=c, model="m", segment="de")
        for c in CONFIDENCES
    ]
    accept_predictions(door=Door(load_rules(letters.pk), queue.pk, None), rows=rows)
    return letters


def test_the_time_zone_moves_while_nothing_is_counted(letters, world):
    assert (
        change_project(project=letters, by=world.otto.actor, time_zone="Asia/Kolkata").time_zone
        == "Asia/Kolkata"
    )


def test_the_time_zone_stands_once_predictions_came_in(traffic, world):
    with pytest.raises(InvalidError) as refused:
        change_project(project=traffic, by=world.otto.actor, time_zone="Asia/Kolkata")
    assert refused.value.errors[0].pointer == "/time_zone"
    assert change_project(project=traffic, by=world.otto.actor, time_zone="UTC", name="Other").name == "Other"


def test_a_draft_is_simulated_on_past_traffic_and_changes_nothing(traffic):
    before = list(Prediction.objects.order_by("id").values_list("id", "route"))
    found = simulate_policy(project=traffic, body={"high": 0.8, "low": 0.5})
    assert found.was.counts == {"auto": 2, "review": 3, "fallback": 1}
    assert found.would_be.counts == {"auto": 4, "review": 1, "fallback": 1}
    assert found.moved == {("review", "auto"): 2}
    assert (found.was.tasks_per_day, found.would_be.tasks_per_day) == (4.0, 2.0)
    assert list(Prediction.objects.order_by("id").values_list("id", "route")) == before
    assert PolicyVersion.objects.filter(project=traffic).count() == 1


def test_a_draft_that_is_no_policy_is_refused(traffic):
    with pytest.raises(InvalidError) as refused:
        simulate_policy(project=traffic, body={"high": 1.5})
    assert refused.value.errors[0].pointer == "/high"


def test_without_traffic_there_is_nothing_to_say(letters):
    found = simulate_policy(project=letters, body={})
    assert (found.predictions, found.was.tasks_per_day, found.since) == (0, None, None)


def test_today_and_the_draft_are_tried_on_the_same_predictions_with_what_people_said_of_them(world):
    letters = world.make_project("post", policy={"audit_rate": 1, "sentinel_rate": 0})
    rows = [a_row(id=f"r-{n}", confidence=0.9) for n in range(10)]
    rows += [a_row(id=f"a-{n}", confidence=0.99) for n in range(10)]
    world.api("otto", at=letters).predict(rows).expect(200)
    rita = world.api("rita", at=letters)
    for task in rita.claim(20):
        blind = task["kind"] == "label"
        wrong = task["item"]["id"] in ("r-0", "r-1", "a-0")
        answer = {"label": "b" if wrong else "a"}
        verdict = ["labelled", answer] if blind else ["corrected", answer] if wrong else ["confirmed"]
        rita.decide(task, *verdict, seconds=6).expect(201)
    found = simulate_policy(project=letters, body={"high": 0.9, "audit_rate": 0.1, "sentinel_rate": 0.5})
    assert (found.today.error.value, found.today.error.n) == (0.1, 10)
    assert (found.would_be.error.value, found.would_be.error.n) == (pytest.approx(0.15), 20)
    assert found.would_be.error.low < 0.15 < found.would_be.error.high
    assert (found.today.tasks_per_day, found.today.checks_per_day) == (10, 10)
    assert found.would_be.checks_per_day == pytest.approx(2)
    assert found.would_be.hours_per_day == pytest.approx(2 * 6 / 3600)
    forced = {"high": 0.9, "overrides": [{"label": "a", "force_review": True}]}
    by_hand = simulate_policy(project=letters, body=forced).would_be
    assert (by_hand.counts["review"], by_hand.error.value) == (20, None)


def test_a_sample_stands_for_all_that_came_in(letters, world):
    rows = [a_row(id=f"s-{n}", confidence=0.2 + 0.8 * n / 400) for n in range(400)]
    world.api("otto").predict(rows).expect(200)
    fold_deltas()
    whole = read_past_traffic(letters, with_labels=True)
    sample = read_past_traffic(letters, with_labels=False, most=60)
    assert (whole.is_sample, len(whole.rows), whole.total) == (False, 400, 400)
    assert (sample.is_sample, sample.total) == (True, 400)
    assert 60 <= len(sample.rows) <= 66
    for route in ("auto", "review", "fallback"):
        weights = [row.weight for row in sample.rows if row.route == route]
        assert sum(weights) == pytest.approx(sum(row.route == route for row in whole.rows))


def test_trying_a_draft_reads_no_more_of_a_long_past(letters, world):
    """The plan walks the index of routes stratum by stratum, and stops where enough were taken."""
    rows = [a_row(id=f"p-{n}", confidence=0.99) for n in range(2_000)]
    world.api("otto").predict(rows).expect(200)
    fold_deltas()
    with CaptureQueriesContext(connection) as captured:
        read_past_traffic(letters, with_labels=False, most=50)
    (take,) = [query["sql"] for query in captured if "unnest" in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"explain (analyze, format json) {take}")
        plan = cursor.fetchone()[0]
    scans = [
        node
        for node in nodes_of(plan[0]["Plan"])
        if "Scan" in node["Node Type"] and "labeling_prediction" in node.get("Relation Name", "")
    ]
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in scans) <= 60
    assert all(node.get("Rows Removed by Filter", 0) == 0 for node in scans)


def nodes_of(plan):
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes_of(part)


# --- where evidence rules -----------------------------------------------------------------------------------------


@pytest.fixture
def earned(world):
    """A scope that has earned half of the traffic, and forty stored predictions of its model version."""
    project = world.make_project("earned", policy=ON, simulation=True)
    scope = climbed(Scope(world, project))
    otto = world.api("otto", at=project)
    otto.predict(
        [a_row(id=f"e-{n}", confidence=0.3 + 0.69 * n / 40, model_version="1") for n in range(40)]
    ).expect(200)
    fold_deltas()
    return scope


def test_today_is_what_the_scope_has_earned(earned):
    found = simulate_policy(project=earned.project, body=ON)
    assert earned.state.level > 0
    expected = Prediction.objects.filter(
        project_id=earned.project.pk, confidence__gte=earned.period.high
    ).count()
    assert found.today.counts["auto"] == found.would_be.counts["auto"] == expected > 0
    assert found.today.shares["auto"] == pytest.approx(expected / found.predictions)


def test_a_stricter_limit_automates_what_it_certifies_today_before_it_is_saved(earned):
    state = earned.state
    stricter = simulate_policy(project=earned.project, body=ON | {"alpha": 0.001})
    assert stricter.would_be.counts["auto"] < stricter.today.counts["auto"]
    assert stricter.would_be.hours_per_day is None, "nobody has said how long a decision takes"
    assert stricter.first_steps[0].answers > 4_000
    earned.project.refresh_from_db()
    assert earned.state == state
    assert PolicyVersion.objects.filter(project=earned.project).count() == 1
    assert (
        simulate_policy(project=earned.project, body=ON | {"high": 0.9, "autonomy": "off"}).first_steps == []
    )


def test_what_is_saved_does_what_was_foretold(earned, world):
    draft = ON | {"alpha": 0.05}
    foretold = simulate_policy(project=earned.project, body=draft).would_be.counts["auto"]
    world.api("otto", at=earned.project).put("/projects/earned/policy/", draft).expect(200)
    earned.project.refresh_from_db()
    earned.look()
    assert simulate_policy(project=earned.project, body=draft).today.counts["auto"] == foretold > 0


def test_the_api_says_share_error_with_bound_and_hours(earned, world):
    rita = world.api("rita", at=earned.project)
    for task in rita.claim(10):
        answer = ["labelled", {"label": "a"}] if task["kind"] == "label" else ["confirmed"]
        rita.decide(task, *answer, seconds=36).expect(201)
    otto = world.api("otto", at=earned.project)
    told = otto.post("/projects/earned/policy/simulate/", {"high": 0.8, "low": 0}).expect(200)
    draft = told["would_be"]
    assert draft["shares"]["auto"] == pytest.approx(11 / 41, abs=0.05)
    assert draft["hours_per_day"] == pytest.approx(
        (draft["tasks_per_day"] + draft["checks_per_day"]) * 36 / 3600
    )
    assert {"value", "low", "high", "method", "note"} <= set(draft["auto_error"])
    policies = otto.get("/projects/earned/policy/versions/").expect(200)["results"]
    assert len(policies) == 1, "nothing was saved"


def test_suggested_levels_wait_for_a_person_in_a_draft_too(earned):
    off_by_hand = ON | {"autonomy": "suggest", "alpha": 0.05}
    found = simulate_policy(project=earned.project, body=off_by_hand)
    assert found.would_be.counts["auto"] <= found.today.counts["auto"]


def test_other_label_groups_begin_with_no_evidence(earned):
    found = simulate_policy(project=earned.project, body=ON | {"alpha_by_label": {"b": 0.01}})
    assert found.would_be.counts["auto"] == 0
    assert [step.label_group for step in found.first_steps] == ["", "b"]

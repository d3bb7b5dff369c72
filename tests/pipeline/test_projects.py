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

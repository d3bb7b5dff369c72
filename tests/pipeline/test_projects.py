"""What may change about a project once predictions have come in, and what a draft policy would have done to them."""

import pytest

from labeling.errors import InvalidError
from labeling.ingestion.decoding import Row
from labeling.ingestion.models import Prediction
from labeling.pipeline.accepting import accept_predictions
from labeling.pipeline.placing import Door
from labeling.pipeline.projects import change_project
from labeling.pipeline.simulation import simulate_policy
from labeling.review.models import ReviewQueue
from labeling.routing.models import PolicyVersion
from labeling.routing.queries import load_rules

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

"""What is stored of a route: policy version, period, reason and audit probability, and the draw that anybody can repeat."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from labeling.errors import InvalidError
from labeling.ingestion.models import Prediction
from labeling.review.models import Purpose, ReviewTask, TaskKind
from labeling.routing.models import PolicyPeriod
from labeling.routing.policy import NOTHING_IS_AUTOMATIC, is_drawn
from labeling.routing.queries import load_rules
from labeling.routing.services import publish_policy, touch_routing
from tests.world import QUIET, Api, World, a_row

RULES = [
    {"when": "input.total > 100", "output": {"label": "a"}},
    {"when": "segment == 'Bern' && confidence > 0.2", "output": {"label": "b"}},
    {"when": "model_version == '' || prediction.label == 'c'", "output": {"label": "c"}},
]


def api_of(world: World, **policy: Any) -> Api:
    return world.api(at=world.make_project("routed", policy={**QUIET, **policy}))


def test_every_route_says_why(world: World) -> None:
    api = api_of(
        world, overrides=[{"label": "b", "force_review": True}, {"segment": "Bern", "high": 0.5, "low": 0.2}]
    )
    sent = {
        "high": a_row(confidence=0.99),
        "medium": a_row(confidence=0.8),
        "low": a_row(confidence=0.1),
        "forced/override 1": a_row(confidence=0.99, prediction={"label": "b"}),
        "high/override 2": a_row(confidence=0.5, segment="Bern"),
        "medium/override 2": a_row(confidence=0.2, segment="Bern"),
        "low/override 2": a_row(confidence=0.19, segment="Bern"),
    }
    api.predict(list(sent.values())).expect(200)
    period = PolicyPeriod.objects.get(project=api.at)
    for reason, row in sent.items():
        (stored,) = api.story(row["id"])["predictions"]
        assert (stored["reason"], stored["policy_version"], stored["policy_period"]) == (reason, 1, period.pk)
    assert set(Prediction.objects.values_list("audit_probability", "audited")) == {(0.0, False)}


RULED = [
    ({"input": {"total": 101}}, {"label": "a"}),
    ({"input": {"total": 100}}, {"label": "c"}),
    ({"input": {}, "segment": "Bern", "confidence": 0.3}, {"label": "b"}),
    (
        {"input": {"total": "many"}, "segment": "Bern", "confidence": 0.1, "model_version": "1"},
        {"label": "other"},
    ),
    ({"input": {}, "model_version": "1"}, {"label": "other"}),
    ({"input": {}, "model_version": "1", "prediction": {"label": "c"}}, {"label": "c"}),
    ({"input": {"total": None}}, {"label": "c"}),
]


@pytest.mark.parametrize(("changes", "output"), RULED)
def test_a_fallback_by_rules_is_final_at_once(world: World, changes: dict[str, Any], output: Any) -> None:
    fallback = {"mode": "rules", "rules": RULES, "else": {"label": "other"}}
    labels = {"labels": ["a", "b", "c", "other"]}
    api = world.api(
        at=world.make_project("ruled", label_schema=labels, policy={**QUIET, "fallback": fallback})
    )
    row = a_row(**{"confidence": 0.1, "model_version": "", **changes})
    answer = api.predict(row).expect(201)
    assert (answer["route"], answer["status"], answer["output"]) == ("fallback", "final", output)
    assert api.predict([{**row, "id": "again"}]).expect(200)["results"][0]["output"] == output
    assert not ReviewTask.objects.exclude(purpose=Purpose.SHADOW).exists()
    assert {(entry["origin"], str(entry["output"])) for entry in api.outcomes()} == {
        ("fallback", str(output))
    }


# --- Audits ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_draw_is_stored_and_can_be_repeated(world: World) -> None:
    """Chi-square of the share: 15.1 with one degree of freedom comes once in ten thousand runs (ids and secret are new)."""
    api = api_of(world, audit_rate=0.2)
    api.predict([a_row(confidence=(0.99, 0.8)[n % 2]) for n in range(2_000)]).expect(200)
    secret = bytes(api.at.lottery_secret)
    automatic = list(
        Prediction.objects.filter(route="auto").values_list("pk", "audited", "audit_probability")
    )
    assert {probability for _, _, probability in automatic} == {0.2}
    assert all(audited == is_drawn(secret, pk, 0.2) for pk, audited, _ in automatic)
    drawn = sum(audited for _, audited, _ in automatic)
    assert (drawn - 200) ** 2 / 200 + (drawn - 200) ** 2 / 800 < 15.1
    audits = ReviewTask.objects.filter(purpose=Purpose.AUDIT)
    assert set(audits.values_list("prediction_id", flat=True)) == {
        pk for pk, audited, _ in automatic if audited
    }
    assert not Prediction.objects.exclude(route="auto").filter(audited=True).exists()
    assert not Prediction.objects.exclude(route="auto").exclude(audit_probability=0).exists()


@pytest.mark.parametrize("form", ["single", "array"])
def test_audits_of_everything(world: World, form: str) -> None:
    api = api_of(world, audit_rate=1)
    for _ in range(3):
        row = a_row(confidence=0.99)
        answer = api.predict(row if form == "single" else [row])
        assert answer.status in (200, 201)
    assert Counter(ReviewTask.objects.values_list("kind", "purpose")) == {(TaskKind.LABEL, Purpose.AUDIT): 3}
    assert len(api.outcomes()) == 3, "an audited item is served at once all the same"


def test_no_audits(world: World) -> None:
    api = api_of(world, audit_rate=0)
    api.predict([a_row(confidence=0.99) for _ in range(50)]).expect(200)
    assert not ReviewTask.objects.exists()


# --- What is in force ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("autonomy", ["suggest", "on"])
def test_autonomy_begins_where_nothing_is_certified(world: World, autonomy: str) -> None:
    api = api_of(world, autonomy=autonomy, audit_rate=0.1)
    assert load_rules(api.at.pk).general.high == NOTHING_IS_AUTOMATIC
    assert api.predict(a_row(confidence=1.0)).expect(201)["route"] == "review"
    assert api.predict(a_row(confidence=0.1)).expect(201)["route"] == "fallback"


def test_loading_the_rules_gives_what_is_in_force(world: World) -> None:
    project = world.letters
    publish_policy(project=project, body={"high": 0.9, "low": 0.3, "audit_rate": 0.5}, by=world.otto.actor)
    rules = load_rules(project.pk)
    assert (rules.general.high, rules.general.low, rules.general.audit_rate, rules.policy_number) == (
        0.9,
        0.3,
        0.5,
        2,
    )
    assert rules.general.period_id == PolicyPeriod.objects.get(project=project, ended_at=None).pk
    touch_routing(project.pk)
    assert load_rules(project.pk).epoch == rules.epoch + 1


@pytest.mark.parametrize("note", ["x" * 2_001, "a\0"])
def test_a_note_has_its_limits(world: World, note: str) -> None:
    with pytest.raises(InvalidError):
        publish_policy(project=world.letters, body={}, by=world.otto.actor, note=note)
    publish_policy(project=world.letters, body={}, by=world.otto.actor, note="x" * 2_000)

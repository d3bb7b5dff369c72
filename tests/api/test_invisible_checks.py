"""Which results were drawn for a blind check or a shadow review is told to no model service, by no answer, before the outcome."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest

from labeling.ingestion.models import Prediction
from labeling.pipeline import placing
from labeling.projects.models import Project
from tests.world import Api, World, a_row

CONFIDENCE = 0.99


@pytest.fixture(params=[0.99, 0.1], ids=["automatic", "fallback"])
def drawn(world: World, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Sixty results that are answered at once, sent one by one and in a batch, about half of them drawn."""
    monkeypatch.setattr(placing, "SHADOW_RATE", 0.5)
    monkeypatch.setattr(sys.modules[__name__], "CONFIDENCE", request.param)
    fallback = {"mode": "constant", "output": {"label": "c"}}
    policy = {"audit_rate": 0.5, "sentinel_rate": 0, "fallback": fallback}
    project = world.make_project("drawn", policy=policy)
    service = world.api("otto", "ingest", at=project)
    service.predict([sent(n) for n in range(30)]).expect(200)
    for n in range(30, 60):
        service.predict(sent(n)).expect(201)
    return project


def sent(number: int) -> dict[str, Any]:
    return a_row(id=f"item-{number}", confidence=CONFIDENCE, input={"text": "the same"})


def answers_about(service: Api, number: int) -> dict[str, str]:
    """Everything that the key can ask about one item."""
    listed = service.get(f"/projects/drawn/predictions/?q=item-{number}").expect(200)["results"]
    return {
        "the same again": anonymous(service.predict(sent(number)).expect(200)),
        "its story": anonymous(service.get(f"/projects/drawn/predictions/item-{number}/").expect(200)),
        "the list": anonymous([one for one in listed if f'"item-{number}"' in json.dumps(one)]),
    }


def anonymous(body: Any) -> str:
    text = re.sub(r"item-\d+", "…", json.dumps(body, sort_keys=True))
    return re.sub(r"\d{10,}|\d{4}-\d\d-\d\dT[0-9:.+Z-]+", "…", text)


def answers(service: Api) -> dict[str, dict[bool, set[str]]]:
    """By question: the different answers about items that were drawn, and about those that were not."""
    drawn = dict(Prediction.objects.values_list("pk", "audited"))
    keys = {int(entry["id"].removeprefix("item-")): entry for entry in service.outcomes()}
    found: dict[str, dict[bool, set[str]]] = {}
    for number in range(60):
        story = service.get(f"/projects/drawn/predictions/item-{number}/").expect(200)
        is_drawn = drawn[story["predictions"][0]["prediction_id"]]
        told = answers_about(service, number) | {"the feed": anonymous(keys[number] | {"cursor": 0})}
        for question, answer in told.items():
            found.setdefault(question, {True: set(), False: set()})[is_drawn].add(answer)
    return found


def test_no_answer_tells_the_model_service(world: World, drawn: Project) -> None:
    found = answers(world.api("otto", "ingest", at=drawn))
    assert set(found) == {"the same again", "its story", "the list", "the feed"}
    for question, told in found.items():
        assert told[True] == told[False] != set(), question


def test_control_who_manages_sees_the_open_check(world: World, drawn: Project) -> None:
    told = answers(world.api("otto", at=drawn))["its story"]
    assert not told[True] & told[False]


def test_what_was_found_out_is_no_secret(world: World, drawn: Project) -> None:
    rita, service = world.api("rita", at=drawn), world.api("otto", "ingest", at=drawn)
    task = rita.claim_one()
    rita.decide(task, "labelled", {"label": "a"}).expect(201)
    story = service.get(f"/projects/drawn/predictions/{task['item']['id']}/").expect(200)
    assert [one["state"] for one in story["tasks"]] == ["decided"]

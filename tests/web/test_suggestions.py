"""Why a person is asked, in one sentence; and which labels have which keys."""

from __future__ import annotations

from typing import Any

import pytest

from labeling.projects.label_schema import compile_schema
from labeling.review.claiming import ClaimedTask
from labeling.web.editors import Editors
from labeling.web.suggestions import Suggestion, explain_route
from tests.web.conftest import As
from tests.web.reading import words_of
from tests.world import World, a_row


@pytest.mark.parametrize(
    ("confidence", "high", "reason", "sentence"),
    [
        (0.81, 0.95, "medium", "Here because 0.81 is between 0.70 and 0.95 (policy v3)."),
        (0.9499, 0.95, "medium", "Here because 0.94 is between 0.70 and 0.95 (policy v3)."),
        (0.99, 0.95, "forced/override 2", "Here because exception 2 sends it to people, whatever the confidence (policy v3)."),
        (0.3, 0.95, "low", "Here because 0.30 is below 0.70 (policy v3)."),
        (0.99, 2.0, "medium", "Here because nothing is automatic at present (policy v3)."),
    ],
)  # fmt: skip
def test_why_a_person_is_asked(confidence: float, high: float, reason: str, sentence: str) -> None:
    assert explain_route(confidence, 0.7, high, 3, reason) == sentence


def test_an_exception_shows_its_own_thresholds(as_: As, world: World) -> None:
    policy = {
        "audit_rate": 0,
        "sentinel_rate": 0,
        "overrides": [{"segment": "rich", "high": 0.99, "low": 0.9}],
    }
    project = world.make_project("rich", policy=policy)
    world.api("otto", at=project).predict(a_row(confidence=0.97, segment="rich")).expect(201)
    assert "0.97 is between 0.90 and 0.99 (policy v1)" in words_of(as_("rita").get("/projects/rich/review/"))


def editors(task_type: str, schema: Any, prediction: Any, **more: Any) -> Editors:
    """Editors as the desk of a review makes them."""
    task = ClaimedTask(1, "t", None, "review", {}, prediction, 0.8, "m", 0)  # type: ignore[arg-type]
    suggestion = Suggestion("m", 0.8, more.pop("low", 0.7), 0.95, 1, "", "", ())
    return Editors(task, compile_schema(task_type, schema), suggestion, more.get("probabilities", {}), None)


def test_keys_follow_the_schema_up_to_twenty_labels() -> None:
    labels = [f"l{n}" for n in range(1, 21)]
    choice = editors("classification", {"labels": labels}, {"label": "l3"}).labels()
    assert choice
    assert [option.chip for option in choice.options[:3]] == ["1", "2", "3"]
    assert [option.digit for option in choice.options[9:12]] == ["0", "shift+1", "shift+2"]
    assert choice.options[19].chip == "⇧0"
    assert choice.in_columns
    assert not choice.top


def test_beyond_twenty_the_likeliest_five_have_keys_in_that_order() -> None:
    labels = [f"l{n}" for n in range(1, 31)]
    chances = {"l30": 0.7, "l2": 0.2, "l9": 0.05}
    choice = editors("classification", {"labels": labels}, {"label": "l30"}, probabilities=chances).labels()
    assert choice
    assert [option.value for option in choice.top] == ["l30", "l2", "l9", "l1", "l3"]
    assert [option.chip for option in choice.top] == ["1", "2", "3", "4", "5"]


def test_doubtful_words_are_those_below_low_or_else_the_least_sure_one() -> None:
    words = [
        {"text": "a", "confidence": 0.9},
        {"text": "b", "confidence": 0.8},
        {"text": "zz", "confidence": 0.1},
    ]
    answer = editors("text", {}, {"text": "a b  b", "words": words}).text()
    assert answer
    assert "".join(piece.text for piece in answer.pieces) == "a b  b"
    assert answer.doubtful == ()  # the word that is doubtful is not in the text
    answer = editors("text", {}, {"text": "a b  b", "words": words[:2]}).text()
    assert answer
    assert [word.text for word in answer.doubtful] == ["b"]


def test_doubtful_fields_come_first_and_keep_their_order() -> None:
    schema = {"fields": {"a": {}, "b": {}, "c": {}, "d": {}}}
    prediction = {
        "fields": {"a": "1", "b": "x" * 50, "c": None},
        "confidences": {"a": 0.9, "b": 0.5, "c": 0.6},
    }
    answer = editors("fields", schema, prediction).fields()
    assert answer
    assert [row.name for row in answer.doubtful] == ["b", "c"]
    assert [row.name for row in answer.others] == ["a", "d"]
    assert answer.doubtful[0].is_long

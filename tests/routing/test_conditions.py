"""The language of fallback rules: CEL with a fixed set of names. What works, what never holds, what is refused at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labeling.routing.conditions import MAX_LENGTH, NAMES, Condition

FACTS: dict[str, Any] = {
    "input": {
        "text": "Invoice 4711 from Bern",
        "total": 120,
        "rate": 0.077,
        "paid": True,
        "note": None,
        "lines": [{"price": 100, "tax": 20}, {"price": 20, "tax": 0}],
        "customer": {"name": "Ada", "country": "CH"},
        "largest": 2**64 - 1,
    },
    "prediction": {"label": "spam"},
    "confidence": 0.4,
    "model": "reader",
    "model_version": "2",
    "segment": "Bern",
}

HOLD = [
    "true",
    "confidence < 0.5",
    "confidence >= 0.4 && confidence <= 0.4",
    "segment == 'Bern'",
    'segment == "Bern"',
    "segment in ['Bern', 'Basel']",
    "model == 'reader' && model_version == '2'",
    "prediction.label == 'spam'",
    "prediction.label != 'ham'",
    "input.total > 100",
    "input.total == 120.0",
    "input.total * 2 == 240",
    "input.rate < 1.0",
    "input.paid",
    "!(input.total < 100)",
    "input['customer']['country'] == 'CH'",
    "input.customer.name.startsWith('A')",
    "input.text.contains('4711')",
    "input.text.endsWith('Bern')",
    "input.text.matches('^Invoice [0-9]+')",
    "input.text.size() == 22",
    "size(input.lines) == 2",
    "input.lines[0].price + input.lines[0].tax == 120",
    "input.lines.exists(line, line.tax == 0)",
    "input.lines.all(line, line.price > 0)",
    "input.lines.filter(line, line.tax > 0).size() == 1",
    "input.lines.map(line, line.price) == [100, 20]",
    "has(input.customer)",
    "!has(input.missing)",
    "has(input.missing) ? input.missing > 1 : true",
    "input.note == null",
    "input.largest > 5",
    "true || input.missing > 1",
    "input.missing > 1 || true",
    "int(input.text.split(' ')[1]) == 4711 || true",
]

NEVER_HOLD = [
    "false",
    "confidence > 0.4",
    "segment == 'bern'",
    "input.total",  # 120 is not true
    "'true'",
    "1 == 2",
    "null",
    "[]",
    "input",
    "input.missing",  # there is no such key
    "input.missing > 1",
    "input.customer.missing == 'x'",
    "input.text > 5",  # a text is not compared with a number
    "input.note > 5",
    "input.text + 5 == 'x'",
    "input.lines[2].price > 0",  # out of range
    "input.lines[-1].price > 0",
    "input.lines['a'] == 1",
    "input.total / 0 > 1",  # division by zero
    "input.total % 0 == 0",
    "input.largest + 1 > 5",  # outside 64 bits
    "9223372036854775807 + 1 > 0",
    "int('x') == 1",
    "timestamp('yesterday') < timestamp('2026-01-01T00:00:00Z')",
    "duration('long') > duration('1h')",
    "input.total.contains('1')",
    "input.total.size() > 0",
    "input.text.matches('(')",  # no regular expression
    "unknown_function(1)",
    "input.lines.exists(line, line.missing > 0)",
    "!input.text",
    "input.text && true",
]

REFUSED = [
    ("", "parse"),
    (" ", "parse"),
    ("input.", "parse"),
    ("input.total >", "parse"),
    ("confidence = 0.5", "parse"),
    ("(confidence > 0.5", "parse"),
    ("confidence > 0.5)", "parse"),
    ("'unfinished", "parse"),
    ("if confidence > 0.5", "parse"),
    ("confidence > 0.5; true", "parse"),
    ("import os", "parse"),
    ("secret == 1", "unknown name 'secret'"),
    ("confidense > 0.5", "unknown name 'confidense'"),
    ("a || b || confidence > 0.5", "unknown name 'a'"),
    ("__builtins__ == null", "unknown name '__builtins__'"),
    ("true" + " || true" * 200, "at most 1000 characters"),
    ("input.lines.exists(a, input.lines.exists(b, a == b))", "at most one of map"),
    ("input.lines.map(a, 1).filter(b, b > 0).size() > 0", "at most one of map"),
    ("input.lines . all (a, true) && input.lines.exists_one(b, true)", "at most one of map"),
]


@pytest.mark.parametrize("source", HOLD)
def test_holds(source: str) -> None:
    assert Condition(source).holds(FACTS) is True


@pytest.mark.parametrize("source", NEVER_HOLD)
def test_does_not_hold_and_stops_nothing(source: str) -> None:
    assert Condition(source).holds(FACTS) is False


@pytest.mark.parametrize(("source", "says"), REFUSED)
def test_refused_when_the_policy_is_written(source: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        Condition(source)
    assert "\n" not in str(caught.value)


def test_every_name_is_there() -> None:
    assert set(FACTS) == NAMES
    for name in NAMES:
        assert Condition(f"{name} != null").holds(FACTS)


def test_a_condition_may_be_as_long_as_this() -> None:
    source = "true" + " " * (MAX_LENGTH - 4)
    assert Condition(source).holds(FACTS)
    with pytest.raises(ValueError, match="1000"):
        Condition(source + " ")


@pytest.mark.parametrize(
    "value", [None, True, 0, -(2**63), 2**64 - 1, 1e308, "", "x", [], {}, [[1]], {"": {"": None}}]
)
def test_any_input_can_be_asked(value: Any) -> None:
    for source in ("input.v > 1", "input.v == 'x'", "has(input.v)", "size(input.v) > 0", "input.v.v.v == 1"):
        assert Condition(source).holds({**FACTS, "input": {"v": value}}) in (True, False)


def test_a_condition_changes_nothing() -> None:
    before = repr(FACTS)
    Condition("input.lines.map(line, line.price + 1).size() > 0").holds(FACTS)
    assert repr(FACTS) == before


def test_the_examples_of_the_documentation_are_conditions() -> None:
    text = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
    section = text.partition("## Conditions")[2]
    examples = section.split("```")[1].strip().splitlines()
    assert len(examples) >= 3
    for example in examples:
        Condition(example).holds(FACTS)

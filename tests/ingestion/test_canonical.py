"""Canonical JSON: what says the same has the same bytes, and nothing else has."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.canonical import canonical_bytes, canonical_hash, canonical_lines, text_hash

EXAMPLES = settings(derandomize=True, max_examples=200, deadline=None)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([1.0, -0.0, 1e15, 1e16, 1e18, 1e22, 2.0**63, 1e300, "1.0", "1e16", ".0"])
    | st.text(max_size=5)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)

SPELLINGS = [
    ("{}", b"{}"),
    ('{"b":1,"a":2}', b'{"a":2,"b":1}'),
    ('{"é":1,"z":2,"Z":3,"🙂":4}', '{"Z":3,"z":2,"é":1,"🙂":4}'.encode()),
    ("[ 1 , 2.0 , 3e0 ]", b"[1,2,3]"),
    ("[-0.0, 0.0, 0, -0]", b"[0,0,0,0]"),
    (
        "[1e16, 1E16, 1e+16, 10000000000000000, 10000000000000000.0]",
        b"[" + b",".join([b"10000000000000000"] * 5) + b"]",
    ),
    ("[0.1, 1e-1, 0.10]", b"[0.1,0.1,0.1]"),
    ('["\\u00e9", "é"]', '["é","é"]'.encode()),
    ('["\\/", "/"]', b'["/","/"]'),
    ("[true, null, 1]", b"[true,null,1]"),
    ('"1.0"', b'"1.0"'),
    ('{"1.0": "1e16", "n": 1.0}', b'{"1.0":"1e16","n":1}'),
]


@pytest.mark.parametrize(("text", "expected"), SPELLINGS)
def test_spellings(text: str, expected: bytes) -> None:
    assert canonical_bytes(json.loads(text)) == expected


def shuffled(value: Any, chance: Any) -> Any:
    """The same, with keys in another order and whole numbers spelled the other way where that is exact."""
    if isinstance(value, dict):
        items = list(value.items())
        chance.shuffle(items)
        return {key: shuffled(item, chance) for key, item in items}
    if isinstance(value, list):
        return [shuffled(item, chance) for item in value]
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and int(float(value)) == value and chance.random() < 0.5:
        return float(value)
    return value


@pytest.mark.slow
@EXAMPLES
@given(values, st.randoms(use_true_random=False))
def test_the_same_in_another_spelling(value: Any, chance: Any) -> None:
    other = shuffled(value, chance)
    assert canonical_bytes(other) == canonical_bytes(value)
    assert canonical_hash(other) == canonical_hash(value)


@pytest.mark.slow
@EXAMPLES
@given(values)
def test_it_says_what_the_value_says(value: Any) -> None:
    decoded = json.loads(canonical_bytes(value))
    assert decoded == value
    assert canonical_bytes(decoded) == canonical_bytes(value)


def typed(value: Any) -> Any:
    """True is not 1 here."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    return [typed(item) for item in value] if isinstance(value, list) else (isinstance(value, bool), value)


@pytest.mark.slow
@EXAMPLES
@given(values, values)
def test_different_values_have_different_bytes(one: Any, other: Any) -> None:
    assert (canonical_bytes(one) == canonical_bytes(other)) == (typed(one) == typed(other))


@pytest.mark.slow
@EXAMPLES
@given(st.lists(values | st.text(alphabet="019e+.\n\r\x0b\x1c\u2028", max_size=6), max_size=20))
def test_many_at_once_are_as_each_alone(several: list[Any]) -> None:
    assert canonical_lines(several) == [canonical_bytes(value) for value in several]


@pytest.mark.parametrize("odd", [1.0, -0.0, 1e15, 1e16, 1.5e300, "1e5", "1.0"])
@pytest.mark.parametrize("place", [0, 9, 29])
def test_one_whole_float_among_many_values(odd: float | str, place: int) -> None:
    several: list[Any] = [{"b": [0.5, "seen"], "a": number} for number in range(30)]
    several[place] = {"b": 1, "a": odd}
    assert canonical_lines(several) == [canonical_bytes(value) for value in several]


def test_hashes_fit_a_uuid() -> None:
    assert len(canonical_hash({})) == len(text_hash("")) == 32
    assert canonical_hash({}) != canonical_hash([])
    assert text_hash("é") != text_hash("e\u0301")

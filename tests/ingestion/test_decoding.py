"""From bytes to rows: whatever the bytes are, the three doors agree and nothing but a MalformedError comes out."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from labeling.errors import InvalidError
from labeling.ingestion.decoding import (
    INT_LEAST,
    INT_MOST,
    MAX_DEPTH,
    BadRow,
    MalformedError,
    Row,
    _cut_deep,
    decode_array,
    decode_lines,
    decode_one,
    decode_value,
    find_problems,
    starts_as_array,
)

EXAMPLES = settings(
    derandomize=True, max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

GOOD = {
    "id": "x",
    "input": {"text": "Dear Sir"},
    "prediction": {"label": "a"},
    "confidence": 0.8,
    "model": "reader",
}

texts = st.text(max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(INT_LEAST, INT_MOST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
rows = st.fixed_dictionaries(
    {
        "id": st.text(min_size=1, max_size=5),
        "input": st.dictionaries(texts, values, max_size=3),
        "prediction": st.dictionaries(texts, values, max_size=2),
        "confidence": st.floats(0, 1),
        "model": st.text(min_size=1, max_size=5),
    },
    optional={
        "model_version": texts,
        "segment": st.none() | texts,
        "explanation": values,
        "priority": st.integers(-101, 101),
        "latency_ms": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "occurred_at": st.none() | st.datetimes().map(lambda moment: moment.isoformat() + "Z") | texts,
        "probabilities": st.none() | st.dictionaries(texts, st.floats(-0.5, 1.5), max_size=2),
        "colour": scalars,
    },
)


def bad_places(row: Row | BadRow) -> list[str]:
    return (
        sorted({f"{error.pointer} {error.code}" for error in row.errors}) if isinstance(row, BadRow) else []
    )


def pointers(row: Row | BadRow) -> set[str]:
    return {place.split(" ")[0] for place in bad_places(row)}


@pytest.mark.slow
@EXAMPLES
@given(rows)
def test_alone_in_an_array_and_as_a_line_it_is_the_same_row(row: dict[str, Any]) -> None:
    body = json.dumps(row).encode()
    one = decode_one(body)
    (in_array,) = decode_array(b"[" + body + b"]")
    (as_line,) = decode_lines(body, most=1)
    assert one == as_line
    assert bad_places(one) == bad_places(in_array)
    assert isinstance(one, BadRow) or one == in_array


@pytest.mark.slow
@EXAMPLES
@given(rows)
def test_a_bad_neighbour_changes_nothing(row: dict[str, Any]) -> None:
    """Beside a bad row every row is looked at by itself, in another way; the result must not tell."""
    body = json.dumps(row).encode()
    alone = decode_array(b"[" + body + b"]")[0]
    beside, bad = decode_array(b"[" + body + b",5]")
    assert isinstance(bad, BadRow)
    assert pointers(alone) == pointers(beside)
    assert isinstance(alone, BadRow) or alone == beside


@pytest.mark.slow
@EXAMPLES
@given(rows)
def test_many_good_neighbours_change_nothing(row: dict[str, Any]) -> None:
    """Long bodies are looked through in another way."""
    alone = decode_one(json.dumps(row).encode())
    first, *others = decode_array(json.dumps([row, *[GOOD] * 400]).encode())
    assert bad_places(alone) == bad_places(first)
    assert isinstance(alone, BadRow) or alone == first
    assert others == [decode_one(json.dumps(GOOD).encode())] * 400


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (INT_MOST + 1, "number_out_of_range"),
        (INT_LEAST - 1, "number_out_of_range"),
        (10**40, "number_out_of_range"),
        ("a\0", "null_character"),
        (INT_MOST, None),
        (INT_LEAST, None),
        (10**18, None),
        (0.12345678901234567, None),
        ("\u0001\\u0000\u00e9", None),
    ],
)
def test_wherever_it_stands_in_a_long_body(value: Any, code: str | None) -> None:
    for shift in range(20):
        row = {**GOOD, "input": {"before": "." * shift, "value": value}}
        (found, *_) = decode_array(json.dumps([row, *[GOOD] * 400]).encode())
        assert bad_places(found) == ([f"/input/value {code}"] if code else [])


@pytest.mark.parametrize(("depth", "is_bad"), [(MAX_DEPTH - 1, False), (MAX_DEPTH, True)])
@pytest.mark.parametrize(("opens", "closes"), [('{"a":', "}"), ("[", "]")])
def test_how_deep_a_part_of_a_row_may_be(depth: int, is_bad: bool, opens: str, closes: str) -> None:
    for name in ("input", "prediction"):
        nested = '{"b":1,"a":' + opens * (depth - 1) + "1" + closes * (depth - 1) + "}"
        body = json.dumps([{**GOOD, name: "?"}, GOOD]).replace('"?"', nested)
        assert bad_places(decode_array(body.encode())[0]) == ([f"/{name} too_deep"] if is_bad else [])


@EXAMPLES
@given(st.binary(max_size=60) | texts.map(str.encode) | values.map(lambda value: json.dumps(value).encode()))
@example(b"")
@example(b"\xef\xbb\xbf{}")
@example(b'{"a":' * 2_000)
@example(b"[" * 200_000)
@example(b"]" * 1_000)
@example(b'["' + b"\\" * 1_001)
@example(b'{"id":"\\ud800"}')
@example(b"1" * 10_000)
@example(b"-" + b"1" * 10_000)
@example(b"1e99999")
@example(b"NaN")
def test_no_bytes_bring_anything_else(body: bytes) -> None:
    for door in (decode_one, decode_array, lambda b: list(decode_lines(b, most=100)), decode_value):
        with suppress(MalformedError, InvalidError):
            found = door(body)
            for row in found if isinstance(found, list) else [found]:
                for problem in row.errors if isinstance(row, BadRow) else []:
                    (problem.pointer + problem.detail).encode()  # it can be sent


@EXAMPLES
@given(values)
def test_a_value_within_the_limits_is_decoded_as_it_is(value: Any) -> None:
    body = json.dumps(value).encode()
    if find_problems(value):
        with pytest.raises(InvalidError):
            decode_value(body)
    else:
        assert json.dumps(decode_value(body)) == json.dumps(value)


@pytest.mark.parametrize("body", [b"[]", b" [", b"\r\n\t [5", b" " * 10_000 + b"["])
def test_arrays_start_like_this(body: bytes) -> None:
    assert starts_as_array(body)


@pytest.mark.parametrize("body", [b"", b" ", b"{}", b'"["', b"\xef\xbb\xbf[", b"\x00[", b"\xa0[", b"null"])
def test_and_not_like_this(body: bytes) -> None:
    assert not starts_as_array(body)


# --- Far too deep ----------------------------------------------------------------------------------------------------


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@pytest.mark.slow
@EXAMPLES
@given(values, st.integers(0, 300), st.booleans(), values)
def test_only_what_lies_too_deep_is_cut(value: Any, levels: int, lists: bool, beside: Any) -> None:
    opening, closing = ("[", "]") if lists else ('{"a":', "}")
    text = f'{{"one": {json.dumps(beside)}, "deep": {opening * levels}{json.dumps(value)}{closing * levels}, "two": "]}}["}}'
    cut = json.loads(_cut_deep(text))
    assert (cut["one"], cut["two"]) == (beside, "]}[")
    whole = json.loads(text)
    if depth(whole) <= MAX_DEPTH + 2:
        assert cut == whole
    else:
        assert MAX_DEPTH < depth(cut) <= MAX_DEPTH + 3


def test_brackets_within_texts_do_not_count() -> None:
    text = json.dumps({"a": "[" * 5_000, "b": '"[{' * 5_000, "c": "\\" * 5_000})
    assert _cut_deep(text) == text


def test_what_ends_too_early_still_does() -> None:
    for body in (
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 99_999,
        b'{"a":' * 5_000 + b'"' + b"}" * 5_000,
    ):
        with pytest.raises(MalformedError):
            decode_one(body)


def test_a_row_that_is_too_deep_keeps_its_id() -> None:
    body = json.dumps({**GOOD, "input": {"deep": "?"}}).replace('"?"', '{"a":' * 50_000 + "1" + "}" * 50_000)
    found = decode_one(body.encode())
    assert isinstance(found, BadRow)
    assert found.id == "x"
    assert bad_places(found) == ["/input too_deep"]


# --- Values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [INT_MOST, INT_LEAST, 0, 1.5, -0.0, 1.7976931348623157e308, "", "🙂", "\uffff", None, True]
)
def test_no_problem(value: Any) -> None:
    assert find_problems({"a": [value]}) == []


PROBLEMS = [
    (INT_MOST + 1, "number_out_of_range"),
    (INT_LEAST - 1, "number_out_of_range"),
    (math.inf, "not_finite"),
    (math.nan, "not_finite"),
    ("a\0", "null_character"),
    ("\ud800", "lone_surrogate"),
    ("\udfff", "lone_surrogate"),
    ("x" * (1024 * 1024 + 1), "too_long"),
]


@pytest.mark.parametrize(("value", "code"), PROBLEMS, ids=lambda value: str(value)[:20])
def test_problems_are_found_wherever_they_are(value: Any, code: str) -> None:
    for holder, pointer in (({"a/b": [0, value]}, "/a~1b/1"), ([[value]], "/0/0"), (value, "")):
        assert [(error.pointer, error.code) for error in find_problems(holder)] == [(pointer, code)]
    if isinstance(value, str):
        assert [(error.pointer, error.code) for error in find_problems({"a": {value: 1}})] == [("/a", code)]


def test_not_more_problems_than_anybody_reads() -> None:
    assert len(find_problems(["\0"] * 1_000)) <= 20

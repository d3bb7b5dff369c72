"""Bad input for predictions: a clear 4xx problem that names the field or the line, nothing stored of that row, never a 500.

Each case of ROWS goes alone, between two good rows of an array, and between two good lines of NDJSON. BODIES are refused as
a whole.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection

from labeling.ingestion.models import Item, ItemKey, Prediction, PredictionKey
from labeling.projects.models import ApiKey
from labeling.review.models import ReviewTask
from tests.world import QUIET, Api, World, a_row

MB = 1024 * 1024
SURROGATE = "\\ud83d"  # the first half of an emoji, as JSON spells it
NDJSON = "application/x-ndjson"

GOOD = {
    "id": '"bad"',
    "input": '{"text":"Dear Sir"}',
    "prediction": '{"label":"a"}',
    "confidence": "0.8",
    "model": '"reader"',
}


def text_of(fields: dict[str, str | None]) -> str:
    """A row as JSON text: good but for these fields, whose values (and names) are JSON as it is; None leaves one out."""
    parts = {**GOOD, **fields}
    return "{" + ",".join(f'"{name}":{value}' for name, value in parts.items() if value is not None) + "}"


@dataclass(frozen=True)
class Case:
    """A row that is refused. `array` is 200 where an array refuses this row alone, 400 where it is no JSON at all."""

    name: str
    fields: dict[str, str | None] | str
    pointer: str
    code: str
    array: int = 200
    task_type: str = "classification"

    @property
    def text(self) -> str:
        return self.fields if isinstance(self.fields, str) else text_of(self.fields)


def case(
    name: str, pointer: str, code: str, array: int = 200, *, of: str = "classification", **fields: Any
) -> Case:
    return Case(name, fields, pointer, code, array, of)


def nested(depth: int, inner: str = "1") -> str:
    """An object of so many levels."""
    return '{"a":' * depth + inner + "}" * depth


def predicted(name: str, pointer: str, code: str, output: str, of: str, text: str = "Anna in Rome") -> Case:
    """A prediction that does not fit its task type or label schema."""
    fields = {"prediction": output, "input": json.dumps({"text": text})}
    return Case(f"{of}: {name}", fields, f"/prediction{pointer}", code, 200, of)


FIELDS = [
    *[
        case(f"{name} missing", f"/{name}", "required", **{name: None})
        for name in ("id", "input", "prediction", "confidence", "model")
    ],
    case("unknown field", "/colour", "unknown_field", colour='"red"'),
    Case("unknown field with a slash", {"a/b~c": "1"}, "/a~1b~0c", "unknown_field"),
    Case("unknown field without a name", {"": "1"}, "/", "unknown_field"),
    case("id is a number", "/id", "invalid", id="5"),
    case("id is null", "/id", "invalid", id="null"),
    case("id is a list", "/id", "invalid", id='["x"]'),
    case("input is a list", "/input", "invalid", input="[]"),
    case("input is a text", "/input", "invalid", input='"Dear Sir"'),
    case("input is null", "/input", "invalid", input="null"),
    case("prediction is null", "/prediction", "invalid", prediction="null"),
    case("prediction is a list", "/prediction", "invalid", prediction='[{"label":"a"}]'),
    case("prediction is a text", "/prediction", "invalid", prediction='"a"'),
    case("model is a number", "/model", "invalid", model="5"),
    case("model is null", "/model", "invalid", model="null"),
    case("model is empty", "/model", "invalid", model='""'),
    case("model is blank", "/model", "blank", model='"  "'),
    case("model is 201 long", "/model", "invalid", model=json.dumps("m" * 201)),
    case("model holds a line break", "/model", "control_character", model='"a\\nb"'),
    case("model_version is a number", "/model_version", "invalid", model_version="1"),
    case("model_version is null", "/model_version", "invalid", model_version="null"),
    case("model_version is 201 long", "/model_version", "invalid", model_version=json.dumps("1" * 201)),
    case("segment is a number", "/segment", "invalid", segment="5"),
    case("segment is empty", "/segment", "invalid", segment='""'),
    case("segment is blank", "/segment", "blank", segment='" "'),
    case("segment is 201 long", "/segment", "invalid", segment=json.dumps("s" * 201)),
    case("occurred_at is no time", "/occurred_at", "invalid", occurred_at='"yesterday"'),
    case("occurred_at is a number", "/occurred_at", "invalid", occurred_at="1770000000"),
    case("occurred_at without a zone", "/occurred_at", "invalid", occurred_at='"2026-01-01T00:00:00"'),
    case("occurred_at in month 13", "/occurred_at", "invalid", occurred_at='"2026-13-01T00:00:00Z"'),
    case(
        "occurred_at before the calendar",
        "/occurred_at",
        "out_of_range",
        occurred_at='"0001-01-01T00:00:00+14:00"',
    ),
    case(
        "occurred_at after the calendar",
        "/occurred_at",
        "out_of_range",
        occurred_at='"9999-12-31T23:59:59-14:00"',
    ),
    case("occurred_at in the year 1", "/occurred_at", "out_of_range", occurred_at='"0001-01-01T00:00:00Z"'),
    case(
        "occurred_at in the year 9999", "/occurred_at", "out_of_range", occurred_at='"9999-12-31T23:59:59Z"'
    ),
    case("probabilities is a list", "/probabilities", "invalid", probabilities="[0.8,0.2]"),
    case("a probability is a text", "/probabilities", "invalid", probabilities='{"a":"0.8"}'),
    case("a probability above 1", "/probabilities", "invalid", probabilities='{"a":1.1}'),
    case("latency_ms is a text", "/latency_ms", "invalid", latency_ms='"5"'),
    case("latency_ms is negative", "/latency_ms", "invalid", latency_ms="-1"),
    case("cost is negative", "/cost", "invalid", cost="-0.01"),
    case("priority is 1.5", "/priority", "invalid", priority="1.5"),
    case("priority is 101", "/priority", "invalid", priority="101"),
    case("priority is a text", "/priority", "invalid", priority='"1"'),
    case("priority is null", "/priority", "invalid", priority="null"),
]

CONFIDENCES = [
    case("confidence is NaN", "/confidence", "not_finite", 400, confidence="NaN"),
    case("confidence is Infinity", "/confidence", "not_finite", 400, confidence="Infinity"),
    case("confidence is -Infinity", "/confidence", "not_finite", 400, confidence="-Infinity"),
    case("confidence is 1e400", "/confidence", "not_finite", confidence="1e400"),
    case("confidence is -0.1", "/confidence", "invalid", confidence="-0.1"),
    case("confidence is 1.1", "/confidence", "invalid", confidence="1.1"),
    case("confidence is 1.0000000000000002", "/confidence", "invalid", confidence="1.0000000000000002"),
    case("confidence is a text", "/confidence", "invalid", confidence='"0.9"'),
    case("confidence is null", "/confidence", "invalid", confidence="null"),
    case("confidence is true", "/confidence", "invalid", confidence="true"),
    case("confidence is a list", "/confidence", "invalid", confidence="[0.9]"),
    case("confidence is an object", "/confidence", "invalid", confidence="{}"),
    case("confidence is 2 to the 64", "/confidence", "number_out_of_range", confidence=str(2**64)),
]

TEXTS = [
    case("U+0000 in a value", "/input/text", "null_character", input='{"text":"a\\u0000b"}'),
    case("U+0000 deep in a value", "/input/a/1/b", "null_character", input='{"a":[1,{"b":"\\u0000"}]}'),
    case("U+0000 in a key", "/input", "null_character", input='{"a\\u0000":1}'),
    case("U+0000 in the id", "/id", "control_character", id='"a\\u0000"'),
    case("U+0000 in the model", "/model", "control_character", model='"a\\u0000"'),
    case("U+0000 in the segment", "/segment", "control_character", segment='"\\u0000"'),
    case("U+0000 in the label", "/prediction/label", "null_character", prediction='{"label":"a\\u0000"}'),
    case("U+0000 in the explanation", "/explanation/why", "null_character", explanation='{"why":"\\u0000"}'),
    case(
        "U+0000 in a probability's label",
        "/probabilities",
        "null_character",
        probabilities='{"a\\u0000":0.5}',
    ),
    Case("U+0000 in a field's name", {"a\\u0000": "1"}, "", "null_character"),
    case(
        "lone surrogate in a value", "/input/text", "lone_surrogate", 400, input=f'{{"text":"{SURROGATE}"}}'
    ),
    case("second half of a pair alone", "/input/text", "lone_surrogate", 400, input='{"text":"a\\ude00b"}'),
    case("lone surrogate in a key", "/input", "lone_surrogate", 400, input=f'{{"{SURROGATE}":1}}'),
    case("lone surrogate in the id", "/id", "lone_surrogate", 400, id=f'"{SURROGATE}"'),
    case("lone surrogate in the model", "/model", "lone_surrogate", 400, model=f'"{SURROGATE}"'),
    case(
        "lone surrogate in the explanation",
        "/explanation/0",
        "lone_surrogate",
        400,
        explanation=f'["{SURROGATE}"]',
    ),
    Case("lone surrogate in a field's name", {SURROGATE: "1"}, "", "lone_surrogate", 400),
    case("text over 1 MB", "/input/text", "too_long", input=json.dumps({"text": "x" * (MB + 1)})),
    case(
        "text over 1 MB inside",
        "/input/a/image",
        "too_long",
        input=json.dumps({"a": {"image": "x" * (MB + 1)}}),
    ),
    case("key over 1 MB", "/input", "too_long", input=json.dumps({"x" * (MB + 1): 1})),
    case("explanation over 1 MB", "/explanation", "too_long", explanation=json.dumps("x" * (MB + 1))),
    case("image over 8 MB", "/input/image", "too_long", input=json.dumps({"image": "x" * (8 * MB + 1)})),
    case("row over 8 MB", "", "too_large", input=json.dumps({"parts": ["x" * MB] * 8})),
    case("65 levels", "/input", "too_deep", input=nested(64)),
    case("65 levels of lists", "/explanation", "too_deep", explanation="[" * 64 + "]" * 64),
    case("10,000 levels", "/input", "too_deep", input=nested(10_000)),
    case("100,000 levels of lists", "/explanation", "too_deep", explanation="[" * 100_000 + "]" * 100_000),
]

NUMBERS = [
    case("integer of 2 to the 64", "/input/n", "number_out_of_range", input=f'{{"n":{2**64}}}'),
    case("integer below -2 to the 63", "/input/n", "number_out_of_range", input=f'{{"n":{-(2**63) - 1}}}'),
    case("integer of 30 digits", "/input/a/0", "number_out_of_range", input='{"a":[' + "9" * 30 + "]}"),
    case("integer of 5,000 digits", "/input/n", "number_out_of_range", input='{"n":' + "9" * 5_000 + "}"),
    case(
        "integer too large in the explanation", "/explanation", "number_out_of_range", explanation=str(2**70)
    ),
    case("latency_ms of 5,000 digits", "/latency_ms", "number_out_of_range", latency_ms="9" * 5_000),
    case("1e400 in the input", "/input/n", "not_finite", input='{"n":1e400}'),
    case("NaN in the input", "/input/n", "not_finite", 400, input='{"n":NaN}'),
    case("-Infinity in the explanation", "/explanation/0", "not_finite", 400, explanation="[-Infinity]"),
    case("cost is 1e400", "/cost", "not_finite", cost="1e400"),
]

IDS = [
    case("id is empty", "/id", "invalid_length", id='""'),
    case("id is a space", "/id", "blank", id='" "'),
    case("id is only white space", "/id", "blank", id='"\\u00a0\\u2003\\u3000"'),
    case("id with a tab", "/id", "control_character", id='"a\\tb"'),
    case("id with a line break", "/id", "control_character", id='"a\\nb"'),
    case("id with U+0001", "/id", "control_character", id='"a\\u0001"'),
    case("id with U+007F", "/id", "control_character", id='"a\\u007f"'),
    case("id with U+0085", "/id", "control_character", id='"a\\u0085"'),
    case("id of 201 letters", "/id", "invalid_length", id=json.dumps("x" * 201)),
    case("id of 201 emoji", "/id", "invalid_length", id=json.dumps("🙂" * 201)),
]

NO_OBJECTS = [
    Case("a row is a number", "5", "", "wrong_type"),
    Case("a row is a text", '"a"', "", "wrong_type"),
    Case("a row is null", "null", "", "wrong_type"),
    Case("a row is true", "true", "", "wrong_type"),
]

OUTPUTS = [
    predicted("label not in the schema", "/label", "unknown_label", '{"label":"z"}', "classification"),
    predicted("label is empty", "/label", "wrong_type", '{"label":""}', "classification"),
    predicted("label is null", "/label", "wrong_type", '{"label":null}', "classification"),
    predicted("label is a number", "/label", "wrong_type", '{"label":1}', "classification"),
    predicted("no label", "/label", "required", "{}", "classification"),
    predicted("more than a label", "/score", "unknown_field", '{"label":"a","score":1}', "classification"),
    predicted("output of multilabel", "/labels", "unknown_field", '{"labels":["a"]}', "classification"),
    predicted("output of text", "/text", "unknown_field", '{"text":"a"}', "classification"),
    predicted("label not in the schema", "/labels/1", "unknown_label", '{"labels":["a","z"]}', "multilabel"),
    predicted("labels is a text", "/labels", "wrong_type", '{"labels":"a"}', "multilabel"),
    predicted("a label is null", "/labels/0", "wrong_type", '{"labels":[null]}', "multilabel"),
    predicted("output of classification", "/label", "unknown_field", '{"label":"a"}', "multilabel"),
    predicted("text is a number", "/text", "wrong_type", '{"text":5}', "text"),
    predicted("text is null", "/text", "wrong_type", '{"text":null}', "text"),
    predicted("no text", "/text", "required", "{}", "text"),
    predicted("words is a text", "/words", "wrong_type", '{"text":"a","words":"a"}', "text"),
    predicted(
        "a word without confidence", "/words/0", "wrong_type", '{"text":"a","words":[{"text":"a"}]}', "text"
    ),
    predicted(
        "a word's confidence is 2",
        "/words/0/confidence",
        "out_of_range",
        '{"text":"a","words":[{"text":"a","confidence":2}]}',
        "text",
    ),
    predicted("output of fields", "/fields", "unknown_field", '{"fields":{}}', "text"),
    predicted("fields is a list", "/fields", "wrong_type", '{"fields":[]}', "fields"),
    predicted("unknown field", "/fields/colour", "unknown_field", '{"fields":{"colour":"red"}}', "fields"),
    predicted("number in a string field", "/fields/total", "wrong_type", '{"fields":{"total":9}}', "fields"),
    predicted(
        "string in a number field", "/fields/count", "wrong_type", '{"fields":{"count":"9"}}', "fields"
    ),
    predicted("true in a number field", "/fields/count", "wrong_type", '{"fields":{"count":true}}', "fields"),
    predicted("1 in a boolean field", "/fields/paid", "wrong_type", '{"fields":{"paid":1}}', "fields"),
    predicted(
        "no date in a date field", "/fields/date", "wrong_type", '{"fields":{"date":"2026-02-30"}}', "fields"
    ),
    predicted("a field is an object", "/fields/total", "wrong_type", '{"fields":{"total":{}}}', "fields"),
    predicted(
        "a confidence above 1",
        "/confidences/total",
        "out_of_range",
        '{"fields":{},"confidences":{"total":1.5}}',
        "fields",
    ),
    predicted(
        "a box of three", "/boxes/total", "wrong_type", '{"fields":{},"boxes":{"total":[0,0,1]}}', "fields"
    ),
    predicted(
        "end beyond the text",
        "/spans/0",
        "out_of_range",
        '{"spans":[{"start":0,"end":13,"label":"PER"}]}',
        "spans",
    ),
    predicted(
        "end beyond a text of emoji",
        "/spans/0",
        "out_of_range",
        '{"spans":[{"start":0,"end":3,"label":"PER"}]}',
        "spans",
        "🙂🙂",
    ),
    predicted(
        "negative start",
        "/spans/0",
        "out_of_range",
        '{"spans":[{"start":-1,"end":2,"label":"PER"}]}',
        "spans",
    ),
    predicted(
        "start at end", "/spans/0", "out_of_range", '{"spans":[{"start":2,"end":2,"label":"PER"}]}', "spans"
    ),
    predicted(
        "start after end",
        "/spans/1",
        "out_of_range",
        '{"spans":[{"start":0,"end":1,"label":"PER"},{"start":3,"end":2,"label":"PER"}]}',
        "spans",
    ),
    predicted(
        "start is 0.5", "/spans/0", "wrong_type", '{"spans":[{"start":0.5,"end":2,"label":"PER"}]}', "spans"
    ),
    predicted(
        "unknown label",
        "/spans/0/label",
        "unknown_label",
        '{"spans":[{"start":0,"end":2,"label":"ORG"}]}',
        "spans",
    ),
    predicted("no label", "/spans/0/label", "required", '{"spans":[{"start":0,"end":2}]}', "spans"),
    predicted("a span is a list", "/spans/0", "wrong_type", '{"spans":[[0,2,"PER"]]}', "spans"),
    predicted("output of boxes", "/boxes", "unknown_field", '{"boxes":[]}', "spans"),
    predicted(
        "outside the image",
        "/boxes/0",
        "out_of_range",
        '{"boxes":[{"x":0.5,"y":0,"width":0.6,"height":1,"label":"cat"}]}',
        "boxes",
    ),
    predicted(
        "negative",
        "/boxes/0",
        "out_of_range",
        '{"boxes":[{"x":-0.1,"y":0,"width":0.6,"height":1,"label":"cat"}]}',
        "boxes",
    ),
    predicted(
        "no width",
        "/boxes/0",
        "out_of_range",
        '{"boxes":[{"x":0,"y":0,"width":0,"height":1,"label":"cat"}]}',
        "boxes",
    ),
    predicted(
        "pixels",
        "/boxes/0",
        "out_of_range",
        '{"boxes":[{"x":10,"y":10,"width":100,"height":50,"label":"cat"}]}',
        "boxes",
    ),
    predicted(
        "height missing",
        "/boxes/0/height",
        "required",
        '{"boxes":[{"x":0,"y":0,"width":1,"label":"cat"}]}',
        "boxes",
    ),
    predicted(
        "x is a text",
        "/boxes/0",
        "wrong_type",
        '{"boxes":[{"x":"0","y":0,"width":1,"height":1,"label":"cat"}]}',
        "boxes",
    ),
    predicted(
        "unknown label",
        "/boxes/0/label",
        "unknown_label",
        '{"boxes":[{"x":0,"y":0,"width":1,"height":1,"label":"cow"}]}',
        "boxes",
    ),
]

ROWS = [*FIELDS, *CONFIDENCES, *TEXTS, *NUMBERS, *IDS, *NO_OBJECTS, *OUTPUTS]
GOOD_OUTPUTS = {
    "classification": {"label": "a"},
    "multilabel": {"labels": []},
    "text": {"text": ""},
    "fields": {"fields": {}},
    "spans": {"spans": []},
    "boxes": {"boxes": []},
}


def sender(world: World, task_type: str = "classification") -> Api:
    project = world.letters if task_type == "classification" else world.make_project("letters", task_type)
    return world.api("otto", "ingest", project=project)


def good_line(task_type: str) -> bytes:
    return json.dumps(a_row(prediction=GOOD_OUTPUTS[task_type])).encode()


def assert_stored(count: int) -> None:
    """So many rows were stored, and nothing of any other."""
    assert Item.objects.count() == ItemKey.objects.count() == Prediction.objects.count() == count
    assert ReviewTask.objects.count() == count  # the good ones are all in the middle tier
    assert PredictionKey.objects.count() == 0


def assert_names(errors: list[dict[str, str]], bad: Case) -> None:
    found = {(error["pointer"], error["code"]) for error in errors}
    assert (bad.pointer, bad.code) in found, errors
    assert all(error["detail"] for error in errors)


def assert_between_good_ones(body: Any, bad: Case) -> None:
    counts = {name: body[name] for name in ("created", "duplicates", "conflicts", "invalid")}
    assert counts == {"created": 2, "duplicates": 0, "conflicts": 0, "invalid": 1}
    assert [line["index"] for line in body["results"]] == [0, 1, 2]
    assert [line["status"] for line in body["results"]] == ["created", "invalid", "created"]
    assert_names(body["results"][1]["errors"], bad)


def by_name(cases: list[Case]) -> Any:
    assert len({bad.name for bad in cases}) == len(cases)
    return pytest.mark.parametrize("bad", [pytest.param(bad, id=bad.name) for bad in cases])


@by_name(ROWS)
def test_a_bad_row_is_refused_alone_in_an_array_and_as_a_line(world: World, bad: Case) -> None:
    api, text = sender(world, bad.task_type), bad.text.encode()
    good = [good_line(bad.task_type) for _ in range(4)]

    assert_names(api.predict(text).expect_problem(422)["errors"], bad)
    assert_stored(0)

    array = api.predict(b"[" + b",".join([good[0], text, good[1]]) + b"]")
    if bad.array == 400:
        array.expect_problem(400, "malformed")
        assert_stored(0)
    else:
        assert_between_good_ones(array.expect(200), bad)
        assert_stored(2)

    lines = api.predict_lines(good[2], text, good[3])
    assert_between_good_ones(lines.expect(200), bad)
    assert_stored(2 if bad.array == 400 else 4)


BROKEN_LINES = {
    "cut off": text_of({}).encode()[:-5],
    "no JSON": b"confidence: 0.8",
    "two objects": text_of({}).encode() * 2,
    "invalid UTF-8": text_of({}).encode().replace(b"Dear", b"\xff\xfe"),
    "a surrogate as UTF-8": text_of({}).encode().replace(b"Dear", b"\xed\xa0\xbd"),
    "a byte order mark": b"\xef\xbb\xbf" + text_of({}).encode(),
    "U+0000 as it is": text_of({}).encode().replace(b"Dear", b"\x00"),
    "single quotes": text_of({}).encode().replace(b'"', b"'"),
    "a comma at the end": text_of({}).encode().replace(b"}", b",}"),
    "an array": b"[" + text_of({}).encode() + b"]",
    "only a closing brace": b"}",
}


@pytest.mark.parametrize("line", BROKEN_LINES.values(), ids=BROKEN_LINES.keys())
def test_a_broken_line_is_that_lines_error_alone(world: World, line: bytes) -> None:
    body = (
        sender(world)
        .predict_lines(good_line("classification"), line, good_line("classification"))
        .expect(200)
    )
    assert (body["created"], body["invalid"]) == (2, 1)
    assert body["results"][1]["status"] == "invalid"
    assert body["results"][1]["errors"][0]["detail"]
    assert_stored(2)


JSON = "application/json"
ONE = text_of({}).encode()
BOMB = gzip.compress(b" " * (64 * MB + 1), compresslevel=1)

BODIES: dict[str, tuple[bytes, str, dict[str, str], int, str]] = {
    # name: body, type, headers, status, code
    "an empty body": (b"", JSON, {}, 400, "malformed"),
    "an empty NDJSON": (b"", NDJSON, {}, 422, "empty"),
    "blank lines": (b"\n \r\n\t\n", NDJSON, {}, 422, "empty"),
    "white space": (b" \n", JSON, {}, 400, "malformed"),
    "an empty array": (b"[]", JSON, {}, 422, "empty"),
    "an object cut off": (ONE[:-5], JSON, {}, 400, "malformed"),
    "an array cut off": (b"[" + ONE + b",", JSON, {}, 400, "malformed"),
    "an array cut off inside": (b"[" + ONE + b"," + ONE[:-5], JSON, {}, 400, "malformed"),
    "something behind the array": (b"[" + ONE + b"]]", JSON, {}, 400, "malformed"),
    "two objects": (ONE + ONE, JSON, {}, 400, "malformed"),
    "NDJSON called JSON": (ONE + b"\n" + ONE, JSON, {}, 400, "malformed"),
    "a byte order mark": (b"\xef\xbb\xbf" + ONE, JSON, {}, 400, "malformed"),
    "a byte order mark before an array": (b"\xef\xbb\xbf[" + ONE + b"]", JSON, {}, 400, "malformed"),
    "UTF-16": (ONE.decode().encode("utf-16"), JSON, {}, 400, "malformed"),
    "invalid UTF-8": (ONE.replace(b"Dear", b"\xff"), JSON, {}, 400, "malformed"),
    "invalid UTF-8 in an array": (
        b"[" + ONE.replace(b"Dear", b"\xc3\x28") + b"]",
        JSON,
        {},
        400,
        "malformed",
    ),
    "a surrogate as UTF-8": (ONE.replace(b"Dear", b"\xed\xa0\xbd"), JSON, {}, 400, "malformed"),
    "no JSON": (b"id=1", JSON, {}, 400, "malformed"),
    "5,001 rows": (b"[" + b",".join([b"1"] * 5_001) + b"]", JSON, {}, 413, "too_many_rows"),
    "50,001 lines": (b"1\n" * 50_001, NDJSON, {}, 413, "too_many_rows"),
    "more than 64 MB": (b" " * (64 * MB + 1), JSON, {}, 413, "too_large"),
    "more than 64 MB of lines": (b"\n" * (64 * MB + 1), NDJSON, {}, 413, "too_large"),
    "a gzip bomb": (BOMB, JSON, {"Content-Encoding": "gzip"}, 413, "too_large"),
    "a gzip bomb of lines": (BOMB, NDJSON, {"Content-Encoding": "gzip"}, 413, "too_large"),
    "two gzip members, the second cut off": (
        gzip.compress(b"[") + gzip.compress(ONE)[:-9],
        JSON,
        {"Content-Encoding": "gzip"},
        400,
        "malformed",
    ),
    "gzip with something behind it": (
        gzip.compress(ONE) + b"and so on",
        JSON,
        {"Content-Encoding": "gzip"},
        400,
        "malformed",
    ),
    "called gzip but plain": (ONE, JSON, {"Content-Encoding": "gzip"}, 400, "malformed"),
    "gzip cut off": (gzip.compress(ONE)[:-9], JSON, {"Content-Encoding": "gzip"}, 400, "malformed"),
    "gzip with a wrong checksum": (
        gzip.compress(ONE)[:-8] + b"\0" * 8,
        JSON,
        {"Content-Encoding": "gzip"},
        400,
        "malformed",
    ),
    "gzip but not called so": (gzip.compress(ONE), JSON, {}, 400, "malformed"),
    "brotli": (ONE, JSON, {"Content-Encoding": "br"}, 415, "unsupported_encoding"),
    "deflate": (ONE, JSON, {"Content-Encoding": "deflate"}, 415, "unsupported_encoding"),
    "gzip twice": (ONE, JSON, {"Content-Encoding": "gzip, gzip"}, 415, "unsupported_encoding"),
    "plain text": (ONE, "text/plain", {}, 415, "unsupported_media_type"),
    "a form": (b"id=1", "application/x-www-form-urlencoded", {}, 415, "unsupported_media_type"),
    "a file": (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x", {}, 415, "unsupported_media_type"),
    "XML": (b"<a/>", "application/xml", {}, 415, "unsupported_media_type"),
    "no type": (ONE, "", {}, 415, "unsupported_media_type"),
    "Latin-1": (ONE, "application/json; charset=iso-8859-1", {}, 415, "unsupported_media_type"),
}


@pytest.mark.parametrize(
    ("content", "kind", "headers", "status", "code"),
    [
        pytest.param(
            *case,
            id=name,
            marks=[pytest.mark.slow] if len(case[0]) > MB or "bomb" in name or "50,001" in name else [],
        )
        for name, case in BODIES.items()
    ],
)
def test_a_body_that_is_refused_as_a_whole(
    world: World, content: bytes, kind: str, headers: dict[str, str], status: int, code: str
) -> None:
    body = sender(world).predict(content, kind=kind, **headers).expect_problem(status)
    assert code in {body["code"], *(error["code"] for error in body["errors"])}
    assert_stored(0)


@pytest.mark.parametrize("length", ["", "-1", "x", "²", "1e3", "9" * 5_000])
def test_a_length_that_is_none(world: World, length: str) -> None:
    """A web server refuses most of them before; whatever comes through is no server error."""
    sender(world).predict(ONE, **{"Content-Length": length}).expect_problem(400, "malformed")
    assert_stored(0)


@pytest.mark.parametrize(
    "name",
    [
        "an object cut off",
        "5,001 rows",
        "gzip cut off",
        "brotli",
        "a form",
        "a byte order mark",
        "an empty array",
    ],
)
def test_who_is_signed_in_is_told_the_same(world: World, name: str) -> None:
    content, kind, headers, status, code = BODIES[name]
    body = world.browser("otto").predict(content, kind=kind, **headers).expect_problem(status)
    assert code in {body["code"], *(error["code"] for error in body["errors"])}
    assert_stored(0)


def test_a_problem_is_one_that_every_reader_of_problems_understands(world: World) -> None:
    body = sender(world).predict(a_row(confidence=1.1)).expect_problem(422, "invalid")
    assert body["type"] == "about:blank"
    assert body["title"] == "Invalid"
    assert body["errors"] == [
        {"pointer": "/confidence", "code": "invalid", "detail": "confidence: expected float <= 1.0"}
    ]


def test_everything_wrong_with_a_row_is_said_at_once(world: World) -> None:
    errors = (
        sender(world)
        .predict(a_row(confidence=2, id="", model=..., colour="red"))
        .expect_problem(422)["errors"]
    )
    assert {error["pointer"] for error in errors} == {"/confidence", "/id", "/model", "/colour"}


@pytest.mark.parametrize("form", ["single", "array", "lines"])
def test_of_duplicate_keys_the_last_wins(world: World, form: str) -> None:
    line = text_of({}).replace('"confidence":0.8', '"confidence":2,"confidence":0.8').encode()
    api = sender(world)
    {
        "single": lambda: api.predict(line).expect(201),
        "array": lambda: api.predict(b"[" + line + b"]").expect(200),
        "lines": lambda: api.predict_lines(line).expect(200),
    }[form]()
    assert Prediction.objects.get().confidence == 0.8


# --- Who may not send ------------------------------------------------------------------------------------------------


@pytest.fixture(params=["single", "array", "lines"])
def send(request: pytest.FixtureRequest) -> Any:
    """Sends a good row in one of the three forms, or a bad one: whoever may not send is told nothing about his rows."""

    def run(api: Api, slug: str = "letters") -> Any:
        path = f"/projects/{slug}/predictions/"
        if request.param == "single":
            return api.post(path, a_row())
        if request.param == "array":
            return api.post(path, [a_row()])
        return api.post(path, json.dumps(a_row()).encode(), kind=NDJSON)

    return run


def test_an_unknown_project(world: World, send: Any) -> None:
    send(world.api("otto"), slug="nowhere").expect_problem(404, "not_found")


@pytest.mark.parametrize("slug", ["%00", "%ff", "letters%00", "L" * 500, "%F0%9F%99%82"])
def test_a_project_that_cannot_be(world: World, slug: str) -> None:
    world.api("otto").post(f"/projects/{slug}/predictions/", a_row()).expect_problem(404, "not_found")


def test_a_foreign_project(world: World, send: Any) -> None:
    send(world.api("nora")).expect_problem(404, "not_found")
    assert_stored(0)


def test_a_key_of_another_project(world: World, send: Any) -> None:
    others = world.make_project("parcels")
    send(world.api("otto", "ingest", project=others, at=world.letters)).expect_problem(404, "not_found")
    assert_stored(0)


@pytest.mark.parametrize("scope", ["review", "datasets:read", "manage"])
def test_a_key_of_another_scope(world: World, send: Any, scope: str) -> None:
    send(world.api("otto", scope)).expect_problem(403, "scope_missing")
    assert_stored(0)


@pytest.mark.parametrize("name", ["rita", "vic"])
def test_a_key_of_somebody_who_only_reviews_or_views(world: World, send: Any, name: str) -> None:
    send(world.api(name)).expect_problem(403, "role_missing")
    assert_stored(0)


def test_a_revoked_key(world: World, send: Any) -> None:
    api = world.api("otto", "ingest")
    assert send(api).status in (200, 201)
    ApiKey.objects.update(revoked_at="2026-01-01T00:00:00Z", revoked_by=world.ada.user)
    send(api).expect_problem(401, "key_invalid")
    assert_stored(1)


@pytest.mark.parametrize(
    "bad", [b"{}", b'{"id":"x"}', b"[5]", text_of({"prediction": '{"label":"z"}'}).encode()]
)
def test_a_revoked_key_is_not_told_what_is_wrong_with_a_row(world: World, bad: bytes) -> None:
    api = world.api("otto", "ingest")
    assert api.predict(bad).status in (200, 422)
    ApiKey.objects.update(revoked_at="2026-01-01T00:00:00Z", revoked_by=world.ada.user)
    api.predict(bad).expect_problem(401, "key_invalid")


def test_the_key_of_somebody_who_left(world: World, send: Any) -> None:
    api = world.api("otto", "ingest")
    assert send(api).status in (200, 201)
    world.otto.user.is_active = False
    world.otto.user.save()
    send(api).expect_problem(401, "key_invalid")


@pytest.mark.parametrize(
    "header", ["Bearer ", "Bearer x", "Bearer \xff\xfe", "Basic b3R0bzpvdHRv", "x", "bearer", "Bearer a b"]
)
def test_no_key_at_all(world: World, send: Any, header: str) -> None:
    api = Api(None, world.letters)
    path = "/projects/letters/predictions/"
    for body in (a_row(), [a_row()]):
        reply = api.post(path, body, Authorization=header)
        reply.expect_problem(401)
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")
    assert_stored(0)


def test_a_signed_in_browser_needs_its_csrf_token(world: World) -> None:
    browser = world.browser("otto", enforce_csrf_checks=True)
    browser.predict(a_row()).expect_problem(403)
    assert_stored(0)


def test_a_policy_with_rules_meets_every_number_there_is(world: World) -> None:
    """What a condition cannot work with does not hold; it never stops the row."""
    rules = [{"when": "input.n > 5 && input.n + 1 > 6", "output": {"label": "a"}}]
    policy = {**QUIET, "fallback": {"mode": "rules", "rules": rules, "else": {"label": "b"}}}
    api = world.api("otto", project=world.make_project("sums", policy=policy))
    for number in (2**64 - 1, 2**63 - 1, -(2**63), 1e308, "x", None, [1], {"a": 1}, True):
        assert api.predict(a_row(confidence=0.1, input={"n": number})).expect(201)["route"] == "fallback"


def test_nothing_of_the_database_is_left_open(world: World) -> None:
    """A refused row ends no transaction that others are in: the next one is stored."""
    api = sender(world)
    api.predict(a_row(confidence=2)).expect_problem(422)
    assert not connection.needs_rollback
    api.predict(a_row()).expect(201)

"""What is exactly at a limit is accepted (what is beyond: test_bad_input), and kept as it was sent."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from labeling.ingestion.models import Item, Prediction
from tests.world import World, a_row

MB = 1024 * 1024

IDS = [
    "x" * 200,
    "🙂" * 200,
    "a/b/c",
    "/",
    "a//b/",
    "..",
    "../../keys",
    "a b",
    " a ",
    "100%",
    "%2F",
    "%00",
    "a?b=c&d#e",
    "a+b",
    "a\\b",
    "'; drop table labeling_item; --",
    "<script>",
    "é",
    "e\u0301",  # looks like the one before, and is another
    "\u202eabc",
    "👩\u200d👩\u200d👧",
    "مرحبا",
    "null",
    "0",
]


@pytest.mark.parametrize("key", IDS)
def test_an_id_is_kept_as_sent_and_found_again(world: World, key: str) -> None:
    api = world.api("otto")
    assert api.predict(a_row(id=key)).expect(201)["id"] == key
    assert api.story(key)["id"] == key
    assert api.get(api.below("predictions/")).expect(200)["results"][0]["id"] == key
    assert world.api("rita").claim_one()["item"]["id"] == key


def test_ids_that_look_alike_are_different_items(world: World) -> None:
    api = world.api("otto")
    answers = api.predict([a_row(id=key) for key in IDS]).expect(200)
    assert answers["created"] == len(IDS) == Item.objects.count()


INPUTS: dict[str, Any] = {
    "no keys at all": {},
    "the empty key": {"": ""},
    "a text of 1 MB": {"text": "x" * MB},
    "a text of 1 MB of emoji": {"text": "🙂" * MB},
    "an image of nearly 8 MB": {"image": "data:," + "x" * (8 * MB - 1_000)},
    "64 bits": {"n": [2**63 - 1, -(2**63), 2**64 - 1]},
    "the largest double": {"n": 1.7976931348623157e308, "m": 5e-324, "o": -0.0},
    "U+FFFF and other odd ones": {"t": "\uffff\u2028\u0001\x7f"},
    "a whole pair": {"t": "\ud83d\ude42".encode("utf-16", "surrogatepass").decode("utf-16")},
    "backslashes and tabs": {"t": "\\N\t\\t\n\r\\u0000 \\\\. \\"},
    "order of keys": {"b": 1, "a": {"d": 2, "c": 3}},
}


@pytest.mark.parametrize("form", ["single", "array", "lines"])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(content, id=name, marks=[pytest.mark.slow] if "MB" in name else [])
        for name, content in INPUTS.items()
    ],
)
def test_an_input_is_kept_as_sent(world: World, content: Any, form: str) -> None:
    api, row = world.api("otto"), a_row(id="x", input=content)
    answer = {"single": api.predict, "array": lambda r: api.predict([r]), "lines": api.predict_lines}[form](
        row
    )
    assert answer.status in (200, 201), answer.content[:500]
    kept = api.story("x")["input"]
    assert json.dumps(kept) == json.dumps(content)


def test_64_levels(world: World) -> None:
    content = json.loads('{"a":' * 63 + "1" + "}" * 63)
    world.api("otto").predict(a_row(id="x", input=content)).expect(201)
    world.api("otto").predict([a_row(id="x", input=content)]).expect(200)
    assert world.api("otto").story("x")["input"] == content


EDGES = [
    {"confidence": 0},
    {"confidence": 1},
    {"confidence": -0.0},
    {"confidence": 5e-324},
    {"model": "m" * 200, "model_version": "v" * 200, "segment": "s" * 200},
    {"model_version": ""},
    {
        "segment": None,
        "probabilities": None,
        "occurred_at": None,
        "explanation": None,
        "cost": None,
        "latency_ms": None,
    },
    {"occurred_at": "2026-01-01T00:00:00.123456789Z"},
    {"occurred_at": "0002-01-02T00:00:00+14:00"},
    {"occurred_at": "2026-06-01T12:00:00-07:00"},
    {"priority": -100},
    {"priority": 100},
    {"probabilities": {"a": 0.8, "z": 0, "": 1}},
    {"explanation": [None, True, "because", {"weights": [0.1]}]},
    {"latency_ms": 0, "cost": 1e300},
]


@pytest.mark.parametrize("changes", EDGES, ids=str)
def test_what_is_just_allowed(world: World, changes: dict[str, Any]) -> None:
    api = world.api("otto")
    api.predict(a_row(**changes)).expect(201)
    row = a_row(**changes)
    assert api.predict([row]).expect(200)["created"] == 1
    assert api.predict_lines(row).expect(200)["duplicates"] == 1


def test_optional_fields_are_shown_again(world: World) -> None:
    extras = {
        "probabilities": {"a": 0.8, "b": 0.2},
        "explanation": {"why": ["x"]},
        "latency_ms": 12.5,
        "cost": 0.001,
    }
    api = world.api("otto")
    api.predict(a_row(id="x", segment="Basel", occurred_at="2026-06-01T12:00:00-07:00", **extras)).expect(201)
    (shown,) = api.story("x")["predictions"]
    assert {name: shown[name] for name in extras} == extras
    assert shown["segment"] == "Basel"
    assert shown["occurred_at"] == "2026-06-01T19:00:00Z"


TYPES = [
    ("application/json; charset=utf-8", {}),
    ("application/json;charset=UTF-8", {}),
    ('application/json; charset="utf-8"', {}),
    ("APPLICATION/JSON", {}),
    ("application/json", {"Content-Encoding": "identity"}),
    ("application/json", {"Accept": "text/html"}),
]


@pytest.mark.parametrize(("kind", "headers"), TYPES)
def test_ways_to_say_json(world: World, kind: str, headers: dict[str, str]) -> None:
    world.api("otto").predict(a_row(), kind=kind, **headers).expect(201)


ZIPPED = {
    "one object": (json.dumps(a_row()).encode(), "application/json", 201),
    "an array": (json.dumps([a_row(), a_row()]).encode(), "application/json", 200),
    "lines": (b"\n".join(json.dumps(a_row()).encode() for _ in range(3)), "application/x-ndjson", 200),
}


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", " gzip "])
@pytest.mark.parametrize(("content", "kind", "status"), ZIPPED.values(), ids=ZIPPED.keys())
def test_gzip(world: World, content: bytes, kind: str, status: int, encoding: str) -> None:
    sent = gzip.compress(content)
    world.api("otto").predict(sent, kind=kind, **{"Content-Encoding": encoding}).expect(status)
    assert Prediction.objects.count() == content.count(b'"confidence"')


def test_gzip_of_several_members(world: World) -> None:
    """As `cat a.gz b.gz` makes it."""
    sent = b"".join(gzip.compress(json.dumps(a_row()).encode() + b"\n") for _ in range(3))
    answer = world.api("otto").predict(sent, kind="application/x-ndjson", **{"Content-Encoding": "gzip"})
    assert answer.expect(200)["created"] == 3


SPACES = b" \r\n\t" * 100


@pytest.mark.parametrize("opening", [b"", b" ", SPACES])
def test_white_space_around_the_json(world: World, opening: bytes) -> None:
    api = world.api("otto")
    api.predict(opening + json.dumps(a_row()).encode() + SPACES).expect(201)
    assert api.predict(opening + json.dumps([a_row()]).encode() + SPACES).expect(200)["created"] == 1


def test_lines_end_as_on_any_system(world: World) -> None:
    lines = [json.dumps(a_row()).encode() for _ in range(3)]
    body = lines[0] + b"\r\n\r\n" + lines[1] + b"\n   \n" + lines[2]
    answer = world.api("otto").predict(body, kind="application/x-ndjson").expect(200)
    assert (answer["created"], [line["index"] for line in answer["results"]]) == (3, [0, 1, 2])


@pytest.mark.slow
def test_5_000_rows(world: World) -> None:
    rows = [a_row(prediction={"label": "abc"[n % 3]}, confidence=n % 100 / 100) for n in range(5_000)]
    answer = world.api("otto").predict(rows).expect(200)
    assert answer["created"] == 5_000 == Prediction.objects.count()
    assert [line["id"] for line in answer["results"]] == [row["id"] for row in rows]


@pytest.mark.slow
def test_50_000_lines(world: World) -> None:
    """Mostly bad ones, to spare the machine."""
    row = json.dumps(a_row()).encode()
    answer = (
        world.api("otto")
        .predict(row + b"\n1" * 49_998 + b"\n" + row, kind="application/x-ndjson")
        .expect(200)
    )
    assert (answer["created"], answer["duplicates"], answer["invalid"]) == (1, 1, 49_998)


@pytest.mark.slow
def test_a_body_of_64_mb(world: World) -> None:
    """The limit is the body's; its rows have theirs."""
    rows = json.dumps([a_row(), a_row()]).encode()
    body = rows.ljust(64 * MB)
    assert world.api("otto").predict(body).expect(200)["created"] == 2
    zipped = gzip.compress(body, compresslevel=1)
    assert world.api("otto").predict(zipped, **{"Content-Encoding": "gzip"}).expect(200)["duplicates"] == 2
    world.api("otto").predict(body + b" ").expect_problem(413, "too_large")


@pytest.mark.slow
def test_a_large_array_of_large_rows(world: World) -> None:
    """The row's limit counts for each row, not for the array."""
    rows = [a_row(input={"image": "x" * (5 * MB)}) for _ in range(4)]
    rows[2]["input"] = {"parts": ["x" * MB] * 8}
    answer = world.api("otto").predict(rows).expect(200)
    assert [line["status"] for line in answer["results"]] == ["created", "created", "invalid", "created"]
    assert answer["results"][2]["errors"][0]["code"] == "too_large"

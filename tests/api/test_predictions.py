"""Sending predictions: idempotency, answers over time, further predictions of an item, lists, and an item's story."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labeling.ingestion.models import Item, ModelVersion, Prediction, PredictionKey
from labeling.review.models import ReviewTask
from tests.world import QUIET, Api, World, a_row


@pytest.fixture
def otto(world: World) -> Api:
    return world.api("otto")


@pytest.fixture
def rita(world: World) -> Api:
    return world.api("rita")


def tell(api: Api, form: str, row: Any) -> tuple[str, dict[str, Any]]:
    """Send a row in one of three forms; what became of it (created, duplicate or a conflict's code), and the answer to it."""
    encoded = row if isinstance(row, bytes) else json.dumps(row).encode()
    if form == "single":
        reply = api.predict(encoded)
        word = {200: "duplicate", 201: "created"}.get(reply.status) or reply.expect_problem(409)["code"]
        return word, reply.body
    reply = api.predict(b"[" + encoded + b"]") if form == "array" else api.predict_lines(encoded)
    (line,) = reply.expect(200)["results"]
    return (line["errors"][0]["code"] if line["status"] == "conflict" else line["status"]), line


FORMS = pytest.mark.parametrize("form", ["single", "array", "lines"])

# --- The same again, or not ------------------------------------------------------------------------------------------


def test_the_answer_to_a_new_prediction(otto: Api) -> None:
    body = otto.predict(a_row(id="x")).expect(201)
    assert body == {
        "id": "x",
        "prediction_id": Prediction.objects.get().pk,
        "route": "review",
        "status": "pending",
        "output": None,
        "policy_version": 1,
        "created": True,
    }


def test_the_same_again(otto: Api) -> None:
    first = otto.predict(a_row(id="x")).expect(201)
    again = otto.predict(a_row(id="x")).expect(200)
    assert again == {**first, "created": False}
    assert Prediction.objects.count() == Item.objects.count() == ReviewTask.objects.count() == 1


BASE = {
    "id": "x",
    "input": {"n": 1, "t": "é", "list": [1, 2], "b": {"c": True, "d": None}},
    "prediction": {"label": "a"},
    "confidence": 0.8,
    "model": "reader",
    "model_version": "",
    "segment": "Basel",
    "occurred_at": "2026-06-01T12:00:00Z",
    "probabilities": {"a": 0.8, "b": 0.2},
    "explanation": {"w": [1, 0.5]},
}


def changed(**changes: Any) -> bytes:
    return json.dumps({k: v for k, v in {**BASE, **changes}.items() if v is not ...}).encode()


def respelled(old: str, new: str) -> bytes:
    text = json.dumps(BASE)
    assert old in text
    return text.replace(old, new).encode()


SAME = {
    "as it was": changed(),
    "1.0 for 1": respelled('"n": 1', '"n": 1.0'),
    "1e0 for 1": respelled('"n": 1', '"n": 1e0'),
    "0.80 for 0.8": respelled("0.8", "0.80"),
    "8e-1 for 0.8": respelled("0.8", "8e-1"),
    "another order of keys": json.dumps(dict(reversed(BASE.items()))).encode(),
    "another order of keys inside": changed(input=dict(reversed(BASE["input"].items()))),  # type: ignore[attr-defined]
    "no white space": json.dumps(BASE, separators=(",", ":")).encode(),
    "text not escaped": json.dumps(BASE, ensure_ascii=False).encode(),
    "no model_version": changed(model_version=...),
    "another zone": changed(occurred_at="2026-06-01T14:00:00+02:00"),
    "a key twice": respelled('"n": 1', '"n": 7, "n": 1'),
    "other latency, cost and priority": changed(latency_ms=12, cost=3, priority=5),
}
OTHER = {
    "another label": changed(prediction={"label": "b"}),
    "another confidence": changed(confidence=0.81),
    "another segment": changed(segment="Bern"),
    "no segment": changed(segment=...),
    "another moment": changed(occurred_at="2026-06-01T12:00:01Z"),
    "no moment": changed(occurred_at=...),
    "other probabilities": changed(probabilities={"a": 0.8, "b": 0.1}),
    "no probabilities": changed(probabilities=...),
    "another explanation": changed(explanation={"w": [1, 0.6]}),
    "no explanation": changed(explanation=...),
    "another input": changed(input={**BASE["input"], "n": 2}),  # type: ignore[dict-item]
    "a text for a number": respelled('"n": 1', '"n": "1"'),
    "true for 1": respelled('"n": 1', '"n": true'),
    "1 for true": respelled("true", "1"),
    "a null left out": respelled(', "d": null', ""),
    "another order of a list": respelled("[1, 2]", "[2, 1]"),
    "another normal form": respelled("\\u00e9", "e\\u0301"),
    "an integer next to it": respelled('"n": 1', '"n": 1.0000000000000002'),
}


@FORMS
@pytest.mark.parametrize("row", SAME.values(), ids=SAME.keys())
def test_what_says_the_same_is_a_duplicate(otto: Api, row: bytes, form: str) -> None:
    _, first = tell(otto, "single", changed())
    word, answer = tell(otto, form, row)
    assert word == "duplicate"
    assert answer["prediction_id"] == first["prediction_id"]


@pytest.mark.parametrize("row", OTHER.values(), ids=OTHER.keys())
def test_what_says_something_else_is_a_conflict(otto: Api, row: bytes) -> None:
    tell(otto, "single", changed())
    for form in ("single", "array", "lines"):
        assert tell(otto, form, row)[0] == "prediction_conflict"
    assert Prediction.objects.count() == 1


WHOLE = [
    ("1e16", "10000000000000000"),
    ("-0.0", "0"),
    ("1e2", "100"),
    ("1E+16", "1e16"),
    ("1.5e18", "1500000000000000000"),
]


@pytest.mark.parametrize(("one", "other"), WHOLE)
@pytest.mark.parametrize("beside", ["0.5", "1e300", "1.0", '"1.0"', '"2e5"'])
def test_equal_numbers_are_equal_however_they_are_spelled(
    otto: Api, one: str, other: str, beside: str
) -> None:
    for first, second in ((one, other), (other, one)):
        rows = [
            changed(id=f"{first}-{beside}", input=...)[:-1]
            + f', "input": {{"n": {n}, "m": {beside}}}}}'.encode()
            for n in (first, second)
        ]
        assert [tell(otto, "single", row)[0] for row in rows] == ["created", "duplicate"]


def test_another_key_is_another_prediction(otto: Api) -> None:
    """(id, model, model_version) is the key."""
    for changes in ({}, {"model_version": "2"}, {"model": "other"}, {"id": "y"}, {"model": "reader\u00a0"}):
        assert tell(otto, "single", changed(**changes))[0] == "created"
    assert Prediction.objects.count() == 5
    assert Item.objects.count() == 2


def test_the_same_id_in_another_project_is_another_item(world: World, otto: Api) -> None:
    other = world.make_project("parcels")
    otto.predict(a_row(id="x")).expect(201)
    world.api("otto", at=other).predict(a_row(id="x", input={"text": "else"})).expect(201)


# --- A further prediction of a known item ----------------------------------------------------------------------------


@FORMS
def test_another_input_under_a_known_id(otto: Api, form: str) -> None:
    otto.predict(a_row(id="x")).expect(201)
    word, _ = tell(otto, form, a_row(id="x", model_version="2", input={"text": "Dear Madam"}))
    assert word == "item_conflict"
    assert Prediction.objects.count() == 1


@FORMS
def test_while_a_task_is_open_no_second_one_is_made(otto: Api, rita: Api, form: str) -> None:
    otto.predict(a_row(id="x")).expect(201)
    word, answer = tell(otto, form, a_row(id="x", model_version="2"))
    assert (word, answer["route"], answer["output"]) == ("created", "review", None)
    assert len(rita.claim(50)) == 1
    word, answer = tell(otto, form, a_row(id="x", model_version="3", confidence=0.1))
    assert (word, answer["route"], answer["output"]) == ("created", "fallback", None)
    assert rita.claim(50) == []


def test_an_automatic_route_is_final_at_once_also_beside_an_open_task(otto: Api, rita: Api) -> None:
    otto.predict(a_row(id="x")).expect(201)
    answer = otto.predict(
        a_row(id="x", model_version="2", confidence=0.99, prediction={"label": "b"})
    ).expect(201)
    assert (answer["route"], answer["status"], answer["output"]) == ("auto", "final", {"label": "b"})
    assert len(rita.claim(50)) == 1
    (outcome,) = otto.outcomes()
    assert (outcome["origin"], outcome["output"], outcome["model_version"]) == ("auto", {"label": "b"}, "2")


def test_each_further_automatic_prediction_is_the_next_revision(otto: Api) -> None:
    for number in range(1, 4):
        otto.predict(a_row(id="x", model_version=str(number), confidence=0.99)).expect(201)
    assert [(o["revision"], o["model_version"]) for o in otto.outcomes()] == [(1, "1"), (2, "2"), (3, "3")]


@FORMS
@pytest.mark.parametrize("confidence", [0.99, 0.8, 0.1])
def test_once_a_person_has_labelled_the_item_it_is_settled(
    otto: Api, rita: Api, form: str, confidence: float
) -> None:
    otto.predict(a_row(id="x")).expect(201)
    rita.decide(rita.claim_one(), "corrected", {"label": "c"}).expect(201)
    word, answer = tell(otto, form, a_row(id="x", model_version="2", confidence=confidence))
    assert (word, answer["route"], answer["output"]) == ("created", "settled", {"label": "c"})
    word, answer = tell(otto, form, a_row(id="x", model_version="2", confidence=confidence))
    assert (word, answer["route"], answer["output"]) == ("duplicate", "settled", {"label": "c"})
    assert rita.claim(50) == []
    assert len(otto.outcomes()) == 1


def test_a_settled_answer_follows_the_label(otto: Api, rita: Api) -> None:
    otto.predict(a_row(id="x")).expect(201)
    decision = rita.decide(rita.claim_one(), "corrected", {"label": "c"}).expect(201)["decision"]
    otto.predict(a_row(id="x", model_version="2")).expect(201)
    rita.undo(decision).expect(200)
    rita.decide(rita.claim_one(), "corrected", {"label": "b"}).expect(201)
    again = otto.predict(a_row(id="x", model_version="2")).expect(200)
    assert (again["route"], again["output"]) == ("settled", {"label": "b"})


def test_a_rejected_item_is_not_settled(otto: Api, rita: Api) -> None:
    """Nobody has given it a label, so a further prediction is routed like any other."""
    otto.predict(a_row(id="x")).expect(201)
    rita.decide(rita.claim_one(), "rejected").expect(201)
    assert otto.predict(a_row(id="x", model_version="2")).expect(201)["route"] == "review"
    assert len(rita.claim(50)) == 1


def test_a_further_prediction_of_a_rejected_item_may_be_final(otto: Api, rita: Api) -> None:
    """Then it is the model's output that counts, until a person says otherwise."""
    otto.predict(a_row(id="x")).expect(201)
    rita.decide(rita.claim_one(), "rejected").expect(201)
    answer = otto.predict(a_row(id="x", model_version="2", confidence=0.99)).expect(201)
    assert (answer["route"], answer["status"]) == ("auto", "final")
    assert [entry["output"] for entry in otto.outcomes()] == [None, {"label": "a"}]


# --- Two rows in one request -----------------------------------------------------------------------------------------


@FORMS
def test_two_rows_with_one_key_in_one_batch(otto: Api, form: str) -> None:
    if form == "single":
        form = "array"
    rows = [
        a_row(id="x"),
        a_row(id="x"),
        a_row(id="x", confidence=0.81),
        a_row(id="x", model_version="2"),
        a_row(id="x", model_version="2"),
        a_row(id="x", model_version="2", confidence=0.99),
        a_row(id="x", model_version="3", input={"text": "else"}),
        a_row(id="x", model_version="4", confidence=0.99),
        a_row(id="x", model_version="4", confidence=0.99),
        a_row(id="y"),
        a_row(id="y", confidence=2),
    ]
    answer = (otto.predict(rows) if form == "array" else otto.predict_lines(*rows)).expect(200)
    words = [
        line["errors"][0]["code"] if line["status"] == "conflict" else line["status"]
        for line in answer["results"]
    ]
    assert words == [
        "created",
        "duplicate",
        "prediction_conflict",
        "created",
        "duplicate",
        "prediction_conflict",
        "item_conflict",
        "created",
        "duplicate",
        "created",
        "invalid",
    ]
    assert {name: answer[name] for name in ("created", "duplicates", "conflicts", "invalid")} == {
        "created": 4,
        "duplicates": 3,
        "conflicts": 3,
        "invalid": 1,
    }
    lines = answer["results"]
    assert [line["id"] for line in lines] == ["x"] * 9 + ["y"] * 2
    assert lines[0]["prediction_id"] == lines[1]["prediction_id"]
    assert lines[3]["prediction_id"] == lines[4]["prediction_id"] != lines[0]["prediction_id"]
    assert lines[7]["output"] == lines[8]["output"] == {"label": "a"}
    assert (Prediction.objects.count(), PredictionKey.objects.count(), Item.objects.count()) == (4, 2, 2)
    assert ReviewTask.objects.count() == 2


def test_a_batch_keeps_the_order_of_its_rows_in_the_feed(otto: Api) -> None:
    rows = [a_row(confidence=0.99) for _ in range(50)]
    otto.predict(rows).expect(200)
    assert [outcome["id"] for outcome in otto.outcomes()] == [row["id"] for row in rows]


def test_a_line_of_a_batch(otto: Api) -> None:
    lines = otto.predict(
        [a_row(id="r"), a_row(id="a", confidence=0.99), a_row(id="f", confidence=0.1)]
    ).expect(200)["results"]
    assert [set(line) for line in lines] == [
        {"index", "id", "status", "prediction_id", "route", "output"}
    ] * 3
    assert [(line["route"], line["output"]) for line in lines] == [
        ("review", None),
        ("auto", {"label": "a"}),
        ("fallback", None),
    ]


# --- Answers over time -----------------------------------------------------------------------------------------------


def answer_now(otto: Api, form: str, **changes: Any) -> tuple[Any, ...]:
    word, answer = tell(otto, form, a_row(id="x", **changes))
    assert word == "duplicate"
    shown = (answer["route"], answer["output"])
    return shown if form != "single" else (*shown, answer["status"])


@FORMS
def test_a_reviewed_prediction_is_pending_until_somebody_decides(otto: Api, rita: Api, form: str) -> None:
    otto.predict(a_row(id="x")).expect(201)
    pending, final = (("pending",), ("final",)) if form == "single" else ((), ())
    assert answer_now(otto, form) == ("review", None, *pending)
    task = rita.claim_one()
    assert answer_now(otto, form) == ("review", None, *pending)
    decision = rita.decide(task, "corrected", {"label": "b"}).expect(201)
    assert answer_now(otto, form) == ("review", {"label": "b"}, *final)
    rita.undo(decision["decision"]).expect(200)
    assert answer_now(otto, form) == ("review", None, *pending)
    rita.decide(rita.claim_one(), "rejected").expect(201)
    assert answer_now(otto, form) == ("review", None, *final)


def test_an_escalated_prediction_stays_pending(otto: Api, rita: Api) -> None:
    otto.predict(a_row(id="x")).expect(201)
    rita.decide(rita.claim_one(), "escalated").expect(201)
    assert answer_now(otto, "single") == ("review", None, "pending")


def test_an_automatic_prediction_changes_when_its_audit_finds_it_wrong(world: World) -> None:
    api = world.api(at=world.make_project("audited", policy={**QUIET, "audit_rate": 1}))
    api.predict(a_row(id="x", confidence=0.99)).expect(201)
    assert answer_now(api, "single", confidence=0.99) == ("auto", {"label": "a"}, "final")
    api.decide(api.claim_one(), "labelled", {"label": "b"}).expect(201)
    assert answer_now(api, "single", confidence=0.99) == ("auto", {"label": "a"}, "final")
    rita = world.api("rita", at=api.at)
    rita.decide(rita.claim_one(), "labelled", {"label": "b"}).expect(201)
    assert answer_now(api, "single", confidence=0.99) == ("auto", {"label": "b"}, "final")


def test_a_manual_fallback_is_pending_until_a_person_labels(otto: Api, rita: Api) -> None:
    otto.predict(a_row(id="x", confidence=0.1)).expect(201)
    assert answer_now(otto, "single", confidence=0.1) == ("fallback", None, "pending")
    rita.decide(rita.claim_one(), "labelled", {"label": "c"}).expect(201)
    assert answer_now(otto, "single", confidence=0.1) == ("fallback", {"label": "c"}, "final")


def test_a_constant_fallback_stays_what_it_was(world: World) -> None:
    fallback = {"mode": "constant", "output": {"label": "c"}}
    api = world.api(at=world.make_project("constant", policy={**QUIET, "fallback": fallback}))
    first = api.predict(a_row(id="x", confidence=0.1)).expect(201)
    assert (first["route"], first["status"], first["output"]) == ("fallback", "final", {"label": "c"})
    api.put(
        api.below("policy/"), {**QUIET, "fallback": {"mode": "constant", "output": {"label": "b"}}}
    ).expect(200)
    again = api.predict(a_row(id="x", confidence=0.1)).expect(200)
    assert (again["output"], again["policy_version"]) == ({"label": "c"}, 1)


def test_route_and_policy_version_stay_those_of_the_first_time(otto: Api) -> None:
    first = otto.predict(a_row(id="x")).expect(201)
    otto.put(otto.below("policy/"), {**QUIET, "high": 0.5, "low": 0.4}).expect(200)
    again = otto.predict(a_row(id="x")).expect(200)
    assert (again["route"], again["policy_version"]) == (first["route"], 1)
    assert otto.predict(a_row(id="y")).expect(201)["policy_version"] == 2


# --- Lists -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def mixed(otto: Api, rita: Api) -> Api:
    """Three of each route, from two models and two segments; the reviewed ones confirmed, corrected and open."""
    for number in range(9):
        otto.predict(
            a_row(
                id=f"{'arf'[number % 3]}{number}",
                confidence=[0.99, 0.8, 0.1][number % 3],
                segment=["Basel", "Bern"][number % 2],
                model=["reader", "scanner"][number // 5],
                model_version="12"[number % 2],
                prediction={"label": "ab"[number % 2]},
                input={"text": f"Letter Number {number} 100%"},
            )
        ).expect(201)
    review = [task for task in rita.claim(50) if task["kind"] == "review"]
    rita.decide(review[0], "confirmed").expect(201)
    rita.decide(review[1], "corrected", {"label": "b"}).expect(201)
    return otto


def ids(api: Api, query: str = "") -> list[str]:
    """The ids on all pages, following `next`."""
    found, url = [], api.below(f"predictions/{query}")
    for _ in range(50):
        page = api.get(url).expect(200)
        assert set(page) == {"results", "next", "previous", "looked_at", "looked_back_to"}
        found += [line["id"] for line in page["results"]]
        if page["next"] is None:
            return found
        url = page["next"].removeprefix("http://testserver")
    raise AssertionError("the list does not end")


FILTERS = [
    ("", "f8 r7 a6 f5 r4 a3 f2 r1 a0"),
    ("?route=auto", "a6 a3 a0"),
    ("?route=review", "r7 r4 r1"),
    ("?route=fallback", "f8 f5 f2"),
    ("?route=settled", ""),
    ("?segment=Basel", "f8 a6 r4 f2 a0"),
    ("?segment=Basel&route=auto", "a6 a0"),
    ("?segment=Nowhere", ""),
    ("?model=scanner", "f8 r7 a6 f5"),
    ("?model=scanner&segment=Bern", "r7 f5"),
    ("?verdict=confirmed", "r1"),
    ("?verdict=corrected", "r4"),
    ("?verdict=rejected", ""),
    ("?q=number+7", "r7"),
    ("?q=LETTER", "f8 r7 a6 f5 r4 a3 f2 r1 a0"),
    ("?q=R4", "r4"),
    ("?q=100%25", "f8 r7 a6 f5 r4 a3 f2 r1 a0"),
    ("?q=1_0", ""),
    ("?model_version=2&route=auto", "a3"),
    ("?label=b", "r7 f5 a3 r1"),
    ("?label=b&verdict=corrected", ""),
    ("?id=r4", "r4"),
    ("?id=r4&route=auto", ""),
    ("?id=R4", ""),
    ("?from=2025-01-01&to=2100-01-01", "f8 r7 a6 f5 r4 a3 f2 r1 a0"),
    ("?from=2100-01-01", ""),
    ("?to=2025-01-01&q=letter", ""),
    ("?route=", "f8 r7 a6 f5 r4 a3 f2 r1 a0"),
]


def test_filters(mixed: Api, subtests: pytest.Subtests) -> None:
    for query, expected in FILTERS:
        with subtests.test(query):
            assert ids(mixed, query) == expected.split()


@pytest.mark.slow
@pytest.mark.parametrize("query", ["", "route=review&", "segment=Basel&", "q=number&"])
def test_pages_together_are_the_list(mixed: Api, query: str) -> None:
    whole = ids(mixed, f"?{query}")
    for limit in (1, 2, 3, 4, 8, 9, 10, 500):
        assert ids(mixed, f"?{query}limit={limit}") == whole, limit


SPARSE = [
    "?q=number+1&limit=2",
    "?verdict=confirmed&limit=1",
    "?segment=Basel&limit=2",
    "?model=reader&route=auto",
]


@pytest.mark.slow
def test_a_search_that_looks_at_few_rows_at_a_time_finds_them_all(
    mixed: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for query in SPARSE:
        whole = ids(mixed, query)
        assert whole
        for scanned in (1, 2, 5):
            with monkeypatch.context() as patch:
                patch.setattr("labeling.pipeline.search._MOST_SCANNED", scanned)
                patch.setattr("labeling.pipeline.search._MOST_READ", scanned)
                assert ids(mixed, query) == whole, (query, scanned)


def test_a_new_prediction_does_not_disturb_somebody_who_pages(mixed: Api) -> None:
    page = mixed.get(mixed.below("predictions/?limit=4")).expect(200)
    mixed.predict(a_row()).expect(201)
    rest = mixed.get(page["next"].removeprefix("http://testserver")).expect(200)
    assert [line["id"] for line in page["results"] + rest["results"]] == [
        "f8",
        "r7",
        "a6",
        "f5",
        "r4",
        "a3",
        "f2",
        "r1",
    ]


def test_a_line_of_the_list(otto: Api) -> None:
    otto.predict(a_row(id="x", segment="Basel")).expect(201)
    (line,) = otto.get(otto.below("predictions/")).expect(200)["results"]
    assert {**line, "prediction_id": 0, "received_at": ""} == {
        "prediction_id": 0,
        "id": "x",
        "route": "review",
        "reason": "medium",
        "confidence": 0.8,
        "prediction": {"label": "a"},
        "segment": "Basel",
        "model": "reader",
        "model_version": "1",
        "verdict": None,
        "received_at": "",
    }


def test_an_undone_verdict_is_none(otto: Api, rita: Api) -> None:
    otto.predict(a_row()).expect(201)
    rita.undo(rita.decide(rita.claim_one(), "confirmed").expect(201)["decision"]).expect(200)
    assert ids(otto, "?verdict=confirmed") == []


WRONG_QUERIES = [
    ("predictions/?route=nowhere", "/route"),
    ("predictions/?verdict=perhaps", "/verdict"),
    ("predictions/?limit=0", "/limit"),
    ("predictions/?limit=501", "/limit"),
    ("predictions/?limit=-1", "/limit"),
    ("predictions/?limit=ten", "/limit"),
    ("predictions/?limit=%D9%A1", "/limit"),
    ("predictions/?limit=1e1", "/limit"),
    ("predictions/?cursor=x", "/cursor"),
    ("predictions/?cursor=%00", "/cursor"),
    ("predictions/?cursor=WzEsMl0=", "/cursor"),
    ("predictions/?cursor=W2ZhbHNlLCJ4Il0=", "/cursor"),  # [false,"x"]
    ("predictions/?cursor=W3RydWUsMV0=", "/cursor"),  # [true,1]
    ("predictions/?cursor=W2ZhbHNlLDFlNDAwXQ==", "/cursor"),  # [false,1e400]
    ("predictions/?q=%00", "/q"),
    ("predictions/?from=yesterday", "/from"),
    ("predictions/?to=2026-02-30", "/to"),
    ("predictions/?to=9999-12-31", "/to"),
    ("predictions/?id=%00", "/id"),
    ("predictions/?label=%00", "/label"),
    ("predictions/?segment=%00", "/segment"),
    ("predictions/?q=" + "x" * 1_001, "/q"),
    ("outcomes/?after=-1", "/after"),
    ("outcomes/?after=x", "/after"),
    ("outcomes/?after=99999999999999999999", "/after"),
    ("outcomes/?limit=0", "/limit"),
    ("outcomes/?limit=1001", "/limit"),
    ("outcomes/?limit=%00", "/limit"),
]


@pytest.mark.parametrize(("path", "pointer"), WRONG_QUERIES)
def test_a_wrong_query_is_named(otto: Api, path: str, pointer: str) -> None:
    problem = otto.get(otto.below(path)).expect_problem(422)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize(
    "query", ["q=%ff", "segment=%ff%fe", "q=%F0%9F%99%82", "unknown=1", "q='%22;--", "q=%25_%5C"]
)
def test_a_query_may_hold_anything(otto: Api, query: str) -> None:
    otto.predict(a_row()).expect(201)
    assert otto.get(otto.below(f"predictions/?{query}")).expect(200)["results"] == [] or query == "unknown=1"


# --- The story of an item --------------------------------------------------------------------------------------------


def test_the_story_of_an_item(otto: Api, rita: Api, world: World) -> None:
    otto.predict(a_row(id="x", input={"text": "Dear Sir"}, segment="Basel", explanation={"w": 1})).expect(201)
    undone = rita.decide(rita.claim_one(), "confirmed", note="hm").expect(201)["decision"]
    rita.undo(undone, reason="typo").expect(200)
    counts = (
        world.api("rolf")
        .decide(world.api("rolf").claim_one(), "corrected", {"label": "b"}, seconds=3.5)
        .expect(201)["decision"]
    )
    otto.predict(a_row(id="x", model_version="2", confidence=0.99)).expect(201)

    story = otto.story("x")
    assert (story["id"], story["input"]) == ("x", {"text": "Dear Sir"})
    first, second = story["predictions"]
    assert (first["route"], first["reason"], first["policy_version"], first["confidence"]) == (
        "review",
        "medium",
        1,
        0.8,
    )
    assert (first["model"], first["model_version"], first["segment"], first["explanation"]) == (
        "reader",
        "1",
        "Basel",
        {"w": 1},
    )
    assert (second["route"], second["served"]) == ("settled", {"label": "b"})
    one, two = story["decisions"]
    assert (one["decision"], one["verdict"], one["decided_by"], one["note"]) == (
        undone,
        "confirmed",
        "rita",
        "hm",
    )
    assert one["undone_at"] is not None
    assert (two["decision"], two["verdict"], two["output"], two["seconds"]) == (
        counts,
        "corrected",
        {"label": "b"},
        3.5,
    )
    assert two["undone_at"] is None
    assert story["accepted_label"] == {
        "output": {"label": "b"},
        "origin": "human",
        "revision": 2,
        "decision": counts,
    }
    assert story["dataset_versions"] == []


def test_the_label_that_counts(otto: Api, rita: Api) -> None:
    otto.predict(a_row(id="r")).expect(201)
    assert otto.story("r")["accepted_label"] is None
    otto.predict(a_row(id="a", confidence=0.99)).expect(201)
    assert otto.story("a")["accepted_label"] == {
        "output": {"label": "a"},
        "origin": "auto",
        "revision": 1,
        "decision": None,
    }
    decision = rita.decide(rita.claim_one(), "confirmed").expect(201)["decision"]
    assert otto.story("r")["accepted_label"] == {
        "output": {"label": "a"},
        "origin": "human",
        "revision": 1,
        "decision": decision,
    }


@pytest.mark.parametrize("key", ["nothing", "%00", "%ff", "x/y", "x" * 300])
def test_there_is_no_such_item(otto: Api, key: str) -> None:
    otto.get(otto.below(f"predictions/{key}/")).expect_problem(404, "not_found")


def test_an_item_of_another_project_is_not_found(world: World, otto: Api) -> None:
    other = world.make_project("parcels")
    world.api(at=other).predict(a_row(id="x")).expect(201)
    otto.get(otto.below("predictions/x/")).expect_problem(404, "not_found")


def test_models_are_made_as_they_come(otto: Api) -> None:
    otto.predict([a_row(model_version=v) for v in ("1", "2", "1")]).expect(200)
    assert sorted(ModelVersion.objects.values_list("name", "version")) == [("reader", "1"), ("reader", "2")]

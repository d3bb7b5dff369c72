"""What a posted form means, for each kind of answer."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import QueryDict

from labeling.errors import InvalidError
from labeling.projects.label_schema import compile_schema
from labeling.web.answers import read_answer

SCHEMAS: dict[str, Any] = {
    "classification": {"labels": ["a", "b"]},
    "multilabel": {"labels": ["a", "b", "c"]},
    "text": {},
    "fields": {
        "fields": {"who": {}, "sum": {"type": "number"}, "paid": {"type": "boolean"}, "day": {"type": "date"}}
    },
    "spans": {"labels": ["PER"]},
}
FIELDS = {"who": "Nord\r\nhof", "sum": 41.8, "paid": True, "day": None}


def read(
    task_type: str, form: dict[str, Any], predicted: Any = None, *, schema: Any = None
) -> tuple[str, Any]:
    """Verdict and output of a form; without a prediction it is a task without a suggestion."""
    post = QueryDict(mutable=True)
    for name, value in form.items():
        post.setlist(name, value if isinstance(value, list) else [value])
    compiled = compile_schema(task_type, SCHEMAS[task_type] if schema is None else schema)
    kind = "label" if predicted is None else "review"
    answer = read_answer(post, kind=kind, schema=compiled, predicted=predicted)
    return answer.verdict, answer.output


@pytest.mark.parametrize(
    ("task_type", "predicted", "form", "expected"),
    [
        ("classification", {"label": "a"}, {"label": "a"}, ("confirmed", None)),
        ("classification", {"label": "a"}, {"label": "b"}, ("corrected", {"label": "b"})),
        ("classification", None, {"label": "b"}, ("labelled", {"label": "b"})),
        ("classification", {"label": "a"}, {"label": "b", "action": "reject"}, ("rejected", None)),
        ("classification", None, {"action": "escalate"}, ("escalated", None)),
        ("classification", None, {"as_answer": '{"label": "b"}', "label": "a"}, ("labelled", {"label": "b"})),
        ("classification", None, {"as_answer": "", "label": "a"}, ("labelled", {"label": "a"})),
        ("multilabel", {"labels": ["b", "a"]}, {"labels": ["a", "b"]}, ("confirmed", None)),
        ("multilabel", {"labels": ["a"]}, {"labels": ["c", "c"]}, ("corrected", {"labels": ["c"]})),
        ("multilabel", {"labels": ["a"]}, {}, ("corrected", {"labels": []})),
        ("multilabel", None, {"no_label": "1"}, ("labelled", {"labels": []})),
        ("text", {"text": "one\ntwo"}, {"text": "one\r\ntwo"}, ("confirmed", None)),
        ("text", {"text": "one\r\ntwo "}, {"text": "one\r\ntwo"}, ("confirmed", None)),
        ("text", {"text": "e\u0301t\u00e9"}, {"text": "\u00e9t\u00e9"}, ("confirmed", None)),
        ("text", {"text": "one"}, {"text": "two\r\nlines"}, ("corrected", {"text": "two\nlines"})),
        ("text", {"text": "one"}, {"text": ""}, ("corrected", {"text": ""})),
        ("text", None, {"text": "", "no_text": "1"}, ("labelled", {"text": ""})),
        ("spans", {"spans": []}, {}, ("confirmed", None)),
    ],
)
def test_what_a_form_means(task_type: str, predicted: Any, form: dict[str, Any], expected: Any) -> None:
    assert read(task_type, form, predicted) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ({}, ("confirmed", None)),
        ({"who": "Nord\nhof"}, ("confirmed", None)),
        ({"sum": "39.91"}, ("corrected", {**FIELDS, "sum": 39.91})),
        ({"sum": "1 204"}, ("corrected", {**FIELDS, "sum": 1204})),
        ({"sum": ""}, ("corrected", {**FIELDS, "sum": None})),
        ({"paid": "false"}, ("corrected", {**FIELDS, "paid": False})),
        ({"day": "2026-11-20"}, ("corrected", {**FIELDS, "day": "2026-11-20"})),
    ],
)
def test_fields_keep_what_the_model_read_unless_it_was_changed(typed: dict[str, str], expected: Any) -> None:
    form = {"field:who": "Nord\r\nhof", "field:sum": "41.8", "field:paid": "true", "field:day": ""}
    verdict, output = read("fields", form | {f"field:{n}": v for n, v in typed.items()}, {"fields": FIELDS})
    assert (verdict, output and output["fields"]) == expected


@pytest.mark.parametrize(
    ("task_type", "form"),
    [
        ("classification", {}),
        ("classification", {"label": " "}),
        ("classification", {"as_answer": "no json"}),
        ("classification", {"as_answer": "[1]"}),
        ("multilabel", {}),
        ("text", {"text": " "}),
        ("fields", {"field:who": ""}),
        ("spans", {}),
    ],
)
def test_no_answer_is_refused_where_nothing_was_suggested(task_type: str, form: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        read(task_type, form)


@pytest.mark.parametrize(
    ("task_type", "predicted", "form"),
    [
        ("classification", {"label": "a"}, {"label": "zebra"}),
        ("multilabel", {"labels": ["a"]}, {"labels": ["zebra"]}),
        ("fields", {"fields": {"sum": 1}}, {"field:sum": "many"}),
        ("fields", {"fields": {"sum": 1}}, {"field:sum": "nan"}),
        ("fields", {"fields": {"day": None}}, {"field:day": "tomorrow"}),
    ],
)
def test_corrections_outside_the_schema_are_refused(
    task_type: str, predicted: Any, form: dict[str, Any]
) -> None:
    with pytest.raises(InvalidError):
        read(task_type, form, predicted)


def test_an_open_vocabulary_takes_what_is_typed() -> None:
    assert read("classification", {"label": " new "}, {"label": "old"}, schema={"labels": []}) == (
        "corrected",
        {"label": "new"},
    )
    lines = {"labels": "one\r\n two \r\n\r\n"}
    assert read("multilabel", lines, schema={"labels": []}) == ("labelled", {"labels": ["one", "two"]})


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("2.5", 2.5), ("", None), ("-1", None), ("soon", None), ("1e9", 86_400.0), ("nan", None)],
)
def test_seconds_are_what_the_page_measured_or_nothing(typed: str, seconds: float | None) -> None:
    post = QueryDict(f"action=reject&seconds={typed}")
    answer = read_answer(post, kind="review", schema=compile_schema("text", {}), predicted={"text": ""})
    assert answer.seconds == seconds

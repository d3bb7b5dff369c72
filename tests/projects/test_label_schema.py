"""Label schemas and the outputs they allow, beyond the tables of the API's tests: nothing sent can make a check fail."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labeling.errors import InvalidError
from labeling.projects.label_schema import (
    MAX_LABELS,
    MAX_PARTS,
    TASK_TYPES,
    compile_schema,
    labels_of,
    predicted_label,
)
from tests.world import SCHEMAS

EXAMPLES = settings(
    derandomize=True, max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

names = st.sampled_from(
    [
        "label",
        "labels",
        "text",
        "words",
        "fields",
        "confidences",
        "boxes",
        "spans",
        "start",
        "end",
        "x",
        "y",
        "width",
        "height",
        "confidence",
        "total",
        "type",
        "a",
    ]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-1, 3)
    | st.floats()
    | st.sampled_from(["a", "", "cat", "PER", "string", "2026-01-01"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
    max_leaves=12,
)


@pytest.mark.slow
@pytest.mark.parametrize("task_type", TASK_TYPES)
@pytest.mark.parametrize("is_prediction", [True, False])
def test_any_value_is_valid_or_told_why_not(task_type: str, is_prediction: bool) -> None:
    schema = compile_schema(task_type, SCHEMAS[task_type])

    @EXAMPLES
    @given(values, values)
    def check(output: Any, text: Any) -> None:
        errors = schema.check(
            output, pointer="/output", item_input={"text": text}, is_prediction=is_prediction
        )
        assert all(error.pointer.startswith("/output") and error.code and error.detail for error in errors)
        if not errors:
            assert isinstance(output, dict)
            labels_of(task_type, output)
            predicted_label(task_type, output)

    check()


@pytest.mark.slow
@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_any_schema_is_good_or_told_why_not(task_type: str) -> None:
    @EXAMPLES
    @given(values)
    def check(body: Any) -> None:
        with suppress(InvalidError):
            schema = compile_schema(task_type, body)
            assert schema.labels == set(body.get("labels", []))
            assert set(schema.fields) == set(body.get("fields", {}))

    check()


def test_as_many_labels_as_allowed() -> None:
    labels = [f"label {number}" for number in range(MAX_LABELS)]
    assert compile_schema("classification", {"labels": labels}).label_order == tuple(labels)
    with pytest.raises(InvalidError):
        compile_schema("classification", {"labels": [*labels, "one more"]})


PARTS = {
    "multilabel": lambda count: {"labels": ["a"] * count},
    "text": lambda count: {"text": "", "words": [{"text": "", "confidence": 1}] * count},
    "spans": lambda count: {"spans": [{"start": 0, "end": 1, "label": "PER"}] * count},
    "boxes": lambda count: {"boxes": [{"x": 0, "y": 0, "width": 1, "height": 1, "label": "cat"}] * count},
}


@pytest.mark.parametrize("task_type", PARTS)
def test_as_many_parts_as_allowed(task_type: str) -> None:
    schema = compile_schema(task_type, SCHEMAS[task_type])
    make = PARTS[task_type]
    assert schema.check(make(MAX_PARTS), pointer="", item_input={"text": "x"}, is_prediction=True) == []
    assert schema.check(make(MAX_PARTS + 1), pointer="", item_input={"text": "x"}, is_prediction=True) != []


TEXTS = [("Anna", 4), ("🙂🙂", 2), ("e\u0301", 2), ("👩\u200d👧", 3), ("", 0)]


@pytest.mark.parametrize(("text", "length"), TEXTS)
def test_spans_are_counted_in_code_points(text: str, length: int) -> None:
    schema = compile_schema("spans", SCHEMAS["spans"])
    for end in range(1, length + 2):
        output = {"spans": [{"start": 0, "end": end, "label": "PER"}]}
        assert (schema.check(output, pointer="", item_input={"text": text}) == []) == (end <= length)


@pytest.mark.parametrize("item_input", [None, {}, {"text": 5}, {"text": None}, {"html": "x"}])
def test_without_a_text_only_the_order_is_checked(item_input: Any) -> None:
    schema = compile_schema("spans", SCHEMAS["spans"])
    assert (
        schema.check({"spans": [{"start": 0, "end": 99, "label": "PER"}]}, pointer="", item_input=item_input)
        == []
    )
    assert (
        schema.check({"spans": [{"start": 9, "end": 9, "label": "PER"}]}, pointer="", item_input=item_input)
        != []
    )


def test_a_box_may_touch_the_edge() -> None:
    schema = compile_schema("boxes", SCHEMAS["boxes"])
    for x, width in ((0, 1), (0.9, 0.1), (0.7, 0.3), (1 / 3, 2 / 3), (0.1 + 0.2, 0.7)):
        output = {"boxes": [{"x": x, "y": 0, "width": width, "height": 1, "label": "cat"}]}
        assert schema.check(output, pointer="") == []


LABELS = [
    ("classification", {"label": "a"}, ["a"], "a"),
    ("multilabel", {"labels": ["a", "b"]}, ["a", "b"], None),
    ("spans", {"spans": [{"start": 0, "end": 1, "label": "PER"}]}, ["PER"], None),
    ("boxes", {"boxes": [{"label": "cat"}, {"label": "cat"}]}, ["cat", "cat"], None),
    ("text", {"text": "a"}, [], None),
    ("fields", {"fields": {"total": "a"}}, [], None),
]


@pytest.mark.parametrize(("task_type", "output", "labels", "label"), LABELS)
def test_the_labels_of_an_output(task_type: str, output: Any, labels: list[str], label: str | None) -> None:
    assert labels_of(task_type, output) == labels
    assert predicted_label(task_type, output) == label

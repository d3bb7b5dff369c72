"""When two outputs say the same: decides between confirmed and corrected."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.decisions.diffing import core_output, equal

EXAMPLES = settings(derandomize=True, max_examples=80, deadline=None)


def span(start: int, end: int, label: str = "PER") -> dict[str, Any]:
    return {"start": start, "end": end, "label": label}


def box(x: float, label: str = "cat", **more: Any) -> dict[str, Any]:
    return {"x": x, "y": 0.1, "width": 0.2, "height": 0.3, "label": label, **more}


SAME: list[tuple[str, Any, Any]] = [
    ("classification", {"label": "a"}, {"label": "a"}),
    ("multilabel", {"labels": []}, {"labels": []}),
    ("multilabel", {"labels": ["a", "b"]}, {"labels": ["b", "a"]}),
    ("multilabel", {"labels": ["a", "a"]}, {"labels": ["a"]}),
    ("text", {"text": ""}, {"text": " \n\t"}),
    ("text", {"text": "Café"}, {"text": "Cafe\u0301"}),
    ("text", {"text": "Å"}, {"text": "\u212b"}),
    ("text", {"text": "  a b  "}, {"text": "a b"}),
    ("text", {"text": "a\u00a0"}, {"text": "a"}),
    ("text", {"text": "a", "words": [{"text": "a", "confidence": 0.5}]}, {"text": "a"}),
    ("fields", {"fields": {}}, {"fields": {"total": None}}),
    ("fields", {"fields": {"total": "9.00 "}}, {"fields": {"total": "9.00"}}),
    ("fields", {"fields": {"a": 1, "b": 2}}, {"fields": {"b": 2.0, "a": 1.0}}),
    ("fields", {"fields": {"a": True}}, {"fields": {"a": True}, "confidences": {"a": 0.5}}),
    ("spans", {"spans": []}, {"spans": []}),
    ("spans", {"spans": [span(0, 1), span(2, 3)]}, {"spans": [span(2, 3), span(0, 1)]}),
    ("spans", {"spans": [{**span(0, 1), "confidence": 0.1}]}, {"spans": [span(0, 1)]}),
    ("boxes", {"boxes": [box(0.1), box(0.2)]}, {"boxes": [box(0.2, confidence=0.9), box(0.1)]}),
]
OTHER: list[tuple[str, Any, Any]] = [
    ("classification", {"label": "a"}, {"label": "b"}),
    ("classification", {"label": "a"}, {"label": "A"}),
    ("classification", {"label": "a"}, {"label": "a "}),
    ("classification", {"label": "é"}, {"label": "e\u0301"}),  # labels are names, compared as they are
    ("multilabel", {"labels": ["a"]}, {"labels": []}),
    ("multilabel", {"labels": ["a"]}, {"labels": ["a", "b"]}),
    ("text", {"text": "a"}, {"text": "A"}),
    ("text", {"text": "a b"}, {"text": "a  b"}),
    ("text", {"text": "ﬁ"}, {"text": "fi"}),  # NFC, not NFKC
    ("fields", {"fields": {"total": ""}}, {"fields": {"total": None}}),
    ("fields", {"fields": {"total": "9"}}, {"fields": {"total": "9.00"}}),
    ("fields", {"fields": {"total": "1"}}, {"fields": {"total": 1}}),
    ("fields", {"fields": {"a": True}}, {"fields": {"a": 1}}),
    ("fields", {"fields": {"a": False}}, {"fields": {"a": 0}}),
    ("fields", {"fields": {"a": False}}, {"fields": {"a": None}}),
    ("fields", {"fields": {"a": 0}}, {"fields": {}}),
    ("spans", {"spans": [span(0, 1)]}, {"spans": []}),
    ("spans", {"spans": [span(0, 1)]}, {"spans": [span(0, 2)]}),
    ("spans", {"spans": [span(0, 1)]}, {"spans": [span(0, 1, "LOC")]}),
    ("spans", {"spans": [span(0, 1)]}, {"spans": [span(0, 1), span(0, 1)]}),
    ("boxes", {"boxes": [box(0.1)]}, {"boxes": [box(0.10000001)]}),
    ("boxes", {"boxes": [box(0.1)]}, {"boxes": [box(0.1, "dog")]}),
]


@pytest.mark.parametrize(("task_type", "one", "other"), SAME)
def test_the_same(task_type: str, one: Any, other: Any) -> None:
    assert equal(task_type, one, other)
    assert equal(task_type, other, one)


@pytest.mark.parametrize(("task_type", "one", "other"), OTHER)
def test_not_the_same(task_type: str, one: Any, other: Any) -> None:
    assert not equal(task_type, one, other)
    assert not equal(task_type, other, one)


@pytest.mark.parametrize(("task_type", "one", "other"), SAME + OTHER)
def test_a_plain_label_says_the_same_and_cannot_be_made_plainer(task_type: str, one: Any, other: Any) -> None:
    for output in (one, other):
        plain = core_output(task_type, output)
        assert equal(task_type, plain, output)
        assert core_output(task_type, plain) == plain
        assert not {"words", "confidences", "boxes" if task_type == "fields" else "words"} & set(plain)


def test_a_plain_label_keeps_its_order() -> None:
    assert core_output("multilabel", {"labels": ["b", "a", "b"]}) == {"labels": ["b", "a"]}
    spans = [{**span(5, 6), "confidence": 0.2}, span(0, 1)]
    assert core_output("spans", {"spans": spans}) == {"spans": [span(5, 6), span(0, 1)]}


labels = st.sampled_from("abc")
spans = st.builds(span, st.integers(0, 5), st.integers(6, 9), labels)
boxes = st.builds(box, st.sampled_from([0.0, 0.1, 0.25]), labels)
fields = st.dictionaries(
    st.sampled_from(["a", "b"]),
    st.none() | st.text(max_size=3) | st.integers(0, 2) | st.booleans() | st.floats(0, 2),
)
outputs: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "classification": st.fixed_dictionaries({"label": labels}),
    "multilabel": st.fixed_dictionaries({"labels": st.lists(labels, max_size=4)}),
    "text": st.fixed_dictionaries({"text": st.text(max_size=4)}),
    "fields": st.fixed_dictionaries({"fields": fields}),
    "spans": st.fixed_dictionaries({"spans": st.lists(spans, max_size=3)}),
    "boxes": st.fixed_dictionaries({"boxes": st.lists(boxes, max_size=3)}),
}


@pytest.mark.parametrize("task_type", outputs)
def test_sameness_is_reflexive_symmetric_transitive_and_blind_to_order(task_type: str) -> None:
    @EXAMPLES
    @given(outputs[task_type], outputs[task_type], outputs[task_type], st.integers(0, 99))
    def check(one: Any, two: Any, three: Any, seed: int) -> None:
        assert equal(task_type, one, one)
        assert equal(task_type, one, two) == equal(task_type, two, one)
        if equal(task_type, one, two) and equal(task_type, two, three):
            assert equal(task_type, one, three)
        ((name, part),) = one.items()
        if isinstance(part, list):
            assert equal(task_type, one, {name: random.Random(seed).sample(part, len(part))})

    check()

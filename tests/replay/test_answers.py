"""What replayed people and worsened models say."""

import random
from typing import Any

import pytest

from labeling.decisions.diffing import core_output, equal
from labeling.decisions.slips import another_output
from labeling.replay.answers import Habits, answer_task
from labeling.replay.mapping import Truth
from labeling.replay.mistakes import degraded, seeded

CAREFUL = Habits()
LABELS = ["a", "b", "c"]
OUTPUTS: dict[str, dict[str, Any]] = {
    "classification": {"label": "a"},
    "multilabel": {"labels": ["a", "b"]},
    "text": {"text": "TOTAL 9.00"},
    "fields": {"fields": {"total": "9.00", "date": None}},
    "spans": {"spans": [{"start": 0, "end": 5, "label": "a"}]},
    "boxes": {"boxes": [{"x": 0, "y": 0, "width": 0.5, "height": 0.5, "label": "a"}]},
}
EMPTY = {"multilabel": {"labels": []}, "text": {"text": " "}, "spans": {"spans": []}, "boxes": {"boxes": []}}


def task(prediction: Any, kind: str = "review", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "prediction": prediction, "item": {"id": "1"}, **more}


def answer(
    prediction: Any, truth: Truth, *, habits: Habits = CAREFUL, kind: str = "review", **more: Any
) -> Any:
    return answer_task(
        task_type="classification",
        task=task(prediction, kind, **more),
        truth=truth,
        labels=LABELS,
        habits=habits,
        rng=random.Random(1),
    )


@pytest.mark.parametrize("task_type", OUTPUTS)
@pytest.mark.parametrize("seed", range(20))
def test_a_slip_always_differs_by_the_products_own_comparison(task_type: str, seed: int) -> None:
    right = OUTPUTS[task_type]

    slip = another_output(task_type, right, LABELS, random.Random(seed))

    assert slip is not None
    assert not equal(task_type, right, core_output(task_type, slip))


@pytest.mark.parametrize("task_type", EMPTY)
def test_a_slip_on_an_empty_output_adds_something(task_type: str) -> None:
    slip = another_output(task_type, EMPTY[task_type], LABELS, random.Random(0))

    assert slip is not None
    assert not equal(task_type, EMPTY[task_type], slip)


def test_where_only_one_answer_is_possible_nobody_errs() -> None:
    assert another_output("classification", {"label": "a"}, ["a"], random.Random(0)) is None
    assert another_output("multilabel", {"labels": []}, [], random.Random(0)) is None
    assert another_output("spans", {"spans": []}, [], random.Random(0)) is None
    assert another_output("fields", {"fields": {"paid": True}}, [], random.Random(0)) is None


def test_people_confirm_what_is_right_and_correct_what_is_wrong() -> None:
    truth = Truth({"label": "a"})

    assert answer({"label": "a"}, truth).verdict == "confirmed"
    corrected = answer({"label": "b"}, truth)
    assert (corrected.verdict, corrected.output) == ("corrected", {"label": "a"})


def test_acceptable_labels_pass_only_with_lenient_people() -> None:
    truth = Truth({"label": "a"}, ("b",))

    assert answer({"label": "b"}, truth).verdict == "corrected"
    assert answer({"label": "b"}, truth, habits=Habits(lenient=True)).verdict == "confirmed"
    assert answer({"label": "c"}, truth, habits=Habits(lenient=True)).verdict == "corrected"


def test_false_accept_lets_the_wrong_pass_and_false_correct_changes_the_right() -> None:
    truth = Truth({"label": "a"})

    assert answer({"label": "b"}, truth, habits=Habits(false_accept=1)).verdict == "confirmed"
    changed = answer({"label": "a"}, truth, habits=Habits(false_correct=1))
    assert changed.verdict == "corrected"
    assert changed.output["label"] in {"b", "c"}


@pytest.mark.parametrize("kind", ["label", "adjudication"])
def test_without_a_suggestion_people_label(kind: str) -> None:
    given = answer(None, Truth({"label": "a"}), kind=kind)

    assert (given.verdict, given.output) == ("labelled", {"label": "a"})


def test_who_settles_and_errs_sides_with_the_wrong_answer() -> None:
    answers = [
        {"output": {"label": "a"}, "origin": "reviewer"},
        {"output": {"label": "c"}, "origin": "model"},
    ]

    given = answer(
        None, Truth({"label": "a"}), kind="adjudication", answers=answers, habits=Habits(false_correct=1)
    )

    assert given.output == {"label": "c"}


def test_people_err_about_as_often_as_asked_and_the_same_way_each_time() -> None:
    truth, habits = Truth({"label": "a"}), Habits(false_accept=0.1)

    def verdicts() -> list[str]:
        return [
            answer_task(
                task_type="classification",
                task=task({"label": "b"}),
                truth=truth,
                labels=LABELS,
                habits=habits,
                rng=seeded(7, "rita", item, "review"),
            ).verdict
            for item in range(2000)
        ]

    first = verdicts()
    assert 150 < first.count("confirmed") < 250
    assert first == verdicts()


def test_a_degraded_model_is_wrong_only_where_it_is_confident() -> None:
    row = {
        "id": "1",
        "prediction": {"label": "a"},
        "confidence": 0.97,
        "probabilities": {"a": 0.97, "b": 0.02},
    }

    worse = degraded(row, "classification", ["a", "b"], 1.0, seed=0)

    assert worse["prediction"] == {"label": "b"}
    assert worse["probabilities"] == {"b": 0.97, "a": 0.02}
    assert degraded(row | {"confidence": 0.95}, "classification", LABELS, 1.0, seed=0)["prediction"] == {
        "label": "a"
    }
    assert degraded(row, "classification", LABELS, 0.0, seed=0) == row
    assert row["prediction"] == {"label": "a"}


def test_a_degraded_share_is_met_and_repeatable() -> None:
    rows = [{"id": str(n), "prediction": {"label": "a"}, "confidence": 0.99} for n in range(2000)]

    worse = [degraded(row, "classification", LABELS, 0.3, seed=5) for row in rows]

    assert 500 < sum(row["prediction"] != {"label": "a"} for row in worse) < 700
    assert worse == [degraded(row, "classification", LABELS, 0.3, seed=5) for row in rows]


def test_a_degraded_text_loses_the_words_that_no_longer_fit_it() -> None:
    row = {
        "id": "1",
        "prediction": {"text": "TOTAL", "words": [{"text": "TOTAL", "confidence": 1}]},
        "confidence": 1,
    }

    assert "words" not in degraded(row, "text", [], 1.0, seed=0)["prediction"]


def test_degraded_fields_keep_their_confidences() -> None:
    prediction = {"fields": {"total": "9.00"}, "confidences": {"total": 0.99}}
    row = {"id": "1", "prediction": prediction, "confidence": 0.99}

    worse = degraded(row, "fields", [], 1.0, seed=0)["prediction"]

    assert worse["confidences"] == {"total": 0.99}
    assert worse["fields"] != prediction["fields"]

"""The shapes of five kinds of files become requests of the API."""

import pytest

from labeling.projects.label_schema import compile_schema
from labeling.replay.mapping import (
    MappingError,
    SchemaSeen,
    prediction_of,
    request_of,
    task_type_of,
    truth_of,
)

from .conftest import CARD, LINE, NEWS, RECEIPT, TWEET

ALL = {"news": NEWS, "card": CARD, "line": LINE, "receipt": RECEIPT, "tweet": TWEET}
UNDERSTOOD = {
    "id", "input", "prediction", "confidence", "model", "model_version", "segment", "occurred_at", "probabilities",
    "explanation", "latency_ms", "cost", "priority",
}  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_a_request_holds_what_the_api_knows_and_nothing_of_the_truth(name: str) -> None:
    request = request_of(ALL[name])

    assert set(request) <= UNDERSTOOD
    assert request["input"] == ALL[name]["input"]
    assert "truth" not in request
    assert "human_votes" not in request


@pytest.mark.parametrize("name", ALL)
def test_predictions_and_truths_fit_the_label_schema_made_from_them(name: str) -> None:
    row = ALL[name]
    seen = SchemaSeen()
    seen.see(task_type_of(row), [prediction_of(row), truth_of(row).output])
    schema = compile_schema(seen.task_type, seen.as_label_schema())

    assert schema.check(prediction_of(row), pointer="", item_input=row["input"], is_prediction=True) == []
    assert schema.check(truth_of(row).output, pointer="", item_input=row["input"]) == []


def test_probs_are_our_probabilities() -> None:
    request = request_of(NEWS)

    assert request["probabilities"] == NEWS["probs"]
    assert "probs" not in request
    assert request["segment"] == "rec"


def test_a_row_in_our_own_names_passes_as_it_is() -> None:
    row = CARD | {"probabilities": {"default": 1.0}, "model_version": "7", "priority": 3, "latency_ms": 12}
    del row["probs"]

    request = request_of(row)

    assert request["probabilities"] == {"default": 1.0}
    assert (request["model_version"], request["priority"], request["latency_ms"]) == ("7", 3, 12)


def test_a_transcription_keeps_its_words() -> None:
    assert task_type_of(LINE) == "text"
    assert prediction_of(LINE) == LINE["prediction"]
    assert truth_of(LINE).output == {"text": "TOTAL 9.00"}


def test_key_values_are_split_into_values_and_confidences() -> None:
    assert task_type_of(RECEIPT) == "fields"
    assert prediction_of(RECEIPT) == {
        "fields": {"company": "ACME", "total": ""},
        "confidences": {"company": 0.9, "total": 0.0},
    }
    assert truth_of(RECEIPT).output == {"fields": {"company": "ACME", "total": "9.00"}}


def test_fields_in_our_own_shape_are_not_split() -> None:
    ours = {"fields": {"total": "9.00"}, "confidences": {"total": 0.5}}

    assert prediction_of(RECEIPT | {"task_type": "fields", "prediction": ours}) == ours


def test_spans_lose_the_text_they_repeat_and_keep_their_confidence() -> None:
    assert prediction_of(TWEET) == {"spans": [{"start": 0, "end": 4, "label": "PER", "confidence": 0.78}]}
    assert truth_of(TWEET).output["spans"][1] == {"start": 8, "end": 17, "label": "LOC"}
    assert request_of(TWEET)["occurred_at"] == "2012-01-01T10:37:26Z"


def test_acceptable_labels_are_known_beside_the_truth() -> None:
    assert truth_of(NEWS).also_acceptable == ("cars",)
    assert truth_of(CARD).also_acceptable == ()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([NEWS], {"labels": ["boats", "cars"]}),
        ([LINE], {}),
        ([RECEIPT], {"fields": {"company": {"type": "string"}, "total": {"type": "string"}}}),
        ([TWEET], {"labels": ["LOC", "PER"]}),
    ],
)
def test_the_label_schema_is_what_predictions_and_truths_use(rows: list[dict], expected: dict) -> None:
    seen = SchemaSeen()
    for row in rows:
        seen.see(task_type_of(row), [prediction_of(row), truth_of(row).output])

    assert seen.as_label_schema() == expected


def test_a_file_of_two_task_types_is_refused() -> None:
    seen = SchemaSeen()
    seen.see("text", [])

    with pytest.raises(MappingError, match="mixes the task types text and spans"):
        seen.see("spans", [])


def test_an_unknown_task_type_is_refused() -> None:
    with pytest.raises(MappingError, match="'video' is not known"):
        task_type_of({"task_type": "video"})

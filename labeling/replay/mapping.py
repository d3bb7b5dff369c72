"""How a recorded row becomes a request: names and shapes of replay files to those of the API. Pure.

A file may use the names of our API as they are; the names of public data sets map to ours.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

TASK_TYPES = {
    "transcription": "text",
    "key_value": "fields",
    "classification": "classification",
    "multilabel": "multilabel",
    "text": "text",
    "fields": "fields",
    "spans": "spans",
    "boxes": "boxes",
}
_SENT_AS_THEY_ARE = (
    "model_version",
    "segment",
    "occurred_at",
    "probabilities",
    "explanation",
    "latency_ms",
    "cost",
    "priority",
)
_PARTS = {"spans": ("start", "end", "label"), "boxes": ("x", "y", "width", "height", "label")}


class MappingError(Exception):
    """A recorded row that has no meaning here; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What the people of the replay know of an item: the right output, and labels they may let pass as well."""

    output: Json
    also_acceptable: tuple[str, ...] = ()


@dataclass
class SchemaSeen:
    """The label schema that a file needs, collected from its predictions and truths."""

    task_type: str = ""
    labels: set[str] = field(default_factory=set)
    fields: dict[str, None] = field(default_factory=dict)

    def see(self, task_type: str, outputs: Iterable[Json]) -> None:
        """Take in the outputs of one row; a file holds one task type."""
        if self.task_type and task_type != self.task_type:
            raise MappingError(f"The file mixes the task types {self.task_type} and {task_type}.")
        self.task_type = task_type
        for output in outputs:
            self.labels.update(labels_in(task_type, output))
            self.fields.update(dict.fromkeys(output.get("fields", ())))

    @property
    def sorted_labels(self) -> list[str]:
        return sorted(self.labels)

    def as_label_schema(self) -> Json:
        """The body of `label_schema` when the project is made."""
        if self.task_type == "text":
            return {}
        if self.task_type == "fields":
            return {"fields": {name: {"type": "string"} for name in self.fields}}
        return {"labels": self.sorted_labels}


def labels_in(task_type: str, output: Json) -> list[str]:
    """The labels that one output uses."""
    if task_type == "classification":
        return [output["label"]]
    if task_type == "multilabel":
        return list(output["labels"])
    if task_type in ("spans", "boxes"):
        return [part["label"] for part in output[task_type]]
    return []


def task_type_of(record: Json) -> str:
    """Our name of the row's task type."""
    recorded = record.get("task_type")
    try:
        return TASK_TYPES[str(recorded)]
    except KeyError:
        raise MappingError(f"The task type {recorded!r} is not known.") from None


def prediction_of(record: Json) -> Json:
    """The row's prediction in the shape of the API."""
    task_type, prediction = task_type_of(record), record["prediction"]
    if task_type == "fields":
        return _field_prediction(prediction)
    if task_type == "text" and "words" in prediction:
        return {"text": prediction["text"], "words": prediction["words"]}
    if task_type in _PARTS:
        return _parts(task_type, prediction, (*_PARTS[task_type], "confidence"))
    return _plain_output(task_type, prediction)


def truth_of(record: Json) -> Truth:
    """The row's right answer in the shape of an output."""
    truth = record["truth"]
    return Truth(_plain_output(task_type_of(record), truth), tuple(truth.get("also_acceptable", ())))


def request_of(record: Json) -> Json:
    """The row as it is posted: everything the model service knew, nothing of the truth."""
    row: Json = {
        "id": record["id"],
        "input": record["input"],
        "prediction": prediction_of(record),
        "confidence": record["confidence"],
        "model": record["model"],
    }
    row.update({name: record[name] for name in _SENT_AS_THEY_ARE if record.get(name) is not None})
    if record.get("probs") is not None:
        row["probabilities"] = record["probs"]
    return row


def _plain_output(task_type: str, recorded: Json) -> Json:
    """An output with nothing but its label: sources and texts beside it are dropped."""
    if task_type == "classification":
        return {"label": recorded["label"]}
    if task_type == "multilabel":
        return {"labels": list(recorded["labels"])}
    if task_type == "text":
        return {"text": recorded["text"]}
    if task_type == "fields":
        return {"fields": dict(recorded["fields"])}
    return _parts(task_type, recorded, _PARTS[task_type])


def _parts(task_type: str, recorded: Json, keys: tuple[str, ...]) -> Json:
    """Spans or boxes with these keys only; data sets repeat the marked text, which the API does not know."""
    return {task_type: [{key: part[key] for key in keys if key in part} for part in recorded[task_type]]}


def _field_prediction(prediction: Json) -> Json:
    """`fields.NAME = {value, confidence}` split into values and confidences; our own shape passes as it is."""
    recorded = prediction["fields"]
    if not all(isinstance(value, dict) for value in recorded.values()):
        return dict(prediction)
    confidences = {name: part["confidence"] for name, part in recorded.items() if "confidence" in part}
    mapped: Json = {"fields": {name: part["value"] for name, part in recorded.items()}}
    return mapped | {"confidences": confidences} if confidences else mapped

"""Between the form on a desk and an answer: what a posted form says, as verdict and output."""

import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from labeling.decisions.diffing import core_output, equal
from labeling.decisions.models import Verdict
from labeling.errors import InvalidError, invalid, say
from labeling.projects.label_schema import OutputSchema
from labeling.review.models import TaskKind

FIELD_PREFIX = "field:"
_MOST_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class PostedAnswer:
    """What the pipeline is told."""

    verdict: str
    output: dict[str, Any] | None
    seconds: float | None
    note: str


def read_answer(
    form: QueryDict, *, kind: str, schema: OutputSchema, predicted: Mapping[str, Any] | None
) -> PostedAnswer:
    """The answer a form stands for. `predicted` is the model's output where the reviewer saw one.

    A form holds the whole answer, changed or not; whether that confirms or corrects is worked out here, so that a page
    without scripts says the same as one with them. InvalidError when nothing was chosen.
    """
    seconds, note = _seconds(form.get("seconds", "")), form.get("note", "").replace("\r\n", "\n").strip()
    simple = {"reject": Verdict.REJECTED, "escalate": Verdict.ESCALATED}.get(form.get("action", ""))
    if simple:
        return PostedAnswer(simple, None, seconds, note)
    if given := form.get("as_answer"):
        return PostedAnswer(Verdict.LABELLED, _given(given), seconds, note)
    shown = core_output(schema.task_type, predicted) if predicted is not None else None
    if schema.task_type in ("spans", "boxes"):
        if kind != TaskKind.REVIEW:
            raise InvalidError(
                "not_editable", say("Marks cannot be drawn on this page yet: skip it, or escalate it.")
            )
        return PostedAnswer(Verdict.CONFIRMED, None, seconds, note)
    output = _READERS[schema.task_type](form, schema, shown)
    if kind != TaskKind.REVIEW:
        return PostedAnswer(Verdict.LABELLED, output, seconds, note)
    schema.require(output, pointer="/output")
    if shown is not None and equal(schema.task_type, output, shown):
        return PostedAnswer(Verdict.CONFIRMED, None, seconds, note)
    return PostedAnswer(Verdict.CORRECTED, output, seconds, note)


def _read_label(form: QueryDict, _schema: OutputSchema, _shown: Mapping[str, Any] | None) -> dict[str, Any]:
    label = form.get("label", "").strip()
    if not label:
        raise invalid("/output/label", "required", say("No label is chosen."))
    return {"label": label}


def _read_labels(form: QueryDict, schema: OutputSchema, shown: Mapping[str, Any] | None) -> dict[str, Any]:
    if schema.labels:
        labels = form.getlist("labels")
    else:
        labels = [line.strip() for line in form.get("labels", "").splitlines() if line.strip()]
    if not labels and not form.get("no_label") and shown is None:
        raise invalid("/output/labels", "required", say("Choose a label, or tick “No label applies”."))
    return {"labels": list(dict.fromkeys(labels))}


def _read_text(form: QueryDict, _schema: OutputSchema, shown: Mapping[str, Any] | None) -> dict[str, Any]:
    text = plain_lines(form.get("text", ""))
    if shown is None and not text.strip() and not form.get("no_text"):
        raise invalid("/output/text", "required", say("There is no text yet."))
    if shown is not None and same_text(text, shown["text"]):
        return {"text": shown["text"]}
    return {"text": text}


def _read_fields(form: QueryDict, schema: OutputSchema, shown: Mapping[str, Any] | None) -> dict[str, Any]:
    known = shown["fields"] if shown is not None else {}
    typed = {name: form.get(FIELD_PREFIX + name, "") for name in schema.fields}
    if shown is None and not any(value.strip() for value in typed.values()) and not form.get("no_fields"):
        raise invalid("/output/fields", "required", say("Fill in a field, or tick “No field is there”."))
    return {"fields": {n: _field_value(schema.fields[n], text, known.get(n)) for n, text in typed.items()}}


_READERS = {
    "classification": _read_label,
    "multilabel": _read_labels,
    "text": _read_text,
    "fields": _read_fields,
}


def _field_value(kind: str, typed: str, known: Any) -> Any:
    """A field as its type wants it. What the model read stays exactly as it was unless it was changed."""
    text = plain_lines(typed)
    if same_text(text, field_text(known)):
        return known
    if not text.strip():
        return None
    if kind == "number":
        return _number(text.strip())
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.strip(), text)
    return text


def field_text(value: Any) -> str:
    """A field's value as it stands in its input."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def plain_lines(text: str) -> str:
    """Browsers send line ends as CRLF; stored texts have LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def same_text(one: str, other: str) -> bool:
    """Whether an editor that knows only LF shows the same text."""
    return _comparable(one) == _comparable(other)


def _comparable(text: str) -> str:
    return unicodedata.normalize("NFC", plain_lines(text)).strip()


def _number(text: str) -> int | float | str:
    for parse in (int, float):
        try:
            value = parse(text.replace(" ", "").replace("\u202f", ""))
        except ValueError:
            continue
        if math.isfinite(value):
            return value
    return text


def _given(text: str) -> dict[str, Any]:
    try:
        output = json.loads(text)
    except ValueError:
        output = None
    if not isinstance(output, dict):
        raise invalid("/output", "wrong_type", say("This is not one of the answers."))
    return output


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return min(value, _MOST_SECONDS) if value >= 0 else None

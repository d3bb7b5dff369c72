"""What a valid prediction or label looks like for each task type and label schema. Pure.

`compile_schema` turns a label schema into an `OutputSchema` once; its `check` runs for every ingested row, so the common,
valid case does little work and builds no lists.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from labeling.errors import FieldError, InvalidError, Sentence, say

TASK_TYPES = ("classification", "multilabel", "text", "fields", "spans", "boxes")
FIELD_TYPES = ("string", "number", "boolean", "date")
MAX_LABELS = 10_000
MAX_LABEL_LENGTH = 200
MAX_PARTS = 10_000  # spans, boxes or words of one output
_EDGE = 1e-9  # a box that touches the right edge may miss it by rounding

JsonObject = Mapping[str, Any]
Errors = list[FieldError]


@dataclass(frozen=True, slots=True)
class OutputSchema:
    """A label schema made ready to check with. `labels` is empty for an open vocabulary."""

    task_type: str
    labels: frozenset[str] = frozenset()
    label_order: tuple[str, ...] = ()
    fields: dict[str, str] = field(default_factory=dict)

    def check(
        self, output: Any, *, pointer: str, item_input: JsonObject | None = None, is_prediction: bool = False
    ) -> Errors:
        """Everything wrong with an output; an empty list when it is valid. Predictions may carry confidences."""
        if not isinstance(output, dict):
            return [_error(pointer, "wrong_type", say("must be an object"))]
        return _CHECKS[self.task_type](self, output, pointer, item_input or {}, is_prediction)

    def require(self, output: Any, *, pointer: str, item_input: JsonObject | None = None) -> None:
        """Raise InvalidError when the output is not a valid label."""
        errors = self.check(output, pointer=pointer, item_input=item_input)
        if errors:
            raise InvalidError("invalid", errors[0].detail, errors)


def compile_schema(task_type: str, body: Any) -> OutputSchema:
    """Check a label schema and make it ready to use; raises InvalidError naming the place below /label_schema."""
    at = "/label_schema"
    if not isinstance(body, dict):
        raise _invalid(at, "wrong_type", say("label_schema must be an object"))
    expected = {"text": set(), "fields": {"fields"}}.get(task_type, {"labels"})
    for name in body:
        if name not in expected:
            raise _invalid(
                f"{at}/{_escape(name)}",
                "unknown_field",
                say("a {task_type} schema has no {name!r}", task_type=task_type, name=name),
            )
    if task_type == "text":
        return OutputSchema(task_type)
    if task_type == "fields":
        return OutputSchema(task_type, fields=_compile_fields(body.get("fields"), f"{at}/fields"))
    labels = _compile_labels(body.get("labels", []), f"{at}/labels")
    return OutputSchema(task_type, frozenset(labels), tuple(labels))


def predicted_label(task_type: str, output: JsonObject) -> str | None:
    """The label of an output where its task type has exactly one."""
    return output.get("label") if task_type == "classification" else None


def labels_of(task_type: str, output: JsonObject) -> list[str]:
    """Every label an output names."""
    if task_type == "classification":
        return [output["label"]]
    if task_type == "multilabel":
        return list(output["labels"])
    return [part["label"] for part in output.get(task_type, [])] if task_type in ("spans", "boxes") else []


def _compile_labels(labels: Any, at: str) -> list[str]:
    if not isinstance(labels, list):
        raise _invalid(at, "wrong_type", say("labels must be a list of texts"))
    if len(labels) > MAX_LABELS:
        raise _invalid(at, "too_many", say("a schema has at most {max_labels} labels", max_labels=MAX_LABELS))
    seen: set[str] = set()
    for index, label in enumerate(labels):
        if (
            not isinstance(label, str)
            or not label.strip()
            or len(label) > MAX_LABEL_LENGTH
            or "\x00" in label
        ):
            raise _invalid(
                f"{at}/{index}",
                "invalid_label",
                say(
                    "a label is a text of 1 to {max_label_length} characters",
                    max_label_length=MAX_LABEL_LENGTH,
                ),
            )
        if label in seen:
            raise _invalid(
                f"{at}/{index}", "duplicate", say("the label {label!r} is there twice", label=label)
            )
        seen.add(label)
    return labels


def _compile_fields(fields: Any, at: str) -> dict[str, str]:
    if not isinstance(fields, dict) or not fields:
        raise _invalid(at, "required", say("a fields schema names at least one field"))
    compiled = {}
    for name, spec in fields.items():
        where = f"{at}/{_escape(name)}"
        if not name.strip() or len(name) > MAX_LABEL_LENGTH or "\x00" in name:
            raise _invalid(
                where,
                "invalid_name",
                say(
                    "a field's name is a text of 1 to {max_label_length} characters",
                    max_label_length=MAX_LABEL_LENGTH,
                ),
            )
        if (
            not isinstance(spec, dict)
            or spec.get("type", "string") not in FIELD_TYPES
            or set(spec) - {"type"}
        ):
            raise _invalid(
                where,
                "invalid_type",
                say("a field is {{'type': one of {choices}}}", choices=", ".join(FIELD_TYPES)),
            )
        compiled[name] = spec.get("type", "string")
    return compiled


def _check_classification(
    schema: OutputSchema, output: JsonObject, at: str, _: JsonObject, __: bool
) -> Errors:
    label = output.get("label")
    if len(output) == 1 and isinstance(label, str) and label in schema.labels:
        return []
    errors = _names(output, {"label"}, set(), at)
    return errors or _label(schema, output["label"], f"{at}/label")


def _check_multilabel(schema: OutputSchema, output: JsonObject, at: str, _: JsonObject, __: bool) -> Errors:
    errors = _names(output, {"labels"}, set(), at)
    if errors:
        return errors
    labels = output["labels"]
    if not isinstance(labels, list) or len(labels) > MAX_PARTS:
        return [_error(f"{at}/labels", "wrong_type", say("must be a list of labels"))]
    for index, label in enumerate(labels):
        errors += _label(schema, label, f"{at}/labels/{index}")
    return errors


def _check_text(_: OutputSchema, output: JsonObject, at: str, __: JsonObject, is_prediction: bool) -> Errors:
    errors = _names(output, {"text"}, {"words"} if is_prediction else set(), at)
    if errors:
        return errors
    if not isinstance(output["text"], str):
        errors.append(_error(f"{at}/text", "wrong_type", say("must be a text")))
    words = output.get("words", [])
    if not isinstance(words, list) or len(words) > MAX_PARTS:
        return [*errors, _error(f"{at}/words", "wrong_type", say("must be a list of {{text, confidence}}"))]
    for index, word in enumerate(words):
        where = f"{at}/words/{index}"
        if (
            not isinstance(word, dict)
            or set(word) != {"text", "confidence"}
            or not isinstance(word["text"], str)
        ):
            errors.append(_error(where, "wrong_type", say("must be {{text, confidence}}")))
        else:
            errors += _confidence(word["confidence"], f"{where}/confidence")
    return errors


def _check_fields(
    schema: OutputSchema, output: JsonObject, at: str, _: JsonObject, is_prediction: bool
) -> Errors:
    errors = _names(output, {"fields"}, {"confidences", "boxes"} if is_prediction else set(), at)
    if errors:
        return errors
    for part, check in (("fields", None), ("confidences", _confidence), ("boxes", _box_list)):
        values = output.get(part, {})
        if not isinstance(values, dict):
            errors.append(
                _error(f"{at}/{part}", "wrong_type", say("must be an object with the schema's fields"))
            )
            continue
        for name, value in values.items():
            where = f"{at}/{part}/{_escape(name)}"
            kind = schema.fields.get(name)
            if kind is None:
                errors.append(
                    _error(where, "unknown_field", say("the label schema has no field {name!r}", name=name))
                )
            else:
                errors += check(value, where) if check else _field_value(kind, value, where)
    return errors


def _check_spans(
    schema: OutputSchema, output: JsonObject, at: str, item: JsonObject, is_prediction: bool
) -> Errors:
    errors = _names(output, {"spans"}, set(), at)
    if errors:
        return errors
    spans = output["spans"]
    if not isinstance(spans, list) or len(spans) > MAX_PARTS:
        return [_error(f"{at}/spans", "wrong_type", say("must be a list of {{start, end, label}}"))]
    text = item.get("text")
    length = len(text) if isinstance(text, str) else None
    optional = {"confidence"} if is_prediction else set()
    for index, span in enumerate(spans):
        where = f"{at}/spans/{index}"
        problems = _names(span, {"start", "end", "label"}, optional, where)
        errors += problems or _span(schema, span, where, length)
    return errors


def _check_boxes(
    schema: OutputSchema, output: JsonObject, at: str, _: JsonObject, is_prediction: bool
) -> Errors:
    errors = _names(output, {"boxes"}, set(), at)
    if errors:
        return errors
    boxes = output["boxes"]
    if not isinstance(boxes, list) or len(boxes) > MAX_PARTS:
        return [_error(f"{at}/boxes", "wrong_type", say("must be a list of {{x, y, width, height, label}}"))]
    optional = {"confidence"} if is_prediction else set()
    for index, box in enumerate(boxes):
        where = f"{at}/boxes/{index}"
        problems = _names(box, {"x", "y", "width", "height", "label"}, optional, where)
        if not problems:
            problems = _box([box[side] for side in ("x", "y", "width", "height")], where)
            problems += _label(schema, box["label"], f"{where}/label")
            problems += _confidence(box["confidence"], f"{where}/confidence") if "confidence" in box else []
        errors += problems
    return errors


_Check = Callable[[OutputSchema, JsonObject, str, JsonObject, bool], Errors]
_CHECKS: dict[str, _Check] = {
    "classification": _check_classification,
    "multilabel": _check_multilabel,
    "text": _check_text,
    "fields": _check_fields,
    "spans": _check_spans,
    "boxes": _check_boxes,
}


def _span(schema: OutputSchema, span: JsonObject, at: str, length: int | None) -> Errors:
    start, end = span["start"], span["end"]
    if not _is_int(start) or not _is_int(end):
        return [_error(at, "wrong_type", say("start and end must be whole numbers"))]
    if not 0 <= start < end or (length is not None and end > length):
        if length is None:
            return [_error(at, "out_of_range", say("needs 0 <= start < end"))]
        detail = say("needs 0 <= start < end <= {length}, the length of input.text", length=length)
        return [_error(at, "out_of_range", detail)]
    errors = _label(schema, span["label"], f"{at}/label")
    return errors + (_confidence(span["confidence"], f"{at}/confidence") if "confidence" in span else [])


def _label(schema: OutputSchema, label: Any, at: str) -> Errors:
    if not isinstance(label, str) or not label.strip() or len(label) > MAX_LABEL_LENGTH:
        return [
            _error(
                at,
                "wrong_type",
                say(
                    "must be a text of 1 to {max_label_length} characters", max_label_length=MAX_LABEL_LENGTH
                ),
            )
        ]
    if schema.labels and label not in schema.labels:
        return [_error(at, "unknown_label", say("{label!r} is not in the label schema", label=label))]
    return []


def _field_value(kind: str, value: Any, at: str) -> Errors:
    if value is None:
        return []
    if kind == "date":
        return (
            []
            if isinstance(value, str) and _is_date(value)
            else [_error(at, "wrong_type", say("must be a date, YYYY-MM-DD"))]
        )
    fits = {
        "string": isinstance(value, str),
        "number": _is_number(value),
        "boolean": isinstance(value, bool),
    }[kind]
    return [] if fits else [_error(at, "wrong_type", say("must be a {kind} or null", kind=kind))]


def _confidence(value: Any, at: str) -> Errors:
    if _is_number(value) and 0 <= value <= 1:
        return []
    return [_error(at, "out_of_range", say("must be a number from 0 to 1"))]


def _box_list(value: Any, at: str) -> Errors:
    if isinstance(value, list) and len(value) == 4 and all(_is_number(side) and side >= 0 for side in value):
        return []
    return [_error(at, "wrong_type", say("must be [x, y, width, height], numbers from 0"))]


def _box(sides: list[Any], at: str) -> Errors:
    if not all(_is_number(side) for side in sides):
        return [_error(at, "wrong_type", say("x, y, width and height must be numbers"))]
    x, y, width, height = sides
    inside = (
        x >= 0 and y >= 0 and width > 0 and height > 0 and x + width <= 1 + _EDGE and y + height <= 1 + _EDGE
    )
    return (
        []
        if inside
        else [_error(at, "out_of_range", say("must lie inside the image, as fractions from 0 to 1"))]
    )


def _names(value: Any, required: set[str], optional: set[str], at: str) -> Errors:
    if not isinstance(value, dict):
        return [_error(at, "wrong_type", say("must be an object"))]
    errors = [
        _error(f"{at}/{_escape(name)}", "unknown_field", say("{name!r} does not belong here", name=name))
        for name in value
        if name not in required and name not in optional
    ]
    return errors + [
        _error(f"{at}/{name}", "required", say("{name} is missing", name=name))
        for name in sorted(required - set(value))
    ]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_int(value) or (isinstance(value, float) and math.isfinite(value))


def _is_date(value: str) -> bool:
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return len(value) == 10


def _escape(name: str) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")


def _error(at: str, code: str, detail: Sentence) -> FieldError:
    return FieldError(at, code, say("{place}: {detail}", place=at.lstrip("/") or "value", detail=detail))


def _invalid(at: str, code: str, detail: Sentence) -> InvalidError:
    return InvalidError("invalid", detail, [FieldError(at, code, detail)])

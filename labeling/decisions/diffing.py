"""When are two outputs the same? Decides between confirmed and corrected. Pure, importable without Django.

Sets for multilabel, exact after NFC and trimmed outer white space for text and field values, order-free for spans and boxes.
"""

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

Output = Mapping[str, Any]


def core_output(task_type: str, output: Output) -> dict[str, Any]:
    """A prediction without what only a prediction may carry (words, confidences, boxes of fields): a plain label."""
    if task_type == "classification":
        return {"label": output["label"]}
    if task_type == "multilabel":
        return {"labels": list(dict.fromkeys(output["labels"]))}
    if task_type == "spans":
        return {
            "spans": [{"start": s["start"], "end": s["end"], "label": s["label"]} for s in output["spans"]]
        }
    if task_type == "boxes":
        sides = ("x", "y", "width", "height", "label")
        return {"boxes": [{side: box[side] for side in sides} for box in output["boxes"]]}
    part = {"text": "text", "fields": "fields"}[task_type]
    return {part: output[part]}


def equal(task_type: str, one: Output, other: Output) -> bool:
    """Whether two valid outputs of a task type say the same."""
    return bool(_COMPARABLE[task_type](one) == _COMPARABLE[task_type](other))


def _text(value: str) -> str:
    return unicodedata.normalize("NFC", value).strip()


def _fields(output: Output) -> Any:
    """Missing and null are the same; numbers compare by value and never equal booleans."""
    return {
        name: _text(value) if isinstance(value, str) else (type(value) is bool, value)
        for name, value in output["fields"].items()
        if value is not None
    }


_COMPARABLE: dict[str, Callable[[Output], Any]] = {
    "classification": lambda output: output["label"],
    "multilabel": lambda output: frozenset(output["labels"]),
    "text": lambda output: _text(output["text"]),
    "fields": _fields,
    "spans": lambda output: sorted((s["start"], s["end"], s["label"]) for s in output["spans"]),
    "boxes": lambda output: sorted(
        (b["x"], b["y"], b["width"], b["height"], b["label"]) for b in output["boxes"]
    ),
}

"""Outputs in words."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from labeling.web.answers import field_text


def describe(task_type: str, output: Mapping[str, Any] | None) -> str:
    """An output in a few words, for a line of text."""
    if output is None:
        return _("nothing")
    if task_type == "classification":
        return str(output["label"])
    if task_type == "multilabel":
        return ", ".join(output["labels"]) or _("no label")
    if task_type == "text":
        return str(output["text"])
    if task_type == "fields":
        return "; ".join(f"{name}: {field_text(value) or '–'}" for name, value in output["fields"].items())
    parts = output["spans" if task_type == "spans" else "boxes"]
    counts: dict[str, int] = {}
    for part in parts:
        counts[part["label"]] = counts.get(part["label"], 0) + 1
    return ", ".join(f"{count} × {label}" for label, count in counts.items()) or _("no marks")

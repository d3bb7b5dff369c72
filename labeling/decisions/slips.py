"""Plausible outputs that are not the right one: what a slip of a person or a mistake of a model looks like. Pure.

Test items show such outputs to reviewers, and replays let people and models err this way.
"""

import random
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

Json = dict[str, Any]
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def another_output(task_type: str, output: Json, labels: Sequence[str], rng: random.Random) -> Json | None:
    """An output that differs from this one as a slip would; none where no other is possible."""
    if task_type == "classification":
        label = _another_label(output["label"], labels, rng)
        return None if label is None else {"label": label}
    if task_type == "multilabel":
        return _toggled(output["labels"], labels, rng)
    if task_type == "text":
        return {"text": _mistyped(output["text"], rng)}
    if task_type == "fields":
        return _field_slip(output["fields"], rng)
    return _part_slip(task_type, output[task_type], labels, rng)


def with_extras(prediction: Mapping[str, Any], output: Json) -> Json:
    """The output with what the prediction carried besides: confidences and boxes of fields. Words of a text no longer fit."""
    return output | {
        key: prediction[key] for key in ("confidences", "boxes") if key in prediction and key not in output
    }


def swapped(probabilities: Mapping[str, Any], one: str, other: str) -> Json:
    """A model that believes in the other label as much as it did in the first."""
    exchanged = dict(probabilities)
    first, second = probabilities.get(one), probabilities.get(other)
    for label, value in ((other, first), (one, second)):
        if value is None:
            exchanged.pop(label, None)
        else:
            exchanged[label] = value
    return exchanged


def _another_label(label: str, labels: Sequence[str], rng: random.Random) -> str | None:
    others = [candidate for candidate in labels if candidate != label]
    return rng.choice(others) if others else None


def _toggled(chosen: Sequence[str], labels: Sequence[str], rng: random.Random) -> Json | None:
    if not labels:
        return None
    label = rng.choice(list(labels))
    kept = [name for name in chosen if name != label]
    return {"labels": kept if label in chosen else [*kept, label]}


def _mistyped(text: str, rng: random.Random) -> str:
    """One character of the text replaced, never white space, so that trimming cannot hide it."""
    places = [place for place, letter in enumerate(text) if not letter.isspace()]
    if not places:
        return rng.choice(_LETTERS)
    place = rng.choice(places)
    letter = rng.choice([candidate for candidate in _LETTERS if candidate != text[place]])
    return text[:place] + letter + text[place + 1 :]


def _field_slip(fields: Json, rng: random.Random) -> Json | None:
    typed = [name for name, value in fields.items() if value is None or isinstance(value, str)]
    if not typed:
        return None
    name = rng.choice(typed)
    return {"fields": fields | {name: _mistyped(fields[name] or "", rng)}}


def _part_slip(
    task_type: str, parts: Sequence[Json], labels: Sequence[str], rng: random.Random
) -> Json | None:
    """A span or box with another label, or left out, or one too many where there was none."""
    slipped = deepcopy(list(parts))
    if not slipped:
        if not labels:
            return None
        empty = (
            {"start": 0, "end": 1}
            if task_type == "spans"
            else {"x": 0.0, "y": 0.0, "width": 0.1, "height": 0.1}
        )
        return {task_type: [empty | {"label": rng.choice(list(labels))}]}
    place = rng.randrange(len(slipped))
    label = _another_label(slipped[place]["label"], labels, rng)
    if label is None or rng.random() < 0.5:
        del slipped[place]
    else:
        slipped[place]["label"] = label
    return {task_type: slipped}

"""Sentences in rows: the English text in its own column, and what it is made of in the column `said`, for other languages.

The text is what counts. Where template and values do not give exactly it (an older row, a text that was written without
them), it stays as it is.
"""

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from labeling.errors import Sentence, quote

__all__ = ["keep", "restored", "shortened", "stored"]

_QUOTED: Final = quote("").template

# What JSON cannot say, as an object with one readable member.
_KINDS: Final[dict[str, Callable[[Any], object]]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "decimal": Decimal,
    "seconds": lambda seconds: timedelta(seconds=seconds),
    "float": float,
}


def stored(**texts: str) -> dict[str, Any]:
    """The columns of a row for texts that may be sentences: `stored(error=say(...))` gives `error` and `said`."""
    said = {
        name: _packed(text)
        for name, text in texts.items()
        if isinstance(text, Sentence) and text.template != _QUOTED
    }
    return {**{name: str(text) for name, text in texts.items()}, "said": said or None}


def keep(row: object, **texts: str) -> None:
    """Put texts into the columns of a row that the caller saves."""
    for name, value in stored(**texts).items():
        setattr(row, name, value)


def restored(row: object, name: str) -> Sentence:
    """The sentence in a column of a row (or of a mapping with a member `said`)."""
    said: Any
    if isinstance(row, Mapping):
        text, said = row[name], row.get("said")
    else:
        text, said = getattr(row, name), getattr(row, "said", None)
    try:
        sentence = _unpacked(said[name])
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        return quote(text)
    return sentence if isinstance(sentence, Sentence) and sentence == text else quote(text)


def shortened(sentence: Sentence, most: int) -> Sentence:
    """The sentence as a column can hold it: without U+0000, and its values cut where it has more than `most` characters."""
    if len(sentence) <= most and "\x00" not in sentence:
        return sentence
    room = max(20, (most - len(sentence.template)) // max(1, len(sentence.values)))
    return Sentence(sentence.template, {name: _cut(value, room) for name, value in sentence.values.items()})


def _cut(value: object, room: int) -> object:
    if isinstance(value, Sentence):
        return shortened(value, room)
    return value.replace("\x00", "")[:room] if isinstance(value, str) else value


def _packed(value: object) -> Any:
    match value:
        case Sentence():
            return {
                "template": value.template,
                "values": {name: _packed(inner) for name, inner in value.values.items()},
            }
        case None | bool():
            return value
        case int():
            return int(value)
        case float():
            return float(value) if math.isfinite(value) else {"float": str(float(value))}
        case Decimal():
            return {"decimal": str(value)}
        case datetime():
            return {"datetime": value.isoformat()}
        case date():
            return {"date": value.isoformat()}
        case timedelta():
            return {"seconds": value.total_seconds()}
        case list() | tuple():
            return [_packed(inner) for inner in value]
        case _:
            return str(value)


def _unpacked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpacked(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if "template" in value:
        return Sentence(
            value["template"], {name: _unpacked(inner) for name, inner in value["values"].items()}
        )
    ((kind, inner),) = value.items()
    return _KINDS[kind](inner)

"""The editor of an answer, by task type: filled with the suggestion, or with what was typed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labeling.projects.label_schema import OutputSchema
from labeling.review.claiming import ClaimedTask
from labeling.web.answers import FIELD_PREFIX, field_text, plain_lines, same_text
from labeling.web.suggestions import Suggestion

DIGITS = 20  # labels with a key of their own, in schema order
TOP = 5  # with more labels, the model's first five get the digits
LONG_VALUE = 24


@dataclass(frozen=True, slots=True)
class Option:
    """A label to choose. `digit` is what the key handler knows, `chip` what the reviewer reads."""

    number: int
    value: str
    digit: str
    chip: str
    probability: float | None
    is_model: bool
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class LabelChoice:
    """One or several labels of the schema; without labels in the schema, any text."""

    options: tuple[Option, ...]
    top: tuple[Option, ...]
    multiple: bool
    typed: str = ""

    @property
    def is_open(self) -> bool:
        return not self.options

    @property
    def in_columns(self) -> bool:
        return 10 < len(self.options) <= DIGITS

    @property
    def is_long(self) -> bool:
        return len(self.options) > DIGITS


@dataclass(frozen=True, slots=True)
class Word:
    """A stretch of the model's text; a doubtful word carries its confidence and its number."""

    text: str
    confidence: float | None = None
    number: int | None = None


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """The text to put right. `pieces` make up the model's text; `text` is what stands in the editor."""

    text: str
    pieces: tuple[Word, ...]

    @property
    def doubtful(self) -> tuple[Word, ...]:
        return tuple(piece for piece in self.pieces if piece.number is not None)


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field with what the model read and what stands in the form."""

    name: str
    input_name: str
    kind: str
    model_text: str
    text: str
    confidence: float | None
    is_doubtful: bool
    is_long: bool
    is_changed: bool


@dataclass(frozen=True, slots=True)
class FieldsAnswer:
    """Doubtful fields first; the order within a task never changes."""

    doubtful: tuple[FieldRow, ...]
    others: tuple[FieldRow, ...]
    has_confidences: bool

    @property
    def count(self) -> int:
        return len(self.doubtful) + len(self.others)


class Editors:
    """The editor of one task, by task type: filled with what was typed, or with the suggestion."""

    def __init__(
        self,
        task: ClaimedTask,
        schema: OutputSchema,
        suggestion: Suggestion | None,
        probabilities: Mapping[str, float],
        typed: Mapping[str, Any] | None,
    ) -> None:
        self.schema, self.suggestion, self.probabilities, self.typed = (
            schema,
            suggestion,
            probabilities,
            typed,
        )
        self.model = task.prediction if suggestion else None

    def labels(self) -> LabelChoice | None:
        if self.schema.task_type not in ("classification", "multilabel"):
            return None
        multiple = self.schema.task_type == "multilabel"
        name = "labels" if multiple else "label"
        said = (
            list((self.model or {}).get("labels", []))
            if multiple
            else [self.model["label"]]
            if self.model
            else []
        )
        chosen = said if self.typed is None else self.typed.getlist(name)  # type: ignore[attr-defined]
        if not self.schema.label_order:
            return LabelChoice((), (), multiple, typed="\n".join(chosen))
        options = tuple(self._options(said, set(chosen)))
        best = sorted(options, key=lambda option: (-(option.probability or 0), option.number))
        top = tuple(best[:TOP]) if len(options) > DIGITS and self.suggestion else ()
        return LabelChoice(options, top, multiple)

    def _options(self, said: Sequence[str], chosen: set[str]) -> list[Option]:
        order = self.schema.label_order
        keys = self._keys(said)
        options = []
        for index, value in enumerate(order):
            digit = keys.get(value, "")
            probability = self.probabilities.get(value)
            if probability is None and self.suggestion and value in said and len(said) == 1:
                probability = self.suggestion.confidence
            options.append(
                Option(index, value, digit, _chip(digit), probability, value in said, value in chosen)
            )
        return options

    def _keys(self, said: Sequence[str]) -> dict[str, str]:
        """Digits by position in the schema; in long lists for what the model holds most likely."""
        order = self.schema.label_order
        if len(order) <= DIGITS:
            return {
                value: f"{'shift+' if index >= 10 else ''}{(index + 1) % 10}"
                for index, value in enumerate(order)
            }
        if not self.suggestion:
            return {}
        chance = {value: self.probabilities.get(value, 1.0 if value in said else 0.0) for value in order}
        best = sorted(order, key=lambda value: -chance[value])[:TOP]
        return {value: str(index + 1) for index, value in enumerate(best)}

    def text(self) -> TextAnswer | None:
        if self.schema.task_type != "text":
            return None
        model_text = plain_lines(self.model["text"]) if self.model else ""
        text = model_text if self.typed is None else plain_lines(self.typed.get("text", ""))
        words = self.model.get("words", []) if self.model else []
        return TextAnswer(text, tuple(_pieces(model_text, words, self._doubt(words))))

    def _doubt(self, words: Sequence[Mapping[str, Any]]) -> float:
        """Below this a word is doubtful: the policy's low; when all are above, the least sure one below high."""
        if not self.suggestion or not words:
            return 0.0
        low, high = self.suggestion.low, min(self.suggestion.high, 1.0)
        least = min(word["confidence"] for word in words)
        return low if least < low or least >= high else least + 1e-9

    def fields(self) -> FieldsAnswer | None:
        if self.schema.task_type != "fields":
            return None
        rows = [self._row(name, kind) for name, kind in self.schema.fields.items()]
        return FieldsAnswer(
            doubtful=tuple(row for row in rows if row.is_doubtful),
            others=tuple(row for row in rows if not row.is_doubtful),
            has_confidences=any(row.confidence is not None for row in rows),
        )

    def _row(self, name: str, kind: str) -> FieldRow:
        model = self.model or {}
        model_text = plain_lines(field_text(model.get("fields", {}).get(name)))
        confidence = model.get("confidences", {}).get(name)
        text = model_text if self.typed is None else plain_lines(self.typed.get(FIELD_PREFIX + name, ""))
        return FieldRow(
            name=name,
            input_name=FIELD_PREFIX + name,
            kind=kind,
            model_text=model_text,
            text=text,
            confidence=confidence,
            is_doubtful=bool(self.suggestion and confidence is not None and confidence < self.suggestion.low),
            is_long=kind == "string" and ("\n" in text or len(text) > LONG_VALUE),
            is_changed=self.suggestion is not None and not same_text(text, model_text),
        )


def _pieces(text: str, words: Sequence[Mapping[str, Any]], doubt: float) -> list[Word]:
    """The text cut at its doubtful words. Words are looked for in their order; one that is not there is passed over."""
    pieces: list[Word] = []
    at = searched = number = 0
    for word in words:
        start = text.find(word["text"], searched) if word["text"] else -1
        if start < 0:
            continue
        searched = start + len(word["text"])
        if word["confidence"] >= doubt:
            continue
        if start > at:
            pieces.append(Word(text[at:start]))
        pieces.append(Word(word["text"], word["confidence"], number))
        number += 1
        at = searched
    if at < len(text):
        pieces.append(Word(text[at:]))
    return pieces


def _chip(digit: str) -> str:
    return digit.replace("shift+", "⇧")

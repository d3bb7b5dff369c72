"""The review desk: everything one held task shows. Built here once, for the page and for its fragments.

Of tasks without a suggestion, nothing of the prediction is even read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from labeling.decisions.diffing import core_output
from labeling.history.actor import Actor
from labeling.ingestion.models import Item, Prediction
from labeling.projects.label_schema import OutputSchema
from labeling.projects.models import Project
from labeling.projects.queries import get_output_schema
from labeling.review.claiming import ClaimedTask, show_claims
from labeling.review.models import TaskKind
from labeling.review.services import Claim
from labeling.routing.models import PolicyPeriod
from labeling.templatetags.interface import conf
from labeling.web.answers import FIELD_PREFIX, field_text, plain_lines, same_text
from labeling.web.inputs import Block, show_input
from labeling.web.media import MediaLinks
from labeling.web.tree import render_tree

DIGITS = 20  # labels with a key of their own, in schema order
TOP = 5  # with more labels, the model's first five get the digits
LONG_VALUE = 24


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What the model said, and why a person is asked."""

    model: str
    confidence: float
    low: float
    high: float
    policy: int
    why: str
    text: str
    details: tuple[tuple[str, Any], ...]


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


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """One of the answers an adjudication is about, without saying whose."""

    number: int
    text: str
    body: str


@dataclass(frozen=True, slots=True)
class Desk:
    """A held task as a page or fragment shows it."""

    task: int
    token: str
    until: datetime
    queue: str
    kind: str
    task_type: str
    item: str
    segment: str | None
    arrived_at: datetime
    blocks: tuple[Block, ...]
    suggestion: Suggestion | None
    labels: LabelChoice | None
    text: TextAnswer | None
    fields: FieldsAnswer | None
    given: tuple[GivenAnswer, ...]
    note: str = ""
    is_first: bool = False
    is_hidden: bool = False

    @property
    def is_editable(self) -> bool:
        return self.task_type not in ("spans", "boxes")

    @property
    def has_title(self) -> bool:
        return any(block.kind == "title" for block in self.blocks)

    @property
    def main_blocks(self) -> tuple[Block, ...]:
        return tuple(block for block in self.blocks if not self._is_further(block))

    @property
    def further_blocks(self) -> tuple[Block, ...]:
        """Beside a text, tables and trees come after the editor, which belongs next to what is read."""
        return tuple(block for block in self.blocks if self._is_further(block))

    def _is_further(self, block: Block) -> bool:
        return self.text is not None and block.kind in ("tree", "table")

    @property
    def is_paper(self) -> bool:
        """A document fills the item's side; everything else is a column of reading."""
        return self.task_type == "fields" and any(
            block.kind in ("paper", "image", "pdf") for block in self.blocks
        )


def build_desks(
    project: Project,
    by: Actor,
    claims: Sequence[Claim],
    *,
    typed: Mapping[str, Any] | None = None,
    is_first: bool = False,
    is_hidden: bool = False,
) -> list[Desk]:
    """Desks for held tasks; the number of queries does not depend on how many. `typed` is a refused form's content."""
    if not claims:
        return []
    schema = get_output_schema(project)
    shown = {task.task: task for task in show_claims(project, list(claims))}
    evidence = Prediction.objects.in_bulk(
        [c.task.prediction_id for c in claims if c.task.kind == TaskKind.REVIEW]
    )
    periods = PolicyPeriod.objects.in_bulk({prediction.period_id for prediction in evidence.values()})
    arrived = dict(
        Item.objects.filter(pk__in=[c.task.item_id for c in claims]).values_list("pk", "received_at")
    )
    desks = []
    for claim in claims:
        task = shown[claim.task.pk]
        suggestion, probabilities = None, dict[str, float]()
        prediction = evidence.get(claim.task.prediction_id)
        if prediction and task.prediction is not None:
            probabilities = (prediction.details or {}).get("probabilities") or {}
            suggestion = _suggestion(task, prediction, periods[prediction.period_id], schema)
        form = _AnswerForm(task, schema, suggestion, probabilities, typed)
        links = MediaLinks(project.slug, claim.task.item_id, by.user_id)
        desks.append(
            Desk(
                task=task.task,
                token=task.token,
                until=task.expires_at,
                queue=claim.task.queue.slug,
                kind=task.kind,
                task_type=schema.task_type,
                item=task.item["id"],
                segment=task.item["segment"],
                arrived_at=arrived[claim.task.item_id],
                blocks=show_input(task.item["input"], links, overlay=task.prediction),
                suggestion=suggestion,
                labels=form.labels(),
                text=form.text(),
                fields=form.fields(),
                given=_given(schema.task_type, task.answers or []),
                note=(typed or {}).get("note", ""),
                is_first=is_first,
                is_hidden=is_hidden,
            )
        )
    return desks


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


class _AnswerForm:
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


def _suggestion(
    task: ClaimedTask, prediction: Prediction, period: PolicyPeriod, schema: OutputSchema
) -> Suggestion:
    confidence, output = task.confidence or 0.0, task.prediction or {}
    low, high = thresholds(prediction, period)
    details = prediction.details or {}
    shown = (
        [(_("Explanation of the model"), render_tree(details["explanation"]))]
        if details.get("explanation")
        else []
    )
    return Suggestion(
        model=task.model,
        confidence=confidence,
        low=low,
        high=high,
        policy=prediction.policy_number,
        why=explain_route(confidence, low, high, prediction.policy_number, prediction.reason),
        text=describe(schema.task_type, core_output(schema.task_type, output)),
        details=tuple(shown),
    )


def thresholds(prediction: Prediction, period: PolicyPeriod) -> tuple[float, float]:
    """Low and high as they were for this prediction, overrides included."""
    number = override_number(prediction.reason)
    if number is None:
        return period.low, period.high
    version = (
        period.project.policy_versions.filter(number=prediction.policy_number)
        .values_list("body", flat=True)
        .first()
    )
    override = (version or {}).get("overrides", [])[number - 1 : number]
    body = override[0] if override else {}
    low, high = body.get("low"), body.get("high")
    return (period.low if low is None else low), (period.high if high is None else high)


def override_number(reason: str) -> int | None:
    """`medium/override 2` -> 2."""
    _rest, found, number = reason.partition("/override ")
    return int(number) if found and number.isdecimal() else None


def explain_route(confidence: float, low: float, high: float, policy: int, reason: str) -> str:
    """Why a person is asked, in one sentence."""
    values = {"confidence": conf(confidence), "low": f"{low:.2f}", "high": f"{high:.2f}", "policy": policy}
    number = override_number(reason)
    if reason.startswith("forced"):
        return _(
            "Here because exception %(number)s sends it to people, whatever the confidence (policy v%(policy)s)."
        ) % {
            **values,
            "number": number,
        }
    if confidence < low:
        return _("Here because %(confidence)s is below %(low)s (policy v%(policy)s).") % values
    if high > 1:
        return _("Here because nothing is automatic at present (policy v%(policy)s).") % values
    if confidence >= high:
        return _("Here although %(confidence)s is not below %(high)s (policy v%(policy)s).") % values
    return _("Here because %(confidence)s is between %(low)s and %(high)s (policy v%(policy)s).") % values


def _given(task_type: str, answers: Sequence[Mapping[str, Any]]) -> tuple[GivenAnswer, ...]:
    return tuple(
        GivenAnswer(index + 1, describe(task_type, answer["output"]), json.dumps(answer["output"]))
        for index, answer in enumerate(answers)
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

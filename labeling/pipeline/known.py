"""Rows about items that are known already: repeats, conflicts, further predictions, settled items."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from labeling.decisions.diffing import core_output
from labeling.decisions.models import AcceptedLabel, Origin
from labeling.decisions.outcomes import add_outcomes
from labeling.decisions.services import add_further_outcome
from labeling.ingestion.candidates import Candidate
from labeling.ingestion.models import Prediction, Route
from labeling.ingestion.services import (
    KnownItem,
    KnownPrediction,
    copy_further_predictions,
    find_further_keys,
)
from labeling.pipeline.placing import Accepted, Door, Placed, place
from labeling.review.queries import OverflowAnswers, find_items_with_work, find_overflow_answers
from labeling.review.tasks import add_tasks
from labeling.trust.deltas import Tally


class LabelledMeanwhileError(Exception):
    """A person's label was committed after it had been looked for: these rows are to be answered anew."""


@dataclass(slots=True)
class KnownRows:
    """What is known of the items of some rows, kept up to date while their rows are gone through in order."""

    door: Door
    now: datetime
    items: dict[bytes, KnownItem]
    further: dict[tuple[int, int], KnownPrediction]
    labels: dict[int, AcceptedLabel]
    predictions: dict[int, Prediction]
    answered_late: dict[int, OverflowAnswers]
    with_work: set[int]
    made: list[Placed] = field(default_factory=list)


def settle_known(
    door: Door, rows: list[Candidate], items: dict[bytes, KnownItem], tally: Tally, now: datetime
) -> list[Accepted]:
    """Answer these rows in order, writing the further predictions among them. `items` holds an entry for every row."""
    item_ids = {items[row.key_hash].item_id for row in rows}
    further = find_further_keys(sorted(item_ids))
    prediction_ids = item_ids | {known.prediction_id for known in further.values()}
    state = KnownRows(
        door,
        now,
        items,
        further,
        labels=AcceptedLabel.objects.in_bulk(item_ids),
        predictions=Prediction.objects.in_bulk(prediction_ids),
        answered_late={},
        with_work=find_items_with_work(item_ids) if door.rules.refuses_reviews else set(),
    )
    unlooked_at = [pk for pk, label in state.labels.items() if _is_of_no_person(label)]
    if unlooked_at:
        state.answered_late = find_overflow_answers(unlooked_at)
    answers = [_answer(state, row) for row in rows]
    _write_further(state, tally)
    return answers


def _answer(state: KnownRows, row: Candidate) -> Accepted:
    item = state.items[row.key_hash]
    key = (item.item_id, row.model_version_id)
    known = item.first_prediction if row.model_version_id == item.model_version_id else state.further.get(key)
    if known is not None:
        if known.content_hash == row.content_hash:
            return _repeated(state, row, item, known)
        return Accepted(row.index, row.row.id, "conflict", known.prediction_id, code="prediction_conflict")
    if item.input_hash != row.input_hash:
        return Accepted(row.index, row.row.id, "conflict", code="item_conflict")
    placed = place(state.door, [row], state.now, item.item_id)[0]
    label = state.labels.get(item.item_id)
    if label is not None and label.decision_id is not None and label.output is not None:
        _settle(placed, label)
    if placed.needs_a_person:
        if state.door.rules.refuses_reviews and item.item_id not in state.with_work:
            return placed.refused()
        state.with_work.add(item.item_id)
    state.made.append(placed)
    p = placed.prediction
    state.further[key] = KnownPrediction(p.id, row.content_hash, p.route, p.policy_number)
    return placed.answer()


def _settle(placed: Placed, label: AcceptedLabel) -> None:
    """A person has labelled the item: that label is the answer, and the prediction is in no rate."""
    placed.prediction.route, placed.prediction.reason = Route.SETTLED.value, "settled"
    placed.prediction.audit_probability, placed.prediction.audited = 0.0, False
    placed.prediction.final_output = label.output
    placed.task, placed.output, placed.counts = None, label.output, {}


def _repeated(state: KnownRows, row: Candidate, item: KnownItem, known: KnownPrediction) -> Accepted:
    """The same prediction again: the first answer, with status and output as they are now."""
    made = next((p for p in state.made if p.prediction.id == known.prediction_id), None)
    stored = state.predictions.get(known.prediction_id)
    label = state.labels.get(item.item_id)
    task_type = state.door.rules.task_type
    output: dict[str, Any] | None
    if label is not None and label.decision_id is not None:
        final, output = True, label.output
    elif made is not None:
        final, output = made.output is not None, made.output
    elif known.route == Route.AUTO and label is not None and label.revision > 1 and label.output is None:
        final, output = False, None  # recalled: it waits for a person
    elif known.route == Route.AUTO:
        by_a_person = label is not None and label.origin == Origin.HUMAN
        final, output = (
            True,
            label.output if label and by_a_person else core_output(task_type, row.row.prediction),
        )
    elif known.route == Route.REVIEW and label and _is_answered_late(state, item.item_id, known):
        final, output = True, label.output
    else:
        output = stored.final_output if stored else None
        final = output is not None
    return Accepted(
        row.index,
        row.row.id,
        "duplicate",
        known.prediction_id,
        known.route,
        final,
        output,
        known.policy_number,
    )


def _is_answered_late(state: KnownRows, item_id: int, known: KnownPrediction) -> bool:
    """Whether the fallback has answered this prediction, for want of people."""
    found = state.answered_late.get(item_id)
    return found is not None and found.answer(known.prediction_id)


def _is_of_no_person(label: AcceptedLabel) -> bool:
    return label.decision_id is None and label.output is not None and label.origin != Origin.HUMAN


def _write_further(state: KnownRows, tally: Tally) -> None:
    """Further predictions: rows, tasks where none is open, and for what is final at once the item's next revision."""
    copy_further_predictions([p.prediction for p in state.made])
    add_tasks([p.task for p in state.made if p.task])
    outcomes = []
    for placed in state.made:
        prediction = placed.prediction
        if prediction.route != Route.SETTLED:
            tally.add(placed.place, placed.counts)
        if placed.output is not None and prediction.route != Route.SETTLED:
            outcomes.append(
                add_further_outcome(
                    project_id=prediction.project_id,
                    item_id=prediction.item_id,
                    first=state.predictions.get(prediction.item_id),
                    prediction_id=prediction.id,
                    output=placed.output,
                    origin=Origin.AUTO if prediction.route == Route.AUTO else Origin.FALLBACK,
                    task_type=state.door.rules.task_type,
                )
            )
    add_outcomes(state.door.rules.project_id, ids=outcomes, of_predictions=False)
    _refuse_if_labelled({p.prediction.item_id for p in state.made if p.prediction.route != Route.SETTLED})


def _refuse_if_labelled(item_ids: set[int]) -> None:
    """Writing a task or an outcome waits for whoever is deciding about the item; by now their label can be seen."""
    labels = AcceptedLabel.objects.filter(item_id__in=item_ids, decision__isnull=False, output__isnull=False)
    if item_ids and labels.exists():
        raise LabelledMeanwhileError

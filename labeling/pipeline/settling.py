"""What follows from an answer, by why its task existed: label, dataset, second looks, and counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction

from labeling.datasets.services import offer_decision, offer_removal
from labeling.decisions.models import AcceptedLabel, Decision, Origin, Verdict
from labeling.decisions.services import (
    accept_label,
    lock_accepted_label,
    restore_label,
    serve_as_before,
)
from labeling.ingestion.models import Prediction, Route
from labeling.pipeline import second_looks
from labeling.projects.models import TaskType
from labeling.review.models import Purpose, ReviewTask
from labeling.trust.counting import Answer, Told, difference, is_as_served, reviewer_counts, told_by
from labeling.trust.deltas import Place, append_delta, cell_entry, place_of
from labeling.trust.timegrid import day_of

Second = second_looks.Second

_MAY_BE_SETTLED = frozenset({Purpose.AUDIT, Purpose.REVIEW, Purpose.SECOND_REVIEW})
# Test items and second reviews measure people: they change no count of predictions.
UNCOUNTED = frozenset({Purpose.SENTINEL, Purpose.SECOND_REVIEW})


@dataclass(frozen=True, slots=True)
class Follows:
    """What an answer leads to: whether its label counts, and what a second review says about the first one. `says_nothing`: nobody
    can tell whether what was served is right, so it stays, also where an earlier answer had replaced it."""

    accepts: bool
    second: Second | None = None
    says_nothing: bool = False


def settle(
    task: ReviewTask, decision: Decision, prediction: Prediction, corrected: Decision | None
) -> Follows:
    """Whether an answer counts, or somebody else looks first, who is asked here. The decision itself is not written yet.

    `corrected` is the earlier answer to the same task, if this one replaces it.
    """
    task_type = task.project.task_type
    if decision.verdict == Verdict.ESCALATED:
        return Follows(accepts=False)
    if corrected is not None and task.purpose in _MAY_BE_SETTLED:
        second_looks.cancel_adjudication(task)
    if corrected is not None and task.purpose == Purpose.SENTINEL:
        second_looks.is_open(prediction)  # nothing hangs on it: work is asked the same
    if task.purpose == Purpose.SECOND_REVIEW:
        return Follows(accepts=False, second=second_looks.compare_with_first(task, decision, corrected))
    if second_looks.disagrees(task, decision):
        second_looks.ask_second(task, decision, prediction, task_type)
        return Follows(accepts=False)
    if decision.verdict == Verdict.REJECTED and _is_served(task, prediction):
        return Follows(accepts=False, says_nothing=True)
    if second_looks.is_candidate(task, decision, prediction):
        # For a test item this is done like real work, so that it takes as long, and taken back.
        with transaction.atomic():
            second_looks.ask_second(task, decision, prediction, task_type)
            transaction.set_rollback(task.purpose == Purpose.SENTINEL)
    if corrected is None:
        second_looks.draw_second_review(task, decision)
    return Follows(accepts=True)


def unsettle(
    task: ReviewTask, decision: Decision, prediction: Prediction, corrected: Decision | None
) -> Second | None:
    """What had followed from an answer is taken back with it; ConflictError when others have gone on from there."""
    if decision.verdict == Verdict.ESCALATED:
        return None
    if task.purpose in _MAY_BE_SETTLED:
        second_looks.cancel_adjudication(task)
    if task.purpose == Purpose.SENTINEL and corrected is not None:
        second_looks.is_open(prediction)
    if task.purpose == Purpose.REVIEW and corrected is None:
        second_looks.cancel_second_review(task)
    if task.purpose == Purpose.SECOND_REVIEW:
        return second_looks.forget_comparison(task, decision, corrected)
    return None


def serve_again(
    task: ReviewTask,
    decision: Decision,
    prediction: Prediction,
    current: AcceptedLabel,
    corrected: Decision | None,
) -> None:
    """What was served before anybody looked is served again, and the dataset's label goes, where this task had changed them."""
    counts_still = corrected is not None and current.decision_id == corrected.pk
    was_undone = current.decision_id is None and current.origin == Origin.HUMAN
    if counts_still or was_undone:
        serve_as_before(
            purpose=decision.purpose, current=current, prediction=prediction, task_type=task.project.task_type
        )
    if corrected is not None and corrected.output is not None:
        offer_removal(decision=decision)


def restore(
    task: ReviewTask, prediction: Prediction, current: AcceptedLabel | None, corrected: Decision
) -> None:
    """A correction was undone: the answer before it counts again, or waits for its second person again."""
    task_type = task.project.task_type
    if second_looks.disagrees(task, corrected):
        second_looks.ask_second(task, corrected, prediction, task_type)
    elif task.purpose not in UNCOUNTED and current is not None:
        restore_label(decision=corrected, current=current, prediction=prediction, task_type=task_type)


def accept_check(task: ReviewTask, prediction: Prediction, standing: Sequence[Decision]) -> None:
    """Nobody settles it: the label of the blind check stands after all."""
    checks = [
        d for d in standing if d.prediction_id == prediction.pk and d.purpose == Purpose.AUDIT and d.output
    ]
    if not checks:
        return  # it was about two reviews: the first one's label stands anyway
    current = lock_accepted_label(
        project_id=task.project_id,
        item_id=task.item_id,
        first=first_prediction(task, prediction),
        task_type=task.project.task_type,
    )
    _accept(checks[-1], current, task.project.task_type)


def told_of(
    task: ReviewTask, prediction: Prediction, standing: Sequence[Decision], *, finished: int | None = None
) -> Told:
    """What the standing decisions about an item say of one prediction; the task `finished` is about to be done."""
    is_kept = task.project.task_type == TaskType.CLASSIFICATION and prediction.pk >= task.project.truths_from
    answers = [
        Answer(
            one.purpose,
            one.verdict,
            one.agreed,
            one.output["label"] if is_kept and one.output else None,
            one.purpose == Purpose.SHADOW
            and is_as_served(task.project.task_type, one.output, prediction.final_output),
        )
        for one in standing
        if one.prediction_id == prediction.pk
    ]
    is_audit = prediction.audited and prediction.route == Route.AUTO
    waiting = is_audit and bool(answers) and second_looks.is_open(prediction, finished=finished)
    return told_by(prediction.route, answers, audited=prediction.audited, waiting=waiting)


def day_counts(task: ReviewTask, decision: Decision, corrected: Decision | None) -> dict[str, Any]:
    """What a decision adds to its reviewer's day. A test item counts once, by the last answer; other work each time."""
    if task.purpose == Purpose.SENTINEL:
        before = _known_item_counts(task, corrected) if corrected else {}
        counts: Mapping[str, float] = difference(_known_item_counts(task, decision), before)
    else:
        counts = reviewer_counts(task.purpose, decision.verdict, decision.seconds)
    return {"reviewer": decision.decided_by_id, "decided_at": decision.decided_at, **counts}


def negative(counts: Mapping[str, Any]) -> dict[str, Any]:
    """The same, taken away."""
    return {name: value if name in _WHOSE else -value for name, value in counts.items()}


def count(
    task: ReviewTask,
    prediction: Prediction,
    told: Sequence[Told],
    day: Mapping[str, Any] | None = None,
    second: Mapping[str, Any] | None = None,
    queue_id: int | None = None,
) -> None:
    """Leave what changes for the folder."""
    append_delta(task.project_id, entries_of(task, prediction, told, day, second, queue_id))


def entries_of(
    task: ReviewTask,
    prediction: Prediction,
    told: Sequence[Told],
    day: Mapping[str, Any] | None,
    second: Mapping[str, Any] | None,
    queue_id: int | None,
) -> list[dict[str, Any]]:
    """What changes in the prediction's cell, in its reviewer's day, and in the day of whoever is compared with them."""
    zone = ZoneInfo(task.project.time_zone)
    place = place_in_counts(task, prediction)
    entries: list[dict[str, Any]] = [cell_entry(place, counts, truth) for counts, truth in told]
    for whose in (day, second):
        if whose is not None:
            counts = {name: value for name, value in whose.items() if name != "decided_at"}
            when = day_of(whose["decided_at"], zone).isoformat()
            entries.append({"queue": queue_id, "day": when, **counts})
    return entries


def first_prediction(task: ReviewTask, prediction: Prediction) -> Prediction | None:
    """An item has the id of its first prediction."""
    if prediction.pk == task.item_id:
        return prediction
    return Prediction.objects.filter(pk=task.item_id).first()


_WHOSE = frozenset({"reviewer", "decided_at"})


def _accept(decision: Decision, current: AcceptedLabel, task_type: str) -> None:
    accept_label(decision=decision, current=current, task_type=task_type)
    offer_decision(decision=decision)


def _is_served(task: ReviewTask, prediction: Prediction) -> bool:
    if task.purpose == Purpose.SHADOW:
        return True
    return prediction.route == Route.AUTO and task.purpose in (Purpose.AUDIT, Purpose.ADJUDICATION)


def _known_item_counts(task: ReviewTask, decision: Decision) -> dict[str, float]:
    """How a reviewer did on a test item: whether a wrong prediction was accepted, a right one changed."""
    if task.sentinel.is_wrong:
        return {"sentinels": 1, "sentinels_missed": int(decision.verdict == Verdict.CONFIRMED)}
    return {"gold": 1, "gold_changed": int(decision.verdict == Verdict.CORRECTED)}


def place_in_counts(task: ReviewTask, prediction: Prediction) -> Place:
    """Where a prediction is counted, with everything that happens to it later."""
    project = task.project
    moment = (
        prediction.occurred_at if project.simulation and prediction.occurred_at else prediction.received_at
    )
    return place_of(
        moment=moment,
        zone=ZoneInfo(project.time_zone),
        period=prediction.period_id,
        mv=prediction.model_version_id,
        confidence=prediction.confidence,
        segment=prediction.segment,
        label=prediction.label,
    )

"""Recording decisions, the label that counts, and their undoing. Called by the pipeline inside its transaction."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from labeling.canonical import canonical_hash
from labeling.decisions.diffing import core_output, equal
from labeling.decisions.models import AcceptedLabel, Decision, Origin, Outcome, Verdict, Withdrawal
from labeling.decisions.outcomes import add_outcomes
from labeling.errors import ConflictError, FieldError, InvalidError, NotAllowedError, invalid, say
from labeling.history.actor import Actor
from labeling.ingestion.models import Prediction, Route
from labeling.joined import Columns
from labeling.projects.label_schema import OutputSchema
from labeling.review.models import Purpose, ReviewTask, TaskKind

_DECISION = Columns(Decision, "decision")
MAX_NOTE = 10_000
MAX_SECONDS = 7 * 24 * 3600.0
_VERDICTS = {
    TaskKind.REVIEW: {Verdict.CONFIRMED, Verdict.CORRECTED, Verdict.REJECTED, Verdict.ESCALATED},
    TaskKind.LABEL: {Verdict.LABELLED, Verdict.REJECTED, Verdict.ESCALATED},
    TaskKind.ADJUDICATION: {Verdict.LABELLED, Verdict.REJECTED, Verdict.ESCALATED},
}
VERDICT_WORDS = {
    Verdict.CONFIRMED: say("confirmed"),
    Verdict.CORRECTED: say("corrected"),
    Verdict.LABELLED: say("labelled"),
    Verdict.REJECTED: say("rejected"),
    Verdict.ESCALATED: say("escalated"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reviewer sent, as it was sent."""

    verdict: str
    output: Any = None
    seconds: float | None = None
    note: str = ""

    def fingerprint(self) -> str:
        """Tells a repeated request from another one with the same token."""
        return canonical_hash([self.verdict, self.output, self.note])


def check_answer(
    *, task: ReviewTask, answer: Answer, prediction: Prediction, schema: OutputSchema, item_input: Any
) -> dict[str, Any] | None:
    """The label the answer stands for (none when rejected or escalated); InvalidError when it does not fit the task."""
    if answer.verdict not in _VERDICTS[TaskKind(task.kind)]:
        allowed = ", ".join(sorted(_VERDICTS[TaskKind(task.kind)]))
        raise invalid(
            "/verdict",
            "does_not_fit",
            say("the verdict of a {kind} task is one of {allowed}", kind=task.kind, allowed=allowed),
        )
    if task.reopened and answer.verdict == Verdict.ESCALATED:
        raise invalid(
            "/verdict",
            "does_not_fit",
            say("a correction is not escalated: release it, and the decision stands"),
        )
    _check_remarks(answer)
    task_type = schema.task_type
    if answer.verdict in (Verdict.REJECTED, Verdict.ESCALATED):
        if answer.output is not None:
            raise invalid("/output", "does_not_fit", say("{verdict} has no output", verdict=answer.verdict))
        return None
    predicted = core_output(task_type, prediction.output)
    if answer.verdict == Verdict.CONFIRMED:
        if answer.output is not None and not _same(schema, answer.output, predicted, item_input):
            raise invalid("/output", "does_not_fit", say("confirmed takes no output, or the model's own"))
        return predicted
    if answer.output is None:
        raise invalid("/output", "required", say("{verdict} needs an output", verdict=answer.verdict))
    schema.require(answer.output, pointer="/output", item_input=item_input)
    if answer.verdict == Verdict.CORRECTED and equal(task_type, answer.output, predicted):
        raise InvalidError(
            "output_same",
            say("The output equals the model's: that is confirmed, not corrected."),
            [FieldError("/output", "output_same", say("equals the prediction"))],
        )
    return core_output(task_type, answer.output)


def list_standing(item_id: int) -> list[Decision]:
    """The decisions about an item that nobody has withdrawn, in the order they were made."""
    return list(Decision.objects.filter(item_id=item_id, withdrawal=None).order_by("pk"))


def find_settling(standing: Sequence[Decision], task_id: int) -> Decision | None:
    """The decision that settles a task: the last one standing, for escalating settles nothing."""
    settling = [d for d in standing if d.task_id == task_id and d.verdict != Verdict.ESCALATED]
    return settling[-1] if settling else None


def make_decision(
    *,
    task: ReviewTask,
    answer: Answer,
    label: dict[str, Any] | None,
    prediction: Prediction,
    supersedes_id: int | None,
    by: Actor,
    now: datetime,
) -> Decision:
    """The decision, not written yet. `agreed` compares with the model's output, also where the reviewer did not see it."""
    return _DECISION.new(
        project_id=task.project_id,
        task_id=task.pk,
        item_id=task.item_id,
        prediction_id=task.prediction_id,
        purpose=task.purpose,
        verdict=answer.verdict,
        output=label,
        agreed=None if label is None else equal(task.project.task_type, label, prediction.output),
        note=answer.note,
        seconds=answer.seconds,
        claim_token=cast(uuid.UUID, task.claim_token),
        request_hash=uuid.UUID(answer.fingerprint()),
        supersedes_id=supersedes_id,
        guidelines_number=task.project.guidelines_number,
        decided_by_id=by.user_id,
        claimed_at=task.claimed_at,
        decided_at=now,
    )


def find_repeated(*, task_id: int, token: str, answer: Answer, by: Actor) -> Decision | None:
    """The decision this very request has already made, or none. Another answer with a used token is a conflict."""
    decision = Decision.objects.filter(task_id=task_id, claim_token=token, decided_by_id=by.user_id).first()
    if decision is not None and decision.request_hash.hex != answer.fingerprint():
        raise ConflictError(
            "claim_lost",
            say(
                "You have decided this task already: {verdict}.",
                verdict=VERDICT_WORDS[Verdict(decision.verdict)],
            ),
            extra={"decision": decision.pk, "verdict": decision.verdict},
        )
    return decision


def apply_decision(*, decision: Decision, current: AcceptedLabel, task_type: str) -> bool | None:
    """Make `current` what it is once the decision counts; nothing is written. Whether what is served changes, or none where
    the label is left alone: a look at what was served already that cannot tell."""
    if _leaves_label_alone(decision):
        return None
    changes = current.revision == 0 or not _same_label(task_type, current.output, decision.output)
    current.decision = decision
    if changes:
        current.output, current.origin, current.revision = decision.output, Origin.HUMAN, current.revision + 1
    return changes


def accept_label(*, decision: Decision, current: AcceptedLabel, task_type: str) -> int | None:
    """Make the decision's label the one that counts, and append an outcome when what is served changes.

    `current` is the item's row, locked. Returns the revision of the new outcome, or none.
    """
    changes = apply_decision(decision=decision, current=current, task_type=task_type)
    if changes is None:
        return None
    current.save()
    return _append_outcome(decision, current.revision) if changes else None


def lock_accepted_label(
    *, project_id: int, item_id: int, first: Prediction | None, task_type: str
) -> AcceptedLabel:
    """The item's row, locked, made where missing with the outcome that its first prediction has had."""
    label = AcceptedLabel(item_id=item_id, project_id=project_id)
    if first is not None and (first.route == Route.AUTO or first.final_output is not None):
        label.output = core_output(task_type, first.final_output or first.output)
        label.origin = Origin.AUTO if first.route == Route.AUTO else Origin.FALLBACK
        label.revision = 1
    AcceptedLabel.objects.bulk_create([label], ignore_conflicts=True)
    return AcceptedLabel.objects.select_for_update().get(item_id=item_id)


def restore_label(
    *, decision: Decision, current: AcceptedLabel, prediction: Prediction, task_type: str
) -> None:
    """A correction was undone: what `decision`, the one before it, had said counts and is served again."""
    if _leaves_label_alone(decision):
        serve_as_before(purpose=decision.purpose, current=current, prediction=prediction, task_type=task_type)
    else:
        accept_label(decision=decision, current=current, task_type=task_type)


def serve_as_before(*, purpose: str, current: AcceptedLabel, prediction: Prediction, task_type: str) -> None:
    """A look that cannot tell leaves in place what was served: the model's own output, or in a shadow review the fallback's.

    `current` is the item's row, locked; no decision counts for it from now on.
    """
    is_fallback = purpose == Purpose.SHADOW
    output = core_output(task_type, prediction.final_output if is_fallback else prediction.output)
    if _same_label(task_type, current.output, output):
        AcceptedLabel.objects.filter(pk=current.pk).update(decision=None)
        return
    current.decision = None
    origin = Origin.FALLBACK if is_fallback else Origin.AUTO
    outcome_id = _serve(current, prediction_id=prediction.pk, output=output, origin=origin)
    add_outcomes(current.project_id, ids=[outcome_id], of_predictions=False)


def withdraw(*, decision: Decision, by: Actor, reason: str) -> AcceptedLabel | None:
    """Undo a decision that is still the one that counts for its item (or had no label); the item's row, locked."""
    if decision.decided_by_id != by.user_id:
        raise NotAllowedError("not_yours", say("You can undo your own decisions only."))
    label = AcceptedLabel.objects.select_for_update().filter(item_id=decision.item_id).first()
    if decision.purpose == Purpose.SENTINEL:
        label = None  # it has never been anybody's label
    if label is not None and label.decision_id is not None and label.decision_id > decision.pk:
        raise ConflictError("superseded", say("A later decision about this item counts now."))
    Withdrawal.objects.create(decision=decision, by_id=by.user_id, reason=reason)
    if label is not None and label.decision_id == decision.pk:
        label.decision = None
        label.save(update_fields=["decision"])
    return label


def add_further_outcome(
    *,
    project_id: int,
    item_id: int,
    first: Prediction | None,
    prediction_id: int,
    output: dict[str, Any],
    origin: str,
    task_type: str,
) -> int:
    """A further prediction of a known item was final at once: its outcome is the item's next revision. Returns its id."""
    label = lock_accepted_label(project_id=project_id, item_id=item_id, first=first, task_type=task_type)
    if label.output is None:
        label.decision = (
            None  # what a person had rejected has an outcome after all: the rejection no longer counts
        )
    return _serve(label, prediction_id=prediction_id, output=output, origin=origin)


def add_fallback_outcome(
    *, project_id: int, item_id: int, prediction_id: int, output: dict[str, Any], task_type: str
) -> int | None:
    """The fallback answers an item that nobody has answered; none when it has an outcome meanwhile. Returns the outcome's id."""
    label = lock_accepted_label(project_id=project_id, item_id=item_id, first=None, task_type=task_type)
    if label.revision:
        return None
    return _serve(label, prediction_id=prediction_id, output=output, origin=Origin.FALLBACK)


def _serve(label: AcceptedLabel, *, prediction_id: int, output: dict[str, Any], origin: str) -> int:
    """What no person said becomes the item's next revision; the outcome's id, for the feed."""
    label.output, label.origin, label.revision = output, origin, label.revision + 1
    label.save()
    outcome = Outcome.objects.create(
        project_id=label.project_id,
        item_id=label.item_id,
        prediction_id=prediction_id,
        output=output,
        origin=origin,
        revision=label.revision,
    )
    return outcome.pk


def _leaves_label_alone(decision: Decision) -> bool:
    return decision.purpose in (Purpose.AUDIT, Purpose.SHADOW) and decision.verdict == Verdict.REJECTED


def _append_outcome(decision: Decision, revision: int) -> int:
    outcome = Outcome.objects.create(
        project_id=decision.project_id,
        item_id=decision.item_id,
        prediction_id=decision.prediction_id,
        output=decision.output,
        origin=Origin.HUMAN,
        verdict=decision.verdict,
        decision=decision,
        decided_at=decision.decided_at,
        revision=revision,
    )
    add_outcomes(decision.project_id, ids=[outcome.pk], of_predictions=False)
    return revision


def _same_label(task_type: str, one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    return one == other if one is None or other is None else equal(task_type, one, other)


def _same(schema: OutputSchema, output: Any, predicted: dict[str, Any], item_input: Any) -> bool:
    return not schema.check(output, pointer="/output", item_input=item_input) and equal(
        schema.task_type, output, predicted
    )


def _check_remarks(answer: Answer) -> None:
    if len(answer.note) > MAX_NOTE or "\x00" in answer.note:
        raise invalid(
            "/note",
            "invalid",
            say("a note has at most {max_note} characters and no U+0000", max_note=MAX_NOTE),
        )
    if answer.seconds is not None and not 0 <= answer.seconds <= MAX_SECONDS:
        raise invalid(
            "/seconds",
            "out_of_range",
            say("seconds must be from 0 to {max_seconds:.0f}", max_seconds=MAX_SECONDS),
        )

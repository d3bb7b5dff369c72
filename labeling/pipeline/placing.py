"""Working out, before anything is written, where a new prediction goes: route, task, outcome, counts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from labeling.decisions.diffing import core_output
from labeling.errors import FieldError
from labeling.ids import take_ids
from labeling.ingestion.candidates import Candidate
from labeling.ingestion.models import Route
from labeling.ingestion.services import RoutedPrediction
from labeling.projects.label_schema import labels_of, predicted_label
from labeling.review.marks import ensure_marks
from labeling.review.models import Purpose, TaskKind
from labeling.review.tasks import NewTask
from labeling.routing.conditions import facts_of
from labeling.routing.policy import is_drawn
from labeling.routing.queries import RoutingRules
from labeling.trust.deltas import Place, place_of


class StaleRulesError(Exception):
    """The rules have changed (or the key was revoked) since they were loaded; nothing was written."""


@dataclass(frozen=True, slots=True)
class Door:
    """Through what predictions come in: the rules in force as loaded, and the key that must still be good."""

    rules: RoutingRules
    queue_id: int
    key_id: int | None

    def guard_values(self) -> dict[str, Any]:
        """What GUARD compares."""
        return {"project": self.rules.project_id, "epoch": self.rules.epoch, "api_key": self.key_id}


# One row when what the door was made with is still in force, none otherwise.
GUARD = """
select 1 as passed from labeling_project project
where project.id = %(project)s and project.routing_epoch = %(epoch)s
  and (%(api_key)s::bigint is null or exists (
      select from labeling_apikey k join auth_user member on member.id = k.member_id
      where k.id = %(api_key)s and k.revoked_at is null and member.is_active))
"""


@dataclass(slots=True)
class Accepted:
    """The answer to one row."""

    index: int
    id: str | None
    status: str
    prediction_id: int | None = None
    route: str | None = None
    final: bool = False
    output: dict[str, Any] | None = None
    policy_number: int | None = None
    code: str = ""
    errors: list[FieldError] = field(default_factory=list)


@dataclass(slots=True)
class Placed:
    """A new prediction with everything that will be written for it. `output` is what is served at once, if anything."""

    prediction: RoutedPrediction
    task: NewTask | None
    output: dict[str, Any] | None
    place: Place
    counts: dict[str, int]

    @property
    def needs_a_person(self) -> bool:
        """Whether nothing can be answered before a person has looked."""
        return self.task is not None and self.output is None

    def refused(self) -> Accepted:
        """The answer when too many reviews wait: nothing is stored, and later will do."""
        candidate = self.prediction.candidate
        return Accepted(candidate.index, candidate.row.id, "refused", code="overflow")

    def answer(self) -> Accepted:
        p = self.prediction
        return Accepted(
            p.candidate.index,
            p.candidate.row.id,
            "created",
            p.id,
            p.route,
            self.output is not None,
            self.output,
            p.policy_number,
        )


def place(
    door: Door, candidates: Sequence[Candidate], now: datetime, item_id: int | None = None
) -> list[Placed]:
    """Route new predictions. Without `item_id` each makes a new item, which takes the id of the prediction."""
    if not candidates:
        return []
    ids = iter(take_ids(2 * len(candidates)))
    placed = [_place_one(door, candidate, next(ids), next(ids), now, item_id) for candidate in candidates]
    ensure_marks(door.queue_id, {p.task.priority for p in placed if p.task})
    return placed


def _place_one(
    door: Door, candidate: Candidate, prediction_id: int, task_id: int, now: datetime, item_id: int | None
) -> Placed:
    rules, row = door.rules, candidate.row
    label = predicted_label(rules.task_type, row.prediction)
    period = rules.period_of(candidate.model_version_id, label)
    chosen, reason = rules.policy.choose(
        confidence=row.confidence,
        labels=labels_of(rules.task_type, row.prediction),
        segment=row.segment,
        high=period.high,
        low=period.low,
    )
    if chosen == "auto" and row.segment in period.forced_segments:
        chosen, reason = "review", "segment"
    route = Route(chosen)
    output = _served_now(rules, route, candidate)
    audit_probability = period.audit_rate if route == Route.AUTO else 0.0
    audited = audit_probability > 0 and is_drawn(rules.secret, prediction_id, audit_probability)
    prediction = RoutedPrediction(
        id=prediction_id,
        item_id=item_id or prediction_id,
        project_id=rules.project_id,
        candidate=candidate,
        label=label,
        route=route.value,
        reason=reason,
        policy_number=rules.policy_number,
        period_id=period.period_id,
        audit_probability=audit_probability,
        audited=audited,
        final_output=output if route == Route.FALLBACK else None,
        received_at=now,
    )
    moment = row.occurred_at if rules.simulation and row.occurred_at else now
    return Placed(
        prediction,
        _task(door, prediction, task_id, served=output is not None),
        output,
        place_of(
            moment=moment,
            zone=ZoneInfo(rules.time_zone),
            period=period.period_id,
            mv=candidate.model_version_id,
            confidence=row.confidence,
            segment=row.segment,
            label=label,
        ),
        _counts(route, audited=audited, manual=output is None),
    )


def _served_now(rules: RoutingRules, route: Route, candidate: Candidate) -> dict[str, Any] | None:
    row = candidate.row
    if route == Route.AUTO:
        return core_output(rules.task_type, row.prediction)
    if route == Route.REVIEW:
        return None
    return rules.policy.fallback.output_for(
        lambda: facts_of(
            item_input=row.input,
            prediction=row.prediction,
            confidence=row.confidence,
            model=row.model,
            model_version=row.model_version,
            segment=row.segment,
        )
    )


def _task(door: Door, prediction: RoutedPrediction, task_id: int, *, served: bool) -> NewTask | None:
    """Review for the middle tier, a label without suggestion for a manual fallback, a blind check for a drawn audit."""
    if prediction.audited:
        blind = door.rules.policy.body["blind_audit"]
        kind, purpose = (TaskKind.LABEL if blind else TaskKind.REVIEW), Purpose.AUDIT
    elif served:
        return None
    elif prediction.route == Route.REVIEW:
        kind, purpose = TaskKind.REVIEW, Purpose.REVIEW
    else:
        kind, purpose = TaskKind.LABEL, Purpose.FALLBACK
    row = prediction.candidate.row
    return NewTask(
        id=task_id,
        project_id=prediction.project_id,
        queue_id=door.queue_id,
        kind=kind.value,
        purpose=purpose.value,
        item_id=prediction.item_id,
        prediction_id=prediction.id,
        model_version_id=prediction.candidate.model_version_id,
        confidence=row.confidence,
        segment=row.segment,
        label=prediction.label,
        priority=row.priority,
        created_at=prediction.received_at,
    )


def _counts(route: Route, *, audited: bool, manual: bool) -> dict[str, int]:
    counts = {"total": 1, route.value: 1}
    if audited:
        counts["audit_due"] = 1
    if route == Route.FALLBACK and manual:
        counts["fallback_manual"] = 1
    return counts

"""Working out, before anything is written, where a new prediction goes: route, task, outcome, counts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import SystemRandom
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

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
from labeling.routing.policy import Policy, is_drawn
from labeling.routing.queries import RoutingRules
from labeling.trust.buckets import bucket_of
from labeling.trust.counting import route_counts
from labeling.trust.deltas import Place
from labeling.trust.timegrid import keys_of
from labeling.trust.worth import SHADOW_RATE

# An enumeration's value is looked up anew at every use; these are used for every row.
_AUTO: Final = Route.AUTO.value
_REVIEW: Final = Route.REVIEW.value
_FALLBACK: Final = Route.FALLBACK.value

SPARE_SHARE: Final = 0.2
_rng = SystemRandom()  # web workers are forks: a seed of ours would be the same in all of them


class StaleRulesError(Exception):
    """The rules have changed (or the key was revoked) since they were loaded; nothing was written."""


@dataclass(frozen=True, slots=True)
class Door:
    """Through what predictions come in: the rules in force as loaded, and the key that must still be good."""

    rules: RoutingRules
    queue_id: int
    key_id: int | None

    def guard_values(self) -> dict[str, Any]:
        """What GUARD compares, in the order of GUARD_VALUES."""
        return {"project": self.rules.project_id, "epoch": self.rules.epoch, "api_key": self.key_id}


GUARD_VALUES: Final = ("project", "epoch", "api_key")
# One row when what the door was made with is still in force, none otherwise.
GUARD = """
select 1 as passed from labeling_project project
where project.id = %(project)s and project.routing_epoch = %(epoch)s
  and (%(api_key)s::bigint is null or exists (
      select from labeling_apikey k join auth_user member on member.id = k.member_id
      where k.id = %(api_key)s and k.revoked_at is null and member.is_active))
"""


class Accepted(msgspec.Struct, gc=False):
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
    errors: list[FieldError] = []


class Placed(msgspec.Struct, gc=False):
    """A new prediction with everything that will be written for it. `output` is what is served at once, if anything."""

    prediction: RoutedPrediction
    task: NewTask | None
    output: dict[str, Any] | None
    place: Place
    counts: Mapping[str, int]

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
    placed = list(place_at(door, candidates, take_places(door, len(candidates)), now, item_id))
    ensure_marks(door.queue_id, {p.task.priority for p in placed if p.task})
    return placed


def take_places(door: Door, count: int) -> list[tuple[int, int]]:
    """Ids for so many predictions and their tasks."""
    return _places(door.rules.policy, count)


def place_at(
    door: Door,
    candidates: Sequence[Candidate],
    places: Sequence[tuple[int, int]],
    now: datetime,
    item_id: int | None = None,
) -> Iterator[Placed]:
    """`place` under ids that were taken before; asks the database for nothing. Whoever writes the tasks ensures their marks."""
    zone = ZoneInfo(door.rules.time_zone)
    today = keys_of(now, zone)
    for candidate, (prediction_id, task_id) in zip(candidates, places, strict=True):
        occurred_at = candidate.row.occurred_at if door.rules.simulation else None
        keys = keys_of(occurred_at, zone) if occurred_at else today
        yield _place_one(door, candidate, prediction_id, task_id, now, keys, item_id)


def _places(policy: Policy, count: int) -> list[tuple[int, int]]:
    """Ids for so many predictions and their tasks, side by side. Where test items are wanted, some places among them stay free.

    A test item that takes one has a number like its neighbours'. They are more than twice as many as test items are wanted
    (`sentinels.py`): those among work that is done before test items are made stay free for ever. The last is never free:
    what lies before an id in use is certain not to be handed out any more (`ids.block_start`).
    """
    rate = policy.body["sentinel_rate"]
    wanted = count * min(1.0, max(5 * rate, SPARE_SHARE)) if rate > 0 else 0.0
    spare = int(wanted) + (_rng.random() < wanted % 1)
    ids = take_ids(2 * (count + spare))
    places = list(zip(ids[::2], ids[1::2], strict=True))
    if not spare:
        return places
    free = set(_rng.sample(range(len(places) - 1), spare))
    return [place for number, place in enumerate(places) if number not in free]


def _place_one(
    door: Door,
    candidate: Candidate,
    prediction_id: int,
    task_id: int,
    now: datetime,
    hour_and_day: tuple[str, str],
    item_id: int | None,
) -> Placed:
    rules, row = door.rules, candidate.row
    label = predicted_label(rules.task_type, row.prediction)
    period = rules.period_of(candidate.model_version_id, label)
    route, reason = rules.policy.choose(
        confidence=row.confidence,
        labels=labels_of(rules.task_type, row.prediction),
        segment=row.segment,
        high=period.high,
        low=period.low,
    )
    if route == _AUTO and row.segment in period.forced_segments:
        route, reason = "review", "segment"
    output = _served_now(rules, route, candidate)
    audit_probability = 0.0
    if route == _AUTO:
        audit_probability = period.audit_rate
    elif output is not None and prediction_id >= rules.shadows_from:
        audit_probability = SHADOW_RATE
    audited = audit_probability > 0 and is_drawn(rules.secret, prediction_id, audit_probability)
    prediction = RoutedPrediction(
        id=prediction_id,
        item_id=item_id or prediction_id,
        project_id=rules.project_id,
        candidate=candidate,
        label=label,
        route=route,
        reason=reason,
        policy_number=rules.policy_number,
        period_id=period.period_id,
        audit_probability=audit_probability,
        audited=audited,
        final_output=output if route == _FALLBACK else None,
        received_at=now,
    )
    return Placed(
        prediction,
        _task(door, prediction, task_id, served=output is not None),
        output,
        Place(
            *hour_and_day,
            period.period_id,
            candidate.model_version_id,
            bucket_of(row.confidence),
            row.segment,
            label,
        ),
        _COUNTS[route, audited, output is None, audit_probability > 0],
    )


def _served_now(rules: RoutingRules, route: str, candidate: Candidate) -> dict[str, Any] | None:
    row = candidate.row
    if route == _AUTO:
        return core_output(rules.task_type, row.prediction)
    if route == _REVIEW:
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
    """Review for the middle tier, a label without suggestion for a manual fallback and for a drawn answer of one that answers by
    itself, a blind check for a drawn audit."""
    if prediction.audited and prediction.route == _FALLBACK:
        kind, purpose = TaskKind.LABEL, Purpose.SHADOW
    elif prediction.audited:
        blind = door.rules.policy.body["blind_audit"]
        kind, purpose = (TaskKind.LABEL if blind else TaskKind.REVIEW), Purpose.AUDIT
    elif served:
        return None
    elif prediction.route == _REVIEW:
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


_COUNTS: Final[Mapping[tuple[str, bool, bool, bool], Mapping[str, int]]] = {
    (route, drawn, unanswered, drawable): route_counts(
        route, drawn=drawn, manual=unanswered, drawable=drawable
    )
    for route in (_AUTO, _REVIEW, _FALLBACK)
    for drawn in (False, True)
    for unanswered in (False, True)
    for drawable in (False, True)
}

"""How autonomy is earned and lost: the controller of one scope.

Pure: every function takes a state and the facts, and gives the next state; `now` comes from the caller.

    observe          confidences arrive; the first 500 of an epoch fix its levels
    record_audits    outcomes of audits of automatic decisions; too many errors step everything back
    record_reviews   outcomes in the review zone, which can only raise a warning
    look             evidence so far -> certified level, level in force, audit rate
    lower, stop, resume, accept, warn, start_epoch     what people and other signals do; a look follows

The promise: in an epoch without change the chance of ever certifying a level whose error rate is alpha or more
is at most delta, whatever the confidences mean. It rests on three rules kept here: evidence is only ever that
of the running epoch and its frozen levels, an e-value once reached stays reached, and audit rates depend on the
past only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from operator import add
from typing import Final, NamedTuple

from labeling.errors import Sentence, quote, say
from labeling.trust.buckets import BUCKET_COUNT
from labeling.trust.detector import Detector, DetectorState
from labeling.trust.levels import (
    GRID_SIZE,
    Cell,
    Cells,
    ErrorCurve,
    Level,
    Table,
    allowed_level,
    band_log_e,
    certified_level,
    error_curve,
    freeze_levels,
    level_log_e,
    middle_start,
    reachable_share,
    tabulate,
)
from labeling.trust.scope import (
    AutonomyPolicy,
    Mode,
    ReviewerEvidence,
    ScopeState,
    Standard,
    standard,
)

__all__ = [
    "AutonomyPolicy",
    "Cell",
    "ErrorCurve",
    "Level",
    "Look",
    "Mode",
    "ReviewerEvidence",
    "ScopeState",
    "Standard",
    "accept",
    "audit_rate_change",
    "audit_rate_in_force",
    "candidate_cut",
    "error_curve",
    "look",
    "lower",
    "observe",
    "permitted_level",
    "reachable_share",
    "record_audits",
    "record_reviews",
    "resume",
    "standard",
    "start_epoch",
    "stop",
    "warn",
    "warned",
]

CLIMB_AUDIT_RATE: Final = 0.20
LEAST_AUDITS_PER_DAY: Final = 20
RATE_TOLERANCE: Final = 1.25
"""An audit rate within this factor of what the rule asks for is kept: each change opens a policy period."""

AUDIT_WARNING: Final = 8.0
ZONE_WARNING: Final = 20.0
ZONE_NULL: Final = 1.3
ZONE_LABELS: Final = 200

COOL_DOWN_ITEMS: Final = 1000
ALARM_MEMORY: Final = timedelta(days=90)
WARNING_TIME: Final = timedelta(days=3)

OPEN_AUDITS_LIMIT: Final = 0.05


# --- what arrives -----------------------------------------------------------------------------------------


def observe(state: ScopeState, arrived: Sequence[int]) -> ScopeState:
    """Bucket counts (58) of predictions outside fallback that have come since the last call.

    While a cool-down runs they only use it up: none of a batch that begins in one is evidence. Otherwise the
    first of the epoch, at least 500, fix its levels.
    """
    if state.cool_down_left > 0:
        return replace(state, cool_down_left=max(0, state.cool_down_left - sum(arrived)))
    if state.levels:
        return state
    seen = tuple(map(add, state.seen, arrived))
    if sum(seen) < GRID_SIZE:
        return replace(state, seen=seen)
    levels = freeze_levels(seen)
    nothing = (0.0,) * len(levels)
    return replace(
        state,
        seen=seen,
        levels=levels,
        log_m=nothing,
        band_log_m=nothing,
        certified_at=(None,) * len(levels),
    )


def record_audits(
    state: ScopeState, policy: AutonomyPolicy, outcomes: Iterable[int], *, epoch: int, now: datetime
) -> ScopeState:
    """Audit outcomes of automatic decisions (1 = wrong) made in `epoch`, a batch in random order.

    Outcomes of an earlier epoch change nothing. At an alarm everything steps back: level 0, a new epoch, and
    1000 * 2^(earlier alarms in 90 days) predictions before labels count again; the rest of the batch belongs
    to the old epoch and is dropped.
    """
    if epoch != state.epoch:
        return state
    detector = Detector(policy.alpha, policy.detector_threshold, state.detector)
    if detector.feed(outcomes) is None:
        return replace(state, detector=detector.state)
    recent = tuple(alarm for alarm in state.alarms if now - alarm <= ALARM_MEMORY)
    fresh = start_epoch(state, now=now)
    return replace(fresh, alarms=(*recent, now), cool_down_left=COOL_DOWN_ITEMS * 2 ** len(recent))


def record_reviews(state: ScopeState, outcomes: Iterable[int], *, epoch: int) -> ScopeState:
    """Outcomes (1 = corrected) of reviewed predictions below the cut-off, made in `epoch`.

    They feed a CUSUM against 1.3 times the zone's error rate at the last promotion; without such a reference
    (fewer than 200 labels then) there is nothing to compare with.
    """
    if epoch != state.epoch or state.zone_null is None:
        return state
    zone = Detector(state.zone_null, state=state.zone)
    for x in outcomes:
        zone.update(x)
    return replace(state, zone=zone.state)


# --- what people and other signals do ---------------------------------------------------------------------


def warn(state: ScopeState, *, now: datetime, lasting: timedelta = WARNING_TIME) -> ScopeState:
    """A soft signal (drift): audits are raised until it ends. Never moves a threshold."""
    until = now + lasting
    return replace(
        state, warned_until=until if state.warned_until is None else max(until, state.warned_until)
    )


def warned(state: ScopeState, *, now: datetime) -> bool:
    """Whether audits are raised: audit CUSUM >= 8, review-zone CUSUM >= 20, or a soft signal still lasts."""
    return (
        state.detector.cusum_mean >= AUDIT_WARNING
        or state.zone.cusum_mean >= ZONE_WARNING
        or (state.warned_until is not None and now < state.warned_until)
    )


def lower(state: ScopeState, level: int, *, now: datetime) -> ScopeState:
    """A person limits autonomy to a level at or below the certified one; it stays limited until `resume`.

    ValueError when the level is above the certified one: only evidence raises that.
    """
    if not 0 <= level <= state.certified:
        raise ValueError(f"level must lie between 0 and the certified level {state.certified}, got {level}")
    if level >= state.level:
        return replace(state, limit=level, proposed=None)
    return replace(state, limit=level, level=level, proposed=None, changed_at=now)


def stop(state: ScopeState, *, now: datetime) -> ScopeState:
    """The kill switch: level 0 until `resume`. Evidence goes on being collected."""
    return replace(state, stopped=True, level=0, proposed=None, changed_at=now)


def resume(state: ScopeState) -> ScopeState:
    """Take back `stop` and `lower`; the next look may raise the level again, not before the interval is over."""
    return replace(state, stopped=False, limit=None)


def accept(state: ScopeState, policy: AutonomyPolicy, level: int, *, now: datetime) -> ScopeState:
    """A person accepts a proposed level, or a lower one (mode "suggest").

    ValueError when it is above what is certified and allowed.
    """
    target = permitted_level(state, policy)
    if not 0 <= level <= target:
        raise ValueError(f"level must lie between 0 and {target}, got {level}")
    if level == state.level:
        return replace(state, proposed=None)
    return replace(state, level=level, proposed=None, changed_at=now)


def start_epoch(state: ScopeState, *, now: datetime) -> ScopeState:
    """Level 0 and no evidence: after an alarm, a new model version, prompt, pre-processing or label schema.

    A person's stop or limit stays, the alarms stay remembered, warnings and what is left of a cool-down go on.
    """
    return ScopeState(
        epoch=state.epoch + 1,
        limit=state.limit,
        stopped=state.stopped,
        changed_at=now,
        warned_until=state.warned_until,
        cool_down_left=state.cool_down_left,
        alarms=state.alarms,
    )


# --- the look ---------------------------------------------------------------------------------------------


class Look(NamedTuple):
    """The outcome of a look. A change of epoch, level or audit rate needs a new policy period; `reason` says why.

    `reason` is empty when nothing in force changed.
    """

    state: ScopeState
    reason: Sentence


def look(
    state: ScopeState,
    policy: AutonomyPolicy,
    cells: Cells,
    reviewers: ReviewerEvidence,
    *,
    last_day: Sequence[int],
    now: datetime,
    open_audits: float = 0.0,
) -> Look:
    """Weigh the evidence of the running epoch and decide what is in force from now on.

    `cells` are the epoch's counts outside fallback and cool-down; `last_day` the bucket counts (58) of the
    last 24 hours outside fallback, from which the automatic volume of any level follows; `open_audits` the
    share of due audits without an answer. A look may be taken as often as one likes.
    """
    measure, table = standard(policy, reviewers), tabulate(cells)
    weighed = _weigh(state, policy, table, measure, now)
    moved = _move(weighed, policy, open_audits, now)
    if moved.level != state.settled_level:
        moved = _set_zone_reference(moved, table)
    audited = _set_audit_rate(moved, policy, error_curve(table), measure, last_day, now)
    return Look(replace(audited, settled_level=audited.level), _reason(state, audited))


def permitted_level(state: ScopeState, policy: AutonomyPolicy) -> int:
    """The highest level that evidence, cap and people allow."""
    if state.stopped or policy.mode == Mode.OFF:
        return 0
    allowed = [state.certified, allowed_level(state.levels, policy.operator_cap)]
    if state.limit is not None:
        allowed.append(state.limit)
    return min(allowed)


def candidate_cut(state: ScopeState, policy: AutonomyPolicy) -> int:
    """The lowest bucket of the levels that are tested next: the first step of the longer chain, or two above the certified one.

    58 before there are levels. What reviewers correct from here up is worth a second opinion: each of these errors counts.
    """
    if not state.levels:
        return BUCKET_COUNT
    top = allowed_level(state.levels, policy.operator_cap)
    wanted = min(max(middle_start(state.levels) + 1, state.certified + 2), top)
    return state.levels[wanted - 1].cut if wanted else BUCKET_COUNT


def audit_rate_in_force(wanted: float, auto_per_day: float, audits_per_day_max: float) -> float:
    """min(1, max(20/V, min(wanted, audits_per_day_max/V))), V = automatic decisions a day; 1 when there are none.

    Never 0: alarm and evidence need counts of audits, not a share.
    """
    if auto_per_day <= 0:
        return 1.0
    return min(1.0, max(LEAST_AUDITS_PER_DAY / auto_per_day, min(wanted, audits_per_day_max / auto_per_day)))


def _weigh(
    state: ScopeState, policy: AutonomyPolicy, table: Table, measure: Standard, now: datetime
) -> ScopeState:
    """Largest e-values so far, and what they certify.

    They are kept for one alpha (and one assumption about reviewers): e-values for a looser limit would not hold
    for a stricter one, so when people change it they are taken anew from the same counts, which is valid at any time.
    """
    if not state.levels:
        return state
    nothing = (0.0,) * len(state.levels)
    tested = (policy.alpha, policy.assumed_false_accept)
    if state.tested != tested:
        state = replace(state, log_m=nothing, band_log_m=nothing, tested=tested)
    if measure.alpha_effective > 0.0:
        log_e = level_log_e(table, state.levels, measure.alpha_effective).tolist()
        band = band_log_e(table, state.levels, measure.alpha_effective).tolist()
        state = replace(
            state,
            log_m=tuple(map(max, state.log_m, log_e)),
            band_log_m=tuple(map(max, state.band_log_m, band)),
        )
    largest = state.band_log_m if policy.strict else state.log_m
    certified = int(certified_level(largest, state.levels, measure.delta, strict=policy.strict))
    certified_at = tuple(
        (earlier or now) if level <= certified else None
        for level, earlier in enumerate(state.certified_at, start=1)
    )
    return replace(state, certified=certified, certified_at=certified_at)


def _move(state: ScopeState, policy: AutonomyPolicy, open_audits: float, now: datetime) -> ScopeState:
    """Down at once; up at most once per interval, not with audits open, and in "suggest" only as a proposal."""
    target = permitted_level(state, policy)
    if target < state.level:
        return replace(state, level=target, proposed=None, changed_at=now)
    if target == state.level:
        return replace(state, proposed=None)
    if policy.mode == Mode.SUGGEST:
        return replace(state, proposed=target)
    if open_audits > OPEN_AUDITS_LIMIT or not _interval_over(state, policy, now):
        return state
    return replace(state, level=target, proposed=None, changed_at=now)


def _interval_over(state: ScopeState, policy: AutonomyPolicy, now: datetime) -> bool:
    return state.changed_at is None or now - state.changed_at >= policy.min_interval


def _set_zone_reference(state: ScopeState, table: Table) -> ScopeState:
    """After a change of level: the error rate of the new review zone, if 200 labels tell it, and a fresh CUSUM."""
    zone = table.between(0, state.cut - 1)
    labels = float(zone.labelled.sum())
    null = None
    if state.level and labels >= ZONE_LABELS:
        estimate = max(float(error_curve(zone).error[0]), 0.5 / labels)
        null = ZONE_NULL * estimate if ZONE_NULL * estimate < 1.0 else None
    return replace(state, zone=DetectorState(), zone_null=null)


def _set_audit_rate(
    state: ScopeState,
    policy: AutonomyPolicy,
    curve: ErrorCurve,
    measure: Standard,
    last_day: Sequence[int],
    now: datetime,
) -> ScopeState:
    """The rate for the next policy period, from past data only: raised at once, lowered at most once a day."""
    if policy.mode == Mode.OFF:
        return replace(state, audit_wanted=policy.audit_rate, audit_rate=policy.audit_rate)
    volume = sum(last_day[state.cut :])
    climbing = _may_climb(state, policy, curve, measure)
    wanted = (
        max(policy.audit_rate, CLIMB_AUDIT_RATE) if climbing or warned(state, now=now) else policy.audit_rate
    )
    rate = audit_rate_in_force(wanted, volume, policy.audits_per_day_max)
    old = state.audit_rate
    if old is None or state.level != state.settled_level:
        return replace(state, audit_wanted=wanted, audit_rate=rate)
    if wanted == state.audit_wanted and old / RATE_TOLERANCE <= rate <= old * RATE_TOLERANCE:
        return state
    if rate >= old:
        return replace(state, audit_wanted=wanted, audit_rate=rate)
    over_budget = old * volume > RATE_TOLERANCE * policy.audits_per_day_max
    rested = state.audit_lowered_at is None or now - state.audit_lowered_at >= policy.audit_interval
    if not (rested or over_budget):
        return state
    return replace(state, audit_wanted=wanted, audit_rate=rate, audit_lowered_at=now)


def _may_climb(state: ScopeState, policy: AutonomyPolicy, curve: ErrorCurve, measure: Standard) -> bool:
    """Whether a level above is open, and the estimate says that it could be certified."""
    if not state.levels:
        return True
    top = allowed_level(state.levels, policy.operator_cap)
    if state.limit is not None:
        top = min(top, state.limit)
    if state.level >= top:
        return False
    estimate = float(curve.error[state.levels[state.level].cut])
    return math.isnan(estimate) or estimate <= measure.alpha_effective


def _reason(before: ScopeState, after: ScopeState) -> Sentence:
    if after.level > before.level:
        return say(
            "Level {before} to {after}: evidence certifies {share:.0%} of the traffic",
            before=before.level,
            after=after.level,
            share=after.certified_share,
        )
    if after.level < before.level:
        return say(
            "Level {before} to {after}: certified and allowed is no more",
            before=before.level,
            after=after.level,
        )
    if after.audit_rate != before.audit_rate:
        return audit_rate_change(before.audit_rate, after.audit_rate)
    return quote("")


def audit_rate_change(before: float | None, after: float | None) -> Sentence:
    """From which audit rate to which, in words."""
    if before is None:
        return say("Audit rate none to {after:.2%}", after=after or 0.0)
    return say("Audit rate {before:.2%} to {after:.2%}", before=before, after=after or 0.0)

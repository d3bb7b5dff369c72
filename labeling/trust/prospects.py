"""What to show of a scope's way: the next step and what it needs, and the bound on its automatic errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from labeling.trust.buckets import LAST_BUCKET
from labeling.trust.evidence import weighted_bounds
from labeling.trust.ladder import OPEN_AUDITS_LIMIT, permitted_level
from labeling.trust.levels import (
    GRID_SIZE,
    MIDDLE,
    MIDDLE_WEIGHT,
    TOP_WEIGHT,
    Cell,
    allowed_level,
    labels_needed,
    middle_start,
    tabulate,
)
from labeling.trust.scope import AutonomyPolicy, Mode, ReviewerEvidence, ScopeState, Standard, standard


class Needs(StrEnum):
    """What stands between a scope and its next level."""

    COOL_DOWN = "cool_down"
    CONFIDENCES = "confidences"
    SENTINELS = "sentinels"
    LABELS = "labels"
    FEWER_ERRORS = "fewer_errors"
    TIME = "time"
    OPEN_AUDITS = "open_audits"
    CONSENT = "consent"
    RESUME = "resume"
    CAP = "cap"
    SWITCH_ON = "switch_on"
    NOTHING = "nothing"


@dataclass(frozen=True)
class NextStep:
    """The next level and what it needs; `count` predictions, sentinels or labels where that is a number. `answers` is about how
    many people give until then, while they see everything: only those about the level's share of the traffic count."""

    needs: Needs
    level: int | None = None
    share: float | None = None
    count: int | None = None
    at: datetime | None = None
    answers: int | None = None


def first_step_answers(alpha: float, delta: float, *, strict: bool = False) -> int:
    """About how many answers of people the first step takes at the least: when not one of them finds an error.

        n such that log E >= log(1 / (0.8 delta)), divided by the half of the traffic that the step is about

    In strict mode the chain begins with the top fifth and all of delta. `alpha` is what labels are tested against, `delta`
    what promotions may spend. A model with errors needs more. ValueError unless both lie in (0, 1).
    """
    share, goal = (
        (0.2, math.log(1.0 / delta)) if strict else (MIDDLE, math.log(1.0 / (MIDDLE_WEIGHT * delta)))
    )
    needed = labels_needed((), 0, LAST_BUCKET, alpha, goal)
    return math.ceil((needed or 0) / share)


def next_step(
    state: ScopeState,
    policy: AutonomyPolicy,
    cells: Sequence[Cell],
    reviewers: ReviewerEvidence,
    *,
    now: datetime,
    open_audits: float = 0.0,
) -> NextStep:
    """What the next step needs, as of the last look. Counts of labels are estimates ("about 460 labels")."""
    if state.cool_down_left > 0:
        return NextStep(Needs.COOL_DOWN, count=state.cool_down_left)
    measure = standard(policy, reviewers)
    least = first_step_answers(measure.alpha_effective or policy.alpha, measure.delta, strict=policy.strict)
    if not state.levels:
        return NextStep(Needs.CONFIDENCES, count=GRID_SIZE - sum(state.seen), answers=least)
    if state.stopped:
        return NextStep(Needs.RESUME)
    target = permitted_level(state, policy)
    if target > state.level:
        share = state.levels[target - 1].share
        if policy.mode == Mode.SUGGEST:
            return NextStep(Needs.CONSENT, target, share)
        if open_audits > OPEN_AUDITS_LIMIT:
            return NextStep(Needs.OPEN_AUDITS, target, share)
        due = now if state.changed_at is None else state.changed_at + policy.min_interval
        return NextStep(Needs.TIME, target, share, at=due)
    allowed = allowed_level(state.levels, policy.operator_cap)
    if state.limit is not None and state.limit < min(state.certified, allowed):
        return NextStep(Needs.RESUME)
    if state.certified >= allowed:
        if policy.mode == Mode.OFF:
            return NextStep(Needs.SWITCH_ON)
        return NextStep(Needs.CAP if allowed < len(state.levels) else Needs.NOTHING)
    if measure.alpha_effective <= 0.0:
        return NextStep(Needs.SENTINELS, answers=None if state.level else least)
    return _nearest_level(state, policy, cells, measure)


class Bounds(NamedTuple):
    """An error rate lies between these at every look, from `errors` among `labels`."""

    low: float
    high: float
    labels: int
    errors: int


def auto_error_upper(cells: Sequence[Cell], policy: AutonomyPolicy, reviewers: ReviewerEvidence) -> float:
    """The upper end of `auto_error_bounds`."""
    return auto_error_bounds(cells, policy, reviewers).high


def auto_error_bounds(cells: Sequence[Cell], policy: AutonomyPolicy, reviewers: ReviewerEvidence) -> Bounds:
    """The headline: "at most this share of automatic decisions is wrong", true at every look of the epoch.

    From the audits of the automatic cells since the epoch began, at the delta left beside the sentinels, and
    divided by 1 - fa_U for what reviewers overlook. 1 when nothing was audited or reviewers are unknown.
    """
    audited = [(1.0, cell.labelled, cell.errors) for cell in cells if cell.is_automatic]
    return _bounds(audited, standard(policy, reviewers))


def level_error_bounds(
    cells: Sequence[Cell], cut: int, policy: AutonomyPolicy, reviewers: ReviewerEvidence
) -> Bounds:
    """The same bounds for everything from bucket `cut` up, from audits and reviews alike: what the level's certificate rests on.

    Labels are weighted as in the e-process (rho = least chance of the period / own chance), so at a certified level it lies
    about or below alpha, and tightens with every audit.
    """
    table = tabulate(cells).between(cut, LAST_BUCKET)
    rho = np.where(table.labelled > 0, np.minimum(table.floor(LAST_BUCKET) / table.pi, 1.0), 0.0)
    weighted = list(zip(rho.tolist(), table.labelled.tolist(), table.errors.tolist(), strict=True))
    return _bounds(weighted, standard(policy, reviewers))


def _bounds(weighted: Sequence[tuple[float, int, int]], measure: Standard) -> Bounds:
    """What reviewers let pass widens the upper end only: there may be more errors than were found, not fewer."""
    low, high = weighted_bounds(weighted, measure.delta, measure.delta)
    seen = 1.0 - measure.false_accept_upper
    labels, errors = (
        (int(sum(column)) for column in list(zip(*weighted, strict=True))[1:]) if weighted else (0, 0)
    )
    return Bounds(low, min(1.0, high / seen) if seen > 0.0 else 1.0, labels, errors)


def _nearest_level(
    state: ScopeState, policy: AutonomyPolicy, cells: Sequence[Cell], measure: Standard
) -> NextStep:
    """The next level of either chain that is not yet reached, whichever needs fewer labels."""
    chains = [(0, measure.delta)]
    if not policy.strict:
        middle = middle_start(state.levels)
        chains = [(middle, MIDDLE_WEIGHT * measure.delta), (0, TOP_WEIGHT * measure.delta)]
    largest = state.band_log_m if policy.strict else state.log_m
    found: list[NextStep] = []
    for start, delta in chains:
        goal = math.log(1.0 / delta)
        index = next((k for k in range(start, len(state.levels)) if largest[k] < goal), len(state.levels))
        if not state.certified <= index < len(state.levels):
            continue
        level = state.levels[index]
        top = state.levels[index - 1].cut - 1 if policy.strict and index else LAST_BUCKET
        count = labels_needed(cells, level.cut, top, measure.alpha_effective, goal)
        if count is not None:
            answers = None if state.level or policy.strict else math.ceil(count / level.share)
            found.append(NextStep(Needs.LABELS, index + 1, level.share, count, answers=answers))
    if found:
        return min(found, key=lambda step: step.count or 0)
    level = state.levels[state.certified]
    return NextStep(Needs.FEWER_ERRORS, state.certified + 1, level.share)

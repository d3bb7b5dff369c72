"""Levels of automation, and how much evidence stands behind each.

Level k automates the share of traffic with confidence in its cut-off bucket or above; level 0 automates
nothing. Cut-offs come from the first confidences of an epoch without their labels and stay for the epoch.

Which level is certified: fixed-sequence testing along two chains of nested levels. The chain that starts at
half of the traffic spends 0.8 delta, the one that starts at the top fifth 0.2 delta. A level counts when it
and every level before it in its chain has ever reached its e-value, so the chance of ever certifying a level
whose error rate is alpha or more is at most delta. Source: Angelopoulos et al. 2021 (Learn then Test).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labeling.trust.buckets import BUCKET_COUNT, LAST_BUCKET
from labeling.trust.evidence import KAPPAS, log_mean_exp, log_wealths
from labeling.trust.intervals import check_delta

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COVERAGES: Final = (0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
"""Shares of the traffic to aim at. A finer grid costs no delta in a fixed sequence."""

GRID_SIZE: Final = 500
"""Confidences that the cut-offs are read from."""

MIDDLE: Final = 0.5
MIDDLE_WEIGHT: Final = 0.8
TOP_WEIGHT: Final = 0.2


class Level(NamedTuple):
    """A step of automation: confidence buckets >= cut; `share` of the first traffic; the coverage aimed at."""

    cut: int
    share: float
    coverage: float


class Cell(NamedTuple):
    """Decisions of one confidence bucket that were labelled with one probability in one policy period.

    `total` decisions, `labelled` of them drawn with probability `pi` (known when they were made, 1 in review)
    and answered, `errors` of those wrong. `auto_pi` is the audit rate of the period and `auto_from` the lowest
    bucket of which it could have automated anything (58: nothing); both are facts of the period, not of what
    happened to arrive. Fallback and sentinels are in no cell; nor is what arrived in a cool-down.
    """

    bucket: int
    total: int
    labelled: int
    errors: int
    pi: float = 1.0
    auto_pi: float = 1.0
    auto_from: int = BUCKET_COUNT

    @property
    def is_automatic(self) -> bool:
        """Whether these decisions were automatic: in a bucket of both kinds, reviewed ones have another pi."""
        return self.bucket >= self.auto_from and self.pi == self.auto_pi


class Table(NamedTuple):
    """Cells as columns, checked once; whatever takes cells takes this too."""

    bucket: Ints
    total: Floats
    labelled: Floats
    errors: Floats
    pi: Floats
    auto_pi: Floats
    auto_from: Ints

    def between(self, low: int, high: int) -> Table:
        """The cells of buckets low ... high."""
        rows = (self.bucket >= low) & (self.bucket <= high)
        return Table(
            self.bucket[rows],
            self.total[rows],
            self.labelled[rows],
            self.errors[rows],
            self.pi[rows],
            self.auto_pi[rows],
            self.auto_from[rows],
        )

    def floor(self, top: int) -> Floats:
        """pi_min of each cell's period for traffic that ends at bucket `top`."""
        return np.where(self.auto_from <= top, self.auto_pi, 1.0)

    def wealths(self, top: int, alpha: float) -> Floats:
        """Log wealth of each gambler in each cell, shape (cells, 12), for traffic that ends at bucket `top`."""
        rho = np.where(self.labelled > 0, self.floor(top) / self.pi, 0.0)
        if not bool(np.all(rho <= 1.0 + 1e-12)):
            raise ValueError("a cell is labelled less often than its period allows (pi below auto_pi)")
        return log_wealths(np.minimum(rho, 1.0), self.labelled, self.errors, alpha)


Cells: TypeAlias = Sequence[Cell] | Table


def tabulate(cells: Cells) -> Table:
    """Cells as columns. ValueError where a cell is impossible."""
    if isinstance(cells, Table):
        return cells
    rows = np.asarray(cells, dtype=np.float64).reshape(-1, len(Cell._fields))
    bucket, total, labelled, errors, pi, auto_pi, auto_from = rows.T
    counted = (errors >= 0) & (errors <= labelled) & (labelled <= total) & np.isfinite(total)
    whole = np.all(rows[:, :4] == np.floor(rows[:, :4]), axis=1)
    if not bool(np.all(counted & whole)):
        raise ValueError("every cell must satisfy 0 <= errors <= labelled <= total in whole numbers")
    if not bool(np.all((bucket >= 0) & (bucket <= LAST_BUCKET) & (auto_from >= 0))):
        raise ValueError(f"buckets of cells must lie between 0 and {LAST_BUCKET}")
    chances = (pi >= 0) & (pi <= 1) & (auto_pi >= 0) & (auto_pi <= 1) & ((pi > 0) | (labelled == 0))
    if not bool(np.all(chances)):
        raise ValueError("probabilities of cells must lie between 0 and 1, and above 0 where labels exist")
    drawn = np.where(labelled > 0, pi, 1.0)
    return Table(bucket.astype(np.int64), total, labelled, errors, drawn, auto_pi, auto_from.astype(np.int64))


def freeze_levels(counts: Sequence[int], coverages: Sequence[float] = COVERAGES) -> tuple[Level, ...]:
    """Levels from bucket counts (58) of the first confidences; labels play no part.

    A cut-off is the lower edge of the lowest bucket in use from which the share does not exceed the coverage;
    where the highest bucket in use already holds more, its edge. Equal cut-offs are merged (the largest coverage
    stays); coverage 1 is everything. ValueError unless there are 58 counts >= 0, not all 0.
    """
    held = np.asarray(counts, dtype=np.float64)
    if held.shape != (BUCKET_COUNT,) or not bool(np.all(held >= 0)) or not held.any():
        raise ValueError(f"levels need {BUCKET_COUNT} counts >= 0, not all 0")
    share = np.cumsum(held[::-1])[::-1] / held.sum()
    used = np.flatnonzero(held)
    found: dict[int, Level] = {}
    for coverage in coverages:
        within = used[share[used] <= coverage + 1e-12]
        cut = 0 if coverage >= 1.0 else int(within[0] if len(within) else used[-1])
        found[cut] = Level(cut, float(share[cut]), coverage)
    return tuple(sorted(found.values(), key=lambda level: -level.cut))


def level_log_e(cells: Cells, levels: Sequence[Level], alpha: float) -> Floats:
    """log E of "the error rate of the level's traffic is below alpha" for each level; shape (levels,).

    ValueError unless 0 < alpha < 1 and the cells are possible.
    """
    table = tabulate(cells)
    by_bucket = np.zeros((BUCKET_COUNT, len(KAPPAS)))
    # Every level takes in the last bucket, which is automated first: pi_min does not depend on the level.
    np.add.at(by_bucket, table.bucket, table.wealths(LAST_BUCKET, alpha))
    from_the_top = np.cumsum(by_bucket[::-1], axis=0)[::-1]
    return log_mean_exp(from_the_top[[level.cut for level in levels]])


def band_log_e(cells: Cells, levels: Sequence[Level], alpha: float) -> Floats:
    """The same for the band between each level and the one above it alone (strict mode); shape (levels,)."""
    upper = [LAST_BUCKET, *(level.cut - 1 for level in levels[:-1])]
    table = tabulate(cells)
    bands = [
        table.between(level.cut, top).wealths(top, alpha).sum(axis=0)
        for level, top in zip(levels, upper, strict=True)
    ]
    return log_mean_exp(np.array(bands).reshape(len(levels), len(KAPPAS)))


def certified_level(log_m: ArrayLike, levels: Sequence[Level], delta: float, *, strict: bool = False) -> Ints:
    """The highest level that the largest e-values so far certify at error probability delta; 0 = none.

    log_m: log of the largest e-value so far, shape (..., levels): of the levels, or in strict mode of the bands,
    which are tested in one chain from the top. Shape of the answer: (...,). ValueError unless 0 < delta < 1.
    """
    check_delta(delta)
    largest = np.asarray(log_m, dtype=np.float64)
    if strict:
        return _chain(largest, 0, delta)
    middle = middle_start(levels)
    certified: Ints = np.maximum(
        _chain(largest, middle, MIDDLE_WEIGHT * delta), _chain(largest, 0, TOP_WEIGHT * delta)
    )
    return certified


def evidence_shares(
    log_m: Sequence[float], levels: Sequence[Level], delta: float, *, strict: bool = False
) -> list[float]:
    """How far the evidence of each level is on its way to its goal, 0 to 1, on the scale of log E."""
    check_delta(delta)
    middle = middle_start(levels)
    goals = [
        -math.log((1.0 if strict else MIDDLE_WEIGHT if k >= middle else TOP_WEIGHT) * delta)
        for k in range(len(levels))
    ]
    return [min(1.0, max(0.0, log_e / goal)) for log_e, goal in zip(log_m, goals, strict=True)]


def middle_start(levels: Sequence[Level]) -> int:
    """Index of the level that the second chain starts with: the first that aims at half of the traffic or more."""
    return next((k for k, level in enumerate(levels) if level.coverage >= MIDDLE), len(levels))


def labels_needed(cells: Cells, cut: int, top: int, alpha: float, goal: float) -> int | None:
    """About how many more labels bring log E of buckets cut ... top to `goal`, at the error rate seen so far.

    None when that rate is too high for any number; without labels so far, none wrong is assumed. An estimate
    of a median: counts labels as if drawn uniformly from the level.
    """
    table = tabulate(cells).between(cut, top)
    have = table.wealths(top, alpha).sum(axis=0)
    weights = np.where(table.labelled > 0, table.floor(top) / table.pi, 0.0)
    labels, wrong = float(weights @ table.labelled), float(weights @ table.errors)
    rate = wrong / labels if labels > 0 else 0.0
    one, gain = np.ones(1), np.zeros(len(KAPPAS))
    gain += (
        log_wealths(one, one, 0 * one, alpha)[0] * (1.0 - rate) + log_wealths(one, one, one, alpha)[0] * rate
    )
    if gain.max() <= 0.0:
        return None
    many = 1.0
    while log_mean_exp(have + many * gain) < goal:
        many *= 2.0
    few = 0.0
    while many - few > 1.0:
        middle = math.floor((few + many) / 2)
        few, many = (middle, many) if log_mean_exp(have + middle * gain) < goal else (few, middle)
    return int(many)


def allowed_level(levels: Sequence[Level], cap: float) -> int:
    """The highest level whose share does not exceed the operator's cap."""
    return max((k for k, level in enumerate(levels, start=1) if level.share <= cap + 1e-9), default=0)


class ErrorCurve(NamedTuple):
    """If everything from bucket b up were automated: share[b] of the traffic, with an error rate of error[b].

    Arrays of length 58; `error` is an estimate (nan where nothing is known), `labelled[b]` the labels it uses.
    """

    share: Floats
    error: Floats
    labelled: Floats


def error_curve(cells: Cells) -> ErrorCurve:
    """The oracle curve: post-stratified error estimate of every possible cut-off.

    Within a bucket labels are weighted by 1 / pi; an unlabelled bucket borrows from its neighbours.
    """
    table = tabulate(cells)
    totals = _per_bucket(table.bucket, table.total)
    labelled = _per_bucket(table.bucket, table.labelled)
    weighted = _per_bucket(table.bucket, table.labelled / table.pi)
    wrong = _per_bucket(table.bucket, table.errors / table.pi)
    share = _from_the_top(totals) / max(float(totals.sum()), 1.0)
    labels = _from_the_top(labelled)
    if not labelled.any():
        return ErrorCurve(share, np.full(BUCKET_COUNT, np.nan), labels)
    rate = _fill(weighted, wrong)
    below = _from_the_top(totals)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = _from_the_top(totals * rate) / below
    return ErrorCurve(share, error, labels)


def reachable_share(
    cells: Cells, alpha: float, levels: Sequence[Level] | None = None, *, strict: bool = False
) -> float:
    """The share of the traffic that could be automated at alpha if the error rates were known: what to hope for.

    Estimated, so not a promise; walks the same chains as the certificate. Without levels, those that
    the cells' own traffic would give. 0 when nothing is labelled or even the most confident traffic is too bad.
    """
    table = tabulate(cells)
    curve = error_curve(table)
    if not bool(np.isfinite(curve.error).any()):
        return 0.0
    if levels is None:
        levels = freeze_levels(_per_bucket(table.bucket, table.total).astype(int).tolist())
    errors = _band_errors(curve, levels) if strict else curve.error[[level.cut for level in levels]]
    known_good = np.where(errors < alpha, math.inf, -math.inf)
    best = int(certified_level(known_good, levels, 0.5, strict=strict))
    return float(curve.share[levels[best - 1].cut]) if best else 0.0


def _band_errors(curve: ErrorCurve, levels: Sequence[Level]) -> Floats:
    cuts = [level.cut for level in levels]
    share, wrong = curve.share[cuts], np.nan_to_num(curve.share[cuts] * curve.error[cuts])
    band_share, band_wrong = np.diff(share, prepend=0.0), np.diff(wrong, prepend=0.0)
    return np.where(band_share > 0, band_wrong / np.maximum(band_share, 1e-300), 0.0)


def _chain(log_m: Floats, start: int, delta: float) -> Ints:
    unbroken = np.cumprod(log_m[..., start:] >= math.log(1.0 / delta), axis=-1).sum(axis=-1)
    return np.where(unbroken > 0, start + unbroken, 0).astype(np.int64)


def _per_bucket(bucket: Ints, values: Floats) -> Floats:
    sums = np.zeros(BUCKET_COUNT)
    np.add.at(sums, bucket, values)
    return sums


def _from_the_top(values: Floats) -> Floats:
    return np.cumsum(values[::-1])[::-1]


def _fill(labelled: Floats, errors: Floats) -> Floats:
    """Error rate of each bucket, unlabelled ones from the nearest labelled (the mean of two equally near)."""
    places = np.arange(len(labelled))
    known = np.flatnonzero(labelled > 0)
    position = np.searchsorted(known, places)
    right = known[np.minimum(position, len(known) - 1)]
    left = known[np.maximum(position - 1, 0)]
    rate = np.divide(errors, labelled, out=np.zeros_like(errors), where=labelled > 0)
    near_right, near_left = np.abs(right - places), np.abs(places - left)
    nearest = np.where(near_right < near_left, rate[right], rate[left])
    filled: Floats = np.where(near_right == near_left, (rate[right] + rate[left]) / 2, nearest)
    return np.where(labelled > 0, rate, filled)

"""Has the traffic changed? Counts by confidence bucket (or predicted label) against a reference.

A yes may only raise the audit rate for a while; it never moves a threshold. The decision is a G-test *and* an
effect size: the usual limits on the population stability index alone mirror the sample size, since it is
(B - 1)(1/n + 1/m) on average when nothing changed.

Counts are whole numbers >= 0, one per bucket, reference and current equally long; ValueError otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

PARTS: Final = 10
LEAST_COUNT: Final = 200
P_LIMIT: Final = 0.001
FREE_TESTS_PER_DAY: Final = 20
EXCESS_LIMIT: Final = 0.025
CHANGE_LIMIT: Final = 0.05

_PRIOR: Final = 0.5
"""Added to each count inside the logarithms of the index, which else is infinite when a part is empty."""


@dataclass(frozen=True)
class DriftCheck:
    """The outcome of `check_drift`; `n` current counts in `parts` merged buckets."""

    n: int
    parts: int
    g: float
    p_value: float
    psi: float
    psi_excess: float
    js_distance: float
    ready: bool
    warn: bool


def check_drift(reference: ArrayLike, current: ArrayLike, tests_per_day: int = 1) -> DriftCheck:
    """Warn when at least 200 current counts differ with p < 0.001 and a bias-corrected PSI above 0.025.

    Buckets are merged to ten of about equal share of the reference first. With more than 20 tests a day
    (queues x statistics) the limit on p shrinks to 0.001 * 20 / tests_per_day. Until there are 200 counts the
    check is not `ready` and never warns: let them accumulate. ValueError also when tests_per_day < 1.
    """
    if tests_per_day < 1:
        raise ValueError(f"tests_per_day must be at least 1, got {tests_per_day!r}")
    before, after = _counts(reference, current)
    group = reference_groups(before)
    before, after = _merged(before, group), _merged(after, group)
    n = int(after.sum())
    g, p_value = g_test(before, after)
    psi = stability_index(before, after)
    excess = psi - null_stability_index(len(before), int(before.sum()), n)
    ready = n >= LEAST_COUNT and before.sum() >= LEAST_COUNT
    limit = P_LIMIT * min(1.0, FREE_TESTS_PER_DAY / tests_per_day)
    warn = bool(ready and p_value < limit and excess > EXCESS_LIMIT)
    return DriftCheck(n, len(before), g, p_value, psi, excess, js_distance(before, after), bool(ready), warn)


def reference_groups(reference: ArrayLike, parts: int = PARTS) -> NDArray[np.int64]:
    """The part 0, 1, ... of each bucket, neighbours merged to at most `parts` parts at the reference's quantiles.

    A bucket goes to the part that holds the middle of its share, so every part has reference counts; all
    buckets form one part when the reference is empty. ValueError when parts < 1.
    """
    if parts < 1:
        raise ValueError(f"parts must be at least 1, got {parts!r}")
    counts, _ = _counts(reference, reference)
    total = counts.sum()
    if total == 0:
        return np.zeros(len(counts), dtype=np.int64)
    middle = (np.cumsum(counts) - counts / 2) / total
    quantile = np.minimum((middle * parts).astype(np.int64), parts - 1)
    held = np.unique(quantile[counts > 0])
    place: NDArray[np.int64] = np.minimum(np.searchsorted(held, quantile), len(held) - 1).astype(np.int64)
    return place


def g_test(reference: ArrayLike, current: ArrayLike) -> tuple[float, float]:
    """Likelihood-ratio test that two rows of counts come from one distribution: (G, p).

        G = 2 sum O log(O / E),  p from chi-squared with (used buckets - 1) degrees of freedom

    Buckets empty in both rows are left out; (0, 1) when a row is empty or one bucket holds everything.
    """
    table = np.stack(_counts(reference, current))
    table = table[:, table.sum(axis=0) > 0]
    rows = table.sum(axis=1, keepdims=True)
    if table.shape[1] < 2 or not rows.all():
        return 0.0, 1.0
    expected = rows * table.sum(axis=0) / table.sum()
    g = 2.0 * float(special.rel_entr(table, expected).sum())
    return g, float(special.chdtrc(table.shape[1] - 1, max(g, 0.0)))


def stability_index(reference: ArrayLike, current: ArrayLike) -> float:
    """Population stability index: sum (p - q) log(p / q), half a count added to every bucket."""
    before, after = _counts(reference, current)
    q = (before + _PRIOR) / (before + _PRIOR).sum()
    p = (after + _PRIOR) / (after + _PRIOR).sum()
    return float(((p - q) * np.log(p / q)).sum())


def null_stability_index(parts: int, m: int, n: int) -> float:
    """What `stability_index` is on average when nothing changed: (parts - 1)(1/m + 1/n).

    Infinite when there are no counts. Source: Yurdakul, Naranjo 2020.
    """
    return (parts - 1) * (1.0 / m + 1.0 / n) if m > 0 and n > 0 else float("inf")


def js_distance(reference: ArrayLike, current: ArrayLike) -> float:
    """Jensen-Shannon distance in [0, 1]: root of the mean relative entropy (base 2) to the mixture; 0 if empty."""
    before, after = _counts(reference, current)
    if not before.any() or not after.any():
        return 0.0
    q, p = before / before.sum(), after / after.sum()
    mixture = (p + q) / 2
    divergence = (special.rel_entr(p, mixture).sum() + special.rel_entr(q, mixture).sum()) / (2 * np.log(2.0))
    return float(np.sqrt(min(1.0, max(0.0, divergence))))


def _merged(counts: Floats, group: NDArray[np.int64]) -> Floats:
    return np.bincount(group, counts).astype(np.float64)


def _counts(reference: ArrayLike, current: ArrayLike) -> tuple[Floats, Floats]:
    before, after = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    if before.ndim != 1 or before.shape != after.shape or len(before) == 0:
        raise ValueError("reference and current must be lists of counts of one length")
    both = np.concatenate((before, after))
    if not bool(np.all((both >= 0) & np.isfinite(both) & (both == np.floor(both)))):
        raise ValueError("counts must be whole numbers >= 0")
    return before, after


@dataclass(frozen=True)
class CalibrationCheck:
    """The outcome of `check_calibration`; `n` labels since, `change` the root mean square change of the gap."""

    n: int
    p_value: float
    change: float
    ready: bool
    warn: bool


def check_calibration(
    confidence: ArrayLike,
    reference: tuple[ArrayLike, ArrayLike],
    current: tuple[ArrayLike, ArrayLike],
    tests_per_day: int = 1,
) -> CalibrationCheck:
    """Warn when the gap between confidence and share right has changed, by more than chance and by more than 0.05.

    `confidence` of each bucket; reference and current are (labelled, right) by bucket. Buckets are merged to ten parts of
    about equal count of the reference. In each part d = gap now - gap then, with variance v from the share right of both together (half a
    count added, so that a part without errors is not certain):

        X = sum d^2 / v,  p from chi-squared with as many degrees of freedom as parts
        change = sqrt(max(0, sum n (d^2 - v) / sum n)),  n the labels now

    A gap that was there from the beginning is no change: thresholds work on ranks. ValueError as for the other counts.
    """
    if tests_per_day < 1:
        raise ValueError(f"tests_per_day must be at least 1, got {tests_per_day!r}")
    claimed = np.asarray(confidence, dtype=np.float64)
    m, m_right = _counts(*reference)
    n, n_right = _counts(*current)
    if claimed.shape != m.shape or m.shape != n.shape or bool(np.any(m_right > m) or np.any(n_right > n)):
        raise ValueError("confidence, labelled and right must be of one length, with right <= labelled")
    group = reference_groups(m)
    sums = [_merged(column, group) for column in (m, m_right, claimed * m, n, n_right, claimed * n)]
    used = (sums[0] > 0) & (sums[3] > 0)
    m, m_right, m_claimed, n, n_right, n_claimed = (column[used] for column in sums)
    ready = bool(n.sum() >= LEAST_COUNT and m.sum() >= LEAST_COUNT)
    if not used.any():
        return CalibrationCheck(0, 1.0, 0.0, False, False)
    shift = (n_claimed - n_right) / n - (m_claimed - m_right) / m
    share = (m_right + n_right + _PRIOR) / (m + n + 2 * _PRIOR)
    noise = share * (1.0 - share) * (1.0 / m + 1.0 / n)
    p_value = float(special.chdtrc(len(n), float((shift**2 / noise).sum())))
    change = float(np.sqrt(max(0.0, float((n * (shift**2 - noise)).sum() / n.sum()))))
    limit = P_LIMIT * min(1.0, FREE_TESTS_PER_DAY / tests_per_day)
    warn = bool(ready and p_value < limit and change > CHANGE_LIMIT)
    return CalibrationCheck(int(n.sum()), p_value, change, ready, warn)

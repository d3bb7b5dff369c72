"""Evidence that an error rate is below (or above) a limit, from counts labelled at different rates.

A cell (rho, n, s) holds n labelled items, s of them wrong, that were drawn for labelling with probability pi;
rho = pi_min / pi, where pi_min is the smallest pi any item of the tested traffic could have had in that policy
period. Weighted so, the cells speak for all the traffic although some of it is labelled more densely.

    log W_j = sum over cells  (n - s) log(1 + l_j rho alpha) + s log(1 - l_j rho (1 - alpha))
    E       = mean over j of W_j

While the error rate is at least alpha every W_j is a non-negative supermartingale, so E ever reaches 1/delta
with probability at most delta, at however many looks, also when pi depends on the past. Source: Xu,
Karampatziakis, Mineiro 2024, with a fixed mixture of bets in place of a tuned one, which makes it a function
of counts.

Counts are whole numbers up to 1e9 and more. Logs are natural. No cells is no evidence: log E = 0, bounds (0, 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from labeling.trust.intervals import check_counts, check_delta

Floats = NDArray[np.float64]
Cells = Sequence[tuple[float, int, int]]

KAPPAS: Final = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
"""Gambler j keeps the share kappa_j of the wealth when an error shows up: small = bold."""

EXCESSES: Final = np.geomspace(0.001, 0.5, 8)
"""Gambler j of the mirror bets that the error rate exceeds alpha by the share excess_j of what is left to 1."""

_MAX_STEPS: Final = 200


def stakes(alpha: float) -> Floats:
    """l_j = (1 - kappa_j) / (1 - alpha), shape (12,). ValueError unless 0 < alpha < 1."""
    _check_alpha(alpha)
    return (1.0 - KAPPAS) / (1.0 - alpha)


def log_wealths(rho: Floats, n: Floats, s: Floats, alpha: float) -> Floats:
    """What each gambler of `log_e_below` has won or lost in each cell: shape (cells, 12). Not validated."""
    stake = stakes(alpha)
    right = np.log1p(np.outer(rho, stake * alpha))
    wrong = np.log1p(-np.outer(rho, stake * (1.0 - alpha)))
    wealths: Floats = (n - s)[:, None] * right + s[:, None] * wrong
    return wealths


def log_mean_exp(values: Floats) -> Floats:
    """log of the mean of exp(values) over the last axis, without overflow."""
    top = values.max(axis=-1, keepdims=True)
    mean: Floats = np.log(np.mean(np.exp(values - top), axis=-1)) + top[..., 0]
    return mean


def log_e_below(cells: Cells, alpha: float) -> float:
    """log E of "the error rate is below alpha"; reject "at least alpha" when it reaches log(1/delta).

    ValueError unless 0 < alpha < 1, 0 <= rho <= 1 and 0 <= s <= n in whole numbers.
    """
    rho, n, s = _columns(cells)
    return float(log_mean_exp(log_wealths(rho, n, s, alpha).sum(axis=0)))


def log_e_above(cells: Cells, alpha: float) -> float:
    """The mirror: log E of "the error rate is above alpha", valid while it is at most alpha.

        log W_j = sum over cells  (n - s) log(1 - x_j rho) + s log(1 + x_j rho (1 - alpha) / alpha)

    with x_j = EXCESSES, that is stakes x_j / alpha on more errors. Errors as `log_e_below`.
    """
    _check_alpha(alpha)
    rho, n, s = _columns(cells)
    right = np.log1p(-np.outer(rho, EXCESSES))
    wrong = np.log1p(np.outer(rho, EXCESSES * ((1.0 - alpha) / alpha)))
    return float(log_mean_exp(((n - s)[:, None] * right + s[:, None] * wrong).sum(axis=0)))


def weighted_bounds(cells: Cells, delta_low: float, delta_high: float) -> tuple[float, float]:
    """(low, high): the error rate is below low ever with probability <= delta_low, above high <= delta_high.

    For fixed counts `log_e_below` rises and `log_e_above` falls with alpha, so each end is one root.
    Errors as `log_e_below`; deltas strictly between 0 and 1.
    """
    check_delta(delta_low)
    check_delta(delta_high)
    rho, n, s = _columns(cells)
    return _lower_bound(rho, n, s, delta_low), _upper_bound(rho, n, s, delta_high)


def upper_bound_below(n: SupportsIndex, s: SupportsIndex, delta: float) -> float:
    """One-sided upper bound for the rate of n uniformly labelled items, s positive, true at every look.

    The upper end of `weighted_bounds` for one cell with rho = 1; n = 0 gives 1.
    """
    check_delta(delta)
    total, positives = check_counts(n, s)
    return _upper_bound(np.ones(1), np.array([float(total)]), np.array([float(positives)]), delta)


def _upper_bound(rho: Floats, n: Floats, s: Floats, delta: float) -> float:
    goal = math.log(1.0 / delta)
    lost = (s[:, None] * np.log1p(-np.outer(rho, 1.0 - KAPPAS))).sum(axis=0)
    good, keep = n - s, 1.0 - KAPPAS

    def excess(alpha: float) -> float:
        won = good @ np.log1p(np.outer(rho, keep * (alpha / (1.0 - alpha))))
        return float(log_mean_exp(won + lost)) - goal

    highest = 1.0 - 2.0**-53
    if not np.any(good * rho > 0) or excess(highest) < 0.0:
        return 1.0
    return _root(excess, 0.0, highest)[1]


def _lower_bound(rho: Floats, n: Floats, s: Floats, delta: float) -> float:
    goal = math.log(1.0 / delta)
    lost = ((n - s)[:, None] * np.log1p(-np.outer(rho, EXCESSES))).sum(axis=0)

    def excess(alpha: float) -> float:
        won = s @ np.log1p(np.outer(rho, EXCESSES * ((1.0 - alpha) / alpha)))
        return goal - float(log_mean_exp(won + lost))

    lowest = 1e-15
    if not np.any(s * rho > 0) or excess(lowest) > 0.0:
        return 0.0
    return _root(excess, lowest, 1.0)[0]


def _root(function: Callable[[float], float], low: float, high: float) -> tuple[float, float]:
    """A bracket of the root of a rising function, as tight as floats allow near 1e-14 of its place.

    Chandrupatla's rule: inverse quadratic steps where they are safe, halving where they are not.
    """
    a, b, c = high, low, low
    fa, fb = function(a), function(b)
    fc = fb
    step = 0.5
    for _ in range(_MAX_STEPS):
        x = a + step * (b - a)
        fx = function(x)
        if (fx > 0) == (fa > 0):
            c, fc = a, fa
        else:
            c, b, fc, fb = b, a, fb, fa
        a, fa = x, fx
        tolerance = 1e-15 * max(abs(a), abs(b)) + 1e-18
        relative = tolerance / abs(b - a) if b != a else 1.0
        if fa == 0.0:
            return a, a
        if relative > 0.5:
            break
        step = _quadratic_step(a, b, c, fa, fb, fc)
        step = min(max(step, relative), 1.0 - relative)
    return (a, b) if a < b else (b, a)


def _quadratic_step(a: float, b: float, c: float, fa: float, fb: float, fc: float) -> float:
    if fc in (fa, fb):
        return 0.5
    xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
    if not (phi * phi < xi and (1.0 - phi) ** 2 < 1.0 - xi):
        return 0.5
    return fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)


def _columns(cells: Cells) -> tuple[Floats, Floats, Floats]:
    """rho, n and s of the cells, those of equal rho added up (the bets only see their sum)."""
    table = np.asarray(cells, dtype=np.float64)
    if table.size == 0:
        table = np.zeros((1, 3))
    if table.ndim != 2 or table.shape[1] != 3:
        raise ValueError("cells must be (rho, n, s) triples")
    rho, n, s = table.T
    if not bool(np.all((rho >= 0) & (rho <= 1))):
        raise ValueError("rho must lie between 0 and 1 in every cell")
    if not bool(np.all((s >= 0) & (s <= n) & np.isfinite(n) & (n == np.floor(n)) & (s == np.floor(s)))):
        raise ValueError("counts must be whole numbers with 0 <= s <= n in every cell")
    unique, place = np.unique(rho, return_inverse=True)
    sums = np.zeros((len(unique), 2))
    np.add.at(sums, place, table[:, 1:])
    return unique, sums[:, 0], sums[:, 1]


def _check_alpha(alpha: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie strictly between 0 and 1, got {alpha!r}")

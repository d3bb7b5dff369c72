"""Intervals for one rate from n labelled and s positives.

`confidence_sequence` may be looked at after every label; `clopper_pearson` and `wilson` hold for one look at
a size chosen beforehand, so they belong to sliding windows ("not for decisions").

All take counts up to 1e9 and more, `delta` = 1 - coverage, and give (low, high) in [0, 1]; n = 0 gives (0, 1).
A count that is negative or no whole number, s > n, or a delta outside (0, 1) is a ValueError.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from statistics import NormalDist
from typing import Final, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

_HALVINGS: Final = 60
_SERIES_FROM: Final = 30.0
_HALF_LOG_TWO_PI: Final = 0.5 * math.log(2.0 * math.pi)
_LOG_PI: Final = math.log(math.pi)


def confidence_sequence(n: SupportsIndex, s: SupportsIndex, delta: float = 0.05) -> tuple[float, float]:
    """Beta-binomial mixture confidence sequence: covers the rate at all n at once with 1 - delta.

    Robbins' mixture E(p) = B(1/2 + s, 1/2 + n - s) / [B(1/2, 1/2) p^s (1 - p)^(n - s)] is a martingale when
    the rate is p, so by Ville's inequality {p : E(p) < 1/delta} is never wrong in a share 1 - delta of all
    runs. With q = s/n it reads  n KL(q, p) < log(1/delta) - log E(q),  convex in p: one bisection an end.

    Source: Robbins 1970; Howard, Ramdas, McAuliffe, Sekhon 2021.
    """
    n, s = check_counts(n, s)
    check_delta(delta)
    if n == 0:
        return 0.0, 1.0
    room = math.log(1.0 / delta) - _log_mixture_at_the_mean(n, s)
    if s == 0:
        return 0.0, -math.expm1(-room / n)
    if s == n:
        return math.exp(-room / n), 1.0
    mean, rest = s / n, (n - s) / n

    def divergence_above(step: float) -> float:
        return -s * math.log1p(step / mean) - (n - s) * math.log1p(-step / rest)

    def divergence_below(step: float) -> float:
        return -s * math.log1p(-step / mean) - (n - s) * math.log1p(step / rest)

    low = max(0.0, mean - _step_out(divergence_below, mean, room))
    high = min(1.0, mean + _step_out(divergence_above, rest, room))
    return low, high


def confidence_sequences(n: ArrayLike, s: ArrayLike, delta: float = 0.05) -> tuple[Floats, Floats]:
    """`confidence_sequence` for arrays of counts of one shape (or broadcast to one): (lows, highs).

    400 intervals take a few milliseconds.
    """
    totals, positives = _check_count_arrays(n, s)
    check_delta(delta)
    room = math.log(1.0 / delta) - _log_mixtures_at_the_mean(totals, positives)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(totals > 0, positives / np.maximum(totals, 1.0), 0.5)
        low_room, high_room = mean, 1.0 - mean
        low = mean - _steps_out(totals, positives, mean, room, low_room, -1.0)
        high = mean + _steps_out(totals, positives, mean, room, high_room, 1.0)
    low = np.where(positives == 0, 0.0, np.clip(low, 0.0, 1.0))
    high = np.where(positives == totals, 1.0, np.clip(high, 0.0, 1.0))
    return low, high


def clopper_pearson(n: SupportsIndex, s: SupportsIndex, delta: float = 0.05) -> tuple[float, float]:
    """Exact interval for one look: each end is a quantile of a beta distribution at delta / 2.

    Source: Clopper, Pearson 1934.
    """
    n, s = check_counts(n, s)
    check_delta(delta)
    low = 0.0 if s == 0 else float(special.betaincinv(s, n - s + 1, delta / 2))
    high = 1.0 if s == n else float(special.betainccinv(s + 1, n - s, delta / 2))
    return low, high


def wilson(n: SupportsIndex, s: SupportsIndex, delta: float = 0.05) -> tuple[float, float]:
    """Score interval for one look, z = normal quantile at 1 - delta / 2:

        (q + z^2/2n -+ z sqrt(q (1 - q)/n + z^2/4n^2)) / (1 + z^2/n),  q = s/n.

    Source: Wilson 1927.
    """
    n, s = check_counts(n, s)
    check_delta(delta)
    if n == 0:
        return 0.0, 1.0
    z = -NormalDist().inv_cdf(delta / 2)
    rate = s / n
    center = rate + z * z / (2 * n)
    spread = z * math.sqrt(rate * (n - s) / n / n + z * z / (4.0 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if s == 0 else max(0.0, (center - spread) / scale)
    high = 1.0 if s == n else min(1.0, (center + spread) / scale)
    return low, high


def _step_out(divergence: Callable[[float], float], limit: float, room: float) -> float:
    """How far from the mean, at most `limit`, the divergence reaches `room`; the outer end of the bracket."""
    inside, outside = 0.0, limit
    for _ in range(_HALVINGS):
        middle = 0.5 * (inside + outside)
        if middle in (inside, outside):
            break
        if divergence(middle) < room:
            inside = middle
        else:
            outside = middle
    return outside


def _steps_out(n: Floats, s: Floats, mean: Floats, room: Floats, limit: Floats, sign: float) -> Floats:
    inside: Floats = np.zeros_like(mean)
    outside: Floats = limit
    for _ in range(_HALVINGS):
        middle = 0.5 * (inside + outside)
        hits = np.where(s > 0, s * np.log1p(sign * middle / mean), 0.0)
        misses = np.where(s < n, (n - s) * np.log1p(-sign * middle / (1.0 - mean)), 0.0)
        within = -hits - misses < room
        inside = np.where(within, middle, inside)
        outside = np.where(within, outside, middle)
    return np.asarray(outside)


def _log_mixture_at_the_mean(n: int, s: int) -> float:
    """log E(s/n); by Stirling's series, so that terms of size n log n never have to cancel."""
    return _gamma_rest(s) + _gamma_rest(n - s) - _LOG_PI - _factorial_rest(n)


def _gamma_rest(x: float) -> float:
    """log Gamma(x + 1/2) - x log x + x."""
    if x == 0:
        return 0.5 * _LOG_PI
    if x < _SERIES_FROM:
        return math.lgamma(x + 0.5) - x * math.log(x) + x
    return _HALF_LOG_TWO_PI - 1 / (24 * x) + 7 / (2880 * x**3) - 31 / (40320 * x**5)


def _factorial_rest(x: float) -> float:
    """log Gamma(x + 1) - x log x + x, for x > 0."""
    if x < _SERIES_FROM:
        return math.lgamma(x + 1.0) - x * math.log(x) + x
    return _HALF_LOG_TWO_PI + 0.5 * math.log(x) + 1 / (12 * x) - 1 / (360 * x**3) + 1 / (1260 * x**5)


def _log_mixtures_at_the_mean(n: Floats, s: Floats) -> Floats:
    hits = np.array([_gamma_rest(x) for x in s.ravel().tolist()])
    misses = np.array([_gamma_rest(x) for x in (n - s).ravel().tolist()])
    totals = np.array([_factorial_rest(x) if x else 0.0 for x in n.ravel().tolist()])
    mixtures: Floats = (hits + misses - _LOG_PI - totals).reshape(n.shape)
    return mixtures


def check_counts(n: SupportsIndex, s: SupportsIndex) -> tuple[int, int]:
    try:
        total, positives = operator.index(n), operator.index(s)
    except TypeError:
        raise ValueError(f"counts must be whole numbers, got n={n!r}, s={s!r}") from None
    if not 0 <= positives <= total:
        raise ValueError(f"counts must satisfy 0 <= s <= n, got n={total}, s={positives}")
    return total, positives


def _check_count_arrays(n: ArrayLike, s: ArrayLike) -> tuple[Floats, Floats]:
    totals, positives = np.broadcast_arrays(np.asarray(n, dtype=np.float64), np.asarray(s, dtype=np.float64))
    if not bool(np.all((positives >= 0) & (positives <= totals) & np.isfinite(totals))):
        raise ValueError("counts must satisfy 0 <= s <= n everywhere")
    if not bool(np.all((totals == np.floor(totals)) & (positives == np.floor(positives)))):
        raise ValueError("counts must be whole numbers")
    return totals, positives


def check_delta(delta: float) -> None:
    if not 0.0 < delta < 1.0:
        raise ValueError(f"delta must lie strictly between 0 and 1, got {delta!r}")

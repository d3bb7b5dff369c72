"""The rates that trust is built on; everything a caller outside this folder needs, in one place.

Needs numpy and scipy only and no Django: the same functions are checked against an independent implementation.
"""

from __future__ import annotations

from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labeling.trust.agreement import cohen_kappa, krippendorff_nominal
from labeling.trust.detector import Detector, DetectorState
from labeling.trust.evidence import log_e_above, log_e_below, upper_bound_below, weighted_bounds
from labeling.trust.intervals import (
    check_delta,
    clopper_pearson,
    confidence_sequence,
    confidence_sequences,
    wilson,
)
from labeling.trust.misses import AutoGroup, OtherGroup, miss_rate, miss_rate_interval

__all__ = [
    "AutoGroup",
    "Detector",
    "DetectorState",
    "OtherGroup",
    "alpha_effective",
    "clopper_pearson",
    "cohen_kappa",
    "confidence_sequence",
    "confidence_sequences",
    "corrected_rate",
    "corrected_rate_interval",
    "ht_rate",
    "krippendorff_nominal",
    "log_e_above",
    "log_e_below",
    "miss_rate",
    "miss_rate_interval",
    "upper_bound_below",
    "weighted_bounds",
    "wilson",
]

Floats = NDArray[np.float64]


def ht_rate(N: ArrayLike, n: ArrayLike, s: ArrayLike) -> tuple[float, float]:  # noqa: N803
    """Post-stratified (Horvitz-Thompson) rate of all decisions from the labelled ones: (rate, variance).

        rate     = sum_h N_h s_h / n_h  /  sum_h N_h
        variance = sum_h N_h^2 (1 - n_h/N_h) p_h (1 - p_h) / n_h  /  (sum_h N_h)^2,  p_h = (s_h + 1/2)/(n_h + 1)

    Stratum h (policy period x confidence bucket) has N_h decisions, n_h of them labelled at random, s_h wrong.
    The smoothed p_h keeps a stratum without errors from claiming no variance. A stratum with decisions but no
    label borrows from the nearest labelled one in the given order (the two nearest together when they are
    equally far): the two become one stratum.

    One-dimensional, equally long, 0 <= s <= n <= N in whole numbers; ValueError otherwise, and when no
    decision is labelled: the rate is then unknown. Source: Horvitz, Thompson 1952.
    """
    strata = _check_strata(N, n, s)
    totals, labelled, positives = _collapse_unlabelled(strata[:, strata[0] > 0])
    share = totals / totals.sum()
    smoothed = (positives + 0.5) / (labelled + 1.0)
    missing = np.maximum(1.0 - labelled / totals, 0.0)
    variance = share**2 * missing * smoothed * (1.0 - smoothed) / labelled
    return float(share @ (positives / labelled)), float(variance.sum())


def alpha_effective(alpha: float, false_accept_upper: float, false_correct_lower: float) -> float:
    """The limit that labels of fallible reviewers are tested against so that the true error stays below alpha.

        alpha (1 - fa_U) + (1 - alpha) fc_L

    At a true error of alpha reviewers report at least this much: they confirm a wrong prediction with
    probability at most fa_U and change a right one with probability at least fc_L. Rises with alpha and fc_L,
    falls with fa_U; 0 (nothing can be certified) when fa_U = 1. All three lie in [0, 1], else ValueError.
    """
    for name, value in (
        ("alpha", alpha),
        ("false_accept_upper", false_accept_upper),
        ("false_correct_lower", false_correct_lower),
    ):
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{name} must lie between 0 and 1, got {value!r}")
    return alpha * (1.0 - false_accept_upper) + (1.0 - alpha) * false_correct_lower


def corrected_rate(observed: float, false_accept: float, false_correct: float) -> float:
    """The true error rate behind an observed one, clipped to [0, 1]: (q - fc) / (1 - fa - fc).

    ValueError unless all are in [0, 1]. Reviewers no better than chance (fa + fc >= 1) say nothing: nan.
    Source: Rogan, Gladen 1978.
    """
    for name, value in (
        ("observed", observed),
        ("false_accept", false_accept),
        ("false_correct", false_correct),
    ):
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{name} must lie between 0 and 1, got {value!r}")
    denominator = 1.0 - false_accept - false_correct
    if denominator <= 0.0:
        return float("nan")
    return min(1.0, max(0.0, (observed - false_correct) / denominator))


def corrected_rate_interval(
    errors: tuple[SupportsIndex, SupportsIndex],
    sentinels: tuple[SupportsIndex, SupportsIndex],
    gold: tuple[SupportsIndex, SupportsIndex],
    delta: float = 0.05,
) -> tuple[float, float]:
    """Interval for the true error rate, true at every look, from three counts (n, s) by fallible reviewers.

    errors = labelled items and those found wrong; sentinels = wrong predictions shown and wrongly accepted;
    gold = right predictions shown and changed. `corrected_rate` at the worst corners of the three confidence
    sequences at delta / 3; (0, 1) where the reviewers may be no better than chance. ValueError as there.
    """
    check_delta(delta)
    q_low, q_high = confidence_sequence(*errors, delta / 3)
    fa_low, fa_high = confidence_sequence(*sentinels, delta / 3)
    fc_low, fc_high = confidence_sequence(*gold, delta / 3)
    if fa_high + fc_high >= 1.0:
        return 0.0, 1.0
    corners = [
        (corrected_rate(q_low, fa, fc), corrected_rate(q_high, fa, fc))
        for fa in (fa_low, fa_high)
        for fc in (fc_low, fc_high)
    ]
    return min(low for low, _ in corners), max(high for _, high in corners)


def _check_strata(N: ArrayLike, n: ArrayLike, s: ArrayLike) -> Floats:  # noqa: N803
    columns = [np.asarray(column, dtype=np.float64) for column in (N, n, s)]
    if any(column.ndim != 1 or column.shape != columns[0].shape for column in columns):
        raise ValueError("N, n and s must be lists of one length")
    strata: Floats = np.stack(columns)
    totals, labelled, positives = strata
    if not bool(
        np.all((positives >= 0) & (positives <= labelled) & (labelled <= totals) & np.isfinite(totals))
    ):
        raise ValueError("every stratum must satisfy 0 <= s <= n <= N")
    if not bool(np.all(strata == np.floor(strata))):
        raise ValueError("counts must be whole numbers")
    if not labelled.any():
        raise ValueError("no decision is labelled, so the rate is unknown")
    return strata


def _collapse_unlabelled(strata: Floats) -> Floats:
    """Give the decisions of unlabelled strata to their nearest labelled neighbours, halved on a tie."""
    totals, labelled, _ = strata
    donors = np.flatnonzero(labelled > 0)
    empty = np.flatnonzero(labelled == 0)
    if len(empty) == 0:
        return strata
    right = np.minimum(np.searchsorted(donors, empty), len(donors) - 1)
    left = np.maximum(np.searchsorted(donors, empty) - 1, 0)
    to_right, to_left = np.abs(donors[right] - empty), np.abs(empty - donors[left])
    moved = np.zeros_like(totals)
    for target, mine, other in ((donors[right], to_right, to_left), (donors[left], to_left, to_right)):
        share = np.where(mine < other, 1.0, np.where(mine == other, 0.5, 0.0))
        np.add.at(moved, target, share * totals[empty])
    collapsed: Floats = strata.copy()
    collapsed[0] += moved
    return collapsed[:, donors]

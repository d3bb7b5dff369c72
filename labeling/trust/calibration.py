"""Do confidences mean what they say? Reliability bins of equal count, and how far they are off.

For display and for the lower threshold only: auto-accept works on ranks and evidence, never on calibration.

Input is a table of cells in any order: `confidence` in [0, 1] (a bucket's center, or an item's own), `n`
labelled items there and `right` of them correct. Cells may be single items. Bins never split a cell. The items
of one call must have been labelled at one rate (one route of one policy period), or bins mix what is not alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from labeling.trust.intervals import confidence_sequence

BINS: Final = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """One bar of the reliability curve: mean confidence against share right, with its confidence sequence."""

    confidence: float
    n: int
    right: int
    low: float
    high: float

    @property
    def accuracy(self) -> float:
        return self.right / self.n


def reliability_bins(
    confidence: ArrayLike, n: ArrayLike, right: ArrayLike, bins: int = BINS, delta: float = 0.05
) -> list[ReliabilityBin]:
    """At most `bins` bins of about equal count, by rising confidence; none without labels.

    `delta` is per bin, at every look. ValueError for unequal lengths, confidences outside [0, 1], counts that
    do not satisfy 0 <= right <= n in whole numbers, or bins < 1.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins!r}")
    level, totals, hits = (np.asarray(column, dtype=np.float64) for column in (confidence, n, right))
    if level.ndim != 1 or level.shape != totals.shape or level.shape != hits.shape:
        raise ValueError("confidence, n and right must be lists of one length")
    if not bool(np.all((level >= 0) & (level <= 1))):
        raise ValueError("confidences must lie between 0 and 1")
    whole = (totals == np.floor(totals)) & (hits == np.floor(hits)) & np.isfinite(totals)
    if not bool(np.all(whole & (hits >= 0) & (hits <= totals))):
        raise ValueError("counts must be whole numbers with 0 <= right <= n")
    order = np.argsort(level, kind="stable")
    order = order[totals[order] > 0]
    level, totals, hits = level[order], totals[order], hits[order]
    if len(level) == 0:
        return []
    middle = (np.cumsum(totals) - totals / 2) / totals.sum()
    place = np.minimum((middle * bins).astype(np.int64), bins - 1)
    summed = [np.bincount(place, column, bins) for column in (totals, hits, totals * level)]
    found = []
    for count, correct, mass in zip(*(column.tolist() for column in summed), strict=True):
        if count > 0:
            low, high = confidence_sequence(int(count), int(correct), delta)
            found.append(ReliabilityBin(mass / count, int(count), int(correct), low, high))
    return found


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """ECE: mean distance of confidence and accuracy, bins weighted by count.

    Biased upwards: a perfectly calibrated model shows 0.036 from 200 labels. nan without bins.
    """
    total = sum(b.n for b in bins)
    return sum(b.n * abs(b.confidence - b.accuracy) for b in bins) / total if total else math.nan


def debiased_l2(bins: Sequence[ReliabilityBin]) -> float:
    """Root mean square calibration error without the bias from label noise; about 0 for a calibrated model.

        e^2 = sum_b n_b/n [ (confidence_b - accuracy_b)^2 - accuracy_b (1 - accuracy_b) / (n_b - 1) ]

    returned as a signed root, sqrt(e^2) or -sqrt(-e^2): a negative figure is noise around none. Bins with one
    label can not be corrected and are left out; nan when none is left. Source: Kumar, Liang, Ma 2019.
    """
    usable = [b for b in bins if b.n > 1]
    total = sum(b.n for b in usable)
    if total == 0:
        return math.nan
    squared = sum(
        b.n / total * ((b.confidence - b.accuracy) ** 2 - b.accuracy * (1 - b.accuracy) / (b.n - 1))
        for b in usable
    )
    return math.copysign(math.sqrt(abs(squared)), squared)

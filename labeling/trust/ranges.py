"""A rate and how its range is found. Pure.

A range is either true at every look (confidence sequence, weighted e-process), where looking began with the counts; or it
describes one stretch of time (Clopper-Pearson, normal) and says so. Many plain ranges are worked out at once: a series asks
for hundreds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from labeling.errors import Sentence, quote, say
from labeling.trust.rates import confidence_sequences, weighted_bounds

__all__ = ["Draft", "Group", "Rate", "clopper_pearsons", "finish", "upper_end"]

DELTA = 0.05
NOT_FOR_DECISIONS = say("describes this stretch of time; not for decisions")
NO_NOTE = quote("")
NORMAL_FROM_ERRORS = 30
_Z = 1.959963984540054

CONFIDENCE_SEQUENCE = "confidence_sequence"
CLOPPER_PEARSON = "clopper_pearson"
HORVITZ_THOMPSON = "horvitz_thompson"
WEIGHTED = "weighted_e_process"
NONE = "none"

Asked = tuple[int, int, float]


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate with its range: `count` of `n`, and of whom. `value` is empty when nobody can say; `note` then tells why."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    count: int
    population: str
    method: str
    note: Sentence = NO_NOTE

    def as_json(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "count": self.count,
            "population": self.population,
            "method": self.method,
            **({"note": str(self.note)} if self.note else {}),
        }


class Group(NamedTuple):
    """Part of what a rate speaks of: its share of all, the chance each had of being labelled, labels and wrong ones."""

    weight: float
    chance: float
    n: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A rate before its range. The range of the groups is multiplied by `factor`, `taken_off` both ends, and its upper end raised
    by `rest`."""

    value: float | None
    n: int = 0
    count: int = 0
    groups: tuple[Group, ...] = ()
    variance: float = 0.0
    factor: float = 1.0
    taken_off: float = 0.0
    rest: float = 0.0
    note: Sentence = NO_NOTE

    def asks(self, *, anchored: bool) -> list[Asked]:
        """The plain ranges it needs: (n, s, delta)."""
        if self.value is None or not self.groups:
            return []
        if len(self.groups) == 1:
            return [(self.groups[0].n, self.groups[0].wrong, DELTA)]
        if self._is_weighted(anchored=anchored):
            return []
        if anchored:
            n, wrong = sum(group.n for group in self.groups), sum(group.wrong for group in self.groups)
            return [(n, wrong, DELTA)]
        return [(group.n, group.wrong, DELTA / len(self.groups)) for group in self.groups]

    def finish(self, population: str, found: Sequence[tuple[float, float]], *, anchored: bool) -> Rate:
        """The rate with its range, which always holds the value."""
        if self.value is None:
            return Rate(None, None, None, self.n, self.count, population, NONE, self.note)
        low, high, method = self._range(found, anchored=anchored)
        low, high = low * self.factor - self.taken_off, high * self.factor - self.taken_off + self.rest
        low, high = min(low, self.value), max(high, self.value)
        note = self.note
        if method in (CLOPPER_PEARSON, HORVITZ_THOMPSON):
            note = say("{note}; {more}", note=note, more=NOT_FOR_DECISIONS) if note else NOT_FOR_DECISIONS
        return Rate(self.value, max(0.0, low), min(1.0, high), self.n, self.count, population, method, note)

    def _is_weighted(self, *, anchored: bool) -> bool:
        if len(self.groups) == 1:
            return False
        if anchored:
            return len({group.chance for group in self.groups}) > 1
        return sum(group.wrong for group in self.groups) >= NORMAL_FROM_ERRORS

    def _range(self, found: Sequence[tuple[float, float]], *, anchored: bool) -> tuple[float, float, str]:
        if not self.groups:
            return self.value or 0.0, self.value or 0.0, NONE
        if self._is_weighted(anchored=anchored):
            return self._weighted_range(anchored=anchored)
        if len(found) == 1:
            return *found[0], CONFIDENCE_SEQUENCE if anchored else CLOPPER_PEARSON
        # Each group's range at its share of delta holds with all others at once, so their weighted sum does.
        low = sum(group.weight * low for group, (low, _) in zip(self.groups, found, strict=True))
        high = sum(group.weight * high for group, (_, high) in zip(self.groups, found, strict=True))
        return low, high, CLOPPER_PEARSON

    def _weighted_range(self, *, anchored: bool) -> tuple[float, float, str]:
        """At every look by the e-process. Else +- 1.96 standard errors, which under-cover when errors are few."""
        if not anchored:
            middle, half = ((self.value or 0.0) + self.taken_off) / self.factor, _Z * self.variance**0.5
            return middle - half, middle + half, HORVITZ_THOMPSON
        least = min(group.chance for group in self.groups)
        cells = [
            (least / group.chance if group.chance else 1.0, group.n, group.wrong) for group in self.groups
        ]
        return *weighted_bounds(cells, DELTA / 2, DELTA / 2), WEIGHTED


def finish(drafts: Sequence[tuple[str, Draft]], *, anchored: bool) -> list[Rate]:
    """The rates of (population, draft) pairs, their plain ranges worked out together."""
    asked = [draft.asks(anchored=anchored) for _, draft in drafts]
    ranges = iter(_ranges([one for asks in asked for one in asks], anchored=anchored))
    return [
        draft.finish(population, [next(ranges) for _ in asks], anchored=anchored)
        for (population, draft), asks in zip(drafts, asked, strict=True)
    ]


def upper_end(n: int, count: int) -> float:
    """Upper end of the confidence sequence of a plain share; 1 where nothing was counted."""
    return _ranges([(n, count, DELTA)], anchored=True)[0][1]


def clopper_pearsons(
    n: NDArray[np.float64], s: NDArray[np.float64], delta: NDArray[np.float64] | float = DELTA
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`rates.clopper_pearson` for arrays: quantiles of beta distributions at delta / 2."""
    delta = np.broadcast_to(np.asarray(delta, dtype=np.float64), n.shape)
    low = np.where(s == 0, 0.0, special.betaincinv(np.maximum(s, 1.0), n - s + 1, delta / 2))
    high = np.where(s == n, 1.0, special.betainccinv(s + 1, np.maximum(n - s, 1.0), delta / 2))
    return low, high


def _ranges(asked: Sequence[Asked], *, anchored: bool) -> list[tuple[float, float]]:
    if not asked:
        return []
    n, s, delta = np.asarray(asked, dtype=np.float64).T
    low, high = confidence_sequences(n, s, DELTA) if anchored else clopper_pearsons(n, s, delta)
    return list(zip(low.tolist(), high.tolist(), strict=True))

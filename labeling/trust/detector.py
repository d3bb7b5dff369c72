"""Has the error rate of the automatic decisions risen above alpha? Told audit by audit.

A mixture e-detector: gambler j bets that the rate is r_j = min(m_j alpha, (1 + alpha)/2), m = (1.5, 2, 3, 5, 10).
With x = 1 for a wrong decision

    f_j  = r_j / alpha  if x = 1  else  (1 - r_j) / (1 - alpha)
    SR_j = (SR_j + 1) f_j            Shiryaev-Roberts; alarm when the mean over j reaches the threshold A
    CU_j = max(CU_j, 1) f_j          CUSUM; warning when the mean over j reaches its own, lower limit

At a rate of alpha the alarm comes on average after at least A audits; at a lower rate far later.
Source: Shin, Ramdas, Rinaldo 2023; Page 1954.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

MULTIPLES: Final = (1.5, 2.0, 3.0, 5.0, 10.0)
DEFAULT_THRESHOLD: Final = 1000.0

_CEILING: Final = 1e300
"""Wealth stops growing here: far above any threshold, and still a number that JSON can hold."""


@dataclass(frozen=True)
class DetectorState:
    """What must be kept between audits: the five Shiryaev-Roberts and the five CUSUM statistics."""

    sr: tuple[float, ...] = (0.0,) * len(MULTIPLES)
    cusum: tuple[float, ...] = (0.0,) * len(MULTIPLES)

    def __post_init__(self) -> None:
        for values in (self.sr, self.cusum):
            if len(values) != len(MULTIPLES) or not all(0.0 <= v <= _CEILING for v in values):
                raise ValueError(f"a detector holds {len(MULTIPLES)} finite statistics >= 0, got {values!r}")

    @property
    def sr_mean(self) -> float:
        return sum(self.sr) / len(self.sr)

    @property
    def cusum_mean(self) -> float:
        return sum(self.cusum) / len(self.cusum)

    def as_json(self) -> dict[str, list[float]]:
        return {"sr": list(self.sr), "cusum": list(self.cusum)}

    @classmethod
    def from_json(cls, data: dict[str, Sequence[float]]) -> DetectorState:
        return cls(tuple(map(float, data["sr"])), tuple(map(float, data["cusum"])))


class Detector:
    """Feeds audit outcomes to a state. ValueError unless 0 < alpha < 1 and the threshold is above 1."""

    def __init__(
        self,
        alpha: float,
        threshold: float = DEFAULT_THRESHOLD,
        state: DetectorState | None = None,
    ) -> None:
        if not 0.0 < alpha < 1.0:
            raise ValueError(f"alpha must lie strictly between 0 and 1, got {alpha!r}")
        if not (threshold > 1.0 and math.isfinite(threshold)):
            raise ValueError(f"threshold must be a number above 1, got {threshold!r}")
        rates = [min(multiple * alpha, (1.0 + alpha) / 2.0) for multiple in MULTIPLES]
        self.threshold = threshold
        self._factors = (
            tuple((1.0 - rate) / (1.0 - alpha) for rate in rates),
            tuple(rate / alpha for rate in rates),
        )
        start = state or DetectorState()
        self._sr, self._cusum = start.sr, start.cusum

    def update(self, x: int) -> float:
        """Take in one audit, x = 1 when the decision was wrong, else 0; the mean of SR after it.

        ValueError for any other x.
        """
        if x not in (0, 1):
            raise ValueError(f"an audit outcome is 0 or 1, got {x!r}")
        factors = self._factors[int(x)]
        self._sr = tuple([min((w + 1.0) * f, _CEILING) for w, f in zip(self._sr, factors, strict=True)])
        self._cusum = tuple(
            [min(max(w, 1.0) * f, _CEILING) for w, f in zip(self._cusum, factors, strict=True)]
        )
        return self.sr_mean

    def feed(self, outcomes: Iterable[int]) -> int | None:
        """Take in audits up to and including the first alarm; its index, or None when all passed quietly."""
        for index, x in enumerate(outcomes):
            if self.update(x) >= self.threshold:
                return index
        return None

    @property
    def sr_mean(self) -> float:
        return sum(self._sr) / len(self._sr)

    @property
    def cusum_mean(self) -> float:
        return sum(self._cusum) / len(self._cusum)

    @property
    def alarm(self) -> bool:
        return self.sr_mean >= self.threshold

    @property
    def state(self) -> DetectorState:
        return DetectorState(self._sr, self._cusum)

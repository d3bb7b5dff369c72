"""What a scope (queue x model version x label group) remembers, and what people set for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from labeling.trust.buckets import BUCKET_COUNT
from labeling.trust.detector import DEFAULT_THRESHOLD, DetectorState
from labeling.trust.evidence import upper_bound_below
from labeling.trust.levels import Level
from labeling.trust.rates import alpha_effective

SENTINEL_DELTA: Final = 0.2
"""Share of delta that the bound on wrongly accepted sentinels spends; promotions get the rest."""

BLIND_CASES: Final = 20


class Mode(StrEnum):
    OFF = "off"
    SUGGEST = "suggest"
    ON = "on"


@dataclass(frozen=True)
class AutonomyPolicy:
    """What people set for a scope. Rates and shares in [0, 1]; ValueError for what makes no sense."""

    alpha: float = 0.02
    delta: float = 0.05
    mode: Mode = Mode.ON
    audit_rate: float = 0.05
    audits_per_day_max: int = 1000
    operator_cap: float = 0.95
    min_interval: timedelta = timedelta(days=1)
    audit_interval: timedelta = timedelta(days=1)
    detector_threshold: float = DEFAULT_THRESHOLD
    strict: bool = False
    assumed_false_accept: float | None = None

    def __post_init__(self) -> None:
        for name in ("alpha", "delta"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ValueError(f"{name} must lie strictly between 0 and 1, got {getattr(self, name)!r}")
        for name in ("audit_rate", "operator_cap"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must lie between 0 and 1, got {getattr(self, name)!r}")
        if self.mode != Mode.OFF and self.audit_rate == 0.0:
            raise ValueError("audit_rate must be above 0 unless autonomy is off: nothing could be certified")
        if self.assumed_false_accept is not None and not 0.0 <= self.assumed_false_accept <= 1.0:
            raise ValueError(
                f"assumed_false_accept must lie between 0 and 1, got {self.assumed_false_accept!r}"
            )
        if self.audits_per_day_max < 0:
            raise ValueError(f"audits_per_day_max must not be negative, got {self.audits_per_day_max!r}")
        if min(self.min_interval, self.audit_interval) < timedelta(0):
            raise ValueError("intervals must not be negative")
        if not (self.detector_threshold > 1.0 and math.isfinite(self.detector_threshold)):
            raise ValueError(f"detector_threshold must be a number above 1, got {self.detector_threshold!r}")


@dataclass(frozen=True)
class ReviewerEvidence:
    """How often reviewers accept wrong predictions: on sentinels, and where a blind second label told."""

    sentinels: int = 0
    missed: int = 0
    blind_wrong: int = 0
    blind_accepted: int = 0


class Standard(NamedTuple):
    """What labels of fallible reviewers are tested against, and with which error probability."""

    alpha_effective: float
    delta: float
    false_accept_upper: float


def standard(policy: AutonomyPolicy, reviewers: ReviewerEvidence) -> Standard:
    """alpha (1 - fa_U) and the delta left for promotions.

    fa_U is the upper bound of wrongly accepted sentinels at 0.2 delta, or the plain rate among at least 20 wrong
    predictions that a blind second label found, if larger: sentinels may be easier than natural errors. No
    sentinels: fa_U = 1, nothing can be certified, unless `assumed_false_accept` is set, which costs no delta.
    """
    if policy.assumed_false_accept is not None:
        upper, delta = policy.assumed_false_accept, policy.delta
    else:
        upper = upper_bound_below(reviewers.sentinels, reviewers.missed, SENTINEL_DELTA * policy.delta)
        delta = (1.0 - SENTINEL_DELTA) * policy.delta
    if reviewers.blind_wrong >= BLIND_CASES:
        upper = max(upper, reviewers.blind_accepted / reviewers.blind_wrong)
    return Standard(alpha_effective(policy.alpha, upper, 0.0), delta, upper)


@dataclass(frozen=True)
class ScopeState:
    """All that a scope remembers between looks; `as_json` and `from_json` store it.

    epoch, level            in force; `certified` what evidence allows, `proposed` what a person may accept
    limit, stopped          what a person put on it
    seen                    bucket counts of the epoch's first confidences, from which `levels` were frozen
    log_m, band_log_m       log of the largest e-value so far of each level and band, for the alpha in `tested`
    settled_level           the level that zone reference and audit rate were last made for
    detector, zone          statistics over audits and over the review zone, the latter against `zone_null`
    audit_wanted, audit_rate    the share asked for, and what volume made of it
    alarms                  moments of step-backs, of the last 90 days
    """

    epoch: int = 1
    level: int = 0
    certified: int = 0
    proposed: int | None = None
    limit: int | None = None
    stopped: bool = False
    seen: tuple[int, ...] = (0,) * BUCKET_COUNT
    levels: tuple[Level, ...] = ()
    log_m: tuple[float, ...] = ()
    band_log_m: tuple[float, ...] = ()
    tested: tuple[float, float | None] | None = None
    certified_at: tuple[datetime | None, ...] = ()
    changed_at: datetime | None = None
    settled_level: int | None = None
    detector: DetectorState = field(default_factory=DetectorState)
    zone: DetectorState = field(default_factory=DetectorState)
    zone_null: float | None = None
    warned_until: datetime | None = None
    audit_wanted: float | None = None
    audit_rate: float | None = None
    audit_lowered_at: datetime | None = None
    cool_down_left: int = 0
    alarms: tuple[datetime, ...] = ()

    @property
    def cut(self) -> int:
        """The lowest bucket that is automatic; 58 when none is."""
        return self.levels[self.level - 1].cut if self.level else BUCKET_COUNT

    @property
    def share(self) -> float:
        return self.levels[self.level - 1].share if self.level else 0.0

    @property
    def certified_share(self) -> float:
        return self.levels[self.certified - 1].share if self.certified else 0.0

    def as_json(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in _PLAIN_FIELDS}
        return {
            **plain,
            "changed_at": _to_text(self.changed_at),
            "warned_until": _to_text(self.warned_until),
            "audit_lowered_at": _to_text(self.audit_lowered_at),
            "seen": list(self.seen),
            "levels": [list(level) for level in self.levels],
            "log_m": list(self.log_m),
            "band_log_m": list(self.band_log_m),
            "certified_at": [_to_text(moment) for moment in self.certified_at],
            "tested": None if self.tested is None else list(self.tested),
            "detector": self.detector.as_json(),
            "zone": self.zone.as_json(),
            "alarms": [moment.isoformat() for moment in self.alarms],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ScopeState:
        plain = {name: data[name] for name in _PLAIN_FIELDS}
        return cls(
            **plain,
            changed_at=_from_text(data["changed_at"]),
            warned_until=_from_text(data["warned_until"]),
            audit_lowered_at=_from_text(data["audit_lowered_at"]),
            seen=tuple(data["seen"]),
            levels=tuple(Level(*level) for level in data["levels"]),
            log_m=tuple(data["log_m"]),
            band_log_m=tuple(data["band_log_m"]),
            certified_at=tuple(_from_text(moment) for moment in data["certified_at"]),
            tested=None if data["tested"] is None else tuple(data["tested"]),
            detector=DetectorState.from_json(data["detector"]),
            zone=DetectorState.from_json(data["zone"]),
            alarms=tuple(datetime.fromisoformat(moment) for moment in data["alarms"]),
        )


_PLAIN_FIELDS: Final = (
    "epoch",
    "level",
    "certified",
    "proposed",
    "limit",
    "stopped",
    "settled_level",
    "zone_null",
    "audit_wanted",
    "audit_rate",
    "cool_down_left",
)


def _to_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _from_text(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)

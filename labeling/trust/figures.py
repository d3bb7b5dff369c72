"""From counts to rates. Pure.

A point (a day, a week, a segment's day, a whole window) is a list of strata: counts of one policy period, where known of one
confidence bucket. Shares add the strata up. Error rates weight them, because inside a stratum everything had the same chance
of being checked and across strata it had not (design: trust.md section 1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import add
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from labeling.trust.rates import confidence_sequences, corrected_rate, ht_rate, weighted_bounds

__all__ = ["NOT_FOR_DECISIONS", "POPULATIONS", "KnownItems", "Rate", "Stratum", "Sums", "rates_of"]

DELTA = 0.05
NOT_FOR_DECISIONS = "describes this stretch of time; not for decisions"
UNCOVERED_MAX = 0.05
NORMAL_FROM_ERRORS = 30
_Z = 1.959963984540054

CONFIDENCE_SEQUENCE = "confidence_sequence"
CLOPPER_PEARSON = "clopper_pearson"
HORVITZ_THOMPSON = "horvitz_thompson"
WEIGHTED = "weighted_e_process"
NONE = "none"


class Sums(NamedTuple):
    """Counters in the order of `models.COUNTERS`."""

    total: int = 0
    auto: int = 0
    review: int = 0
    fallback: int = 0
    fallback_manual: int = 0
    audit_due: int = 0
    audit_done: int = 0
    audit_err: int = 0
    audit_err_adjudicated: int = 0
    confirmed: int = 0
    corrected: int = 0
    rejected: int = 0
    skipped: int = 0
    escalated: int = 0
    shadow_done: int = 0
    shadow_err: int = 0

    def plus(self, other: "Sums") -> "Sums":
        """Counter by counter."""
        return Sums(*map(add, self, other))


class Stratum(NamedTuple):
    """Counts in which everything automatic had the same chance `audit_rate` of a blind check."""

    audit_rate: float
    sums: Sums


class KnownItems(NamedTuple):
    """How reviewers did on items whose answer was known: wrong predictions accepted, right ones changed."""

    sentinels: int = 0
    missed: int = 0
    gold: int = 0
    changed: int = 0


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
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "count": self.count,
            "population": self.population,
            "method": self.method,
            **({"note": self.note} if self.note else {}),
        }


_ROUTED = "all predictions routed"
_REVIEWED = "reviewed predictions that people finished"
_FINISHED = "items that people finished: reviews and labels without a suggestion"
_CHECKED = "automatic predictions, judged by blind checks"
_LABELLED = "all predictions, each labelled one weighted by how likely it was to be labelled"
_SERVED = "all predictions, by what was served"
_SEEN = "tasks that people finished or skipped"

# name -> counters above, counters below, who counts
_SHARES: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "review_rate": (("review",), ("total",), _ROUTED),
    "automation_rate": (("auto",), ("total",), _ROUTED),
    "fallback_rate": (("fallback",), ("total",), _ROUTED),
    "human_touch_rate": (("review", "audit_due", "fallback_manual"), ("total",), _ROUTED),
    "confirmation_rate": (("confirmed",), ("confirmed", "corrected"), _REVIEWED),
    "correction_rate": (("corrected",), ("confirmed", "corrected"), _REVIEWED),
    "reject_rate": (("rejected",), ("confirmed", "corrected", "shadow_done", "rejected"), _FINISHED),
    "skip_rate": (
        ("skipped",),
        ("confirmed", "corrected", "shadow_done", "rejected", "audit_done", "skipped"),
        _SEEN,
    ),
}
_ROUTES = ("review_rate", "automation_rate", "fallback_rate")
POPULATIONS: dict[str, str] = {name: who for name, (_, _, who) in _SHARES.items()} | {
    "auto_error_rate": _CHECKED,
    "auto_error_upper": _CHECKED,
    "model_error_rate": _LABELLED,
    "served_error_rate": _SERVED,
    "served_error_rate_after_audit": _SERVED,
}


def rates_of(
    points: Sequence[Sequence[Stratum]],
    *,
    anchored: bool,
    known_items: KnownItems | None = None,
) -> list[dict[str, Rate]]:
    """The rates of each point. `anchored`: the points begin where looking began (start of the history, of a period or of an
    epoch), so confidence sequences hold; otherwise fixed-size intervals, which describe and decide nothing.
    """
    drafts = [_drafts(point, known_items or KnownItems()) for point in points]
    asked = [draft.uniform for point in drafts for draft in point.values() if draft.uniform]
    lows, highs = _ranges(asked, anchored=anchored)
    ranges = iter(zip(lows, highs, strict=True))
    method = CONFIDENCE_SEQUENCE if anchored else CLOPPER_PEARSON
    return [
        {
            name: draft.finish(name, next(ranges) if draft.uniform else None, method)
            for name, draft in point.items()
        }
        for point in drafts
    ]


def one_rate(n: int, count: int, population: str, *, anchored: bool) -> Rate:
    """A plain share `count` / `n` with its range."""
    lows, highs = _ranges([(n, count)], anchored=anchored)
    method = CONFIDENCE_SEQUENCE if anchored else CLOPPER_PEARSON
    draft = _share(n, count)
    return draft.finish("", (lows[0], highs[0]) if draft.uniform else None, method, population=population)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A rate before its range: either of `n` labelled alike (`uniform`), or with a range worked out by weighting."""

    value: float | None
    n: int
    count: int
    uniform: tuple[int, int] | None = None
    weighted: tuple[float, float, str] | None = None
    scale: tuple[float, float] = (1.0, 0.0)
    note: str = ""

    def finish(
        self, name: str, found: tuple[float, float] | None, method: str, *, population: str = ""
    ) -> Rate:
        population = population or POPULATIONS[name]
        if self.value is None:
            return Rate(None, None, None, self.n, self.count, population, NONE, self.note)
        if found is not None:
            low, high = found
        else:
            low, high, method = self.weighted or (0.0, 1.0, NONE)
        factor, rest = self.scale
        low, high = min(low * factor, self.value), max(high * factor + rest, self.value)
        notes = [self.note, NOT_FOR_DECISIONS if method in (CLOPPER_PEARSON, HORVITZ_THOMPSON) else ""]
        note = "; ".join(filter(None, notes))
        return Rate(self.value, max(0.0, low), min(1.0, high), self.n, self.count, population, method, note)


def _drafts(strata: Sequence[Stratum], known_items: KnownItems) -> dict[str, _Draft]:
    sums = _added(strata)
    drafts = {}
    for name, (above, below, _) in _SHARES.items():
        drafts[name] = _share(_counted(sums, below), _counted(sums, above))
    if sums.total > 0:
        shares = shares_of_one([drafts[name].count for name in _ROUTES])
        drafts |= {
            name: replace(drafts[name], value=share) for name, share in zip(_ROUTES, shares, strict=True)
        }
    auto = _auto_error(strata)
    drafts["auto_error_rate"] = auto
    drafts["model_error_rate"] = _model_error(strata, sums, auto)
    drafts["served_error_rate"] = _served_error(sums, auto, known_items, audited_repaired=False)
    drafts["served_error_rate_after_audit"] = _served_error(sums, auto, known_items, audited_repaired=True)
    return drafts


def shares_of_one(counts: Sequence[int]) -> list[float]:
    """Three shares count / sum that, added in this order, are exactly 1.

    Rounding would miss it now and then (0.3 + 0.6 + 0.1); the last share then is what is left over, which differs from its
    quotient by less than 3e-16. x + (1 - x) is 1 for every float x in [0, 1].
    """
    total = sum(counts)
    first, second, third = (count / total for count in counts)
    if first + second + third != 1.0:
        second, third = (second, 1.0 - (first + second)) if counts[2] else (1.0 - first, 0.0)
    return [first, second, third]


def clopper_pearsons(n: NDArray[np.float64], s: NDArray[np.float64], delta: float = DELTA) -> tuple[Any, Any]:
    """`rates.clopper_pearson` for arrays: quantiles of beta distributions at delta / 2."""
    with np.errstate(invalid="ignore", divide="ignore"):
        low = np.where(s == 0, 0.0, special.betaincinv(np.maximum(s, 1), n - s + 1, delta / 2))
        high = np.where(s == n, 1.0, special.betainccinv(s + 1, np.maximum(n - s, 1), delta / 2))
    return low, high


def _ranges(asked: Sequence[tuple[int, int]], *, anchored: bool) -> tuple[list[float], list[float]]:
    if not asked:
        return [], []
    n, s = np.asarray(asked, dtype=np.float64).T
    low, high = confidence_sequences(n, s, DELTA) if anchored else clopper_pearsons(n, s)
    return low.tolist(), high.tolist()


def _added(strata: Sequence[Stratum]) -> Sums:
    total = Sums()
    for stratum in strata:
        total = total.plus(stratum.sums)
    return Sums(*(max(0, count) for count in total))


def _counted(sums: Sums, names: tuple[str, ...]) -> int:
    return sum(getattr(sums, name) for name in names)


def _share(n: int, count: int) -> _Draft:
    if n <= 0:
        return _Draft(None, 0, 0)
    count = min(count, n)
    return _Draft(count / n, n, count, uniform=(n, count))


class _Labelled(NamedTuple):
    """Of one route in one stratum: how many there were, how many of them have a label, how many of those were wrong."""

    chance: float
    total: int
    labelled: int
    wrong: int


def _labelled(strata: Sequence[Stratum], route: str) -> list[_Labelled]:
    found = []
    for audit_rate, sums in strata:
        if route == "auto":
            chance, total, labelled, wrong = audit_rate, sums.auto, sums.audit_done, sums.audit_err
        elif route == "review":
            chance, total, wrong = 1.0, sums.review, sums.corrected
            labelled = sums.confirmed + sums.corrected
        else:
            chance, total, labelled, wrong = 1.0, sums.fallback, sums.shadow_done, sums.shadow_err
        labelled, wrong = max(labelled, 0), max(wrong, 0)
        if total > 0 or labelled > 0:
            found.append(_Labelled(chance, max(total, labelled), labelled, min(wrong, labelled)))
    return found


def _weighted_rate(cells: Sequence[_Labelled]) -> tuple[float, float]:
    """(rate, variance) of a route by post-stratification; needs at least one label."""
    if len(cells) == 1:
        _, total, labelled, wrong = cells[0]
        p = (wrong + 0.5) / (labelled + 1.0)
        return wrong / labelled, (1 - labelled / total) * p * (1 - p) / labelled
    return ht_rate([c.total for c in cells], [c.labelled for c in cells], [c.wrong for c in cells])


def _auto_error(strata: Sequence[Stratum]) -> _Draft:
    """sum_h N_h s_h / n_h / sum_h N_h over automatic decisions; h = policy period (x bucket where the strata have one)."""
    cells = _labelled(strata, "auto")
    if not cells:
        return _Draft(None, 0, 0, note="nothing was automatic")
    n, wrong = sum(c.labelled for c in cells), sum(c.wrong for c in cells)
    if n == 0:
        return _Draft(None, 0, 0, note="not audited: no blind check is finished, so nothing can be said")
    covered = _covered(cells)
    rate, variance = _weighted_rate(covered)
    return _Draft(rate, n, wrong, note=_left_out(cells, covered), **_range_of(covered, rate, variance))


def _model_error(strata: Sequence[Stratum], sums: Sums, auto: _Draft) -> _Draft:
    """The same sum over automatic (blind checks), reviewed (corrections) and fallback decisions (labels without suggestion)."""
    cells: list[_Labelled] = []
    rate = variance = 0.0
    covered = 0
    for route in ("auto", "review", "fallback"):
        own = _labelled(strata, route)
        total = sum(c.total for c in own)
        if total == 0 or not any(c.labelled for c in own):
            continue
        own_rate, own_variance = _weighted_rate(_covered(own))
        rate, variance = rate + total * own_rate, variance + total * total * own_variance
        covered += total
        cells += _covered(own)
    n, wrong = sum(c.labelled for c in cells), sum(c.wrong for c in cells)
    known = min(1.0, covered / sums.total) if sums.total else 0.0
    if not covered or 1.0 - known > UNCOVERED_MAX:
        return _Draft(None, 0, 0, note=_unlabelled(sums, auto))
    note = (
        ""
        if known == 1.0
        else f"{1 - known:.1%} of the predictions took a route without any label; the range allows for them"
    )
    parts = _range_of(cells, rate / covered, variance / covered**2)
    return _Draft(rate / covered, n, wrong, note=note, scale=(known, 1.0 - known), **parts)


def _served_error(sums: Sums, auto: _Draft, known_items: KnownItems, *, audited_repaired: bool) -> _Draft:
    """(auto share x auto error + reviewed share x what reviewers let through or break) / all; a person's label without a
    suggestion counts as right. With `audited_repaired`, wrong results that a blind check found do not count any more.
    """
    if sums.total <= 0:
        return _Draft(None, 0, 0)
    unknown = (sums.fallback - sums.fallback_manual) / sums.total
    if (sums.auto and auto.value is None) or unknown > UNCOVERED_MAX:
        why = (
            auto.note
            if sums.auto and auto.value is None
            else "what a constant or rule answers is not checked"
        )
        return _Draft(None, 0, 0, note=why)
    repaired = min(sums.audit_done, sums.auto) if audited_repaired else 0
    share = (sums.auto - repaired) / sums.total
    residual, residual_high, note = _reviewers_residual(sums, known_items)
    value = share * (auto.value or 0.0) + residual
    if auto.value is None:
        exact = (residual, residual_high + unknown, NONE)
        return _Draft(value, 0, 0, weighted=exact, note=note)
    return replace(auto, value=value, scale=(share, residual_high + unknown), note=note)


def _reviewers_residual(sums: Sums, known_items: KnownItems) -> tuple[float, float, str]:
    """Share of all decisions that reviewers left or made wrong: N_review (r fa + (1 - r) fc) / N; r by Rogan-Gladen."""
    reviewed = sums.confirmed + sums.corrected
    if not sums.review or not reviewed:
        return 0.0, 0.0, ""
    if not known_items.sentinels:
        return 0.0, 0.0, "people's answers are taken as right: no test items yet"
    accepted = known_items.missed / known_items.sentinels
    changed = known_items.changed / known_items.gold if known_items.gold else 0.0
    share = sums.review / sums.total
    if accepted + changed >= 1.0:
        return 0.0, share, "reviewers did no better than chance on test items"
    wrong = corrected_rate(sums.corrected / reviewed, accepted, changed)
    value = share * (wrong * accepted + (1 - wrong) * changed)
    pairs = [(known_items.sentinels, known_items.missed), (known_items.gold, known_items.changed)]
    _, (accepted_high, changed_high) = _ranges(pairs, anchored=True)
    high = share * (wrong * accepted_high + (1 - wrong) * (changed_high if known_items.gold else 0.0))
    return value, max(value, high), ""


def _range_of(cells: Sequence[_Labelled], rate: float, variance: float) -> Mapping[str, Any]:
    """How the range is found: labelled at one chance, by the counts alone; else by weights.

    The normal range under-covers with few errors, so it is used from 30 errors on and says what it is.
    """
    n, wrong = sum(c.labelled for c in cells), sum(c.wrong for c in cells)
    chances = {c.chance for c in cells}
    if len(chances) == 1:
        return {"uniform": (n, wrong)}
    if wrong >= NORMAL_FROM_ERRORS:
        half = _Z * variance**0.5
        return {"weighted": (rate - half, rate + half, HORVITZ_THOMPSON)}
    least = min(chances)
    low, high = weighted_bounds(
        [(least / c.chance if c.chance else 1.0, c.labelled, c.wrong) for c in cells], 0.025, 0.025
    )
    return {"weighted": (low, high, WEIGHTED)}


def _covered(cells: Sequence[_Labelled]) -> list[_Labelled]:
    """Without what had a chance of being checked at which nothing is checked yet: a period that was never audited, or has
    just begun. Buckets of a period that has labels stay: they borrow from their neighbours."""
    chances = {c.chance for c in cells if c.labelled}
    return [c for c in cells if c.chance in chances]


def _left_out(cells: Sequence[_Labelled], covered: Sequence[_Labelled]) -> str:
    missing = sum(c.total for c in cells) - sum(c.total for c in covered)
    return (
        f"{missing} automatic predictions of periods without a finished check are left out" if missing else ""
    )


def _unlabelled(sums: Sums, auto: _Draft) -> str:
    if not sums.total:
        return ""
    if sums.auto and auto.value is None:
        return auto.note
    return "part of the predictions took a route on which nothing is labelled"

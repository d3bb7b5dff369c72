"""How many of the true cases of a rare label were applied automatically as something else. Pure.

An overall error rate says nothing here: making everything automatic where one item in a hundred is fraud is wrong in one per
cent and misses every fraud (design: trust.md section 4.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labeling.trust.evidence import weighted_bounds
from labeling.trust.intervals import check_delta, clopper_pearson, confidence_sequences

__all__ = ["AutoGroup", "OtherGroup", "miss_rate", "miss_rate_interval"]

Floats = NDArray[np.float64]


class AutoGroup(NamedTuple):
    """Automatic results that had one chance of a blind check: `total` of them, `checked`, and among the checked those whose
    true label is the rare one: `missed` were served as another label, `found` as this one."""

    chance: float
    total: int
    checked: int
    missed: int
    found: int


class OtherGroup(NamedTuple):
    """Results that were not automatic, of which a drawn part was looked at: `cases` are those of the rare label among them."""

    chance: float
    total: int
    checked: int
    cases: int


def miss_rate(
    N: ArrayLike,  # noqa: N803
    n: ArrayLike,
    missed: ArrayLike,
    found: ArrayLike,
    known: float = 0.0,
) -> tuple[float, float]:
    """Share of the true cases of a label that were applied automatically as another one: (rate, variance).

        M = sum_h N_h m_h / n_h      F = sum_h N_h f_h / n_h      R = M / (M + F + K)
        variance = sum_h N_h^2 (1 - n_h/N_h) v_h / n_h  /  (M + F + K)^2
        v_h = p_h (1-R)^2 + q_h R^2 - (p_h (1-R) - q_h R)^2,   p_h = (m_h + 1/2)/(n_h + 1),  q_h = f_h/n_h

    Stratum h has N_h automatic results, n_h of them checked at random; of the checked ones m_h are true cases that were served
    as something else, f_h true cases served as such. `known` (K) are true cases that were not automatic, each counted
    once. Without weights the missed would count for too little: they are seen only where a check was drawn. M and F are
    unbiased; their ratio is up to a term of the order of its variance, which leans downwards while few cases were seen.

    One-dimensional, equally long, m + f <= n <= N in whole numbers and n > 0 where N > 0; ValueError otherwise, and when
    there is no true case: the rate is then unknown. Source: Horvitz, Thompson 1952; ratio by linearisation as in Särndal,
    Swensson, Wretman 1992, 5.6.
    """
    totals, checked, m, f = _check_groups(N, n, missed, found)
    if known < 0.0:
        raise ValueError(f"known must not be negative, got {known!r}")
    stands_for = totals / checked
    cases = float(stands_for @ (m + f)) + known
    if cases <= 0.0:
        raise ValueError("there is no true case of this label: the rate is unknown")
    rate = float(stands_for @ m) / cases
    p, q = (m + 0.5) / (checked + 1.0), f / checked
    spread = p * (1.0 - rate) ** 2 + q * rate**2 - (p * (1.0 - rate) - q * rate) ** 2
    variance = totals**2 * (1.0 - checked / totals) * np.maximum(spread, 0.0) / checked
    return rate, float(variance.sum()) / cases**2


def miss_rate_interval(
    groups: Sequence[AutoGroup],
    known: tuple[float, float] = (0.0, 0.0),
    delta: float = 0.05,
    *,
    at_every_look: bool = False,
    others: Sequence[OtherGroup] = (),
) -> tuple[float, float]:
    """Interval for `miss_rate` at 1 - delta: (low, high), (0, 1) where nothing can be said.

        high = M_U / (M_U + F_L + O_L + K_L)      low = M_L / (M_L + F_U + O_U + K_U)

    M and F are bounded at delta / 2 each, so that both hold at once: from the checks of each chance (Clopper-Pearson, shared
    among the chances), or `at_every_look` by the confidence sequence, with several chances by the weighted e-process, which
    allows audit rates that react to what was seen. `others` are results that were not automatic and of which a drawn part was
    looked at; their cases O are bounded alike, with a third of delta for each of the three. `known` are the fewest and the most
    true cases among what people handled: those found, and those with all that nobody has labelled. No bound is tighter than
    what was counted: at least m cases were missed, at most m + N - n. ValueError for impossible counts, or delta outside (0, 1).
    """
    check_delta(delta)
    groups = [group for group in groups if group.total > 0]
    if not groups:
        return 0.0, 0.0 if known[0] > 0.0 else 1.0
    _check_groups(*zip(*(group[1:] for group in groups), strict=True))
    others = [other for other in others if other.total > 0]
    each = delta / (3 if others else 2)
    missed = _bound([(g.chance, g.total, g.checked, g.missed) for g in groups], each, at_every_look)
    found = _bound([(g.chance, g.total, g.checked, g.found) for g in groups], each, at_every_look)
    other = (0.0, 0.0)
    if others:
        _check_groups(*zip(*((o.total, o.checked, 0, o.cases) for o in others), strict=True))
        other = _bound([(o.chance, o.total, o.checked, o.cases) for o in others], each, at_every_look)
    rest = [known[end] + other[end] + found[end] for end in (0, 1)]
    return _share(missed[0], rest[1], 0.0), _share(missed[1], rest[0], 1.0)


def _bound(
    cells: Sequence[tuple[float, int, int, int]], delta: float, at_every_look: bool
) -> tuple[float, float]:
    """Fewest and most cases of one kind among all automatic results; cells are (chance, total, checked, cases seen)."""
    total = sum(cell[1] for cell in cells)
    if not at_every_look:
        ends = [clopper_pearson(n, s, delta / len(cells)) for _, _, n, s in cells]
        low = sum(cell[1] * end[0] for cell, end in zip(cells, ends, strict=True))
        high = sum(cell[1] * end[1] for cell, end in zip(cells, ends, strict=True))
    elif len(cells) == 1:
        lows, highs = confidence_sequences([cells[0][2]], [cells[0][3]], delta)
        low, high = total * float(lows[0]), total * float(highs[0])
    else:
        least = min(cell[0] for cell in cells)
        weighted = [(least / chance if chance else 1.0, n, s) for chance, _, n, s in cells]
        low, high = (total * end for end in weighted_bounds(weighted, delta / 2, delta / 2))
    seen = sum(cell[3] for cell in cells)
    return max(low, seen), min(high, seen + total - sum(cell[2] for cell in cells))


def _share(part: float, rest: float, unknown: float) -> float:
    return part / (part + rest) if part + rest > 0.0 else unknown


def _check_groups(*columns: ArrayLike) -> tuple[Floats, Floats, Floats, Floats]:
    N, n, m, f = (np.asarray(column, dtype=np.float64) for column in columns)  # noqa: N806
    if not (N.ndim == 1 and N.shape == n.shape == m.shape == f.shape):
        raise ValueError("N, n, missed and found must be one-dimensional and equally long")
    whole = all(np.all(column == np.floor(column)) for column in (N, n, m, f))
    if not (whole and bool(np.all((m >= 0) & (f >= 0) & (m + f <= n) & (n <= N)))):
        raise ValueError("every stratum must satisfy 0 <= missed + found <= n <= N in whole numbers")
    if not bool(np.all(n[N > 0] > 0)):
        raise ValueError("a stratum without any check says nothing: leave it out")
    used = N > 0
    return N[used], n[used], m[used], f[used]

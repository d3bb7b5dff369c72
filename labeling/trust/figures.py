"""From counts to rates. Pure.

A point (a day, a week, a segment's day, a whole window) is a list of strata: counts of one policy period, where known of one
confidence bucket. Shares add the strata up. Error rates weight them, because inside a stratum everything had the same chance
of being checked and across strata it had not (design: trust.md section 1).
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from operator import add
from typing import Any, NamedTuple

from labeling.errors import Sentence, say
from labeling.trust.ranges import (
    CLOPPER_PEARSON,
    CONFIDENCE_SEQUENCE,
    HORVITZ_THOMPSON,
    NO_NOTE,
    NOT_FOR_DECISIONS,
    WEIGHTED,
    Draft,
    Group,
    Rate,
    finish,
    upper_end,
)
from labeling.trust.rates import corrected_rate, ht_rate
from labeling.trust.worth import SHADOW_RATE

__all__ = [
    "CLOPPER_PEARSON",
    "CONFIDENCE_SEQUENCE",
    "HORVITZ_THOMPSON",
    "NOT_FOR_DECISIONS",
    "POPULATIONS",
    "WEIGHTED",
    "KnownItems",
    "Rate",
    "Stratum",
    "Sums",
    "one_rate",
    "rates_of",
    "shares_of_one",
]

UNCOVERED_MAX = 0.05


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
    audit_err_open: int = 0
    confirmed: int = 0
    corrected: int = 0
    rejected: int = 0
    skipped: int = 0
    escalated: int = 0
    overflowed: int = 0
    shadow_of: int = 0
    shadow_due: int = 0
    shadow_done: int = 0
    shadow_err: int = 0
    shadow_served_err: int = 0
    shadow_rejected: int = 0

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
    "human_touch_rate": (("review", "audit_due", "fallback_manual", "shadow_due"), ("total",), _ROUTED),
    "confirmation_rate": (("confirmed",), ("confirmed", "corrected"), _REVIEWED),
    "correction_rate": (("corrected",), ("confirmed", "corrected"), _REVIEWED),
    "reject_rate": (
        ("rejected", "shadow_rejected"),
        ("confirmed", "corrected", "shadow_done", "rejected", "shadow_rejected"),
        _FINISHED,
    ),
    "skip_rate": (
        ("skipped",),
        ("confirmed", "corrected", "shadow_done", "rejected", "shadow_rejected", "audit_done", "skipped"),
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
    names: Collection[str] | None = None,
) -> list[dict[str, Rate]]:
    """The rates of each point, or those of these `names` alone. `anchored`: the points begin where looking began (start of the history, of a period or of an
    epoch), so ranges that hold at every look do; otherwise ranges describe their stretch of time and decide nothing.
    """
    wanted = POPULATIONS.keys() if names is None else names
    drafts = [_drafts(point, known_items or KnownItems(), wanted) for point in points]
    rates = iter(
        finish([(POPULATIONS[name], d) for point in drafts for name, d in point.items()], anchored=anchored)
    )
    return [{name: next(rates) for name in point} for point in drafts]


def one_rate(n: int, count: int, population: str, *, anchored: bool) -> Rate:
    """A plain share `count` / `n` with its range."""
    return finish([(population, _share(n, count))], anchored=anchored)[0]


def _drafts(strata: Sequence[Stratum], known_items: KnownItems, wanted: Collection[str]) -> dict[str, Draft]:
    sums = _added(strata)
    drafts = {
        name: _share(_counted(sums, below), _counted(sums, above))
        for name, (above, below, _) in _SHARES.items()
        if name in wanted
    }
    if sums.total > 0:
        shares = shares_of_one([sums.review, sums.auto, sums.fallback])
        drafts |= {
            name: replace(drafts[name], value=value)
            for name, value in zip(_ROUTES, shares, strict=True)
            if name in wanted
        }
    auto = _auto_error(strata)
    if "auto_error_rate" in wanted:
        drafts["auto_error_rate"] = auto
    if "model_error_rate" in wanted:
        drafts["model_error_rate"] = _model_error(strata, sums, auto)
    for name, repaired in (("served_error_rate", False), ("served_error_rate_after_audit", True)):
        if name in wanted:
            drafts[name] = _served_error(strata, sums, auto, known_items, repaired=repaired)
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


def _added(strata: Sequence[Stratum]) -> Sums:
    total = Sums()
    for stratum in strata:
        total = total.plus(stratum.sums)
    return Sums(*(max(0, count) for count in total))


def _counted(sums: Sums, names: tuple[str, ...]) -> int:
    return sum(getattr(sums, name) for name in names)


def _share(n: int, count: int) -> Draft:
    if n <= 0:
        return Draft(None)
    count = min(count, n)
    return Draft(count / n, n, count, (Group(1.0, 1.0, n, count),))


class _Labelled(NamedTuple):
    """Of one route in one stratum: how many there were, how many of them have a label, how many of those were wrong."""

    chance: float
    total: int
    labelled: int
    wrong: int


def _labelled(strata: Sequence[Stratum], route: str) -> list[_Labelled]:
    """Wrong is what the model said. A fallback is a person for all of a period's predictions, or answers all by itself; of
    those the ones count that could have been drawn."""
    found = []
    for audit_rate, sums in strata:
        if route == "auto":
            chance, total, labelled, wrong = audit_rate, sums.auto, sums.audit_done, sums.audit_err
        elif route == "review":
            chance, total, wrong = 1.0, sums.review, sums.corrected
            labelled = sums.confirmed + sums.corrected
        else:
            chance, total = (
                (1.0, sums.fallback) if sums.fallback_manual > 0 else (SHADOW_RATE, sums.shadow_of)
            )
            labelled, wrong = sums.shadow_done, sums.shadow_err
        if total > 0 or labelled > 0:
            found.append(_possible(chance, total, labelled, wrong))
    return found


def _answered(strata: Sequence[Stratum]) -> list[_Labelled]:
    """What the fallback answered by itself. Wrong is what it said, not what the model would have."""
    return [
        _possible(SHADOW_RATE, sums.shadow_of, sums.shadow_done, sums.shadow_served_err)
        for _, sums in strata
        if sums.shadow_of > 0
    ]


def _possible(chance: float, total: int, labelled: int, wrong: int) -> _Labelled:
    """Counts between the two deltas of a change may be impossible for a moment."""
    labelled, wrong = max(labelled, 0), max(wrong, 0)
    return _Labelled(chance, max(total, labelled), labelled, min(wrong, labelled))


def _weighted_rate(cells: Sequence[_Labelled]) -> tuple[float, float]:
    """(rate, variance) of a route by post-stratification; needs at least one label."""
    if len(cells) == 1:
        _, total, labelled, wrong = cells[0]
        p = (wrong + 0.5) / (labelled + 1.0)
        return wrong / labelled, (1 - labelled / total) * p * (1 - p) / labelled
    return ht_rate([c.total for c in cells], [c.labelled for c in cells], [c.wrong for c in cells])


def _auto_error(strata: Sequence[Stratum]) -> Draft:
    """sum_h N_h s_h / n_h / sum_h N_h over automatic decisions; h = policy period (x bucket where the strata have one)."""
    cells = _labelled(strata, "auto")
    if not cells:
        return Draft(None, note=say("nothing was automatic"))
    if not any(c.labelled for c in cells):
        return Draft(None, note=say("not audited: no blind check is finished, so nothing can be said"))
    covered = _covered(cells)
    rate, variance = _weighted_rate(covered)
    n, wrong = sum(c.labelled for c in covered), sum(c.wrong for c in covered)
    groups = _groups(covered, sum(c.total for c in covered))
    return Draft(rate, n, wrong, groups, variance, note=_left_out(cells, covered))


def _model_error(strata: Sequence[Stratum], sums: Sums, auto: Draft) -> Draft:
    """The same sum over automatic (blind checks), reviewed (corrections) and fallback decisions (labels without suggestion)."""
    routes = [_labelled(strata, route) for route in ("auto", "review", "fallback")]
    routes = [cells for cells in routes if any(c.labelled for c in cells)]
    total = sum(c.total for cells in routes for c in cells)
    known = min(1.0, total / sums.total) if sums.total else 0.0
    if 1.0 - known > UNCOVERED_MAX:
        return Draft(None, note=_unlabelled(sums, auto))
    parts = [_part(cells, total) for cells in routes]
    rate = sum(part.share * part.rate for part in parts)
    note = NO_NOTE
    if known < 1.0:
        note = say(
            "{share:.1%} of the predictions took a route without any label; the range allows for them",
            share=1 - known,
        )
    return _drafted(rate, parts, factor=known, rest=1.0 - known, note=note)


def _served_error(
    strata: Sequence[Stratum], sums: Sums, auto: Draft, known_items: KnownItems, *, repaired: bool
) -> Draft:
    """(auto share x auto error + share the fallback answered x how often it is wrong + reviewed share x what reviewers let
    through or break) / all; a person's label without a suggestion counts as right. What the fallback answered without a chance
    of a look is not known. With `repaired`, wrong results that a drawn look found do not count any more: sum_h (N_h - n_h) s_h / n_h.
    """
    if sums.total <= 0:
        return Draft(None)
    if sums.auto and auto.value is None:
        return Draft(None, note=auto.note)
    served = [cells for cells in (_labelled(strata, "auto"), _answered(strata)) if cells]
    looked = [cells for cells in served if any(c.labelled for c in cells)]
    total = sum(c.total for cells in looked for c in cells)
    unknown = sums.auto + sums.fallback - sums.fallback_manual + sums.overflowed - total
    if unknown > UNCOVERED_MAX * sums.total:
        return Draft(None, note=say("nobody has looked at what the fallback answered"))
    residual, residual_high, note = _reviewers_residual(sums, known_items)
    rest = residual_high + max(0, unknown) / sums.total
    cells = [c for cells in looked for c in cells]
    if not total or (repaired and all(c.labelled == c.total for c in cells)):
        return Draft(residual, rest=rest, note=note)
    parts = [_part(cells, total) for cells in looked]
    share, found = total / sums.total, sum(c.wrong for c in cells) / sums.total if repaired else 0.0
    value = share * sum(part.share * part.rate for part in parts) - found
    return _drafted(max(0.0, value) + residual, parts, factor=share, taken_off=found, rest=rest, note=note)


class _Part(NamedTuple):
    """One route of a rate over several: its share of their predictions, and what its labels say."""

    share: float
    rate: float
    variance: float
    groups: tuple[Group, ...]


def _part(cells: Sequence[_Labelled], total: int) -> _Part:
    """What is not covered by labels is taken to be like what is."""
    covered = _covered(cells)
    share = sum(c.total for c in cells) / total
    groups = _groups(covered, sum(c.total for c in covered))
    weighted = tuple(group._replace(weight=share * group.weight) for group in groups)
    return _Part(share, *_weighted_rate(covered), weighted)


def _drafted(value: float, parts: Sequence[_Part], **ends: Any) -> Draft:
    """The draft of a rate made of routes; `ends` are what else a `Draft` is told."""
    groups = tuple(group for part in parts for group in part.groups)
    variance = sum(part.share * part.share * part.variance for part in parts)
    n, wrong = sum(group.n for group in groups), sum(group.wrong for group in groups)
    return Draft(value, n, wrong, groups, variance, **ends)


def _reviewers_residual(sums: Sums, known_items: KnownItems) -> tuple[float, float, Sentence]:
    """Share of all decisions that reviewers left or made wrong: N_review (r fa + (1 - r) fc) / N; r by Rogan-Gladen."""
    reviewed = sums.confirmed + sums.corrected
    if not sums.review or not reviewed:
        return 0.0, 0.0, NO_NOTE
    if not known_items.sentinels:
        return 0.0, 0.0, say("people's answers are taken as right: no test items yet")
    accepted = known_items.missed / known_items.sentinels
    changed = known_items.changed / known_items.gold if known_items.gold else 0.0
    share = (sums.review - sums.overflowed) / sums.total
    if accepted + changed >= 1.0:
        return 0.0, share, say("reviewers did no better than chance on test items")
    wrong = corrected_rate(sums.corrected / reviewed, accepted, changed)
    value = share * (wrong * accepted + (1 - wrong) * changed)
    accepted_high = upper_end(known_items.sentinels, known_items.missed)
    changed_high = upper_end(known_items.gold, known_items.changed) if known_items.gold else 0.0
    return value, max(value, share * (wrong * accepted_high + (1 - wrong) * changed_high)), NO_NOTE


def _groups(cells: Sequence[_Labelled], total: int) -> tuple[Group, ...]:
    """Cells of one route added up by their chance of being labelled; weights are shares of `total`."""
    chances = sorted({c.chance for c in cells})
    return tuple(
        Group(
            sum(c.total for c in cells if c.chance == chance) / total,
            chance,
            sum(c.labelled for c in cells if c.chance == chance),
            sum(c.wrong for c in cells if c.chance == chance),
        )
        for chance in chances
    )


def _covered(cells: Sequence[_Labelled]) -> list[_Labelled]:
    """Without what had a chance of being checked at which nothing is checked yet: a period that was never audited, or has
    just begun. Buckets of a period that has labels stay: they borrow from their neighbours."""
    chances = {c.chance for c in cells if c.labelled}
    return [c for c in cells if c.chance in chances]


def _left_out(cells: Sequence[_Labelled], covered: Sequence[_Labelled]) -> Sentence:
    missing = sum(c.total for c in cells) - sum(c.total for c in covered)
    if not missing:
        return NO_NOTE
    return say(
        "{count} automatic predictions of periods without a finished check are left out", count=missing
    )


def _unlabelled(sums: Sums, auto: Draft) -> Sentence:
    if not sums.total:
        return NO_NOTE
    if sums.auto and auto.value is None:
        return auto.note
    return say("part of the predictions took a route on which nothing is labelled")

"""From counts to miss rates of rare labels. Pure.

Two kinds of counts meet: of all predictions, by policy period, and of those whose true label is the one in question, as far as
somebody has said so. What was served at once, by the model or by a fallback, tells its true label only where somebody was
drawn to look, so each such case stands for many; what people labelled before use counts once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from labeling.errors import Sentence, say
from labeling.trust.figures import (
    CLOPPER_PEARSON,
    CONFIDENCE_SEQUENCE,
    NOT_FOR_DECISIONS,
    WEIGHTED,
    Rate,
    Sums,
)
from labeling.trust.ranges import NO_NOTE
from labeling.trust.rates import AutoGroup, OtherGroup, miss_rate, miss_rate_interval
from labeling.trust.worth import SHADOW_RATE

__all__ = ["LabelMisses", "cannot_say", "misses_of"]

_POPULATION = "predictions whose true label is {label}: by what people said before use, and by blind checks of what was served at once"


@dataclass(frozen=True, slots=True)
class LabelMisses:
    """How often a label was missed. `missed` and `found` are its cases among the `checked` of `automatic` results, `by_people`
    those that people labelled before use, `shadowed` those among what the fallback answered and a person was drawn for, `cases`
    an estimate of all there were. Of what people were to label `open` has no answer yet; of the `answered`, which were left to
    the fallback, nobody has labelled any."""

    label: str
    rate: Rate
    automatic: int = 0
    checked: int = 0
    missed: int = 0
    found: int = 0
    by_people: int = 0
    shadowed: int = 0
    open: int = 0
    answered: int = 0
    cases: float = 0.0


def cannot_say(label: str, why: Sentence) -> LabelMisses:
    """A label of which nothing is known."""
    return LabelMisses(label, Rate(None, None, None, 0, 0, _POPULATION.format(label=label), "none", why))


def misses_of(
    label: str,
    chances: Mapping[int, float],
    counts: Mapping[int, Sums],
    truths: Mapping[int, Sums],
    *,
    anchored: bool,
) -> LabelMisses:
    """The miss rate of a label from counts by policy period: all there were, and those of this true label.

    `chances` are the periods' rates of blind checks. `anchored`: the counts begin where looking began, so that the range may
    hold at every look.
    """
    groups = _groups(chances, counts, truths)
    covered = [group for group in groups if group.checked]
    shadow = _answered_by_itself(counts, truths)
    others = [shadow] if shadow.checked else []
    every, said = _added(counts.values()), _added(truths.values())
    due = every.review + every.fallback_manual - every.overflowed
    done = every.confirmed + every.corrected + every.shadow_done - shadow.checked + every.rejected
    seen = replace(
        cannot_say(label, say("nothing was automatic")),
        automatic=sum(group.total for group in groups),
        checked=sum(group.checked for group in covered),
        missed=sum(group.missed for group in covered),
        found=sum(group.found for group in covered),
        by_people=said.confirmed + said.corrected + said.shadow_done - shadow.cases,
        shadowed=shadow.cases,
        open=max(0, due - done),
        answered=max(
            0, every.overflowed + every.fallback - every.fallback_manual - (shadow.total if others else 0)
        ),
    )
    # What waits is taken to hold as many cases as what was answered; the range allows for any number.
    elsewhere = seen.by_people * max(1.0, due / done) if done else 0.0
    elsewhere += sum(other.total * other.cases / other.checked for other in others)
    stands_for = sum(group.total * (group.missed + group.found) / group.checked for group in covered)
    seen = replace(seen, cases=stands_for + elsewhere)
    if not groups:
        return seen
    if not covered:
        return _silent(seen, say("not audited: no blind check is finished, so nothing can be said"))
    if not seen.cases:
        return _silent(seen, say("nobody has seen a case of it"))
    totals, checked, missed, found = zip(*(group[1:] for group in covered), strict=True)
    value, _variance = miss_rate(totals, checked, missed, found, elsewhere)
    known = (seen.by_people, seen.by_people + seen.open + seen.answered)
    low, high = miss_rate_interval(covered, known, at_every_look=anchored, others=others)
    method = CLOPPER_PEARSON if not anchored else CONFIDENCE_SEQUENCE if len(covered) == 1 else WEIGHTED
    rate = Rate(
        value=value,
        low=min(low, value),
        high=max(high, value),
        n=seen.missed + seen.found + seen.by_people + seen.shadowed,
        count=seen.missed,
        population=seen.rate.population,
        method=method,
        note=_note(seen, sum(group.total for group in groups if not group.checked), anchored=anchored),
    )
    return replace(seen, rate=rate)


def _groups(
    chances: Mapping[int, float], counts: Mapping[int, Sums], truths: Mapping[int, Sums]
) -> list[AutoGroup]:
    """Automatic results by their chance of a blind check: within one, the checks are a plain sample."""
    by_chance: dict[float, list[int]] = {}
    for period in counts:
        by_chance.setdefault(chances.get(period, 0.0), []).append(period)
    found = []
    for chance, periods in sorted(by_chance.items()):
        every = _added(counts[period] for period in periods)
        said = _added(truths[period] for period in periods if period in truths)
        if every.auto <= 0:
            continue
        checked = min(every.audit_done, every.auto)
        cases = min(said.audit_done, checked)
        missed = min(said.audit_err, cases)
        found.append(AutoGroup(chance, every.auto, checked, missed, cases - missed))
    return found


def _answered_by_itself(counts: Mapping[int, Sums], truths: Mapping[int, Sums]) -> OtherGroup:
    """What constants and rules answered with the chance of a shadow review, which is the same for all of a period or none."""
    periods = [period for period, sums in counts.items() if sums.shadow_of > 0]
    every = _added(counts[period] for period in periods)
    checked = min(every.shadow_done, every.shadow_of)
    said = _added(truths[period] for period in periods if period in truths)
    return OtherGroup(SHADOW_RATE, every.shadow_of, checked, min(said.shadow_done, checked))


def _added(parts: Iterable[Sums]) -> Sums:
    total = Sums()
    for part in parts:
        total = total.plus(part)
    return Sums(*(max(0, count) for count in total))


def _silent(seen: LabelMisses, why: Sentence) -> LabelMisses:
    return replace(seen, rate=replace(seen.rate, note=why))


def _note(seen: LabelMisses, unchecked: int, *, anchored: bool) -> Sentence:
    parts = []
    if unchecked:
        parts.append(
            say(
                "{unchecked} automatic predictions of periods without a finished check are left out",
                unchecked=unchecked,
            )
        )
    if seen.open:
        parts.append(say("{open} reviews are open: the range allows for cases among them", open=seen.open))
    if seen.answered:
        parts.append(
            say(
                "the fallback answered {answered}: the range allows for cases among them",
                answered=seen.answered,
            )
        )
    if not anchored:
        parts.append(NOT_FOR_DECISIONS)
    note = NO_NOTE
    for part in parts:
        note = say("{note}; {more}", note=note, more=part) if note else part
    return note

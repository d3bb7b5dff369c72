"""What counts as what: the rules that turn routes and answers into counters. Pure.

A prediction's contribution is a function of its route and of the answers that stand: all decisions about it that were not
withdrawn, in the order they were made. An event adds the contribution after it minus the one before it, so that counts are
equal to a recount by construction, whatever is undone, corrected or adjudicated in whatever order.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from labeling.decisions.diffing import equal
from labeling.decisions.models import Verdict
from labeling.ingestion.models import Route
from labeling.review.models import Purpose

__all__ = [
    "Answer",
    "Told",
    "changes",
    "difference",
    "is_as_served",
    "label_counts",
    "reviewer_counts",
    "route_counts",
    "told_by",
]

Counts: TypeAlias = dict[str, int]
N = TypeVar("N", int, float)

# Whose answers say something about a prediction of this route. Others are about the item only: what a recall brought back
# to people after it was applied automatically was not drawn at random, so it is no blind check.
_ABOUT: dict[str, frozenset[str]] = {
    Route.REVIEW: frozenset({Purpose.REVIEW, Purpose.ADJUDICATION}),
    Route.AUTO: frozenset({Purpose.AUDIT, Purpose.ADJUDICATION}),
    Route.FALLBACK: frozenset({Purpose.FALLBACK, Purpose.SHADOW, Purpose.ADJUDICATION}),
}
_UNCOUNTED = frozenset({Purpose.SENTINEL})


class Answer(NamedTuple):
    """A decision that was not withdrawn: why the task existed, what was said, whether it equals the model's output, the label
    given, where an output is a single label, and in a shadow review whether it equals what the fallback had answered."""

    purpose: str
    verdict: str
    agreed: bool | None
    label: str | None = None
    as_served: bool = False


class Told(NamedTuple):
    """What the answers about a prediction add, and the label that settled it: its counts are kept by that label too."""

    counts: Counts
    truth: str | None = None


def route_counts(route: str, *, drawn: bool = False, manual: bool = False, drawable: bool = False) -> Counts:
    """What a prediction adds when it is routed. `manual`: the fallback is a person. `drawable`: somebody might look although
    it was answered; `drawn`: somebody is to. Settled ones add nothing."""
    if route == Route.SETTLED:
        return {}
    counts = {"total": 1, str(route): 1}
    if route == Route.AUTO and drawn:
        counts["audit_due"] = 1
    if route == Route.FALLBACK and manual:
        counts["fallback_manual"] = 1
    if route == Route.FALLBACK and drawable:
        counts |= {"shadow_of": 1, "shadow_due": 1} if drawn else {"shadow_of": 1}
    return counts


def label_counts(
    route: str, answers: Sequence[Answer], *, audited: bool = False, waiting: bool = False
) -> Counts:
    """What the standing answers of one prediction add, in the order they were given.

    The adjudicator's answer settles, else the last one. A blind check that differs, or that cannot tell, counts as an error
    at once: waiting for the adjudicator would let right answers in early and wrong ones late, which flatters the model.
    `waiting`: a second person is asked, so the error is counted as open too, and alarms wait for it.
    """
    return told_by(route, answers, audited=audited, waiting=waiting).counts


def told_by(route: str, answers: Sequence[Answer], *, audited: bool = False, waiting: bool = False) -> Told:
    """`label_counts`, with the label that settled it; none where nothing is counted, or nobody could tell."""
    if route == Route.AUTO and not audited:
        return Told({})
    about = [answer for answer in answers if answer.purpose in _ABOUT.get(route, ())]
    escalated = sum(answer.verdict == Verdict.ESCALATED for answer in about)
    counts: Counts = {"escalated": escalated} if escalated else {}
    given = [answer for answer in about if answer.verdict != Verdict.ESCALATED]
    if not given:
        return Told(counts)
    settling = next((a for a in reversed(given) if a.purpose == Purpose.ADJUDICATION), given[-1])
    counts |= _settled_counts(route, settling)
    if waiting and counts.get("audit_err"):
        counts["audit_err_open"] = 1
    return Told(counts, settling.label)


def changes(after: Told, before: Told) -> list[Told]:
    """What to add so that `after` counts and `before` does not; apart for the two labels, where people have changed theirs."""
    if not before.counts or after.truth == before.truth:
        return [Told(difference(after.counts, before.counts), after.truth)]
    taken = Told(difference({}, before.counts), before.truth)
    return [taken, after] if after.counts else [taken]


def reviewer_counts(purpose: str, verdict: str, seconds: float | None = None) -> dict[str, float]:
    """What a decision adds to its reviewer's day. Test items are counted by whoever knows their answer, not here."""
    if purpose in _UNCOUNTED:
        return {}
    return {"reviewed": 1, str(verdict): 1} | ({"seconds": seconds} if seconds else {})


def difference(after: Mapping[str, N], before: Mapping[str, N]) -> dict[str, N]:
    """after - before, without zeros."""
    names: Iterable[str] = dict.fromkeys([*after, *before])
    changes = {name: after.get(name, 0) - before.get(name, 0) for name in names}
    return {name: change for name, change in changes.items() if change}


def is_as_served(task_type: str, label: Mapping[str, Any] | None, served: Mapping[str, Any] | None) -> bool:
    """Whether a label says what had been answered before anybody looked; not where there is no label."""
    return bool(label and served) and equal(task_type, label or {}, served or {})


def _settled_counts(route: str, answer: Answer) -> Counts:
    rejected = answer.verdict == Verdict.REJECTED
    agreed = answer.verdict == Verdict.CONFIRMED or (
        answer.verdict == Verdict.LABELLED and bool(answer.agreed)
    )
    if route == Route.AUTO:
        if agreed and not rejected:
            return {"audit_done": 1}
        adjudicated = {"audit_err_adjudicated": 1} if answer.purpose == Purpose.ADJUDICATION else {}
        return {"audit_done": 1, "audit_err": 1} | adjudicated
    if rejected:
        return {"shadow_rejected" if answer.purpose == Purpose.SHADOW else "rejected": 1}
    if route == Route.REVIEW:
        return {"confirmed": 1} if agreed else {"corrected": 1}
    counts = {"shadow_done": 1} if agreed else {"shadow_done": 1, "shadow_err": 1}
    if answer.purpose == Purpose.SHADOW and not answer.as_served:
        counts["shadow_served_err"] = 1
    return counts

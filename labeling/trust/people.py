"""What reviewers do, person by person: rates of their own decisions and of the test items among them. Pure.

They say how somebody works with what came to them, and people get different items: no order of merit can be read from them.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from labeling.trust.figures import Rate, one_rate

__all__ = ["PersonCounts", "added", "person_rates"]

_OWN_REVIEWS = "reviews that this person finished"
_OWN_ANSWERS = "items that this person finished"
_WRONG_TESTS = "test items with a wrong suggestion that this person got"
_RIGHT_TESTS = "test items with a right suggestion that this person got"
_TWICE = "items that a second person answered without seeing the first answer"


class PersonCounts(NamedTuple):
    """Counters of a person's decisions. `seconds` are those of all `reviewed` ones together, as far as they were told."""

    reviewed: int = 0
    confirmed: int = 0
    corrected: int = 0
    labelled: int = 0
    rejected: int = 0
    sentinels: int = 0
    sentinels_missed: int = 0
    gold: int = 0
    gold_changed: int = 0
    double_reviewed: int = 0
    agreed: int = 0
    seconds: float = 0.0


def added(parts: Iterable[PersonCounts]) -> PersonCounts:
    """Counter by counter."""
    columns = list(zip(*parts, strict=True))
    return PersonCounts(*(sum(column) for column in columns)) if columns else PersonCounts()


def person_rates(parts: Sequence[PersonCounts]) -> dict[str, Rate]:
    """Rates of a person (or of several together), each with a range for its stretch of time."""
    counts = added(parts)
    reviewed = counts.confirmed + counts.corrected
    finished = reviewed + counts.labelled + counts.rejected
    shares = {
        "confirmation_rate": (reviewed, counts.confirmed, _OWN_REVIEWS),
        "correction_rate": (reviewed, counts.corrected, _OWN_REVIEWS),
        "reject_rate": (finished, counts.rejected, _OWN_ANSWERS),
        "reviewer_false_accept_rate": (counts.sentinels, counts.sentinels_missed, _WRONG_TESTS),
        "reviewer_false_correct_rate": (counts.gold, counts.gold_changed, _RIGHT_TESTS),
        "override_agreement": (counts.double_reviewed, counts.agreed, _TWICE),
    }
    return {name: one_rate(n, count, who, anchored=False) for name, (n, count, who) in shares.items()}

"""Where reviewing a suggestion is not worth it: `low` is proposed by ranges that hold at every look, and for a person to decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.trust.buckets import BUCKET_COUNT, bucket_edges, bucket_of
from labeling.trust.rates import confidence_sequence
from labeling.trust.worth import Seen, propose_low

HIGH = 0.95
AT = bucket_of(0.7)  # 0.7 lies inside it, not on an edge
BAD, GOOD = Seen(confirmed=10, corrected=90), Seen(confirmed=90, corrected=10)
WRONG, RIGHT = Seen(shadow_done=100, shadow_err=90), Seen(shadow_done=100, shadow_err=10)


class TestRaise:
    def test_to_the_top_of_the_run_that_begins_at_low(self) -> None:
        found = propose_low(0.7, HIGH, {AT: BAD, AT + 1: BAD, AT + 2: GOOD, AT + 3: BAD})
        assert found is not None
        top = bucket_edges(AT + 1)[1]
        assert (found.raises, found.low, found.begin, found.end) == (True, top, 0.7, top)
        assert (found.buckets, found.n, found.right) == ((AT, AT + 1), 200, 20)
        assert found.range == confidence_sequence(200, 20, 0.05)

    def test_not_over_a_bucket_that_is_worth_it_or_of_which_nobody_knows(self) -> None:
        assert propose_low(0.7, HIGH, {AT: GOOD, AT + 1: BAD}) is None
        assert propose_low(0.7, HIGH, {AT + 1: BAD}) is None
        few = Seen(confirmed=1, corrected=6)
        assert confidence_sequence(7, 1, 0.05)[1] > 0.5
        assert propose_low(0.7, HIGH, {AT: few, AT + 1: BAD}) is None, "one in seven may still be chance"

    def test_at_most_to_high(self) -> None:
        found = propose_low(0.7, 0.72, {AT: BAD, AT + 1: BAD})
        assert found is not None
        assert found.low == 0.72 < bucket_edges(AT)[1]
        assert found.buckets == (AT,), "what is above high is not reviewed and moves nowhere"
        assert propose_low(0.7, 0.7, {AT: BAD}) is None

    def test_from_an_edge_its_own_bucket_is_the_first(self) -> None:
        edge = bucket_edges(AT)[1]
        found = propose_low(edge, HIGH, {AT: BAD, AT + 1: BAD})
        assert found is not None
        assert found.buckets == (AT + 1,)

    def test_up_to_everything_where_nothing_is_worth_it(self) -> None:
        found = propose_low(0.0, 1.0, dict.fromkeys(range(BUCKET_COUNT), BAD))
        assert found is not None
        assert found.low == 1.0
        assert propose_low(1.0, 1.0, dict.fromkeys(range(BUCKET_COUNT), BAD)) is None


class TestLower:
    def test_to_the_bottom_of_the_run_directly_below(self) -> None:
        found = propose_low(0.7, HIGH, {AT: RIGHT, AT - 1: RIGHT, AT - 2: WRONG, AT - 3: RIGHT})
        assert found is not None
        bottom = bucket_edges(AT - 1)[0]
        assert (found.raises, found.low, found.begin, found.end) == (False, bottom, bottom, 0.7)
        assert (found.buckets, found.n, found.right) == ((AT - 1, AT), 200, 180)

    def test_from_an_edge_the_bucket_below_is_the_first(self) -> None:
        edge = bucket_edges(AT)[1]
        found = propose_low(edge, HIGH, {AT: RIGHT, AT + 1: WRONG})
        assert found is not None
        assert (found.low, found.buckets) == (bucket_edges(AT)[0], (AT,))

    def test_not_over_what_nobody_has_labelled_blind(self) -> None:
        assert propose_low(0.7, HIGH, {AT - 1: RIGHT}) is None
        assert propose_low(0.7, HIGH, {AT: GOOD, AT - 1: GOOD}) is None, (
            "confirmed ones were seen with a suggestion"
        )
        assert propose_low(0.0, HIGH, {0: RIGHT}) is None, "there is nothing below"

    def test_down_to_nothing(self) -> None:
        found = propose_low(0.7, HIGH, dict.fromkeys(range(BUCKET_COUNT), RIGHT))
        assert found is not None
        assert found.low == 0.0


def test_without_evidence_nothing_is_proposed() -> None:
    assert propose_low(0.7, HIGH, {}) is None
    assert propose_low(0.7, HIGH, dict.fromkeys(range(BUCKET_COUNT), Seen())) is None
    assert propose_low(0.7, HIGH, dict.fromkeys(range(BUCKET_COUNT), Seen(50, 50, 100, 50))) is None


def test_raising_comes_first_where_the_counts_contradict_each_other() -> None:
    found = propose_low(0.7, HIGH, {AT: Seen(10, 90, 100, 10)})
    assert found is not None
    assert found.raises


@pytest.mark.parametrize(("low", "high"), [(0.8, 0.7), (-0.1, 0.5), (0.5, 1.1), (float("nan"), 0.9)])
def test_impossible_thresholds_are_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="low"):
        propose_low(low, high, {})


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="counts must satisfy"):
        propose_low(0.7, HIGH, {AT: Seen(confirmed=-1, corrected=2)})


counts = st.integers(0, 400)
seen_by_bucket = st.dictionaries(
    st.integers(0, BUCKET_COUNT - 1),
    st.tuples(counts, counts, counts, counts).map(
        lambda c: Seen(c[0], c[1], max(c[2], c[3]), min(c[2], c[3]))
    ),
)


@given(st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted), seen_by_bucket)
def test_it_is_never_above_high_and_is_made_of_evidence(
    thresholds: list[float], seen: dict[int, Seen]
) -> None:
    low, high = thresholds
    found = propose_low(low, high, seen)
    if found is None:
        return
    assert 0.0 <= found.low <= high
    assert found.low > low if found.raises else found.low < low
    assert found.n > 0
    assert 0 <= found.right <= found.n
    assert (found.begin, found.end) == (min(low, found.low), max(low, found.low))
    assert set(found.buckets) <= set(seen)


# --- looked at again and again -----------------------------------------------------------------------------------

RUNS, LABELS, EVERY = 200, 300, 5
Rule = Callable[[Mapping[int, Seen]], bool]


def by_point_estimate(seen: Mapping[int, Seen]) -> bool:
    """The rule one would write first: ten labels, and fewer than half of them confirmed."""
    confirmed, corrected, *_ = seen[AT]
    return confirmed + corrected >= 10 and confirmed / (confirmed + corrected) < 0.5


def by_range(seen: Mapping[int, Seen]) -> bool:
    return propose_low(0.7, HIGH, seen) is not None


def share_ever_proposed(rule: Rule, true_rate: float) -> float:
    """Of seeded runs, those in which the rule proposes to raise `low` at some look while labels come in."""
    chance, proposed = np.random.default_rng(20_250_303), 0
    for _ in range(RUNS):
        confirmed = np.cumsum(chance.random(LABELS) < true_rate)
        proposed += any(
            rule({AT: Seen(confirmed=int(confirmed[n - 1]), corrected=n - int(confirmed[n - 1]))})
            for n in range(EVERY, LABELS + 1, EVERY)
        )
    return proposed / RUNS


def test_what_is_worth_it_is_rarely_given_up() -> None:
    assert share_ever_proposed(by_range, 0.5) <= 0.05
    assert share_ever_proposed(by_range, 0.6) <= 0.01


def test_control_a_point_estimate_gives_up_what_is_worth_it() -> None:
    assert share_ever_proposed(by_point_estimate, 0.5) > 0.5
    assert share_ever_proposed(by_point_estimate, 0.55) > 0.25


def test_what_is_not_worth_it_is_found() -> None:
    assert share_ever_proposed(by_range, 0.3) > 0.9

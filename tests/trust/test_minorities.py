"""Rare labels and bad segments that a good average hides."""

import pytest

from labeling.trust.minorities import failing_segments, unprotected_labels

SHARES = {"legit": 0.985, "fraud": 0.01, "typo": 0.005}


@pytest.mark.parametrize(
    ("alpha", "by_label", "exposed"),
    [
        (0.015, {}, ["typo", "fraud"]),
        (0.015, {"legit": 0.002}, ["typo", "fraud"]),
        (0.007, {}, ["typo"]),
        (0.002, {}, []),
        (0.02, {"legit": 0.002, "typo": 0.002, "fraud": 0.002}, []),
        (0.002, {"legit": 0.02}, ["typo", "fraud"]),
    ],
)
def test_a_label_rarer_than_a_limit_of_another_is_exposed(alpha, by_label, exposed):
    assert unprotected_labels(SHARES, alpha, by_label) == exposed


def test_a_single_label_has_nothing_to_hide_behind():
    assert unprotected_labels({"all": 1.0}, 0.02, {}) == []
    assert unprotected_labels({}, 0.02, {}) == []


@pytest.mark.parametrize(
    "wrong", [({"a": 1.5}, 0.02, {}), ({"a": 0.5}, -1.0, {}), ({"a": 0.5}, 0.02, {"a": 2.0})]
)
def test_impossible_shares_are_refused(wrong):
    with pytest.raises(ValueError, match="between 0 and 1"):
        unprotected_labels(*wrong)


def test_a_segment_that_is_surely_worse_returns_to_review():
    audits = {"nl": (1000, 5), "de": (200, 20), "fr": (99, 50), "it": (150, 4)}
    assert failing_segments(audits, 0.02) == ["de"]
    assert failing_segments({}, 0.02) == []


def test_many_segments_share_the_false_alarms():
    alone = {"s": (100, 10)}
    crowd = alone | {f"t{i}": (100, 0) for i in range(2000)}
    assert failing_segments(alone, 0.02) == ["s"]
    assert failing_segments(crowd, 0.02) == []


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="counts must"):
        failing_segments({"s": (5, 6)}, 0.02)
    with pytest.raises(ValueError, match="delta must"):
        failing_segments({}, 0.02, 0.0)

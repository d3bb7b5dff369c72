"""Reliability bins and calibration error."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.trust.calibration import debiased_l2, expected_calibration_error, reliability_bins


def bins_of(rng, n, skew=1.0):
    confidence = rng.beta(5.5, 0.35, n)
    right = rng.random(n) < 1 - (1 - confidence) * skew
    return reliability_bins(confidence, np.ones(n), right.astype(int))


@pytest.mark.parametrize(("n", "ece", "l2"), [(200, 0.036, 0.0565), (1000, 0.0164, 0.0254)])
def test_a_calibrated_model_looks_wrong_only_to_the_biased_measure(n, ece, l2):
    rng = np.random.default_rng(n)
    drawn = [bins_of(rng, n) for _ in range(300)]
    assert np.mean([expected_calibration_error(b) for b in drawn]) == pytest.approx(ece, rel=0.05)
    plug_in = [math.sqrt(sum(x.n * (x.confidence - x.accuracy) ** 2 for x in b) / n) for b in drawn]
    assert np.mean(plug_in) == pytest.approx(l2, rel=0.05)
    signed_squares = [math.copysign(debiased_l2(b) ** 2, debiased_l2(b)) for b in drawn]
    assert abs(np.mean(signed_squares)) < l2**2 / 10
    assert abs(np.mean([debiased_l2(b) for b in drawn])) < l2 / 4


def test_an_overconfident_model_is_found():
    rng = np.random.default_rng(9)
    confidence = 1 - rng.beta(0.35, 5.5, 20_000) / 3
    right = rng.random(20_000) < 1 - 3 * (1 - confidence)
    bins = reliability_bins(confidence, np.ones(20_000), right.astype(int))
    exact = math.sqrt(sum(b.n * (2 * (1 - b.confidence)) ** 2 for b in bins) / 20_000)
    assert debiased_l2(bins) == pytest.approx(exact, rel=0.1)
    assert expected_calibration_error(bins) > 0.03
    assert any(b.high < b.confidence for b in bins)


def test_bins_hold_about_equally_many():
    bins = bins_of(np.random.default_rng(1), 3000)
    assert len(bins) == 15
    assert {b.n for b in bins} == {200}
    assert [b.confidence for b in bins] == sorted(b.confidence for b in bins)
    assert all(b.low <= b.accuracy <= b.high for b in bins)


def test_cells_and_single_items_hold_the_same_labels():
    cells = reliability_bins([0.2, 0.9, 0.6], [10, 30, 20], [3, 28, 12], bins=3)
    items = reliability_bins(
        [0.2] * 10 + [0.6] * 20 + [0.9] * 30,
        [1] * 60,
        [1] * 3 + [0] * 7 + [1] * 12 + [0] * 8 + [1] * 28 + [0] * 2,
        bins=3,
    )
    assert [(b.n, b.right) for b in cells] == [(10, 3), (20, 12), (30, 28)]
    assert sum(b.n for b in items) == 60
    assert sum(b.right for b in items) == 43


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 50), st.integers(0, 50)), max_size=58),
    st.integers(1, 20),
)
def test_no_label_is_lost(cells, bins):
    cells = [(c, n, min(n, right)) for c, n, right in cells]
    found = reliability_bins(
        [c for c, _, _ in cells], [n for _, n, _ in cells], [r for _, _, r in cells], bins=bins
    )
    assert sum(b.n for b in found) == sum(n for _, n, _ in cells)
    assert sum(b.right for b in found) == sum(r for _, _, r in cells)
    assert len(found) <= bins


def test_without_labels_nothing_is_known():
    assert reliability_bins([], [], []) == []
    assert reliability_bins([0.5], [0], [0]) == []
    assert math.isnan(expected_calibration_error([]))
    assert math.isnan(debiased_l2(reliability_bins([0.5], [1], [1])))


@pytest.mark.parametrize(
    ("confidence", "n", "right", "bins"),
    [
        ([1.5], [1], [1], 10),
        ([math.nan], [1], [1], 10),
        ([0.5], [1], [2], 10),
        ([0.5], [1.5], [1], 10),
        ([0.5, 0.6], [1], [1], 10),
        ([0.5], [1], [1], 0),
    ],
)
def test_impossible_input_is_refused(confidence, n, right, bins):
    with pytest.raises(ValueError, match="must"):
        reliability_bins(confidence, n, right, bins=bins)

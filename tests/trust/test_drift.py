"""The drift rule: quiet when nothing changed at any sample size, and as sharp as measured when something did."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.trust.buckets import BUCKET_COUNT, bucket_center
from labeling.trust.drift import (
    check_calibration,
    check_drift,
    g_test,
    js_distance,
    null_stability_index,
    reference_groups,
    stability_index,
)
from tests.trust.simulation import confidence_histograms

count_lists = st.lists(st.integers(0, 500), min_size=2, max_size=58)


def firing_rate(rng, n, shift, days):
    reference = confidence_histograms(rng, days, 5000)
    current = confidence_histograms(rng, days, n, shift)
    return np.mean([check_drift(a, b).warn for a, b in zip(reference, current, strict=True)])


@pytest.mark.slow
@pytest.mark.parametrize("n", [200, 1000, 3000])
def test_quiet_without_drift(n):
    """Acceptance 15: at most 0.3 % of days (400 days: three standard errors come to 0.8 pp more)."""
    assert firing_rate(np.random.default_rng(n), n, 0.0, 400) <= 0.011


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "shift", "reference"),
    [
        (200, 0.3, 0.0627),
        (200, 0.6, 0.8207),
        (300, 0.6, 0.974),
        (1000, 0.3, 0.8213),
        (3000, 0.15, 0.0057),
        (3000, 0.3, 0.9317),
    ],
)
def test_fires_as_measured(n, shift, reference):
    """Acceptance 15: within 5 pp (and three standard errors of 300 days)."""
    days = 300
    noise = 3 * math.sqrt(reference * (1 - reference) / days)
    assert firing_rate(np.random.default_rng(n), n, shift, days) == pytest.approx(reference, abs=0.05 + noise)


@pytest.mark.statistics
@pytest.mark.parametrize(
    ("n", "by_shift"),
    [
        (200, {0.0: 0.0, 0.15: 0.004, 0.3: 0.0627, 0.6: 0.8207}),
        (300, {0.0: 0.002, 0.15: 0.0083, 0.3: 0.151, 0.6: 0.974}),
        (1000, {0.0: 0.0007, 0.15: 0.0543, 0.3: 0.8213, 0.6: 1.0}),
        (3000, {0.0: 0.0, 0.15: 0.0057, 0.3: 0.9317, 0.6: 1.0}),
    ],
)
def test_the_whole_rule_table(n, by_shift):
    rng = np.random.default_rng(n)
    for shift, reference in by_shift.items():
        rate = firing_rate(rng, n, shift, 8000)
        print(f"n={n} shift={shift}: fires {rate:.2%}, reference {reference:.2%}")
        assert rate == pytest.approx(reference, abs=0.05)
        if shift == 0.0:
            assert rate <= 0.003


@pytest.mark.slow
def test_the_folklore_limit_would_cry_wolf():
    """The control: PSI > 0.1 on 100 counts a day fires on a large share of days without drift, and misses at 1000."""
    rng = np.random.default_rng(5)

    def folklore(n, shift):
        pairs = zip(
            confidence_histograms(rng, 300, 5000), confidence_histograms(rng, 300, n, shift), strict=True
        )
        return np.mean([check_drift(a, b).psi > 0.1 for a, b in pairs])

    assert folklore(100, 0.0) > 0.2
    assert folklore(1000, 0.3) < 0.05


def test_the_index_averages_its_null_mean_without_drift():
    rng = np.random.default_rng(6)
    pairs = zip(confidence_histograms(rng, 400, 5000), confidence_histograms(rng, 400, 1000), strict=True)
    mean = np.mean([check_drift(a, b).psi for a, b in pairs])
    assert mean == pytest.approx(null_stability_index(10, 5000, 1000), rel=0.1)


def test_waits_for_200_counts():
    reference = [1000] * 10
    check = check_drift(reference, [199] + [0] * 9)
    assert not check.ready
    assert not check.warn
    assert check_drift(reference, [200] + [0] * 9).warn
    assert not check_drift([10] * 10, [200] + [0] * 9).ready


def test_many_queues_share_the_false_alarms():
    reference, current = [500] * 10, [128, 128, 128, 128, 128, 72, 72, 72, 72, 72]
    p = check_drift(reference, current).p_value
    assert check_drift(reference, current).warn
    assert not check_drift(reference, current, tests_per_day=math.ceil(20 * 0.001 / p) + 1).warn


@pytest.mark.parametrize("part", [[100], [100, 0, 0], [0, 0, 0]])
def test_a_single_used_bucket_never_warns(part):
    check = check_drift([n * 10 for n in part], part)
    assert (check.g, check.p_value, check.warn) == (0.0, 1.0, False)


def test_traffic_in_a_bucket_the_reference_never_saw_is_noticed():
    check = check_drift([1000, 1000, 0, 0], [150, 150, 0, 300])
    assert check.parts == 2
    assert check.warn


def test_g_test_by_hand():
    table = np.array([[30.0, 70.0], [50.0, 50.0]])
    expected = np.array([[40.0, 60.0], [40.0, 60.0]])
    g, p = g_test(*table.astype(int).tolist())
    assert g == pytest.approx(2 * float((table * np.log(table / expected)).sum()))
    assert p == pytest.approx(math.erfc(math.sqrt(g / 2)))


@given(count_lists)
def test_distances_to_oneself_are_zero(counts):
    assert stability_index(counts, counts) == pytest.approx(0.0, abs=1e-12)
    assert js_distance(counts, counts) == pytest.approx(0.0, abs=1e-6)


@given(count_lists, count_lists)
def test_distances_are_symmetric_and_bounded(a, b):
    size = min(len(a), len(b))
    a, b = a[:size], b[:size]
    assert js_distance(a, b) == pytest.approx(js_distance(b, a), abs=1e-9)
    assert 0.0 <= js_distance(a, b) <= 1.0
    assert stability_index(a, b) >= 0.0


def test_disjoint_traffic_is_as_far_as_can_be():
    assert js_distance([10, 0], [0, 3]) == pytest.approx(1.0)


@given(count_lists)
def test_parts_are_neighbours_and_none_is_empty(counts):
    group = reference_groups(counts)
    assert np.all(np.diff(group) >= 0)
    assert group[0] >= 0
    assert group.max() <= 9
    if sum(counts):
        held = np.bincount(group, counts)
        assert np.all(held[: group.max() + 1] > 0)


@pytest.mark.parametrize(
    ("reference", "current"),
    [([1, 2], [1]), ([], []), ([1, -1], [1, 1]), ([1.5, 1], [1, 1]), ([math.nan, 1], [1, 1]), ([[1]], [[1]])],
)
def test_impossible_counts_are_refused(reference, current):
    for function in (check_drift, g_test, stability_index, js_distance):
        with pytest.raises(ValueError, match="must be"):
            function(reference, current)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="tests_per_day"):
        check_drift([1], [1], tests_per_day=0)
    with pytest.raises(ValueError, match="parts"):
        reference_groups([1], parts=0)


# --- calibration ------------------------------------------------------------------------------------------


def answers(rng, n, gap):
    """(labelled, right) by bucket of n labels whose share right lies `gap` below the confidence."""
    buckets = rng.integers(25, 50, n)
    centers = np.array([bucket_center(b) for b in range(BUCKET_COUNT)])
    right = rng.random(n) < np.clip(centers[buckets] - gap, 0, 1)
    return (
        np.bincount(buckets, minlength=BUCKET_COUNT),
        np.bincount(buckets, right, BUCKET_COUNT).astype(int),
    )


def calibration_warnings(before, now, n, runs=200, seed=5):
    rng = np.random.default_rng(seed)
    claimed = [bucket_center(b) for b in range(BUCKET_COUNT)]
    return np.mean(
        [
            check_calibration(claimed, answers(rng, 1000, before), answers(rng, n, now)).warn
            for _ in range(runs)
        ]
    )


class TestCalibration:
    @pytest.mark.parametrize("n", [200, 1000, 3000])
    @pytest.mark.parametrize("gap", [0.0, 0.15])
    def test_a_gap_that_was_always_there_is_no_change(self, n, gap):
        assert calibration_warnings(gap, gap, n) <= 0.01

    def test_a_gap_that_opens_is_one(self):
        assert calibration_warnings(0.0, 0.15, 1000) >= 0.95

    def test_too_few_labels_say_nothing(self):
        assert calibration_warnings(0.0, 0.3, 150) == 0.0

    def test_impossible_counts_are_refused(self):
        with pytest.raises(ValueError, match="right <= labelled"):
            check_calibration([0.5, 0.6], ([1, 1], [1, 1]), ([1, 1], [2, 0]))

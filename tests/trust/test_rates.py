"""The functions of labeling.trust.rates against known answers, and what must hold for any input."""

import json
import math
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.trust.rates import (
    Detector,
    DetectorState,
    alpha_effective,
    clopper_pearson,
    cohen_kappa,
    confidence_sequence,
    confidence_sequences,
    corrected_rate,
    corrected_rate_interval,
    ht_rate,
    krippendorff_nominal,
    log_e_above,
    log_e_below,
    upper_bound_below,
    weighted_bounds,
    wilson,
)

INTERVALS = (confidence_sequence, clopper_pearson, wilson)


@st.composite
def counts(draw, largest=10**9):
    n = draw(st.integers(0, largest))
    return n, draw(st.integers(0, n))


@st.composite
def cell_lists(draw):
    pairs = draw(st.lists(counts(10**5), min_size=1, max_size=6))
    return [(draw(st.floats(0.001, 1.0)), n, s) for n, s in pairs]


class TestKnownAnswers:
    @pytest.mark.parametrize(
        ("name", "function"),
        [
            ("cs_beta_binomial_half_delta05", confidence_sequence),
            ("clopper_pearson_delta05", clopper_pearson),
            ("wilson_delta05", wilson),
        ],
    )
    def test_intervals(self, known_answers, name, function):
        assert len(known_answers[name]) == 9
        for case in known_answers[name]:
            expected = (case["lo"], case["hi"])
            assert function(case["n"], case["s"], 0.05) == pytest.approx(expected, abs=1e-6)

    def test_log_e_below(self, known_answers):
        for case in known_answers["log_e_below"]:
            assert log_e_below(case["cells"], case["alpha"]) == pytest.approx(case["log_e"], abs=1e-6)

    def test_upper_bound_below(self, known_answers):
        for case in known_answers["upper_bound_below_delta05"]:
            assert upper_bound_below(case["n"], case["s"], 0.05) == pytest.approx(case["hi"], abs=1e-6)

    def test_weighted_bounds(self, known_answers):
        for case in known_answers["weighted_bounds_delta025_each"]:
            expected = (case["lo"], case["hi"])
            assert weighted_bounds(case["cells"], 0.025, 0.025) == pytest.approx(expected, abs=1e-6)

    def test_clean_labels_to_the_first_promotion(self, known_answers):
        needed = math.log(1 / (0.8 * 0.05))
        for alpha, labels in known_answers["clean_labels_to_first_promotion_0.8x0.05"].items():
            assert log_e_below([(1.0, labels, 0)], float(alpha)) >= needed
            assert log_e_below([(1.0, labels - 1, 0)], float(alpha)) < needed

    def test_alpha_effective(self, known_answers):
        for case in known_answers["alpha_effective"]:
            result = alpha_effective(case["alpha"], case["fa_upper"], case["fc_lower"])
            assert result == pytest.approx(case["value"], abs=1e-6)

    def test_ht_rate(self, known_answers):
        for case in known_answers["ht_rate"]:
            rate, variance = ht_rate(case["N"], case["n"], case["s"])
            assert rate == pytest.approx(case["rate"], abs=1e-6)
            assert variance == pytest.approx(case["var"], abs=1e-9)

    def test_detector_trace_and_first_alarm(self, known_answers):
        case = known_answers["detector_alpha02_A1000"]
        detector = Detector(0.02, 1000)
        for index, x in enumerate(case["sequence"]):
            assert detector.update(x) == pytest.approx(case["sr_mean"][index], abs=1e-6)
            assert detector.cusum_mean == pytest.approx(case["cusum_mean"][index], abs=1e-6)
        assert Detector(0.02, 1000).feed(case["sequence"]) == case["first_alarm_index"]

    def test_krippendorff(self, known_answers):
        case = known_answers["krippendorff_nominal"]
        matrix = case["matrix_reviewer_by_item_0_is_missing"]
        assert krippendorff_nominal(matrix) == pytest.approx(case["alpha"], abs=1e-6)

    def test_cohen(self, known_answers):
        case = known_answers["cohen_kappa"]
        assert cohen_kappa(case["table"]) == pytest.approx(case["kappa"], abs=1e-6)


class TestIntervals:
    @pytest.mark.parametrize("function", INTERVALS)
    def test_nothing_labelled_says_nothing(self, function):
        assert function(0, 0, 0.05) == (0.0, 1.0)

    @pytest.mark.parametrize("function", INTERVALS)
    @given(counts(), st.floats(1e-9, 0.5))
    def test_holds_the_observed_rate_and_stays_in_0_1(self, function, pair, delta):
        n, s = pair
        low, high = function(n, s, delta)
        assert 0.0 <= low <= high <= 1.0
        if n:
            assert low - 1e-12 <= s / n <= high + 1e-12
        assert (low == 0.0) or s > 0
        assert (high == 1.0) or s < n

    @pytest.mark.parametrize("function", INTERVALS)
    @given(counts())
    def test_is_the_mirror_image_for_the_other_outcome(self, function, pair):
        n, s = pair
        low, high = function(n, s, 0.05)
        other_low, other_high = function(n, n - s, 0.05)
        assert low == pytest.approx(1 - other_high, abs=1e-9)
        assert high == pytest.approx(1 - other_low, abs=1e-9)

    @given(counts())
    def test_watching_costs_width_but_less_than_threefold(self, pair):
        n, s = pair
        if n < 10:
            return
        low, high = confidence_sequence(n, s, 0.05)
        exact_low, exact_high = clopper_pearson(n, s, 0.05)
        assert low <= exact_low
        assert high >= exact_high
        assert high - low <= 4 * (exact_high - exact_low)

    @given(counts(10**6), st.floats(1e-6, 0.5))
    def test_the_ends_are_where_the_mixture_reaches_1_over_delta(self, pair, delta):
        n, s = pair
        for p in confidence_sequence(n, s, delta):
            if 0.0 < p < 1.0:
                log_e = (
                    math.lgamma(s + 0.5)
                    + math.lgamma(n - s + 0.5)
                    - math.lgamma(n + 1)
                    - math.log(math.pi)
                    - s * math.log(p)
                    - (n - s) * math.log1p(-p)
                )
                assert log_e == pytest.approx(math.log(1 / delta), abs=1e-4)

    @settings(max_examples=25)
    @given(st.lists(counts(), min_size=1, max_size=20), st.floats(1e-6, 0.5))
    def test_the_array_form_agrees(self, pairs, delta):
        lows, highs = confidence_sequences([n for n, _ in pairs], [s for _, s in pairs], delta)
        expected = np.array([confidence_sequence(n, s, delta) for n, s in pairs])
        np.testing.assert_allclose(lows, expected[:, 0], rtol=1e-6, atol=1e-13)
        np.testing.assert_allclose(highs, expected[:, 1], rtol=1e-9, atol=1e-13)

    def test_a_billion_labels(self):
        low, high = confidence_sequence(10**9, 10**6, 0.05)
        assert (low, high) == pytest.approx((9.9479951e-4, 1.00521857e-3), rel=1e-6)
        low, high = confidence_sequence(10**9, 0, 0.05)
        assert high == pytest.approx(1.393e-8, rel=1e-3)
        assert clopper_pearson(10**9, 0, 0.05)[1] == pytest.approx(-math.log(0.025) / 1e9, rel=1e-6)

    def test_numpy_integers_are_counts_too(self):
        assert confidence_sequence(np.int64(100), np.int32(1), 0.05) == confidence_sequence(100, 1, 0.05)

    @pytest.mark.parametrize("function", INTERVALS)
    @pytest.mark.parametrize(("n", "s"), [(-1, 0), (5, 6), (5, -1), (2.5, 1), (10, math.nan), ("3", 1)])
    def test_impossible_counts_are_refused(self, function, n, s):
        with pytest.raises(ValueError, match="counts must"):
            function(n, s, 0.05)

    @pytest.mark.parametrize("function", INTERVALS)
    @pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, math.nan])
    def test_impossible_deltas_are_refused(self, function, delta):
        with pytest.raises(ValueError, match="delta must"):
            function(10, 1, delta)

    @pytest.mark.parametrize(("n", "s"), [([5], [6]), ([2.5], [1]), ([math.nan], [0]), ([math.inf], [0])])
    def test_impossible_arrays_are_refused(self, n, s):
        with pytest.raises(ValueError, match="counts must"):
            confidence_sequences(n, s, 0.05)

    def test_a_chart_of_400_intervals_is_quick(self):
        n = np.arange(1, 401) * 12345
        started = time.perf_counter()
        confidence_sequences(n, n // 50, 0.05)
        assert time.perf_counter() - started < 0.4
        started = time.perf_counter()
        for total in n.tolist():
            confidence_sequence(total, total // 50, 0.05)
        assert time.perf_counter() - started < 0.4


class TestEvidence:
    @given(cell_lists(), st.floats(0.001, 0.9), st.floats(0.001, 0.9))
    def test_a_looser_limit_has_more_evidence(self, cells, a, b):
        low, high = sorted((a, b))
        assert log_e_below(cells, low) <= log_e_below(cells, high) + 1e-6
        assert log_e_above(cells, low) >= log_e_above(cells, high) - 1e-6

    @given(cell_lists())
    def test_order_and_splitting_of_cells_do_not_matter(self, cells):
        split = [(rho, n - n // 2, s - s // 2) for rho, n, s in cells] + [
            (rho, n // 2, s // 2) for rho, n, s in cells
        ]
        split = [cell for cell in split if cell[2] <= cell[1]]
        if len(split) < 2 * len(cells):
            return
        assert log_e_below(split[::-1], 0.02) == pytest.approx(log_e_below(cells, 0.02), rel=1e-9, abs=1e-9)

    def test_is_the_formula(self):
        cells, alpha = [(1.0, 500, 5), (0.2, 400, 30)], 0.05
        wealths = []
        for kappa in (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95):
            stake = (1 - kappa) / (1 - alpha)
            wealth = 1.0
            for rho, n, s in cells:
                wealth *= (1 + stake * rho * alpha) ** (n - s) * (1 - stake * rho * (1 - alpha)) ** s
            wealths.append(wealth)
        assert log_e_below(cells, alpha) == pytest.approx(math.log(sum(wealths) / 12), rel=1e-12)

    @pytest.mark.parametrize("pi", [(1.0, 1.0), (1.0, 0.05), (0.3, 0.1)])
    @pytest.mark.parametrize("rates", [(0.02, 0.02), (0.0, 0.04), (0.04, 0.0)])
    def test_one_item_at_the_limit_multiplies_wealth_by_at_most_one_on_average(self, pi, rates):
        """Both directions, two equally frequent strata, error rate exactly alpha = 2 %."""
        alpha, floor = 0.02, min(pi)
        for function in (log_e_below, log_e_above):
            mean = 0.0
            for chance, rate in zip(pi, rates, strict=True):
                rho = floor / chance
                right, wrong = (math.exp(function([(rho, 1, x)], alpha)) for x in (0, 1))
                mean += 0.5 * (chance * ((1 - rate) * right + rate * wrong) + 1 - chance)
            assert mean <= 1.0 + 1e-12

    @settings(max_examples=50)
    @given(cell_lists(), st.floats(0.001, 0.3))
    def test_the_bounds_are_where_the_evidence_reaches_1_over_delta(self, cells, delta):
        low, high = weighted_bounds(cells, delta, delta)
        assert 0.0 <= low <= high <= 1.0
        if low > 0.0:
            assert log_e_above(cells, low) >= math.log(1 / delta) - 1e-6
            assert log_e_above(cells, min(low * 1.001 + 1e-12, 0.999999)) < math.log(1 / delta) + 1e-6
        if high < 1.0 - 1e-9:
            assert log_e_below(cells, high) >= math.log(1 / delta) - 1e-6
            assert log_e_below(cells, high * 0.999) < math.log(1 / delta) + 1e-6

    def test_no_cells_say_nothing(self):
        assert log_e_below([], 0.02) == 0.0
        assert weighted_bounds([], 0.025, 0.025) == (0.0, 1.0)
        assert weighted_bounds([(1.0, 0, 0)], 0.025, 0.025) == (0.0, 1.0)
        assert weighted_bounds([(0.0, 1000, 10)], 0.025, 0.025) == (0.0, 1.0)
        assert upper_bound_below(0, 0, 0.05) == 1.0
        assert upper_bound_below(50, 50, 0.05) == 1.0

    def test_a_billion_labels(self):
        low, high = weighted_bounds([(1.0, 10**9, 10**6)], 0.025, 0.025)
        assert 0.0005 < low < 0.001 < high < 0.00103
        assert upper_bound_below(10**9, 0, 0.05) == pytest.approx(4.3e-9, rel=0.1)

    @pytest.mark.parametrize(
        "cells",
        [
            [(1.2, 10, 1)],
            [(-0.1, 10, 1)],
            [(1.0, 10, 11)],
            [(1.0, -1, 0)],
            [(1.0, 2.5, 1)],
            [(1.0, 2)],
            [(math.nan, 2, 1)],
        ],
    )
    def test_impossible_cells_are_refused(self, cells):
        for call in (lambda: log_e_below(cells, 0.02), lambda: weighted_bounds(cells, 0.02, 0.02)):
            with pytest.raises(ValueError, match="must"):
                call()

    @pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0, math.nan])
    def test_impossible_limits_are_refused(self, alpha):
        for function in (log_e_below, log_e_above):
            with pytest.raises(ValueError, match="alpha must"):
                function([(1.0, 10, 0)], alpha)

    def test_bounds_are_quick(self):
        cells = [(1.0, 10**6, 1234), (0.05, 10**5, 999), (0.2, 10**4, 444)]
        started = time.perf_counter()
        for _ in range(50):
            weighted_bounds(cells, 0.025, 0.025)
        assert (time.perf_counter() - started) / 50 < 0.005


class TestHorvitzThompson:
    def test_everything_labelled_is_the_plain_rate_without_variance(self):
        rate, variance = ht_rate([100, 50], [100, 50], [3, 9])
        assert rate == pytest.approx(12 / 150)
        assert variance == 0.0

    def test_an_unlabelled_stratum_borrows_from_its_nearest_neighbour(self):
        assert ht_rate([100, 7, 500], [10, 0, 5], [1, 0, 1])[0] == pytest.approx(
            (103.5 * 0.1 + 503.5 * 0.2) / 607
        )
        assert ht_rate([3, 100], [0, 10], [0, 1])[0] == pytest.approx(0.1)
        assert ht_rate([100, 5, 3, 100], [10, 0, 0, 10], [1, 0, 0, 2])[0] == pytest.approx(
            (105 * 0.1 + 103 * 0.2) / 208
        )

    def test_empty_strata_do_not_matter(self):
        assert ht_rate([0, 100, 0], [0, 10, 0], [0, 1, 0]) == ht_rate([100], [10], [1])

    def test_no_bias_when_the_worse_stratum_is_labelled_less(self):
        rng = np.random.default_rng(7)
        totals, rates, chances = np.array([6000, 4000]), np.array([0.01, 0.10]), np.array([1.0, 0.1])
        estimates, naive = [], []
        for _ in range(300):
            n = rng.binomial(totals, chances)
            s = rng.binomial(n, rates)
            estimates.append(ht_rate(totals, n, s)[0])
            naive.append(s.sum() / n.sum())
        truth = float(totals @ rates / totals.sum())
        assert np.mean(estimates) == pytest.approx(truth, abs=3 * np.std(estimates) / math.sqrt(300))
        assert abs(np.mean(naive) - truth) > 0.02

    @pytest.mark.parametrize(
        ("N", "n", "s"),
        [
            ([10], [11], [0]),
            ([10], [5], [6]),
            ([10, 5], [5], [1]),
            ([10], [-1], [0]),
            ([10.5], [1], [0]),
            (10, 5, 1),
        ],
    )
    def test_impossible_strata_are_refused(self, N, n, s):  # noqa: N803
        with pytest.raises(ValueError, match="must"):
            ht_rate(N, n, s)

    def test_an_unknown_rate_is_refused(self):
        for strata in (([], [], []), ([10], [0], [0])):
            with pytest.raises(ValueError, match="unknown"):
                ht_rate(*strata)


class TestReviewers:
    def test_reviewers_who_miss_everything_certify_nothing(self):
        assert alpha_effective(0.02, 1.0, 0.0) == 0.0

    @pytest.mark.parametrize("values", [(1.1, 0, 0), (0.02, -0.1, 0), (0.02, 0, math.nan)])
    def test_impossible_rates_are_refused(self, values):
        with pytest.raises(ValueError, match="between 0 and 1"):
            alpha_effective(*values)
        with pytest.raises(ValueError, match="between 0 and 1"):
            corrected_rate(*values)

    @given(st.floats(0.0, 1.0), st.floats(0.0, 0.45), st.floats(0.0, 0.45))
    def test_the_corrected_rate_undoes_what_reviewers_do(self, true, fa, fc):
        observed = true * (1 - fa) + (1 - true) * fc
        assert corrected_rate(min(observed, 1.0), fa, fc) == pytest.approx(true, abs=1e-12)

    def test_chance_reviewers_say_nothing(self):
        assert math.isnan(corrected_rate(0.3, 0.5, 0.5))
        assert corrected_rate_interval((1000, 20), (0, 0), (0, 0)) == (0.0, 1.0)

    def test_the_corrected_interval_holds_the_truth_where_the_plain_one_does_not(self):
        """True error 5 %, 30 % of it accepted: 20,000 labels show 3.5 %."""
        low, high = corrected_rate_interval((20_000, 700), (200, 60), (200, 0))
        assert low <= 0.05 <= high
        assert confidence_sequence(20_000, 700, 0.05)[1] < 0.05

    @pytest.mark.parametrize(
        ("sentinels", "by_observed"),
        [
            (50, {0.02: 0.164, 0.05: 0.204, 0.1: 0.300, 0.3: 0.543}),
            (200, {0.02: 0.074, 0.05: 0.121, 0.1: 0.189, 0.3: 0.423}),
            (1000, {0.02: 0.039, 0.05: 0.078, 0.1: 0.138, 0.3: 0.356}),
        ],
    )
    def test_the_table_of_sentinel_bounds(self, sentinels, by_observed):
        for observed, bound in by_observed.items():
            missed = round(sentinels * observed)
            assert upper_bound_below(sentinels, missed, 0.01) == pytest.approx(bound, abs=5.1e-4)


class TestDetector:
    def test_never_alarms_without_errors(self):
        assert Detector(0.02, 1000).feed([0] * 100_000) is None

    def test_survives_a_flood_of_errors_and_json(self):
        detector = Detector(0.02, 1000)
        for _ in range(3000):
            detector.update(1)
        stored = json.loads(json.dumps(detector.state.as_json(), allow_nan=False))
        again = Detector(0.02, 1000, DetectorState.from_json(stored))
        assert again.state == detector.state
        assert again.alarm

    @given(st.lists(st.integers(0, 1), max_size=60), st.integers(0, 60))
    def test_can_be_stored_between_any_two_audits(self, outcomes, cut):
        whole, first = Detector(0.05), Detector(0.05)
        whole.feed(outcomes)
        first.feed(outcomes[:cut])
        if not (first.alarm or whole.alarm):
            second = Detector(0.05, state=first.state)
            second.feed(outcomes[cut:])
            assert second.state == whole.state

    def test_bets_stay_below_one_for_a_large_alpha(self):
        detector = Detector(0.4)
        detector.update(0)
        assert all(value > 0 for value in detector.state.sr)

    @pytest.mark.parametrize("x", [2, -1, 0.5, None])
    def test_only_0_and_1_are_outcomes(self, x):
        with pytest.raises(ValueError, match="0 or 1"):
            Detector(0.02).update(x)

    @pytest.mark.parametrize(
        ("alpha", "threshold"), [(0.0, 1000), (1.0, 1000), (0.02, 1.0), (0.02, math.inf)]
    )
    def test_impossible_settings_are_refused(self, alpha, threshold):
        with pytest.raises(ValueError, match="must"):
            Detector(alpha, threshold)

    @pytest.mark.parametrize("values", [(1.0,), (1.0, 1.0, 1.0, 1.0, math.nan), (-1.0, 0, 0, 0, 0)])
    def test_a_broken_state_is_refused(self, values):
        with pytest.raises(ValueError, match="finite statistics"):
            DetectorState(values, (0.0,) * 5)


class TestAgreement:
    def test_full_agreement_is_1_and_opposition_is_negative(self):
        assert krippendorff_nominal([[1, 2, 1], [1, 2, 1]]) == pytest.approx(1.0)
        assert krippendorff_nominal([[1, 2], [2, 1]]) < 0
        assert cohen_kappa([[5, 0], [0, 7]]) == pytest.approx(1.0)
        assert cohen_kappa([[0, 5], [5, 0]]) == pytest.approx(-1.0)

    def test_nothing_to_disagree_about_is_unknown(self):
        for matrix in ([[0, 0], [0, 0]], [[1, 0], [0, 2]], [[3, 3], [3, 3]], [[], []]):
            assert math.isnan(krippendorff_nominal(matrix))
        for table in ([[0, 0], [0, 0]], [[9, 0], [0, 0]], np.zeros((0, 0))):
            assert math.isnan(cohen_kappa(table))

    def test_values_are_only_names(self):
        matrix = np.array([[1, 2, 3, 1, 0], [1, 2, 2, 1, 3], [1, 3, 3, 1, 3]])
        renamed = np.choose(matrix, [0, 77, 5, 1000])
        assert krippendorff_nominal(renamed) == pytest.approx(krippendorff_nominal(matrix))

    def test_chance_answers_agree_by_chance(self):
        rng = np.random.default_rng(3)
        assert abs(krippendorff_nominal(rng.integers(1, 4, (3, 4000)))) < 0.04

    @pytest.mark.parametrize("matrix", [[1, 2], [[1.5, 2]]])
    def test_a_malformed_matrix_is_refused(self, matrix):
        with pytest.raises(ValueError, match="matrix must"):
            krippendorff_nominal(matrix)

    @pytest.mark.parametrize("table", [[[1, 2]], [[1, -1], [0, 0]], [[math.nan, 1], [1, 1]]])
    def test_a_malformed_table_is_refused(self, table):
        with pytest.raises(ValueError, match="table must"):
            cohen_kappa(table)


def test_the_mathematics_needs_no_django():
    code = "import sys, labeling.trust.rates, labeling.trust.buckets; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

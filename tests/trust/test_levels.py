"""Levels, the evidence behind each, and what could be reached."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.trust.buckets import BUCKET_COUNT, LAST_BUCKET, bucket_of
from labeling.trust.levels import (
    Cell,
    Level,
    allowed_level,
    band_log_e,
    certified_level,
    error_curve,
    freeze_levels,
    labels_needed,
    level_log_e,
    middle_start,
    reachable_share,
)
from labeling.trust.rates import ht_rate, log_e_below
from tests.trust.simulation import CALIBRATED, EXCELLENT, INVERTED, buckets_and_errors

bucket_counts = st.lists(st.integers(0, 60), min_size=BUCKET_COUNT, max_size=BUCKET_COUNT).filter(any)


def counts_of(**by_bucket):
    counts = [0] * BUCKET_COUNT
    for name, count in by_bucket.items():
        counts[int(name[1:])] = count
    return counts


class TestFreezing:
    @given(bucket_counts)
    def test_levels_are_nested_and_end_with_everything(self, counts):
        levels = freeze_levels(counts)
        assert [x.cut for x in levels] == sorted({x.cut for x in levels}, reverse=True)
        assert [x.share for x in levels] == sorted(x.share for x in levels)
        assert [x.coverage for x in levels] == sorted({x.coverage for x in levels})
        assert (levels[-1].cut, levels[-1].share) == (0, 1.0)

    @given(bucket_counts)
    def test_a_level_takes_in_no_more_than_aimed_at_unless_one_bucket_does(self, counts):
        highest = max(b for b, n in enumerate(counts) if n)
        for level in freeze_levels(counts):
            assert level.share > 0
            assert level.share <= level.coverage + 1e-9 or level.cut == highest

    def test_even_traffic(self):
        levels = freeze_levels([10] * 50 + [0] * 8)
        assert [round(x.share, 2) for x in levels] == [
            0.2,
            0.3,
            0.4,
            0.5,
            0.54,
            0.6,
            0.64,
            0.7,
            0.74,
            0.8,
            0.84,
            0.9,
            0.94,
            1.0,
        ]
        assert levels[3] == Level(25, 0.5, 0.5)

    def test_a_model_that_always_says_the_same(self):
        levels = freeze_levels(counts_of(b57=500))
        assert levels == (Level(57, 1.0, 0.95), Level(0, 1.0, 1.0))
        assert allowed_level(levels, 0.95) == 0
        assert allowed_level(levels, 1.0) == 2

    def test_equal_cut_offs_are_merged(self):
        levels = freeze_levels(counts_of(b57=300, b40=100, b20=100))
        assert levels == (Level(57, 0.6, 0.75), Level(40, 0.8, 0.95), Level(0, 1.0, 1.0))
        assert middle_start(levels) == 0

    @pytest.mark.parametrize("counts", [[0] * 58, [1] * 57, [1] * 57 + [-1]])
    def test_impossible_counts_are_refused(self, counts):
        with pytest.raises(ValueError, match="58 counts"):
            freeze_levels(counts)


LEVELS = tuple(
    Level(cut, share, share) for cut, share in ((50, 0.2), (45, 0.4), (40, 0.5), (30, 0.8), (0, 1.0))
)


class TestCertification:
    @pytest.mark.parametrize(
        ("e_values", "certified"),
        [
            ([1, 1, 1, 1, 1], 0),
            ([1, 1, 25, 1, 1], 3),
            ([1, 1, 24.9, 25, 25], 0),
            ([25, 25, 25, 25, 1], 4),
            ([100, 100, 1, 100, 1], 2),
            ([100, 99, 1, 1, 1], 1),
            ([100, 100, 100, 100, 100], 5),
            ([1, 1, 25, 25, 25], 5),
        ],
    )
    def test_two_chains(self, e_values, certified):
        """delta = 5 %: the chain from half needs 1/0.04 = 25, the chain from the top 1/0.01 = 100."""
        assert certified_level(np.log(e_values) + 1e-12, LEVELS, 0.05) == certified

    def test_strict_mode_is_one_chain_of_bands(self):
        assert certified_level(np.log([20, 20, 19, 20, 20]) + 1e-12, LEVELS, 0.05, strict=True) == 2

    def test_many_scopes_at_once(self):
        log_m = np.log([[1, 1, 25, 25, 1], [100, 1, 1, 1, 1]]) + 1e-12
        assert certified_level(log_m, LEVELS, 0.05).tolist() == [4, 1]

    @given(st.lists(st.floats(0, 10), min_size=5, max_size=5), st.integers(0, 4))
    def test_more_evidence_never_certifies_less(self, log_m, where):
        more = list(log_m)
        more[where] += 3.0
        assert certified_level(more, LEVELS, 0.05) >= certified_level(log_m, LEVELS, 0.05)


class TestEvidence:
    def test_all_reviewed_is_the_plain_evidence_of_the_nested_counts(self):
        cells = [Cell(55, 300, 300, 1), Cell(42, 200, 200, 2), Cell(10, 100, 100, 30)]
        expected = [
            log_e_below([(1.0, n, s)], 0.02) for n, s in ((300, 1), (300, 1), (500, 3), (500, 3), (600, 33))
        ]
        assert level_log_e(cells, LEVELS, 0.02) == pytest.approx(expected)

    def test_once_something_is_automatic_reviewed_labels_weigh_as_much_as_audits_represent(self):
        cells = [
            Cell(55, 1000, 50, 0, 0.05, 0.05, 45),
            Cell(42, 400, 400, 2, 1.0, 0.05, 45),
        ]
        result = level_log_e(cells, LEVELS, 0.02)
        assert result[0] == pytest.approx(log_e_below([(1.0, 50, 0)], 0.02))
        assert result[2] == pytest.approx(log_e_below([(1.0, 50, 0), (0.05, 400, 2)], 0.02))

    def test_a_period_that_could_automate_counts_as_such_before_anything_automatic_arrived(self):
        cells = [Cell(42, 400, 400, 2, 1.0, 0.05, 45)]
        assert level_log_e(cells, LEVELS, 0.02)[2] == pytest.approx(log_e_below([(0.05, 400, 2)], 0.02))

    def test_unaudited_periods_are_no_evidence(self):
        cells = [Cell(55, 1000, 0, 0, 0.0, 0.0, 45), Cell(42, 400, 400, 0, 1.0, 0.0, 45)]
        assert level_log_e(cells, LEVELS, 0.02) == pytest.approx([0.0] * 5)

    def test_bands_are_judged_alone_and_at_full_weight(self):
        cells = [
            Cell(55, 1000, 50, 0, 0.05, 0.05, 45),
            Cell(42, 400, 400, 2, 1.0, 0.05, 45),
            Cell(35, 100, 100, 9, 1.0, 0.05, 45),
        ]
        result = band_log_e(cells, LEVELS, 0.02)
        assert result[0] == pytest.approx(log_e_below([(1.0, 50, 0)], 0.02))
        assert result[1] == 0.0
        assert result[2] == pytest.approx(log_e_below([(1.0, 400, 2)], 0.02))
        assert result[3] == pytest.approx(log_e_below([(1.0, 100, 9)], 0.02))

    @given(st.lists(st.tuples(st.integers(0, 57), st.integers(0, 99), st.integers(0, 99)), max_size=20))
    def test_days_can_be_added_up(self, rows):
        cells = [Cell(b, n, n, min(n, s)) for b, n, s in rows]
        split = [Cell(c.bucket, 1, 1, 0) for c in cells for _ in range(c.labelled - c.errors)]
        split += [Cell(c.bucket, 1, 1, 1) for c in cells for _ in range(c.errors)]
        assert level_log_e(split, LEVELS, 0.03) == pytest.approx(level_log_e(cells, LEVELS, 0.03), abs=1e-9)

    @pytest.mark.parametrize(
        "cell",
        [
            Cell(58, 1, 1, 0),
            Cell(-1, 1, 1, 0),
            Cell(5, 1, 2, 0),
            Cell(5, 2, 1, 2),
            Cell(5, 2, 2, 0, 0.0),
            Cell(5, 2, 2, 0, 1.5),
            Cell(50, 2, 2, 0, 0.05, 0.2, 45),
        ],
    )
    def test_impossible_cells_are_refused(self, cell):
        with pytest.raises(ValueError, match=r"must|less often"):
            level_log_e([cell], LEVELS, 0.02)

    def test_90_days_of_cells_are_quick(self):
        cells = [Cell(b, 5000, 260, 3, 0.05, 0.05, 0) for _ in range(90) for b in range(BUCKET_COUNT)]
        started = time.perf_counter()
        level_log_e(cells, LEVELS, 0.02)
        assert time.perf_counter() - started < 0.3


class TestWhatCouldBeReached:
    def test_the_curve_is_the_post_stratified_rate(self):
        cells = [
            Cell(50, 1000, 50, 1, 0.05, 0.05, 45),
            Cell(40, 500, 500, 30, 1.0, 0.05, 45),
            Cell(30, 200, 200, 40, 1.0, 0.05, 45),
        ]
        curve = error_curve(cells)
        assert curve.error[0] == pytest.approx(ht_rate([1000, 500, 200], [50, 500, 200], [1, 30, 40])[0])
        assert curve.error[40] == pytest.approx(ht_rate([1000, 500], [50, 500], [1, 30])[0])
        assert curve.error[50] == pytest.approx(0.02)
        assert (curve.share[0], curve.share[40]) == pytest.approx((1.0, 1500 / 1700))
        assert curve.labelled[40] == 550
        assert math.isnan(curve.error[51])

    def test_one_bucket_labelled_at_two_rates_is_weighted(self):
        cells = [Cell(50, 100, 100, 10), Cell(50, 900, 90, 0, 0.1, 0.1, 45)]
        assert error_curve(cells).error[50] == pytest.approx(10 / 1000)

    @pytest.mark.parametrize(("profile", "share"), [(CALIBRATED, 0.743), (EXCELLENT, 1.0), (INVERTED, 0.0)])
    def test_the_reachable_share_of_known_models(self, profile, share):
        bucket, error = buckets_and_errors(profile, np.random.default_rng(1), (1, 200_000))
        n = np.bincount(bucket[0], minlength=BUCKET_COUNT)
        s = np.bincount(bucket[0], error[0], BUCKET_COUNT)
        cells = [Cell(b, int(n[b]), int(n[b]), int(s[b])) for b in range(BUCKET_COUNT)]
        assert reachable_share(cells, 0.0199) == pytest.approx(share, abs=0.05)
        assert reachable_share(cells, 0.0199, strict=True) <= reachable_share(cells, 0.0199) + 1e-12

    def test_nothing_labelled_reaches_nothing(self):
        assert reachable_share([], 0.02) == 0.0
        assert reachable_share([Cell(50, 100, 0, 0, 0.5)], 0.02) == 0.0
        assert np.isnan(error_curve([Cell(50, 100, 0, 0, 0.5)]).error).all()

    @pytest.mark.parametrize(
        ("alpha", "labels"), [(0.005, 890), (0.01, 444), (0.02, 221), (0.05, 87), (0.1, 43)]
    )
    def test_labels_to_a_first_promotion(self, alpha, labels):
        assert labels_needed([], 40, LAST_BUCKET, alpha, math.log(25)) == labels

    def test_labels_already_given_count(self):
        cells = [Cell(50, 100, 100, 0)]
        assert labels_needed(cells, 40, LAST_BUCKET, 0.02, math.log(25)) == 121

    def test_too_many_errors_are_never_enough(self):
        assert labels_needed([Cell(50, 100, 100, 5)], 40, LAST_BUCKET, 0.02, math.log(25)) is None

    def test_a_bucket_of_both_kinds_tells_audits_from_reviews(self):
        bucket = bucket_of(0.95)
        assert Cell(bucket, 10, 1, 0, 0.05, 0.05, bucket).is_automatic
        assert not Cell(bucket, 10, 10, 0, 1.0, 0.05, bucket).is_automatic
        assert not Cell(bucket, 10, 10, 0).is_automatic

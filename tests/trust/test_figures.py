"""From counts to rates: formulas against hand counts, ranges against the known functions, honest silence."""

import random

import numpy as np
import pytest

from labeling.trust.figures import NOT_FOR_DECISIONS, KnownItems, Stratum, Sums, rates_of, shares_of_one
from labeling.trust.models import COUNTERS
from labeling.trust.ranges import clopper_pearsons
from labeling.trust.rates import clopper_pearson, confidence_sequence, ht_rate, weighted_bounds
from labeling.trust.worth import SHADOW_RATE


def rates(*strata, anchored=True, **kwargs):
    return rates_of([list(strata)], anchored=anchored, **kwargs)[0]


def stratum(audit_rate=0.05, **counts):
    counts.setdefault("total", counts.get("auto", 0) + counts.get("review", 0) + counts.get("fallback", 0))
    return Stratum(audit_rate, Sums(**counts))


def test_sums_are_in_the_order_of_the_columns():
    assert Sums._fields == COUNTERS


def test_shares_of_a_day_counted_by_hand():
    found = rates(
        stratum(
            auto=6, review=3, fallback=1, fallback_manual=1, audit_due=2, confirmed=2, corrected=1, rejected=1
        )
    )
    assert (found["review_rate"].value, found["review_rate"].count, found["review_rate"].n) == (0.3, 3, 10)
    assert found["automation_rate"].value == pytest.approx(0.6)
    assert found["fallback_rate"].value == pytest.approx(0.1)
    assert found["human_touch_rate"].value == 0.6
    assert found["confirmation_rate"].value == pytest.approx(2 / 3)
    assert found["correction_rate"].value == pytest.approx(1 / 3)
    assert (found["reject_rate"].count, found["reject_rate"].n) == (1, 4)


def test_the_range_is_a_confidence_sequence_where_looking_began_and_says_so_where_it_did_not():
    counts = stratum(review=100, confirmed=70, corrected=30)
    anchored = rates(counts)["confirmation_rate"]
    assert (anchored.low, anchored.high) == pytest.approx(confidence_sequence(100, 70))
    assert (anchored.method, anchored.note) == ("confidence_sequence", "")
    sliding = rates(counts, anchored=False)["confirmation_rate"]
    assert (sliding.low, sliding.high) == pytest.approx(clopper_pearson(100, 70))
    assert (sliding.method, sliding.note) == ("clopper_pearson", NOT_FOR_DECISIONS)


def test_clopper_pearsons_equal_clopper_pearson_at_every_edge():
    pairs = [(0, 0), (1, 0), (1, 1), (10, 0), (10, 10), (10, 3), (100_000, 99_900)]
    n, s = np.array(pairs[1:], dtype=float).T
    low, high = clopper_pearsons(n, s)
    for place, (total, positives) in enumerate(pairs[1:]):
        assert (low[place], high[place]) == pytest.approx(clopper_pearson(total, positives))


def test_three_routes_add_up_to_exactly_one():
    chance = random.Random(8)
    for _ in range(30_000):
        counts = [chance.choice([0, chance.randrange(1, 10 ** chance.randrange(1, 9))]) for _ in range(3)]
        if not sum(counts):
            continue
        shares = shares_of_one(counts)
        assert shares[0] + shares[1] + shares[2] == 1.0
        for share, count in zip(shares, counts, strict=True):
            assert share == pytest.approx(count / sum(counts), abs=4e-16)
            assert (share == 0.0) == (count == 0)


def test_nothing_at_all_has_no_value():
    for rate in rates().values():
        assert rate.value is rate.low is rate.high is None
        assert (rate.n, rate.count, rate.method) == (0, 0, "none")


def test_auto_error_weights_each_period_by_its_traffic():
    strata = [
        stratum(0.5, auto=100, audit_due=50, audit_done=50, audit_err=5),
        stratum(0.05, auto=900, audit_due=45, audit_done=45, audit_err=9),
    ]
    found = rates(*strata)["auto_error_rate"]
    assert found.value == pytest.approx((100 * 5 / 50 + 900 * 9 / 45) / 1000)
    assert (found.n, found.count) == (95, 14)
    assert found.method == "weighted_e_process"
    assert (found.low, found.high) == pytest.approx(
        weighted_bounds([(0.1, 50, 5), (1.0, 45, 9)], 0.025, 0.025)
    )


def test_auto_error_of_one_chance_has_the_range_of_plain_counts():
    buckets = [
        stratum(0.1, auto=100, audit_done=10, audit_err=1),
        stratum(0.1, auto=300, audit_done=30, audit_err=0),
    ]
    found = rates(*buckets)["auto_error_rate"]
    assert found.value == pytest.approx(ht_rate([100, 300], [10, 30], [1, 0])[0])
    assert found.method == "confidence_sequence"
    assert (found.low, found.high) == pytest.approx(confidence_sequence(40, 1))


def test_a_bucket_without_a_check_borrows_and_a_period_without_one_is_left_out_and_named():
    bucket = rates(stratum(0.1, auto=90, audit_done=9, audit_err=3), stratum(0.1, auto=10))["auto_error_rate"]
    assert bucket.value == pytest.approx(1 / 3)
    assert bucket.note == ""
    period = rates(stratum(0.1, auto=90, audit_done=9, audit_err=3), stratum(0.0, auto=10))["auto_error_rate"]
    assert period.value == pytest.approx(1 / 3)
    assert period.note == "10 automatic predictions of periods without a finished check are left out"


def test_without_checks_nobody_says_how_often_the_machine_errs():
    found = rates(stratum(0.0, auto=50, review=50, confirmed=40, corrected=10))
    for name in ("auto_error_rate", "model_error_rate", "served_error_rate"):
        assert found[name].value is None
        assert "not audited" in found[name].note
    assert rates(stratum(review=5))["auto_error_rate"].note == "nothing was automatic"


def test_model_error_covers_all_routes():
    counts = stratum(
        0.1,
        auto=600,
        audit_done=60,
        audit_err=3,
        review=300,
        confirmed=200,
        corrected=50,
        fallback=100,
        fallback_manual=100,
        shadow_done=80,
        shadow_err=60,
    )
    found = rates(counts)["model_error_rate"]
    assert found.value == pytest.approx((600 * 3 / 60 + 300 * 50 / 250 + 100 * 60 / 80) / 1000)
    assert (found.n, found.count, found.method) == (390, 113, "weighted_e_process")
    cells = [(0.1, 330, 110), (1.0, 60, 3)]
    assert (found.low, found.high) == pytest.approx(weighted_bounds(cells, 0.025, 0.025))
    sliding = rates(counts, anchored=False)["model_error_rate"]
    assert (sliding.value, sliding.method) == (found.value, "horvitz_thompson")
    assert NOT_FOR_DECISIONS in sliding.note
    assert found.low < sliding.low < sliding.value < sliding.high < found.high


def test_a_stretch_of_time_with_few_errors_adds_up_the_ranges_of_its_routes():
    found = rates(
        stratum(0.1, auto=600, audit_done=60, audit_err=1, review=400, confirmed=380, corrected=20),
        anchored=False,
    )["model_error_rate"]
    auto, review = clopper_pearson(60, 1, 0.025), clopper_pearson(400, 20, 0.025)
    assert found.method == "clopper_pearson"
    assert found.low == pytest.approx(0.6 * auto[0] + 0.4 * review[0])
    assert found.high == pytest.approx(0.6 * auto[1] + 0.4 * review[1])


def test_model_error_allows_for_a_small_route_nobody_labels_and_is_silent_about_a_large_one():
    small = rates(stratum(review=98, confirmed=90, corrected=8, fallback=2))["model_error_rate"]
    assert small.value == pytest.approx(8 / 98)
    assert small.high > confidence_sequence(98, 8)[1] * 0.98
    assert "2.0% of the predictions" in small.note
    large = rates(stratum(review=90, confirmed=90, fallback=10))["model_error_rate"]
    assert large.value is None


def test_served_error_is_what_the_machine_served_plus_what_reviewers_let_through():
    counts = stratum(0.1, auto=500, audit_done=50, audit_err=5, review=500, confirmed=400, corrected=100)
    plain = rates(counts)["served_error_rate"]
    assert plain.value == pytest.approx(0.5 * 0.1)
    assert "taken as right" in plain.note
    tested = rates(counts, known_items=KnownItems(sentinels=100, missed=20, gold=100, changed=0))[
        "served_error_rate"
    ]
    wrong = 0.2 / 0.8  # Rogan-Gladen: 20 % corrected, a fifth of the wrong ones is let through
    assert tested.value == pytest.approx(0.5 * 0.1 + 0.5 * wrong * 0.2)
    after = rates(counts)["served_error_rate_after_audit"]
    assert after.value == pytest.approx(0.45 * 0.1)


def test_served_error_is_silent_while_nobody_has_looked_at_what_a_constant_served():
    counts = {"review": 80, "confirmed": 80, "fallback": 20, "shadow_of": 20, "shadow_due": 1}
    found = rates(stratum(**counts))["served_error_rate"]
    assert found.value is None
    assert found.note == "nobody has looked at what the fallback answered"
    found = rates(stratum(**counts, shadow_done=1, shadow_err=1))["served_error_rate"]
    assert (found.value, found.n, found.count) == (0.0, 1, 0), (
        "the model was wrong, what was served was right"
    )
    assert found.high == pytest.approx(0.2 * confidence_sequence(1, 0)[1])


def test_what_a_constant_answered_is_weighted_like_what_is_automatic():
    counts = {
        "auto": 600,
        "audit_done": 120,
        "audit_err": 6,
        "review": 200,
        "confirmed": 180,
        "corrected": 20,
    }
    counts |= {"fallback": 200, "shadow_of": 200, "shadow_due": 10}
    counts |= {"shadow_done": 10, "shadow_err": 9, "shadow_served_err": 3}
    found = rates(stratum(0.2, **counts))
    assert found["human_touch_rate"].count == 200 + 10
    model, served, after = (
        found[name] for name in ("model_error_rate", "served_error_rate", "served_error_rate_after_audit")
    )
    assert model.value == pytest.approx(0.6 * 6 / 120 + 0.2 * 20 / 200 + 0.2 * 9 / 10)
    cells = [(0.25, 120, 6), (0.05, 200, 20), (1.0, 10, 9)]
    assert (model.low, model.high) == pytest.approx(weighted_bounds(cells, 0.025, 0.025))
    assert served.value == pytest.approx(0.6 * 6 / 120 + 0.2 * 3 / 10)
    low, high = weighted_bounds([(0.25, 120, 6), (1.0, 10, 3)], 0.025, 0.025)
    assert (served.low, served.high) == pytest.approx((0.8 * low, 0.8 * high))
    left = 0.6 * 6 / 120 + 0.2 * 3 / 10 - 9 / 1000
    assert after.value == pytest.approx(left), "what was found wrong is mended"
    assert (after.low, after.high) == pytest.approx((max(0.0, 0.8 * low - 9 / 1000), 0.8 * high - 9 / 1000))


def test_what_was_found_is_taken_off_where_it_was_found():
    """Of two periods one was checked whole, and all that was wrong in it is mended; by one share of both it would be 12 %."""
    strata = (
        stratum(0.05, auto=1000, audit_done=50, audit_err=1),
        stratum(1.0, auto=1000, audit_done=1000, audit_err=500),
    )
    for anchored in (True, False):
        found = rates(*strata, anchored=anchored)["served_error_rate_after_audit"]
        assert found.value == pytest.approx((1000 * 1 / 50 - 1) / 2000)
        assert found.low <= found.value <= found.high


def test_answers_without_a_chance_of_a_look_are_not_spoken_for():
    """Those of the release before: 20 labels of 400 do not tell about 10,000 others, nor does the draw of a later period."""
    looked = {"fallback": 400, "shadow_of": 400, "shadow_due": 20, "shadow_done": 20, "shadow_served_err": 2}
    for strata in (
        [stratum(**{**looked, "fallback": 10_400})],
        [stratum(**looked), stratum(fallback=10_000)],
    ):
        found = rates(*strata)
        assert found["served_error_rate"].value is None
        assert found["model_error_rate"].value is None
    few = rates(stratum(**looked), stratum(fallback=10))["served_error_rate"]
    assert few.value == pytest.approx(400 / 410 * 0.1)
    assert few.high > 400 / 410 * confidence_sequence(20, 2)[1] + 9 / 410, "all of the ten may be wrong"


def test_a_period_that_was_never_checked_does_not_narrow_the_range_of_a_stretch():
    done = {"auto": 500, "audit_done": 50, "audit_err": 5}
    review = {"review": 500, "confirmed": 480, "corrected": 20}
    whole = rates(stratum(0.1, **{**done, "auto": 1000}, **review), anchored=False)["model_error_rate"]
    part = rates(stratum(0.1, **done, **review), stratum(0.0, auto=500), anchored=False)["model_error_rate"]
    assert (part.low, part.high) == pytest.approx((whole.low, whole.high))


def test_who_cannot_tell_in_a_shadow_review_is_counted_with_those_who_cannot_tell():
    counts = {"fallback": 400, "shadow_of": 400, "shadow_due": 20, "shadow_done": 14, "shadow_rejected": 6}
    found = rates(stratum(**counts))
    assert (found["reject_rate"].count, found["reject_rate"].n) == (6, 20)
    assert found["served_error_rate"].n == 14


@pytest.mark.parametrize("anchored", [True, False])
def test_where_everything_served_was_looked_at_nothing_wrong_is_left(anchored: bool):
    auto = {"auto": 100, "audit_done": 100, "audit_err": 40}
    fallback = {"fallback": 50, "shadow_of": 50, "shadow_done": 50, "shadow_err": 50, "shadow_served_err": 50}
    found = rates(stratum(0.2, **auto, **fallback), stratum(0.7, **auto), anchored=anchored)
    assert found["served_error_rate"].value == pytest.approx(130 / 250)
    assert found["served_error_rate_after_audit"].value == 0.0


def test_labels_of_a_fallback_that_people_answer_are_no_draw():
    counts = {"fallback": 100, "fallback_manual": 100, "shadow_done": 80, "shadow_err": 60}
    found = rates(stratum(**counts))
    assert found["model_error_rate"].value == pytest.approx(0.75)
    assert (found["served_error_rate"].value, found["served_error_rate"].n) == (0.0, 0)
    assert found["human_touch_rate"].value == 1.0


@pytest.mark.parametrize("weighted", [True, False])
def test_rates_are_unbiased_where_a_constant_answers_and_people_look_at_a_twentieth(weighted):
    """A thousand histories of 4,000 decisions; the control, which takes labels for all there is, is wrong every time."""
    rng = np.random.default_rng(11)
    model, served, covered = [], [], 0
    for _ in range(1000 if weighted else 20):
        drawn = rng.binomial(2000, SHADOW_RATE)
        wrong = rng.binomial(drawn, 0.7)
        counts = {"review": 2000, "confirmed": 1800, "corrected": 200, "fallback": 2000, "shadow_of": 2000}
        counts |= {
            "shadow_due": drawn,
            "shadow_done": drawn,
            "shadow_err": wrong,
            "shadow_served_err": drawn - wrong,
        }
        if not weighted:
            counts |= {"fallback": drawn, "fallback_manual": drawn}
        found = rates(stratum(**counts))
        model.append(found["model_error_rate"].value)
        served.append(found["served_error_rate"].value)
        covered += found["served_error_rate"].low <= 0.15 <= found["served_error_rate"].high
    if not weighted:
        assert max(model) < 0.2, "the truth is 0.4"
        return
    assert np.mean(model) == pytest.approx(0.5 * 0.1 + 0.5 * 0.7, abs=0.003)
    assert np.mean(served) == pytest.approx(0.5 * 0.3, abs=0.003)
    assert covered >= 950


def test_ranges_hold_their_value_on_random_counts():
    chance = random.Random(4)
    points = []
    for _ in range(300):
        strata = []
        for _ in range(chance.randrange(1, 4)):
            auto, review, fallback = (chance.randrange(60) for _ in range(3))
            done, confirmed = chance.randrange(auto + 1), chance.randrange(review + 1)
            shadow, manual = chance.randrange(fallback + 1), chance.choice([0, fallback])
            strata.append(
                stratum(
                    chance.choice([0.0, 0.05, 0.2, 1.0]),
                    auto=auto,
                    review=review,
                    fallback=fallback,
                    fallback_manual=manual,
                    shadow_of=0 if manual else fallback,
                    audit_due=done,
                    audit_done=done,
                    audit_err=chance.randrange(done + 1),
                    confirmed=confirmed,
                    corrected=chance.randrange(review - confirmed + 1),
                    shadow_done=shadow,
                    shadow_err=chance.randrange(shadow + 1),
                    shadow_served_err=chance.randrange(shadow + 1),
                )
            )
        points.append(strata)
    for anchored in (True, False):
        for point in rates_of(points, anchored=anchored):
            for rate in point.values():
                if rate.value is not None:
                    assert 0.0 <= rate.low <= rate.value <= rate.high <= 1.0


def test_the_confirmation_rate_falls_though_the_model_is_the_same_and_model_error_does_not():
    """trust.md 1.1: one model, only the threshold moves."""
    errors = [0.30, 0.15, 0.05, 0.01]  # by band, 1000 decisions each
    found = {}
    for reviewed in (4, 1):
        strata = []
        for band, error in enumerate(errors):
            wrong = int(1000 * error)
            if band < reviewed:
                strata.append(stratum(0.1, review=1000, confirmed=1000 - wrong, corrected=wrong))
            else:
                strata.append(stratum(0.1, auto=1000, audit_done=100, audit_err=round(wrong / 10)))
        found[reviewed] = rates(*strata)
    assert found[4]["confirmation_rate"].value == pytest.approx(0.8725)
    assert found[1]["confirmation_rate"].value == pytest.approx(0.70)
    assert found[1]["model_error_rate"].value == pytest.approx(found[4]["model_error_rate"].value, abs=0.0015)

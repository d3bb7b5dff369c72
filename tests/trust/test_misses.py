"""How many cases of a rare label pass unseen: the estimate is unbiased, its range covers, and what is counted is told."""

from __future__ import annotations

import numpy as np
import pytest

from labeling.trust.figures import NOT_FOR_DECISIONS, Sums
from labeling.trust.missed_labels import misses_of
from labeling.trust.rates import AutoGroup, OtherGroup, clopper_pearson, miss_rate, miss_rate_interval

RUNS = 1_000
AUDIT_RATES = (0.2, 0.05)  # climbing, then the floor
AUTOMATIC = (40_000, 160_000)
MISSED = (0.004, 0.006)  # of automatic results, a fraud that was served as something else
FOUND = 0.001  # one that was served as fraud
BY_PEOPLE = 1_800


class TestByHand:
    def test_each_seen_case_stands_for_as_many_as_there_are_results_for_a_check(self):
        # 1000 automatic, 100 checked, 2 of them missed frauds: about 20 missed; 60 known from people
        rate, variance = miss_rate([1000], [100], [2], [0], 60)
        assert rate == pytest.approx(20 / 80)
        p = 2.5 / 101
        spread = p * 0.75**2 - (p * 0.75) ** 2
        assert variance == pytest.approx(1000**2 * 0.9 * spread / 100 / 80**2)

    def test_cases_that_were_served_as_such_are_below_the_line_only(self):
        assert miss_rate([1000], [100], [2], [3], 50)[0] == pytest.approx(20 / 100)

    def test_when_all_is_checked_nothing_is_left_to_chance(self):
        assert miss_rate([50, 70], [50, 70], [1, 2], [0, 1], 8) == (pytest.approx(3 / 12), 0.0)

    def test_strata_count_by_what_they_stand_for(self):
        assert miss_rate([1000, 100], [10, 100], [1, 1], [0, 0], 99)[0] == pytest.approx(101 / 200)

    @pytest.mark.parametrize(
        "counts",
        [
            ([10], [11], [0], [0]),
            ([10], [5], [4], [2]),
            ([10], [5], [-1], [0]),
            ([10], [0], [0], [0]),
            ([10, 10], [5], [0], [0]),
            ([10], [5], [0.5], [0]),
        ],
    )
    def test_impossible_counts_are_refused(self, counts):
        with pytest.raises(ValueError, match=r"stratum|equally long"):
            miss_rate(*counts, 5)

    def test_without_any_case_the_rate_is_unknown(self):
        with pytest.raises(ValueError, match="unknown"):
            miss_rate([10], [5], [0], [0], 0)
        assert miss_rate_interval([AutoGroup(0.5, 10, 5, 0, 0)])[1] == 1.0

    def test_no_end_of_the_range_is_tighter_than_what_was_counted(self):
        low, high = miss_rate_interval([AutoGroup(0.9, 100, 99, 3, 0)], (7, 7))
        assert low == pytest.approx(3 / (3 + 7 + 1))
        assert high == pytest.approx(4 / (4 + 7))
        assert miss_rate_interval([], (7, 7)) == (0.0, 0.0)

    @pytest.mark.parametrize("at_every_look", [True, False])
    def test_more_that_is_not_known_only_widens(self, at_every_look):
        groups = [AutoGroup(0.2, 1000, 200, 3, 1), AutoGroup(0.05, 4000, 200, 1, 0)]
        low, high = miss_rate_interval(groups, (40, 40), at_every_look=at_every_look)
        wider = miss_rate_interval(groups, (40, 90), at_every_look=at_every_look)
        assert wider[0] < low < high == wider[1]


def a_window(rng: np.random.Generator, size: float = 1.0) -> tuple[list[AutoGroup], float]:
    """Automatic results of two rates of blind checks, as they were drawn, and the true share that was missed."""
    groups, missed_of_all, found_of_all = [], 0, 0
    for chance, many, share in zip(AUDIT_RATES, AUTOMATIC, MISSED, strict=True):
        total = int(many * size)
        missed, found = rng.binomial(total, share), rng.binomial(total, FOUND)
        missed_of_all, found_of_all = missed_of_all + missed, found_of_all + found
        seen, kept = rng.binomial(missed, chance), rng.binomial(found, chance)
        others = rng.binomial(total - missed - found, chance)
        groups.append(AutoGroup(chance, total, int(seen + kept + others), int(seen), int(kept)))
    return groups, missed_of_all / (missed_of_all + found_of_all + int(BY_PEOPLE * size))


def in_one_look(groups: list[AutoGroup]) -> tuple[float, float, float]:
    estimate, _ = miss_rate(*zip(*(group[1:] for group in groups), strict=True), BY_PEOPLE)
    return estimate, *miss_rate_interval(groups, (BY_PEOPLE, BY_PEOPLE))


def naive(groups: list[AutoGroup]) -> tuple[float, float, float]:
    """As if every case had been seen: counted, not weighted."""
    missed, found = sum(g.missed for g in groups), sum(g.found for g in groups)
    n = missed + found + BY_PEOPLE
    return missed / n, *clopper_pearson(n, missed)


def simulate(answer, runs: int = RUNS) -> tuple[float, float, float]:
    """(mean error of the estimate, its standard error, share of windows whose range holds the truth)."""
    rng = np.random.default_rng(45)
    errors, covered = [], 0
    for _ in range(runs):
        groups, truth = a_window(rng)
        estimate, low, high = answer(groups)
        errors.append(estimate - truth)
        covered += low <= truth <= high
    return float(np.mean(errors)), float(np.std(errors) / runs**0.5), covered / runs


def test_the_estimate_is_unbiased_and_its_range_covers():
    bias, error, covered = simulate(in_one_look)
    assert abs(bias) < 3 * error
    assert covered >= 0.95 - 3 * (0.05 * 0.95 / RUNS) ** 0.5


def test_control_counting_without_weights_understates_and_covers_nothing():
    bias, error, covered = simulate(naive)
    assert bias < -0.2
    assert abs(bias) > 20 * error
    assert covered < 0.05


def test_of_few_cases_the_number_missed_is_unbiased_and_the_range_still_covers():
    """A twentieth of the traffic, about six cases seen: the ratio of two estimates then leans downwards, its range holds."""
    rng = np.random.default_rng(8)
    differences, covered = [], 0
    for _ in range(RUNS):
        groups, truth = a_window(rng, size=0.05)
        stands_for = sum(group.total * group.missed / group.checked for group in groups)
        known = BY_PEOPLE // 20
        low, high = miss_rate_interval(groups, (known, known))
        covered += low <= truth <= high
        differences.append(stands_for - sum(AUTOMATIC[k] * 0.05 * MISSED[k] for k in (0, 1)))
    assert abs(np.mean(differences)) < 3 * np.std(differences) / RUNS**0.5
    assert covered >= 0.95 - 3 * (0.05 * 0.95 / RUNS) ** 0.5


@pytest.mark.parametrize("weighted", [True, False])
def test_cases_that_the_fallback_answered_stand_for_those_nobody_was_drawn_for(weighted: bool) -> None:
    """3,000 results answered by a constant, 60 of them cases, a twentieth looked at. Control: each case seen counts once."""
    rng = np.random.default_rng(29)
    errors, covered, tighter = [], 0, 0
    for _ in range(RUNS):
        groups, truth = a_window(rng)
        cases = sum(AUTOMATIC[k] * MISSED[k] for k in (0, 1)) / truth
        truth *= cases / (cases + 60)
        seen = int(rng.binomial(60, 0.05))
        looked = seen + int(rng.binomial(2_940, 0.05))
        known = BY_PEOPLE + (3_000 * seen / looked if weighted else seen)
        estimate, _ = miss_rate(*zip(*(group[1:] for group in groups), strict=True), known)
        low, high = miss_rate_interval(
            groups, (BY_PEOPLE, BY_PEOPLE), others=[OtherGroup(0.05, 3_000, looked, seen)]
        )
        errors.append(estimate - truth)
        covered += low <= truth <= high
        unlooked = miss_rate_interval(groups, (BY_PEOPLE + seen, BY_PEOPLE + seen + 3_000 - looked))
        tighter += low > unlooked[0]
    bias, error = float(np.mean(errors)), float(np.std(errors) / RUNS**0.5)
    assert (abs(bias) < 4 * error) == weighted
    assert covered >= 0.95 - 3 * (0.05 * 0.95 / RUNS) ** 0.5
    assert tighter == RUNS, "a look at a twentieth says more than none"


@pytest.mark.slow
@pytest.mark.parametrize("reacts", [False, True])
def test_the_range_for_every_look_holds_at_every_look(reacts: bool):
    """A look after every batch; with `reacts`, the audit rate rises for what comes after a missed case was seen."""
    assert ever_wrong(reacts, at_every_look=True) <= 0.05 + 3 * (0.05 * 0.95 / LOOKED) ** 0.5


@pytest.mark.slow
def test_control_the_range_of_one_look_fails_when_looked_at_again_and_again():
    """At 50 %, where both are looked at 20 times: one holds in at least half of the runs, the other is spoiled by looking."""
    assert ever_wrong(False, at_every_look=True, wide=True) < 0.15
    assert ever_wrong(False, at_every_look=False, wide=True) > 0.15


LOOKED = 40


def ever_wrong(reacts: bool, *, at_every_look: bool, wide: bool = False, runs: int = LOOKED) -> float:
    """Share of runs in which some look showed a range without the truth: of a constant stream, cases as likely all the time."""
    rng = np.random.default_rng(7)
    batch, looks, missed, by_people = 1_000, 20, 0.02, 0.02
    wrong = 0
    for _ in range(runs):
        cells: dict[float, list[int]] = {}
        chance, known, is_wrong = 0.05, 0, False
        for _look in range(looks):
            of_batch = rng.binomial(batch, missed)
            seen = rng.binomial(of_batch, chance)
            others = rng.binomial(batch - of_batch, chance)
            cell = cells.setdefault(chance, [0, 0, 0, 0])
            for place, count in enumerate((batch, seen + others, seen, 0)):
                cell[place] += int(count)
            known += batch * by_people
            groups = [AutoGroup(rate, *counts) for rate, counts in sorted(cells.items())]
            low, high = miss_rate_interval(
                groups, (known, known), 0.5 if wide else 0.05, at_every_look=at_every_look
            )
            truth = missed / (missed + by_people)
            is_wrong |= not low <= truth <= high
            chance = (0.2 if seen else 0.05) if reacts else chance
        wrong += is_wrong
    return wrong / runs


class TestFromCounts:
    """Counts of periods 1 (every fifth checked) and 2 (one in twenty), of which `truths` are those of the label."""

    chances = {1: 0.2, 2: 0.05}
    counts = {
        1: Sums(total=1500, auto=1000, review=500, audit_done=200, audit_err=12, confirmed=460, corrected=40),
        2: Sums(total=1500, auto=1000, review=500, audit_done=50, audit_err=3, confirmed=470, corrected=30),
    }
    truths = {
        1: Sums(audit_done=4, audit_err=3, confirmed=20, corrected=10),
        2: Sums(audit_done=1, audit_err=1, confirmed=20),
    }

    def misses(self, *, anchored=True, **changes):
        counts = {1: self.counts[1]._replace(**changes), 2: self.counts[2]}
        return misses_of("fraud", self.chances, counts, self.truths, anchored=anchored)

    def test_numbers(self):
        found = self.misses()
        # 3 x 5 + 1 x 20 missed, 1 x 5 found automatically, 50 by people
        assert found.rate.value == pytest.approx(35 / 90)
        assert (found.rate.n, found.rate.count) == (55, 4)
        assert (found.missed, found.found, found.by_people, found.checked, found.automatic) == (
            4,
            1,
            50,
            250,
            2000,
        )
        assert found.cases == pytest.approx(90)
        assert found.rate.low < found.rate.value < found.rate.high
        assert (found.rate.method, found.rate.note) == ("weighted_e_process", "")
        assert "fraud" in found.rate.population

    def test_a_window_that_was_picked_decides_nothing(self):
        rate = self.misses(anchored=False).rate
        assert (rate.method, rate.note) == ("clopper_pearson", NOT_FOR_DECISIONS)

    def test_open_reviews_and_fallbacks_are_in_the_range(self):
        whole, part = self.misses(), self.misses(total=1800, review=700, fallback=100)
        assert (part.open, part.answered) == (200, 100)
        assert part.rate.low < whole.rate.low
        assert part.rate.value == pytest.approx(35 / (40 + 50 * 1200 / 1000))
        assert "200 reviews are open" in part.rate.note
        assert "the fallback answered 100" in part.rate.note

    def test_where_nothing_is_known_nothing_is_said(self):
        silent = misses_of("fraud", {}, {1: Sums(total=9, auto=9)}, {}, anchored=True).rate
        assert (silent.value, silent.note.split(":")[0]) == (None, "not audited")
        by_people = misses_of("fraud", {}, {1: Sums(total=9, review=9, confirmed=9)}, {}, anchored=True).rate
        assert (by_people.value, by_people.note) == (None, "nothing was automatic")
        nobody = misses_of("fraud", self.chances, self.counts, {}, anchored=True).rate
        assert (nobody.value, nobody.note) == (None, "nobody has seen a case of it")

"""The audit lottery of routing, seen by the statistics: fair, independent, and the same when asked again.

Evidence and alarms are only valid if being drawn says nothing about the item.
"""

import math

import numpy as np
import pytest

from labeling.routing.policy import is_drawn
from labeling.trust.drift import g_test

SECRET = b"a secret of the project"
IDS = range(1, 40_001)


def drawn(probability, secret=SECRET):
    return np.array([is_drawn(secret, i, probability) for i in IDS])


@pytest.mark.parametrize("probability", [0.02, 0.2, 0.7])
def test_draws_its_share(probability):
    noise = math.sqrt(probability * (1 - probability) / len(IDS))
    assert drawn(probability).mean() == pytest.approx(probability, abs=4 * noise)


def test_never_and_always():
    assert not drawn(0.0).any()
    assert drawn(1.0).all()


def test_is_the_same_when_asked_again_and_grows_with_the_rate():
    small, large = drawn(0.05), drawn(0.2)
    assert np.array_equal(small, drawn(0.05))
    assert np.all(large[small])


@pytest.mark.parametrize("groups", [2, 7, 58])
def test_is_independent_of_anything_that_follows_the_id(groups):
    """Confidence, label and reviewer may all be tied to the order of arrival: chi-squared p above 1e-4."""
    member, hit = np.array(IDS) % groups, drawn(0.2)
    _, p = g_test(np.bincount(member[hit], minlength=groups), np.bincount(member[~hit], minlength=groups))
    assert p > 1e-4


def test_neighbours_are_independent():
    hit = drawn(0.2)
    _, p = g_test(np.bincount(2 * hit[:-1:2] + hit[1::2], minlength=4), [12_800, 3_200, 3_200, 800])
    assert p > 1e-4


def test_another_secret_draws_others():
    one, other = drawn(0.2), drawn(0.2, b"another secret")
    assert (one & other).mean() == pytest.approx(0.04, abs=0.005)


def test_control_drawing_every_fifth_would_be_caught():
    hit = np.array(IDS) % 5 == 0
    member = np.array(IDS) % 10
    assert g_test(np.bincount(member[hit], minlength=10), np.bincount(member[~hit], minlength=10))[1] < 1e-4

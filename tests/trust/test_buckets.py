"""Confidence buckets: every confidence has one, in order, and the edges never move."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.trust.buckets import (
    BUCKET_COUNT,
    EDGES,
    LAST_BUCKET,
    bucket_center,
    bucket_edges,
    bucket_of,
    buckets_of,
    snap_up,
)

confidences = st.floats(min_value=0.0, max_value=1.0)


def test_there_are_58_buckets_from_0_to_1():
    assert BUCKET_COUNT == 58
    assert bucket_edges(0)[0] == 0.0
    assert bucket_edges(LAST_BUCKET)[1] == 1.0
    assert all(bucket_edges(b)[1] == bucket_edges(b + 1)[0] for b in range(LAST_BUCKET))


@pytest.mark.parametrize(
    ("confidence", "bucket"),
    [
        (0.0, 0),
        (0.017, 0),
        (0.018, 1),
        (0.5, 17),
        (0.499999, 16),
        (0.7, 20),
        (0.95, 28),
        (0.99995, 56),
        (1.0, 57),
        (0, 0),
        (1, 57),
    ],
)
def test_known_confidences(confidence, bucket):
    assert bucket_of(confidence) == bucket


def test_an_edge_belongs_to_the_bucket_above_it():
    for bucket in range(1, BUCKET_COUNT):
        low, _ = bucket_edges(bucket)
        assert bucket_of(low) == bucket
        assert bucket_of(math.nextafter(low, 0.0)) == bucket - 1


def test_edges_lie_on_the_logit_grid():
    logits = [math.log(e / (1 - e)) for e in EDGES]
    np.testing.assert_allclose(logits, -4 + 0.25 * np.arange(57), atol=2e-6)


def test_edges_survive_json_and_ten_decimals():
    assert all(float(f"{edge:.10f}") == edge for edge in EDGES)


def test_no_edge_is_so_near_a_rounding_tie_that_another_libm_could_move_it():
    for j, edge in enumerate(EDGES):
        exact = 1 / (1 + math.exp(-(-4 + 0.25 * j)))
        distance_to_tie = abs(abs(exact - edge) * 1e10 - 0.5)
        assert distance_to_tie > 1e-3


@given(confidences, confidences)
def test_higher_confidence_never_has_a_lower_bucket(a, b):
    low, high = sorted((a, b))
    assert bucket_of(low) <= bucket_of(high)


@given(confidences)
def test_a_confidence_lies_between_the_edges_of_its_bucket(confidence):
    bucket = bucket_of(confidence)
    low, high = bucket_edges(bucket)
    assert low <= confidence
    assert confidence < high or (bucket == LAST_BUCKET and confidence == 1.0)


@given(confidences)
def test_single_precision_confidences_are_fine(confidence):
    single = struct.unpack("f", struct.pack("f", confidence))[0]
    assert 0 <= bucket_of(single) <= LAST_BUCKET


@given(st.lists(confidences, max_size=50))
def test_the_array_form_agrees(values):
    assert buckets_of(values).tolist() == [bucket_of(v) for v in values]


@given(confidences, confidences)
def test_a_cut_off_snapped_up_takes_in_nothing_below_the_threshold(threshold, confidence):
    if bucket_of(confidence) >= snap_up(threshold):
        assert confidence >= threshold


@pytest.mark.parametrize("bucket", range(1, BUCKET_COUNT))
def test_snapping_an_edge_gives_its_own_bucket(bucket):
    assert snap_up(bucket_edges(bucket)[0]) == bucket


def test_centers_lie_in_their_buckets():
    assert [bucket_of(bucket_center(b)) for b in range(BUCKET_COUNT)] == list(range(BUCKET_COUNT))


@pytest.mark.parametrize("wrong", [-1e-9, 1.0000001, math.nan, math.inf, -math.inf])
def test_what_is_no_confidence_is_refused(wrong):
    for function in (bucket_of, snap_up):
        with pytest.raises(ValueError, match="between 0 and 1"):
            function(wrong)
    with pytest.raises(ValueError, match="between 0 and 1"):
        buckets_of([0.5, wrong])


@pytest.mark.parametrize("wrong", [-1, 58])
def test_what_is_no_bucket_is_refused(wrong):
    for function in (bucket_edges, bucket_center):
        with pytest.raises(ValueError, match="bucket must be"):
            function(wrong)

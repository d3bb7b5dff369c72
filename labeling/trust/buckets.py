"""The 58 confidence buckets that every trust count is kept in.

The grid is even on the logit scale, because a hundred linear cells put most of a neural network's traffic
into the last one. It needs no labels and is fixed for the product's life: stored rows depend on it.

    inner edges   e_j = 1 / (1 + exp(-(-4 + j / 4))),  j = 0 ... 56,  rounded to 10 decimals
    bucket 0      [0, e_0)              confidence below 0.017986...
    bucket b      [e_(b-1), e_b)        b = 1 ... 56
    bucket 57     [e_56, 1]             confidence from 0.999954... on

An edge belongs to the bucket above it, as a threshold belongs to the higher tier in routing, so
"confidence >= e_(b-1)" and "bucket >= b" say the same. The rounding makes the edges the same number on every
platform, in JSON and in SQL; two machines can not put one confidence into two buckets.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

LOGIT_LOW: Final = -4.0
LOGIT_HIGH: Final = 10.0
LOGIT_STEP: Final = 0.25
EDGE_DECIMALS: Final = 10

_INNER_EDGES: Final = round((LOGIT_HIGH - LOGIT_LOW) / LOGIT_STEP) + 1

EDGES: Final[tuple[float, ...]] = tuple(
    round(1.0 / (1.0 + math.exp(-(LOGIT_LOW + LOGIT_STEP * j))), EDGE_DECIMALS) for j in range(_INNER_EDGES)
)
"""The 57 inner edges, ascending; EDGES[b - 1] is the lowest confidence of bucket b."""

BUCKET_COUNT: Final = len(EDGES) + 1
LAST_BUCKET: Final = len(EDGES)

_EDGES_ARRAY: Final = np.asarray(EDGES)


def bucket_of(confidence: float) -> int:
    """The bucket (0 ... 57) of one confidence in [0, 1]; runs once per ingested row.

    ValueError when the confidence is outside [0, 1] or not a number.
    """
    if 0.0 <= confidence <= 1.0:
        return bisect_right(EDGES, confidence)
    raise ValueError(f"confidence must be between 0 and 1, got {confidence!r}")


def buckets_of(confidences: ArrayLike) -> NDArray[np.int64]:
    """`bucket_of` for an array of any shape; same shape back. ValueError if one is outside [0, 1] or NaN."""
    values = np.asarray(confidences, dtype=np.float64)
    if not bool(np.all((values >= 0.0) & (values <= 1.0))):
        raise ValueError("confidences must be between 0 and 1")
    return np.searchsorted(_EDGES_ARRAY, values, side="right").astype(np.int64)


def bucket_edges(bucket: int) -> tuple[float, float]:
    """(low, high) confidence of a bucket: low belongs to it, high to the next one (1.0 belongs to bucket 57).

    ValueError when there is no such bucket.
    """
    _check_bucket(bucket)
    low = 0.0 if bucket == 0 else EDGES[bucket - 1]
    high = 1.0 if bucket == LAST_BUCKET else EDGES[bucket]
    return low, high


def bucket_center(bucket: int) -> float:
    """A typical confidence of a bucket, for charts: the middle on the logit scale.

    The two open ends are drawn half a step outside the grid. ValueError when there is no such bucket.
    """
    _check_bucket(bucket)
    logit = LOGIT_LOW + LOGIT_STEP * (bucket - 0.5)
    return 1.0 / (1.0 + math.exp(-logit))


def snap_up(confidence: float) -> int:
    """The lowest bucket that lies wholly at or above a confidence: a cut-off there takes in nothing lower.

    Returns 0 ... 57, or 58 (an empty range) for a confidence above the last inner edge.
    ValueError when the confidence is outside [0, 1] or not a number.
    """
    if not 0.0 <= confidence <= 1.0:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence!r}")
    return 0 if confidence == 0.0 else bisect_left(EDGES, confidence) + 1


def _check_bucket(bucket: int) -> None:
    if not 0 <= bucket <= LAST_BUCKET:
        raise ValueError(f"bucket must be between 0 and {LAST_BUCKET}, got {bucket!r}")

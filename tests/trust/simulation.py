"""Simulated traffic, reviewers and audits for the acceptance tests of the trust mathematics."""

from __future__ import annotations

import numpy as np

from labeling.trust.buckets import BUCKET_COUNT, buckets_of


def confidence_histograms(rng, days, n, shift=0.0):
    """`days` rows of bucket counts of n confidences; logits are normal(2.5 - shift, 1.5)."""
    logits = rng.normal(2.5 - shift, 1.5, (days, n))
    buckets = buckets_of(1.0 / (1.0 + np.exp(-logits)))
    rows = np.repeat(np.arange(days), n)
    return np.bincount(rows * BUCKET_COUNT + buckets.ravel(), minlength=days * BUCKET_COUNT).reshape(
        days, BUCKET_COUNT
    )

"""The reliability curve of a window: of what had about this confidence, how much was right. Pure.

From counts by confidence bucket over everything that was labelled: reviews, blind checks, and labels without a suggestion. A
group compares the mean confidence of its labelled items with how many of *those* were right, so that the share that gets
labelled may differ from bucket to bucket.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labeling.trust.buckets import bucket_center
from labeling.trust.calibration import ReliabilityBin, debiased_l2, reliability_bins
from labeling.trust.figures import Sums

__all__ = ["GROUPS", "Reliability", "reliability_of"]

GROUPS = 10


@dataclass(frozen=True, slots=True)
class Reliability:
    """Groups of about equal count by rising confidence. `off_by`: root mean square distance between confidence and share
    right, without the part that is noise (calibration.debiased_l2); about 0 where the model means what it says."""

    groups: Sequence[ReliabilityBin]
    n: int
    off_by: float | None


def reliability_of(buckets: Mapping[int, Sums]) -> Reliability:
    """The curve from the counts of each bucket; without labels it is empty."""
    cells = [(bucket_center(bucket), *_labelled(sums)) for bucket, sums in sorted(buckets.items())]
    cells = [cell for cell in cells if cell[1] > 0]
    if not cells:
        return Reliability((), 0, None)
    confidence, n, right = zip(*cells, strict=True)
    groups = reliability_bins(confidence, n, right, GROUPS)
    off_by = debiased_l2(groups)
    return Reliability(groups, sum(n), None if off_by != off_by else off_by)


def _labelled(sums: Sums) -> tuple[int, int]:
    """(labelled, of them right) of all routes together."""
    n = sums.confirmed + sums.corrected + sums.audit_done + sums.shadow_done
    right = sums.confirmed + (sums.audit_done - sums.audit_err) + (sums.shadow_done - sums.shadow_err)
    return max(n, 0), min(max(right, 0), max(n, 0))

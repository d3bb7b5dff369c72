"""Whether reviewing a suggestion is worth it, by confidence: what evidence says of the policy's `low`. Pure.

`low` is an economic threshold, not one of safety. Where a person leaves fewer than half of the suggestions unchanged, reading a
suggestion, finding it wrong and answering anew is slower than answering without one; where more than half would have been
right, a suggestion saves work. So, bucket by bucket (`buckets.py`), with the 95 % confidence sequence of
`intervals.confidence_sequence`:

    raise low   over the longest run of buckets upwards from `low` in each of which
                upper end of CS(confirmed + corrected, confirmed) < 1/2
    lower low   over the longest run of buckets downwards from `low` in each of which
                lower end of CS(shadow_done, shadow_done - shadow_err) > 1/2

Each run is a fixed sequence of tests that ends at the first one that does not reject, so nothing has to be paid for there being
many buckets: only the first bucket of the order of which the claim is false can spoil it, and its confidence sequence is wrong,
at any look, with a chance of 5 %. A point estimate has no such promise: looked at after every label, it is below 1/2 at
some time for nearly any share.

Source: design of the product (trust.md 4.1, t_low); Chow 1970 for the trade-off; fixed-sequence testing as in Angelopoulos, Bates,
Candès, Jordan, Lei 2021 (Learn then Test).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from labeling.trust.buckets import LAST_BUCKET, bucket_edges, bucket_of
from labeling.trust.intervals import check_delta, confidence_sequence

__all__ = ["SHADOW_RATE", "WORTH", "LowProposal", "Seen", "propose_low"]

WORTH: Final = 0.5
# Where the fallback answers by itself, people label this share all the same, for ever: else nobody would see that it is worth it again.
SHADOW_RATE: Final = 0.05
DELTA: Final = 0.05


class Seen(NamedTuple):
    """What people said of the predictions of a bucket: of reviewed ones, and of the fallback's that they labelled without seeing
    a suggestion."""

    confirmed: int = 0
    corrected: int = 0
    shadow_done: int = 0
    shadow_err: int = 0


class LowProposal(NamedTuple):
    """Another `low` for a person to consider. `begin` to `end` are the confidences that would change their route (`begin` belongs
    to them, `end` does not), `right` of the `n` suggestions in it that were labelled were right, and `range` is that share's."""

    raises: bool
    low: float
    begin: float
    end: float
    buckets: tuple[int, ...]
    n: int
    right: int
    range: tuple[float, float]


def propose_low(
    low: float, high: float, seen: Mapping[int, Seen], delta: float = DELTA
) -> LowProposal | None:
    """The `low` that the evidence speaks for, or none. Never above `high`, and nothing without evidence.

    seen: counts by bucket, all of predictions that came while `low` was what it is: those of the bucket in which it lies are then
    of its upper part where they were reviewed and of its lower part where the fallback had them. Raising is looked at first.
    ValueError for thresholds outside [0, 1] or the wrong way round, for impossible counts, and for a delta outside (0, 1).
    """
    check_delta(delta)
    if not 0.0 <= low <= high <= 1.0:
        raise ValueError(f"needs 0 <= low <= high <= 1, got low {low!r} and high {high!r}")
    return _raised(low, high, seen, delta) or _lowered(low, seen, delta)


def _raised(low: float, high: float, seen: Mapping[int, Seen], delta: float) -> LowProposal | None:
    upwards = (b for b in range(bucket_of(low), LAST_BUCKET + 1) if bucket_edges(b)[0] < high)
    run = _run(upwards, seen, _reviewed, lambda ends: ends[1] < WORTH, delta)
    proposed = min(bucket_edges(run[-1])[1], high) if run else low
    if proposed <= low:
        return None
    return _proposal(proposed, (low, proposed), run, seen, delta, raises=True)


def _lowered(low: float, seen: Mapping[int, Seen], delta: float) -> LowProposal | None:
    downwards = (b for b in range(bucket_of(low), -1, -1) if bucket_edges(b)[0] < low)
    run = _run(downwards, seen, _blind, lambda ends: ends[0] > WORTH, delta)
    if not run:
        return None
    proposed = bucket_edges(run[-1])[0]
    return _proposal(proposed, (proposed, low), run, seen, delta, raises=False)


def _run(
    buckets: Iterable[int],
    seen: Mapping[int, Seen],
    counted: Callable[[Seen], tuple[int, int]],
    holds: Callable[[tuple[float, float]], bool],
    delta: float,
) -> list[int]:
    """Buckets in this order, until one of which the claim is not shown; the range of no label is everything, so it shows none."""
    run: list[int] = []
    for bucket in buckets:
        n, right = counted(seen.get(bucket, Seen()))
        if not holds(confidence_sequence(n, right, delta)):
            break
        run.append(bucket)
    return run


def _reviewed(seen: Seen) -> tuple[int, int]:
    return seen.confirmed + seen.corrected, seen.confirmed


def _blind(seen: Seen) -> tuple[int, int]:
    return seen.shadow_done, seen.shadow_done - seen.shadow_err


def _proposal(
    low: float,
    band: tuple[float, float],
    run: list[int],
    seen: Mapping[int, Seen],
    delta: float,
    *,
    raises: bool,
) -> LowProposal:
    labels = [(_reviewed if raises else _blind)(seen[bucket]) for bucket in run]
    n, right = sum(n for n, _ in labels), sum(right for _, right in labels)
    ends = confidence_sequence(n, right, delta)
    return LowProposal(raises, low, *band, tuple(sorted(run)), n, right, ends)

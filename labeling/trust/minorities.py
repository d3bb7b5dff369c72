"""What a good average can hide: rare labels, and segments that do worse than the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, SupportsIndex

from labeling.trust.intervals import check_delta, confidence_sequence

LEAST_AUDITS: Final = 100


def unprotected_labels(
    label_shares: Mapping[str, float], alpha: float, alpha_by_label: Mapping[str, float]
) -> list[str]:
    """Labels so rare that the limits set would allow missing every one of them, rarest first.

    label_shares: share of each true label in all items. A label with share p is unprotected when some other
    predicted label may be wrong in alpha >= p of its cases: automating that label for everything would then
    keep its promise. The remedy is a smaller `alpha_by_label` for those others. ValueError unless all shares
    and limits lie in [0, 1].
    """
    for name, value in (*label_shares.items(), ("alpha", alpha), *alpha_by_label.items()):
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{name} must lie between 0 and 1, got {value!r}")
    exposed = [
        label
        for label, share in label_shares.items()
        if any(alpha_by_label.get(other, alpha) >= share for other in label_shares if other != label)
    ]
    return sorted(exposed, key=lambda label: (label_shares[label], label))


def failing_segments(
    audits: Mapping[str, tuple[SupportsIndex, SupportsIndex]], alpha: float, delta: float = 0.05
) -> list[str]:
    """Segments whose automatic decisions are wrong more often than alpha, though the average is fine.

    audits: (audited, wrong) by segment, of automatic decisions in the epoch. A segment with at least 100 audits
    fails when the lower end of its confidence sequence at delta / number of segments is above alpha; it
    goes back to review. Sorted by name. ValueError for impossible counts, or delta outside (0, 1).
    """
    check_delta(delta)
    if not audits:
        return []
    each = delta / len(audits)
    bounds = {name: (n, confidence_sequence(n, s, each)[0]) for name, (n, s) in audits.items()}
    return sorted(name for name, (n, low) in bounds.items() if n.__index__() >= LEAST_AUDITS and low > alpha)

"""Signs that the traffic has changed: confidences, predicted labels, calibration. They raise the rate of blind checks, and nothing else.

Each compares what has come since its last check with the first of the epoch (`drift.py` has the tests). What it needs between
looks is kept in the scope's `drift`, by signal: `reference`, `base` (counts when it was last checked), `last` (what it said).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection

from labeling.trust.buckets import BUCKET_COUNT, bucket_center
from labeling.trust.drift import check_calibration, check_drift
from labeling.trust.levels import GRID_SIZE
from labeling.trust.models import SliceKind
from labeling.trust.scope_rows import ScopeCounts

__all__ = ["SIGNALS", "Signal", "check_signals", "last_checks", "read_labels"]

SIGNALS: Final = ("confidences", "labels", "calibration")
LEAST_NEW: Final = 200
LEAST_NEW_SIMULATED: Final = 1_000
_DAY: Final = timedelta(days=1)

Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Signal:
    """What a check said: `effect` is the Jensen-Shannon distance, for calibration the change in share right."""

    name: str
    n: int
    p: float
    effect: float
    warn: bool
    numbers: dict[str, Any]


def check_signals(
    kept: Mapping[str, Any],
    seen: list[int],
    counts: ScopeCounts,
    labels: Counts,
    *,
    tests_per_day: int,
    simulated: bool,
    now: datetime,
) -> tuple[dict[str, Any], list[Signal]]:
    """What to keep, and what the signals that were due said.

    `kept` is what the last call returned (empty at the beginning of an epoch), `seen` the bucket counts of the epoch's first
    confidences, `labels` the predictions outside fallback by label. A signal is due with 200 new counts, at most once a day;
    in simulations with 1,000.
    """
    kept, said = dict(kept), []
    for name, reference, now_counts in _counted(kept, seen, counts, labels):
        own = dict(kept.get(name) or {"reference": reference, "base": reference})
        kept[name] = own
        fresh = _since(now_counts, own["base"])
        last = own.get("checked_at")
        least = LEAST_NEW_SIMULATED if simulated else LEAST_NEW
        rested = simulated or last is None or now - datetime.fromisoformat(last) >= _DAY
        if _size(name, fresh) < least or not rested:
            continue
        signal = _check(name, own["reference"], fresh, tests_per_day)
        kept[name] = {
            **own,
            "base": now_counts,
            "checked_at": now.isoformat(),
            "last": {
                "n": signal.n,
                "p": signal.p,
                "effect": signal.effect,
                "warn": signal.warn,
                **signal.numbers,
            },
        }
        said.append(signal)
    return kept, said


def last_checks(kept: Mapping[str, Any]) -> dict[str, Any] | None:
    """What each signal said the last time it was due; none before the first."""
    found = {name: kept[name]["last"] for name in SIGNALS if (kept.get(name) or {}).get("last")}
    return found or None


def read_labels(project_id: int, model_version_id: int, periods: list[int]) -> Counts:
    """Predictions outside fallback by predicted label, in these policy periods; empty for tasks without labels."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select kind || ' ' || value, sum(auto + review)::bigint from labeling_trustslice where project_id = %s "
            "and model_version_id = %s and period_id = any(%s) and kind = any(%s) group by 1 having sum(auto + review) > 0",
            [project_id, model_version_id, periods, [SliceKind.LABEL.value, SliceKind.LABEL_OTHER.value]],
        )
        return dict(cursor.fetchall())


def _counted(
    kept: Mapping[str, Any], seen: list[int], counts: ScopeCounts, labels: Counts
) -> Iterator[tuple[str, Counts, Counts]]:
    """(signal, its reference if it has none yet, its counts now)."""
    arrived = _by_bucket(counts.arrived())
    yield "confidences", _by_bucket(seen), arrived
    if len(labels) > 1:
        yield "labels", labels, labels
    answered = _answers(counts)
    if "calibration" in kept or _size("calibration", answered) >= GRID_SIZE:
        yield "calibration", answered, answered


def _answers(counts: ScopeCounts) -> Counts:
    """Labelled and right by bucket, as "n40" and "r40"."""
    found: Counts = {}
    for _period, bucket, sums in counts.rows:
        right = sums.confirmed + max(0, sums.audit_done - sums.audit_err)
        labelled = sums.confirmed + sums.corrected + sums.rejected + sums.audit_done
        found[f"n{bucket}"] = found.get(f"n{bucket}", 0) + labelled
        found[f"r{bucket}"] = found.get(f"r{bucket}", 0) + min(right, labelled)
    return {place: count for place, count in found.items() if count > 0}


def _check(name: str, reference: Counts, fresh: Counts, tests_per_day: int) -> Signal:
    if name == "calibration":
        claimed = [bucket_center(bucket) for bucket in range(BUCKET_COUNT)]
        gap = check_calibration(claimed, _columns(reference), _columns(fresh), tests_per_day)
        return Signal(name, gap.n, gap.p_value, gap.change, gap.warn, {})
    places = sorted({*reference, *fresh})
    check = check_drift(
        [reference.get(place, 0) for place in places],
        [fresh.get(place, 0) for place in places],
        tests_per_day,
    )
    return Signal(
        name, check.n, check.p_value, check.js_distance, check.warn, {"psi_excess": check.psi_excess}
    )


def _columns(answers: Counts) -> tuple[list[int], list[int]]:
    labelled = [answers.get(f"n{bucket}", 0) for bucket in range(BUCKET_COUNT)]
    right = [answers.get(f"r{bucket}", 0) for bucket in range(BUCKET_COUNT)]
    return labelled, [min(pair) for pair in zip(labelled, right, strict=True)]


def _by_bucket(counts: list[int]) -> Counts:
    """Named so that names sort as buckets do."""
    return {f"{bucket:02}": count for bucket, count in enumerate(counts) if count > 0}


def _since(now: Counts, base: Counts) -> Counts:
    """What has come since; counts that were taken back meanwhile are none."""
    fresh = {place: count - base.get(place, 0) for place, count in now.items()}
    return {place: count for place, count in fresh.items() if count > 0}


def _size(name: str, counts: Counts) -> int:
    return sum(count for place, count in counts.items() if name != "calibration" or place.startswith("n"))

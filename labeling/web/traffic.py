"""Where predictions of the last days went, by confidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Max, Sum

from labeling.projects.models import Project
from labeling.trust.buckets import bucket_center
from labeling.trust.models import TrustCell

BARS = 20
_COUNTS = ("total", "auto", "review", "fallback", "audit_due")


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the histogram in a box of 1000 x 100."""

    x: float
    y: float
    height: float
    tier: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """Predictions of some days up to the newest one that has any."""

    first: date
    last: date
    total: int
    auto: int
    review: int
    fallback: int
    audited: int
    low: float
    high: float
    bars: tuple[Bar, ...]
    was: tuple[float, ...] = ()

    @property
    def before(self) -> list[float]:
        """Thresholds that are about to move, in percent."""
        return [value * 100 for value in self.was if value not in (self.low, self.high)]

    @property
    def low_percent(self) -> float:
        return self.low * 100

    @property
    def high_percent(self) -> float:
        return self.high * 100


def find_traffic(
    project: Project, *, days: int, low: float, high: float, was: tuple[float, ...] = ()
) -> Traffic | None:
    """The last `days` with their newest prediction, or none when there is no prediction at all. `was`: thresholds in force
    where `low` and `high` are a draft's."""
    cells = TrustCell.objects.filter(project_id=project.pk)
    last = cells.aggregate(Max("day"))["day__max"]
    if last is None:
        return None
    first = last - timedelta(days=days - 1)
    sums_of = [Sum(name) for name in _COUNTS]
    rows = list(cells.filter(day__gte=first).values_list("bucket").annotate(*sums_of).order_by("bucket"))
    sums = {name: sum(row[index] for row in rows) for index, name in enumerate(_COUNTS, 1)}
    return Traffic(
        first=first,
        last=last,
        total=sums["total"],
        auto=sums["auto"],
        review=sums["review"],
        fallback=sums["fallback"],
        audited=sums["audit_due"],
        low=low,
        high=min(high, 1.0),
        bars=bars_of([(bucket_center(row[0]), row[1]) for row in rows], low, high),
        was=tuple(min(value, 1.0) for value in was),
    )


def bars_of(counts: Sequence[tuple[float, int]], low: float, high: float) -> tuple[Bar, ...]:
    """Confidences in steps of 0.05, each coloured by where that confidence goes now."""
    bins = [0] * BARS
    for confidence, count in counts:
        bins[min(BARS - 1, int(confidence * BARS))] += count
    most = max(bins) or 1
    bars = []
    for index, count in enumerate(bins):
        middle = (index + 0.5) / BARS
        tier = "auto" if middle >= high else "review" if middle >= low else "fall"
        height = max(100 * count / most, 1.0) if count else 0.0
        bars.append(Bar(index * 1000 / BARS + 2, round(100 - height, 1), round(height, 1), tier))
    return tuple(bars)

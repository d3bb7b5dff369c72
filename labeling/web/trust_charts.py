"""Charts as numbers and paths for a template: no script, no inline style, text that never scales.

Bands and lines live in a box of 1000 x 100 that is stretched; everything else is placed in percent of the plot.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.utils import formats

from labeling.trust.asking import Window
from labeling.trust.changes import Change
from labeling.trust.figures import Rate
from labeling.trust.queries import Point
from labeling.trust.reliability import Reliability
from labeling.trust.timegrid import day_start

MOST_FLAGS = 12
_FLAG_ROOM = 0.04  # of the width: flags closer than this share a letter
_LABEL_ROOM = 0.11
_MOST_LABELS = 7
_STEPS = (1, 2, 7, 14, 28, 56, 91, 182, 364, 728, 1820)
# Where an axis may begin, and the step of its lines.
_BASES = ((0.9, 0.02), (0.8, 0.05), (0.7, 0.1), (0.6, 0.1), (0.5, 0.1), (0.0, 0.25))
_TOPS = (
    (0.02, 0.005),
    (0.04, 0.01),
    (0.08, 0.02),
    (0.12, 0.04),
    (0.2, 0.05),
    (0.4, 0.1),
    (0.6, 0.2),
    (1.0, 0.25),
)


class Tick(NamedTuple):
    place: str
    text: str
    anchor: str = "middle"
    css: str = ""


class Dot(NamedTuple):
    """A single estimate with its range."""

    x: str
    y: str
    low: str
    high: str


class Flag(NamedTuple):
    letter: str
    place: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """One line with its band, in pieces: gaps stay gaps."""

    css: str
    name: str
    band: str
    line: str
    dots: tuple[Dot, ...]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything a template needs to draw."""

    title: str
    caption: str
    label: str
    height: int
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    traces: tuple[Trace, ...]
    base: float
    diagonal: bool = False


class Axis(NamedTuple):
    """Values from `base` to `top`, with a line at every `step`."""

    base: float
    top: float
    step: float

    def height(self, value: float) -> float:
        """Percent from above."""
        share = (value - self.base) / (self.top - self.base)
        return 100 * (1 - min(1.0, max(0.0, share)))

    def rows(self) -> tuple[Tick, ...]:
        count = round((self.top - self.base) / self.step)
        values = [self.base + self.step * number for number in range(count + 1)]
        digits = 1 if self.step < 0.01 else 0
        return tuple(Tick(f"{self.height(v):.4g}%", f"{v * 100:.{digits}f}\u202f%") for v in values)


def axis_to_one(points: Sequence[Point], *names: str) -> Axis:
    """Up to 100 %, from as high as leaves the whole bands visible."""
    lows = [rate.low for name in names for rate in _known(points, name)]
    least = min((low for low in lows if low is not None), default=0.0)
    base, step = next((base, step) for base, step in _BASES if least >= base or base == 0.0)
    return Axis(base, 1.0, step)


def axis_from_zero(points: Sequence[Point], names: Iterable[str]) -> Axis:
    """From 0 % to as low as leaves the bands visible; one very wide range does not flatten all others."""
    found = [sorted(rate.high for rate in _known(points, name) if rate.high is not None) for name in names]
    most = max((highs[math.ceil(0.95 * (len(highs) - 1))] for highs in found if highs), default=1.0)
    top, step = next((top, step) for top, step in _TOPS if top >= most or top == 1.0)
    return Axis(0.0, top, step)


def trace(
    points: Sequence[Point],
    name: str,
    window: Window,
    axis: Axis,
    *,
    css: str,
    title: str,
    dashed: bool = False,
) -> Trace:
    """The line of one rate; a point without neighbours becomes a dot with a whisker."""
    bands, lines, dots = [], [], []
    for piece in _pieces([point for point in points if point.rates[name].value is not None]):
        marks = []
        for point in piece:
            rate = point.rates[name]
            low, high = (value if value is not None else rate.value for value in (rate.low, rate.high))
            middle = point.start + (point.end - point.start) / 2
            heights = [axis.height(value or 0.0) for value in (rate.value, low, high)]
            marks.append((1000 * _share(middle, window), *heights))
        if len(marks) == 1:
            x, y, low_y, high_y = marks[0]
            dots.append(Dot(f"{x / 10:.2f}%", f"{y:.2f}%", f"{low_y:.2f}%", f"{high_y:.2f}%"))
            continue
        lines.append("M" + "L".join(f"{x:.0f} {y:.1f}" for x, y, _, _ in marks))
        edge = [(x, high) for x, _, _, high in marks] + [(x, low) for x, _, low, _ in reversed(marks)]
        bands.append("M" + "L".join(f"{x:.0f} {y:.1f}" for x, y in edge) + "Z")
    return Trace(css, title, "".join(bands), "".join(lines), tuple(dots), dashed)


def reliability_chart(found: Reliability, *, title: str, caption: str, label: str) -> Chart:
    """Share right against stated confidence, one axis for both, so that the diagonal runs from corner to corner."""
    least = min(min(group.low, group.confidence) for group in found.groups)
    base = min(0.8, int(least * 5) / 5)
    axis = Axis(base, 1.0, 0.2 if base < 0.6 else 0.1 if base < 0.8 else 0.05)
    dots = [
        Dot(
            f"{100 - axis.height(group.confidence):.2f}%", *(f"{axis.height(value):.2f}%" for value in values)
        )
        for group in found.groups
        for values in [(group.accuracy, group.low, group.high)]
    ]
    columns = []
    for row in axis.rows():
        place = 100 - float(row.place.rstrip("%"))
        anchor = "start" if place < 1 else "end" if place > 99 else "middle"
        columns.append(Tick(f"{place:.4g}%", row.text, anchor))
    return Chart(
        title=title,
        caption=caption,
        label=label,
        height=280,
        rows=axis.rows(),
        columns=tuple(columns),
        traces=(Trace("model", title, "", "", tuple(dots)),),
        base=base,
        diagonal=True,
    )


def columns_of(window: Window, zone: ZoneInfo) -> tuple[Tick, ...]:
    """Dates below the axis: first, last, and as many between as have room; every second one only on wide screens."""
    days = (window.last - window.first).days + 1
    if days == 1:
        return _hours_of(window, zone)
    step = next((step for step in _STEPS if days / step <= _MOST_LABELS), days // _MOST_LABELS)
    shown = [window.first + timedelta(days=number) for number in range(0, days - 1, step)]
    places = [(_middle(day, window, zone), day) for day in shown]
    end = _middle(window.last, window, zone)
    places = [(place, day) for place, day in places if place <= end - _LABEL_ROOM]
    pattern = "j M" if days <= 300 else "M Y"
    ticks = [
        _date_tick(place, formats.date_format(day, pattern), "wide-only" if number % 2 else "")
        for number, (place, day) in enumerate(places)
    ]
    return (*ticks, _date_tick(end, formats.date_format(window.last, pattern)))


def flags_of(changes: Sequence[Change], window: Window) -> tuple[list[Flag], int]:
    """Lettered flags, those that stand close together under one letter; the newest dozen, and how many came before."""
    groups: list[list[Change]] = []
    for change in changes:
        near = groups and _share(change.at, window) - _share(groups[-1][0].at, window) < _FLAG_ROOM
        if near:
            groups[-1].append(change)
        else:
            groups.append([change])
    earlier = sum(len(group) for group in groups[:-MOST_FLAGS])
    flags = [
        Flag(chr(ord("A") + number), f"{100 * _share(group[0].at, window):.4g}%", tuple(group))
        for number, group in enumerate(groups[-MOST_FLAGS:])
    ]
    return flags, earlier


def _known(points: Sequence[Point], name: str) -> list[Rate]:
    return [point.rates[name] for point in points if point.rates[name].value is not None]


def _pieces(points: Sequence[Point]) -> list[list[Point]]:
    """Runs of points of which each begins where the one before ends."""
    pieces: list[list[Point]] = []
    for point in points:
        if pieces and pieces[-1][-1].end == point.start:
            pieces[-1].append(point)
        else:
            pieces.append([point])
    return pieces


def _share(moment: datetime, window: Window) -> float:
    return (moment - window.start) / (window.end - window.start)


def _date_tick(place: float, text: str, css: str = "") -> Tick:
    """Labels at the edges are set inwards."""
    if place < _LABEL_ROOM / 2:
        return Tick("0%", text, "start", css)
    if place > 1 - _LABEL_ROOM / 2:
        return Tick("100%", text, "end", css)
    return Tick(f"{100 * place:.4g}%", text, css=css)


def _middle(day: date, window: Window, zone: ZoneInfo) -> float:
    return _share(day_start(day, zone) + timedelta(hours=12), window)


def _hours_of(window: Window, zone: ZoneInfo) -> tuple[Tick, ...]:
    ticks = []
    for quarter in range(5):
        moment = (window.start + quarter * (window.end - window.start) / 4).astimezone(zone)
        anchor = {0: "start", 4: "end"}.get(quarter, "middle")
        ticks.append(
            Tick(f"{25 * quarter}%", moment.strftime("%H:%M"), anchor, "wide-only" if quarter % 2 else "")
        )
    return tuple(ticks)

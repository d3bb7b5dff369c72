"""Hours, days and weeks as a project's clock shows them. Pure.

A moment is first rounded down to its quarter of an hour: every offset in use today is a multiple of 15 minutes, so this
changes no hour or day, and a recount may group by quarters in SQL without knowing any time zone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

__all__ = [
    "EVERY",
    "Every",
    "Interval",
    "day_of",
    "day_start",
    "hour_of",
    "intervals",
    "keys_of",
    "quarter_of",
    "week_of",
]

Every: TypeAlias = Literal["hour", "day", "week"]
EVERY: tuple[Every, ...] = ("hour", "day", "week")

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of time [start, end) that is one point of a series."""

    start: datetime
    end: datetime


def quarter_of(moment: datetime) -> datetime:
    """The start of the quarter of an hour (UTC) that holds the moment."""
    utc = moment.astimezone(UTC)
    return utc.replace(minute=utc.minute - utc.minute % 15, second=0, microsecond=0)


def hour_of(moment: datetime, zone: ZoneInfo) -> datetime:
    """The instant (UTC) at which the project's clock last showed a full hour.

    Counted with the offset in force at the moment itself, so the hour that is repeated in autumn stays two hours, and the
    hours of zones such as Asia/Kolkata begin at half past in UTC.
    """
    quarter = quarter_of(moment)
    local = quarter.astimezone(zone)
    return quarter - timedelta(minutes=local.minute, seconds=local.second)


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    """The date on the project's calendar."""
    return quarter_of(moment).astimezone(zone).date()


def week_of(day: date) -> date:
    """The Monday of the day's ISO week."""
    return day - timedelta(days=day.weekday())


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """The first instant (UTC) of a day; where the clock skips midnight, the instant of the skip."""
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


@lru_cache(maxsize=4096)
def _keys_of_quarter(quarter: datetime, zone: ZoneInfo) -> tuple[str, str]:
    return hour_of(quarter, zone).isoformat(), day_of(quarter, zone).isoformat()


def keys_of(moment: datetime, zone: ZoneInfo) -> tuple[str, str]:
    """(hour, day) of a moment as a delta spells them; cached, because a batch of rows shares few quarters."""
    return _keys_of_quarter(quarter_of(moment), zone)


def intervals(first: date, last: date, every: Literal["day", "week"], zone: ZoneInfo) -> Iterator[Interval]:
    """The days or weeks from `first` to `last` (both included). A week that is cut by the ends is as long as what is left."""
    day = first
    while day <= last:
        following = day + _DAY if every == "day" else week_of(day) + 7 * _DAY
        yield Interval(day_start(day, zone), day_start(min(following, last + _DAY), zone))
        day = following

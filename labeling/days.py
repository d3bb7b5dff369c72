"""Days that somebody asks for: from the midnight before to the midnight after, in a project's time zone."""

import zoneinfo
from datetime import date, datetime, time, timedelta

from labeling.errors import invalid, say


def beginning_of(name: str, text: str, zone: str) -> datetime:
    """Midnight before the day that filter `name` holds, such as 2026-11-20; InvalidError naming the filter."""
    return _midnight(name, text, zone, 0)


def end_of(name: str, text: str, zone: str) -> datetime:
    """Midnight after it."""
    return _midnight(name, text, zone, 1)


def _midnight(name: str, text: str, zone: str, days: int) -> datetime:
    try:
        day = date.fromisoformat(text)
        if not 2025 <= day.year < 3000:  # ids begin in 2025
            raise ValueError
    except ValueError as error:
        raise invalid(f"/{name}", "invalid", say("{name} is a day such as 2026-11-20", name=name)) from error
    return datetime.combine(day + timedelta(days=days), time(), zoneinfo.ZoneInfo(zone))

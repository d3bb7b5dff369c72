"""What a reader may ask of the rates, and how it is spelled in a query string."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from labeling.errors import InvalidError, Sentence, invalid, say
from labeling.trust.timegrid import EVERY, Every, day_of, day_start, hour_of, week_of

__all__ = ["BY", "By", "TrustQuery", "Window", "read_query", "window_of"]

By: TypeAlias = Literal["model_version", "segment", "label", "band", "reviewer"]
BY: tuple[By, ...] = ("model_version", "segment", "label", "band", "reviewer")
FILTERS = ("model_version", "segment", "label", "reviewer")

_EARLIEST, _LATEST = date(1900, 1, 1), date(2200, 1, 1)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
# A plus sign that was not percent-encoded arrives as a space.
_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)([Zz]|[+\- ]\d{2}:\d{2})")
_MAX_FILTER = 1_000
_DAY = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class TrustQuery:
    """A question. A date stands for the whole day, at either end; a moment for itself, the end excluded."""

    start: date | datetime | None = None
    end: date | datetime | None = None
    every: Every = "day"
    by: By | None = None
    model_version: str | None = None
    segment: str | None = None
    label: str | None = None
    reviewer: str | None = None

    @property
    def about_people(self) -> bool:
        """Whether the answer tells reviewers apart."""
        return self.by == "reviewer" or self.reviewer is not None


@dataclass(frozen=True, slots=True)
class Window:
    """A question's stretch of time [start, end), rounded outwards to hours or days of the project's clock."""

    start: datetime
    end: datetime
    first: date
    last: date
    whole_days: bool


def read_query(params: Mapping[str, str]) -> TrustQuery:
    """The question in a query string. InvalidError naming the field that cannot be understood or combined."""
    every = params.get("every") or "day"
    if every not in EVERY:
        raise invalid("/every", "unknown", say("every is one of {choices}", choices=", ".join(EVERY)))
    by = params.get("by") or None
    if by is not None and by not in BY:
        raise invalid("/by", "unknown", say("by is one of {choices}", choices=", ".join(BY)))
    query = TrustQuery(
        start=_read_moment(params, "from"),
        end=_read_moment(params, "to"),
        every=every,
        by=by,
        **{name: _read_filter(params, name) for name in FILTERS},
    )
    _check_combination(query)
    return query


def window_of(query: TrustQuery, zone: ZoneInfo, *, known: tuple[date, date] | None, now: datetime) -> Window:
    """The stretch of time asked for. `known`: first and last day with counts; they are the default, with today."""
    today = day_of(now, zone)
    first_known, last_known = known or (today, today)
    start = (
        query.start if query.start is not None else min(first_known, _date_of(query.end, zone) or first_known)
    )
    end = query.end if query.end is not None else max(today, last_known, _date_of(query.start, zone) or today)
    begins, ends = _begin(start, zone), _end(end, zone)
    if begins >= ends:
        raise invalid("/to", "out_of_range", say("to must be after from"))
    first, last = day_of(begins, zone), day_of(ends - _INSTANT, zone)
    if query.every != "hour":
        return Window(day_start(first, zone), day_start(last + _DAY, zone), first, last, whole_days=True)
    begins, ends = hour_of(begins, zone), _next_hour(ends, zone)
    whole = begins == day_start(first, zone) and ends == day_start(last + _DAY, zone)
    return Window(begins, ends, first, last, whole_days=whole)


def whole_weeks(first: date, last: date) -> tuple[date, date]:
    """[Monday, Monday) of the ISO weeks that lie wholly between two days; empty when the ends meet."""
    start = first if first.weekday() == 0 else week_of(first) + 7 * _DAY
    return start, max(start, week_of(last + _DAY))


def _read_moment(params: Mapping[str, str], name: str) -> date | datetime | None:
    text = params.get(name) or None
    if text is None:
        return None
    try:
        if _DATE.fullmatch(text):
            found: date = date.fromisoformat(text)
            day = found
        else:
            matched = _MOMENT.fullmatch(text)
            if matched is None:
                raise ValueError(text)
            day_part, clock, offset = matched.groups()
            offset = "+00:00" if offset in "Zz" else offset.replace(" ", "+")
            found = datetime.fromisoformat(f"{day_part}T{clock}{offset}").astimezone(UTC)
            day = found.date()
    except (ValueError, OverflowError) as error:
        detail = say("{name} is a date (2025-03-31) or a time with offset (2025-03-31T14:00:00Z)", name=name)
        raise invalid(f"/{name}", "invalid", detail) from error
    if not _EARLIEST <= day <= _LATEST:
        raise invalid(
            f"/{name}", "out_of_range", say("{name} lies between the years 1900 and 2200", name=name)
        )
    return found


def _read_filter(params: Mapping[str, str], name: str) -> str | None:
    value = params.get(name)
    if value is None or value == "":
        return None
    if len(value) > _MAX_FILTER or "\x00" in value:
        raise invalid(
            f"/{name}",
            "invalid",
            say(
                "{name} has at most {max_filter} characters and no U+0000", name=name, max_filter=_MAX_FILTER
            ),
        )
    return value


def _check_combination(query: TrustQuery) -> None:
    """Counts are kept by segment, by label, by bucket and by reviewer, each for itself and by day."""
    kinds = {name for name in ("segment", "label") if getattr(query, name) is not None}
    kinds |= {query.by} & {"segment", "label", "band"} if query.by else set()
    if query.about_people:
        if query.model_version is not None:
            raise _cannot("model_version", say("rates of reviewers are not kept by model version"))
        if query.by not in (None, "reviewer"):
            raise _cannot("by", say("rates of one reviewer are not kept by {by}", by=query.by))
        kinds.add("reviewer")
    if len(kinds) > 1:
        one, other = sorted(kinds)[:2]
        raise _cannot(
            "by" if query.by in kinds else one,
            say("counts are kept by {one} or by {other}, not by both", one=one, other=other),
        )
    if kinds and query.every == "hour":
        raise _cannot(
            "every", say("by {kind}, counts are kept by day: every is day or week", kind=kinds.pop())
        )


def _cannot(name: str, detail: Sentence) -> InvalidError:
    return invalid(f"/{name}", "not_available", detail)


def _date_of(moment: date | datetime | None, zone: ZoneInfo) -> date | None:
    return day_of(moment, zone) if isinstance(moment, datetime) else moment


def _begin(moment: date | datetime, zone: ZoneInfo) -> datetime:
    return moment if isinstance(moment, datetime) else day_start(moment, zone)


def _end(moment: date | datetime, zone: ZoneInfo) -> datetime:
    return moment if isinstance(moment, datetime) else day_start(moment + _DAY, zone)


def _next_hour(moment: datetime, zone: ZoneInfo) -> datetime:
    """The moment itself where it is a full hour, else the next one."""
    hour = hour_of(moment, zone)
    return hour if hour == moment else hour_of(hour + timedelta(hours=1), zone)

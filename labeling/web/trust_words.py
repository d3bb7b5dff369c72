"""The words and numbers of the page "Confirmation rates": a rate never stands without its range, its count and its population."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from django.utils import formats
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from labeling.templatetags.interface import THIN_SPACE, percent, thin
from labeling.trust.asking import Window
from labeling.trust.changes import Change
from labeling.trust.figures import Rate
from labeling.web.wording import in_language

FEWEST = 10
_LONGEST_CHANGE = 240

# Rate, colour: the numbers at the top, in their order.
STATS = (
    ("review_rate", "review"),
    ("confirmation_rate", "confirm"),
    ("automation_rate", "ghost"),
    ("model_error_rate", "model"),
    ("served_error_rate", "served"),
    ("auto_error_upper", "ink"),
)
EXPLAINED = (*dict(STATS), "fallback_rate")
_WEIGHTED = ("model_error_rate", "served_error_rate")
_SCALES = (0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Whisker:
    """A rate on a line from 0 to 100 %, or to `scale`: places in percent of the width."""

    low: str
    high: str
    dot: str
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Stat:
    """One number at the top of the page."""

    name: str
    css: str
    title: str
    prefix: str
    value: str
    note: str
    range: str
    of: tuple[str, ...]
    whisker: Whisker | None


@dataclass(frozen=True, slots=True)
class Cell:
    """A rate in a table."""

    value: str
    range: str
    of: str


def rate_text(value: float) -> str:
    """9.8 %; never 0 or 100 % for what is not."""
    if 0.0 < value < 0.001:
        return f"<{THIN_SPACE}0.1{THIN_SPACE}%"
    if 0.999 < value < 1.0:
        return f">{THIN_SPACE}99.9{THIN_SPACE}%"
    return percent(value, 1)


def bounds(low: float, high: float) -> tuple[str, str]:
    """Range ends in percent without the sign, rounded outwards: a bound is never rounded towards the good side."""
    return f"{math.floor(low * 1000 + 1e-9) / 10:.1f}", f"{math.ceil(high * 1000 - 1e-9) / 10:.1f}"


def at_most(value: float) -> str:
    """An upper bound, rounded up; below 1 % with two digits."""
    digits = 2 if value < 0.01 else 1
    factor = 10 ** (digits + 2)
    return f"{math.ceil(value * factor - 1e-9) / factor * 100:.{digits}f}{THIN_SPACE}%"


def range_text(rate: Rate) -> str:
    """9.3 % to 10.3 %."""
    if rate.low is None or rate.high is None:
        return ""
    low, high = bounds(rate.low, rate.high)
    return _("%(low)s to %(high)s") % {"low": f"{low}{THIN_SPACE}%", "high": f"{high}{THIN_SPACE}%"}


def cell(rate: Rate | None) -> Cell:
    """A rate as a table shows it."""
    if rate is None or rate.value is None or rate.low is None or rate.high is None:
        return Cell("–", "", "")
    low, high = bounds(rate.low, rate.high)
    of = _("of %(n)s") % {"n": thin(rate.n)} if rate.n else ""
    value = rate_text(rate.value) if rate.n >= FEWEST or not rate.n else _("too few to say")
    return Cell(value, f"{low} – {high}", of)


def days_text(window: Window, zone: ZoneInfo) -> str:
    """14–20 Nov; with the year where it is not this page's only one; with hours where the window has them."""
    if not window.whole_days:
        last = window.end.astimezone(zone)
        first = window.start.astimezone(zone)
        return f"{formats.date_format(first, 'j M H:i')} – {formats.date_format(last, 'j M H:i')}"
    first_day, last_day = window.first, window.last
    if first_day == last_day:
        return formats.date_format(first_day, "j M Y")
    if first_day.year != last_day.year:
        return f"{formats.date_format(first_day, 'j M Y')} – {formats.date_format(last_day, 'j M Y')}"
    if first_day.month == last_day.month:
        return f"{first_day.day}–{formats.date_format(last_day, 'j M Y')}"
    return f"{formats.date_format(first_day, 'j M')} – {formats.date_format(last_day, 'j M Y')}"


def titles() -> dict[str, str]:
    """What the interface calls a rate."""
    return {
        "review_rate": _("Sent to people before use"),
        "confirmation_rate": _("Confirmed unchanged, of those reviewed"),
        "automation_rate": _("Automatic"),
        "fallback_rate": _("Fallback"),
        "auto_error_upper": _("Wrong among automatic"),
        "auto_error_rate": _("Wrong among automatic"),
        "model_error_rate": _("Model error"),
        "served_error_rate": _("Wrong after serving"),
        "reject_rate": _("Cannot be labelled"),
        "reviewer_false_accept_rate": _("Wrong suggestions let pass"),
        "reviewer_false_correct_rate": _("Right suggestions changed"),
        "override_agreement": _("Agreed with a second person"),
    }


def stats_of(rates: Mapping[str, Rate], *, days: str, epoch_since: str, alpha: float) -> list[Stat]:
    """The numbers at the top."""
    found = []
    for name, css in STATS:
        if name == "auto_error_upper":
            found.append(_upper_stat(rates, css, epoch_since, alpha))
        else:
            found.append(_share_stat(rates[name], name, css, days))
    return found


def _share_stat(rate: Rate, name: str, css: str, days: str) -> Stat:
    below, remark = {
        "review_rate": (_("%(count)s of %(n)s predictions"), _("falling is good")),
        "confirmation_rate": (_("%(count)s of %(n)s reviewed"), _("reviewed items only")),
        "automation_rate": (_("%(count)s of %(n)s predictions"), _("used at once")),
        "model_error_rate": (_("%(count)s of %(n)s labelled, weighted"), _("comparable over time")),
        "served_error_rate": (_("%(count)s of %(n)s checked, weighted"), _("what users got")),
    }[name]
    title = _("Confirmed unchanged") if name == "confirmation_rate" else titles()[name]
    if rate.value is None:
        return Stat(name, css, title, "", "", _("none yet"), "", (days, in_language(rate.note)), None)
    few = rate.n < FEWEST
    return Stat(
        name=name,
        css=css,
        title=title,
        prefix="",
        value="" if few else rate_text(rate.value),
        note=_("too few to say") if few else "",
        range=range_text(rate),
        of=(below % {"count": thin(rate.count), "n": thin(rate.n)}, f"{days}, {remark}"),
        whisker=whisker(rate, _scale(rate) if name in _WEIGHTED else 1.0),
    )


def _scale(rate: Rate) -> float:
    return next(scale for scale in _SCALES if scale >= (rate.high or 0.0) or scale == 1.0)


def _upper_stat(rates: Mapping[str, Rate], css: str, since: str, alpha: float) -> Stat:
    """The only number that is a promise: an upper bound, not an estimate."""
    upper, title = rates["auto_error_upper"], titles()["auto_error_upper"]
    if upper.value is None:
        return Stat("auto_error_upper", css, title, "", "", _told(upper), "", (since,), None)
    checks = _("%(count)s of %(n)s labels") % {"count": thin(upper.count), "n": thin(upper.n)}
    limit = _("limit %(alpha)s, true at every look") % {"alpha": percent(alpha, 1 if alpha * 100 % 1 else 0)}
    return Stat(
        "auto_error_upper",
        css,
        title,
        _("at most"),
        at_most(upper.value),
        "",
        limit,
        (checks, since),
        whisker(upper, max(3 * alpha, 1.1 * upper.value), limit=alpha, dot=upper.count / upper.n),
    )


def whisker(rate: Rate, scale: float, *, limit: float = 0.0, dot: float | None = None) -> Whisker:
    """The range of a rate as a line."""

    def place(value: float | None) -> str:
        return f"{100 * min(1.0, max(0.0, (value or 0.0) / scale)):.4g}%"

    return Whisker(
        place(rate.low),
        place(rate.high),
        place(rate.value if dot is None else dot),
        place(limit) if limit else "",
    )


def _told(rate: Rate) -> str:
    """Why there is no number."""
    return (
        _("not audited: nothing can be said")
        if rate.note.startswith("not audited")
        else _("nothing was automatic")
    )


def change_text(change: Change) -> str:
    """What changed, in a sentence or two."""
    if change.is_model:
        return _("Model %(name)s: first prediction") % {"name": change.model}
    before, parts = change.before, []
    if change.new_policy:
        policy = _("Policy v%(number)d") % {"number": change.policy_number}
        parts.append(f"{policy}: {change.note}" if change.note else policy)
    if change.new_epoch:
        parts.append(
            _("Epoch %(epoch)d begins at level %(level)d") % {"epoch": change.epoch, "level": change.level}
        )
    elif change.new_level and before:
        parts.append(_("Level %(before)d to %(after)d") % {"before": before.level, "after": change.level})
    if before and before.audit_rate != change.audit_rate:
        rates = {"before": percent(before.audit_rate), "after": percent(change.audit_rate)}
        parts.append(_("Blind checks %(before)s to %(after)s") % rates)
    if not change.new_policy and change.reason:
        parts.append(in_language(change.reason))
    return Truncator(". ".join(parts)).chars(_LONGEST_CHANGE)

"""How numbers, times and people are written in the interface (docs: looks, "Words")."""

import json
import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from labeling.web.autonomy_numbers import number_name
from labeling.web.names import named
from labeling.web.wording import in_language, told

register = template.Library()

THIN_SPACE = "\u202f"


register.filter(in_language)
register.filter(named)
register.filter(number_name)
register.filter(told)


@register.filter
def thin(number: Any) -> str:
    """1204 -> 1 204 with a narrow space that does not break."""
    return f"{number:,}".replace(",", THIN_SPACE) if isinstance(number, int) else str(number)


@register.filter
def percent(share: float | None, digits: int = 0) -> str:
    """0.098 -> 9.8 %."""
    return "" if share is None else f"{share * 100:.{digits}f}{THIN_SPACE}%"


@register.filter
def sure(delta: float) -> str:
    """The certainty that an error probability leaves: 0.05 -> 95 %."""
    return f"{(1 - delta) * 100:.3g}{THIN_SPACE}%"


@register.filter
def points(share: float | None, digits: int = 0) -> str:
    """0.098 -> 9.8, for the lower end of a range."""
    return "" if share is None else f"{share * 100:.{digits}f}"


@register.filter
def conf(confidence: float | None) -> str:
    """A confidence with two digits, never rounded up to a certainty: 0.996 -> 0.99."""
    return "" if confidence is None else f"{math.floor(confidence * 100 + 1e-9) / 100:.2f}"


@register.filter
def figure(number: float) -> str:
    """A number for SVG: never in a local spelling."""
    return f"{number:.5g}"


@register.filter
def tenths(number: float) -> str:
    """2.4; never 0.0 for what is more than nothing."""
    return f"<{THIN_SPACE}0.1" if 0 < number < 0.05 else f"{number:.1f}"


@register.filter
def age(since: datetime | None) -> str:
    """How long ago: 14 min, 1 h 52, 3 d."""
    if since is None:
        return ""
    return duration(timezone.now() - since)


@register.filter
def duration(span: timedelta | float | None) -> str:
    """A time span in the two largest units that matter."""
    if span is None:
        return ""
    seconds = max(0.0, span.total_seconds() if isinstance(span, timedelta) else span)
    if seconds < 60:
        return _("%(count)d s") % {"count": seconds}
    if seconds < 3600:
        return _("%(count)d min") % {"count": seconds // 60}
    if seconds < 48 * 3600:
        return _("%(hours)d h %(minutes)02d") % {"hours": seconds // 3600, "minutes": seconds % 3600 // 60}
    return _("%(count)d d") % {"count": seconds // 86_400}


@register.filter
def minutes(seconds_of: int | None) -> str:
    """7200 -> 120, as a form wants it; nothing for nothing."""
    return "" if seconds_of is None else str(round(seconds_of / 60))


@register.filter
def seconds(value: float | None) -> str:
    """Time taken for a decision: 2.1 s, 34 s, 4 min."""
    if value is None:
        return ""
    return f"{value:.1f}{THIN_SPACE}s" if value < 10 else duration(value)


@register.filter
def moment(when: datetime | None) -> SafeString:
    """today 09:41, or 19 Nov 09:00, in the zone of the page, as a `time` element with the exact time."""
    if when is None:
        return SafeString("")
    local = timezone.localtime(when)
    clock = formats.date_format(local, "H:i")
    today = timezone.localdate()
    if local.date() == today:
        text = _("today %(clock)s") % {"clock": clock}
    elif local.year == today.year:
        text = f"{formats.date_format(local, 'j M')} {clock}"
    else:
        text = f"{formats.date_format(local, 'j M Y')} {clock}"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local.isoformat(),
        formats.date_format(local, "j M Y H:i:s e"),
        text,
    )


@register.filter
def initials(person: Any) -> str:
    """People are initials: Katrin Lang -> KL, rita -> RI."""
    if person is None:
        return ""
    name = (
        (person.get_full_name() or person.get_username()) if hasattr(person, "get_username") else str(person)
    )
    parts = [part for part in name.replace(".", " ").replace("_", " ").replace("-", " ").split() if part]
    letters = "".join(part[0] for part in parts[:2]) if len(parts) > 1 else name[:2]
    return letters.upper()


@register.simple_tag(takes_context=True)
def own_keys(context: Mapping[str, Any]) -> SafeString:
    """The keys that this person has moved, as an attribute for the scripts."""
    moved = getattr(getattr(context.get("user"), "own_keys", None), "moved", None)
    return format_html(' data-keys="{}"', json.dumps(moved)) if moved else SafeString("")


@register.inclusion_tag("components/meter.html")
def meter(confidence: float | None, low: float, high: float) -> dict[str, Any]:
    """Where a confidence lies between the two thresholds."""
    top = min(high, 1.0)
    return {
        "confidence": confidence,
        "fill": figure((confidence or 0) * 100),
        "low": figure(low * 100),
        "high": figure(top * 100),
        "zone": figure(max(0.0, top - low) * 100),
        "is_low": confidence is not None and confidence < low,
    }

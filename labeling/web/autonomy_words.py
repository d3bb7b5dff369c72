"""A project's autonomy in two short lines."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from labeling.routing.policy import NOTHING_IS_AUTOMATIC
from labeling.templatetags.interface import conf
from labeling.trust.scope import Mode
from labeling.trust.standing import Standing


@dataclass(frozen=True, slots=True)
class AutonomyWords:
    """What is automatic now, and who decides about the next step."""

    now: str
    rule: str


def autonomy_words(standing: Standing) -> AutonomyWords:
    """Both lines; a stop comes before everything else."""
    rule = {
        Mode.OFF: _("threshold set by people"),
        Mode.SUGGEST: _("steps are suggested"),
        Mode.ON: _("widens by itself"),
    }[standing.mode]
    if standing.is_stopped:
        return AutonomyWords(_("stopped"), rule)
    if standing.mode == Mode.OFF:
        never = standing.high >= NOTHING_IS_AUTOMATIC
        return AutonomyWords(_("off"), _("nothing is automatic") if never else _threshold(standing.high))
    if standing.levels is None or standing.levels[1] == 0:
        return AutonomyWords(_("nothing yet"), rule)
    low, high = standing.levels
    levels = {"low": low, "high": high}
    told = _("level %(high)d") % levels if low == high else _("levels %(low)d – %(high)d") % levels
    return AutonomyWords(told, rule)


def _threshold(high: float) -> str:
    return _("automatic from %(high)s") % {"high": conf(high)}

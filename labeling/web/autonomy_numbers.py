"""The numbers in autonomy's log: what each is called. Their values stay as they were written down."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

NUMBERS: dict[str, str | Promise] = {
    "alarms": _("alarms in 90 days"),
    "alpha": _("limit of the error rate (alpha)"),
    "alpha_effective": _("limit after what reviewers let pass"),
    "assumed_false_accept": _("assumed share of wrong answers let pass"),
    "audit_cusum": _("CUSUM of blind checks"),
    "audit_rate": _("share checked blind"),
    "audited": _("checked blind"),
    "audited_wrong": _("wrong among those checked blind"),
    "auto_error_upper": _("upper bound of the error rate"),
    "certified_share": _("share certified"),
    "cool_down": _("predictions to cool down"),
    "cut_off": _("automatic from this confidence on"),
    "delta": _("chance of a wrong certificate (delta)"),
    "effect": _("size of the effect"),
    "false_accept_upper": _("wrong answers let pass, at most"),
    "labelled": _("labelled"),
    "last_audits": _("blind checks in the last batch"),
    "last_day": _("predictions in the last day"),
    "last_wrong": _("wrong among them"),
    "level_before": _("level before"),
    "levels": _("levels"),
    "limit": _("limited to level"),
    "log_e": _("evidence by level (log e)"),
    "n": _("counted"),
    "p": _("p-value"),
    "policy": _("policy version"),
    "psi_excess": _("population stability index above chance"),
    "rate": _("share checked from now on"),
    "recalled": _("put back into review"),
    "review_cusum": _("CUSUM of reviews"),
    "segment": _("segment"),
    "segments": _("segments looked at"),
    "sentinels": _("test items"),
    "sentinels_missed": _("test items let pass"),
    "share": _("share automatic"),
    "shiryaev_roberts": _("Shiryaev–Roberts statistic of blind checks"),
    "signal": _("signal"),
    "since": _("since"),
    "threshold": _("threshold of the alarm"),
    "until": _("until"),
    "wanted": _("share wanted"),
    "warn": _("more than chance"),
    "why": _("reason"),
    "wrong": _("wrong"),
}


def number_name(name: str) -> str:
    """What a number is called; one that has no words is shown as it is."""
    return str(NUMBERS.get(name, name))

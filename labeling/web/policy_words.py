"""A policy in words: what it says, how two of them differ, and what a draft would have done to past traffic."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from labeling.pipeline.simulation import Side, Simulation
from labeling.routing.overflow import Overflow
from labeling.templatetags.interface import THIN_SPACE
from labeling.trust.figures import Rate
from labeling.web.policy_form import decimal_text, output_text, percent_text
from labeling.web.trust_words import bounds, rate_text
from labeling.web.wording import in_language


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs: `before` or `after` is empty where something is new or gone."""

    title: str
    before: str
    after: str

    @property
    def sign(self) -> str:
        return "chg" if self.before and self.after else "add" if self.after else "del"


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """A line of the preview: today, draft, and whether the change is welcome."""

    title: str
    hint: str
    today: str
    today_range: str
    draft: str
    draft_range: str
    change: str
    css: str


def facts_of(body: Mapping[str, Any], task_type: str) -> list[tuple[str, str]]:
    """(what, value) of everything a policy says, exceptions left out."""
    return [
        (_("High"), decimal_text(body["high"])),
        (_("Low"), decimal_text(body["low"])),
        (_("Below low"), _fallback_text(body["fallback"], task_type)),
        (_("Blind checks of automatic results"), _percent(body["audit_rate"])),
        (_("Blind checks a day, at most"), str(body["audits_per_day_max"])),
        (_("Who checks sees the prediction"), _("no") if body["blind_audit"] else _("yes")),
        (_("Autonomy"), {"off": _("off"), "suggest": _("suggest"), "on": _("on")}[body["autonomy"]]),
        (_("Wrong among automatic, limit"), _percent(body["alpha"])),
        *((_("Limit of %(label)s") % {"label": k}, _percent(v)) for k, v in body["alpha_by_label"].items()),
        (_("Chance that a certificate is wrong"), _percent(body["delta"])),
        (_("Automatic at most"), _percent(body["operator_cap"])),
        (_("Time between two steps"), body["autonomy_min_interval"]),
        (_("Alarm threshold"), str(body["detector_threshold"])),
        (_("Strict"), _("yes") if body["strict"] else _("no")),
        (_("Reviewers let pass"), _percent(body["assumed_false_accept"]) or _("as measured")),
        (_("Known answers among reviews"), _percent(body["sentinel_rate"])),
        (_("Second reviews"), _percent(body["second_review_rate"])),
        (_("When too much waits"), _overflow_text(Overflow.of_body(body))),
        (_("A claim lasts"), _("%(n)d s") % {"n": body["lease_seconds"]}),
    ]


def exceptions_of(body: Mapping[str, Any]) -> list[str]:
    """Each override in a sentence, in its order."""
    found = []
    for part in body["overrides"]:
        when = []
        if "label" in part:
            when.append(_("label is %(name)s") % {"name": part["label"]})
        if "segment" in part:
            when.append(_("segment is %(name)s") % {"name": part["segment"]})
        then = [
            f"{title} {decimal_text(part[name])}"
            for name, title in (("high", _("high")), ("low", _("low")))
            if part.get(name) is not None
        ]
        if part.get("force_review"):
            then = [_("always review")]
        found.append(f"{' + '.join(when)}: {', '.join(then) or _('as everything else')}")
    return found


def differences(before: Mapping[str, Any], after: Mapping[str, Any], task_type: str) -> list[Difference]:
    """What changes from one policy to another, in the order of the form."""
    old, new = dict(facts_of(before, task_type)), dict(facts_of(after, task_type))
    found = [
        Difference(title, old.get(title, ""), new.get(title, ""))
        for title in {**old, **new}
        if old.get(title) != new.get(title)
    ]
    was, will = exceptions_of(before), exceptions_of(after)
    found += [Difference(_("Exception"), text, "") for text in was if text not in will]
    found += [Difference(_("Exception"), "", text) for text in will if text not in was]
    if sorted(was) == sorted(will) and was != will:
        found.append(Difference(_("Order of exceptions"), "; ".join(was), "; ".join(will)))
    return found


def preview_rows(found: Simulation) -> list[PreviewRow]:
    """Today's policy beside the draft, over the same predictions."""
    today, draft = found.today, found.would_be
    rows = [
        _share_row(_("Automatic"), "", today, draft, "auto", good=+1),
        _share_row(_("Sent to people before use"), "", today, draft, "review", good=-1),
        _share_row(_("Fallback"), "", today, draft, "fallback", good=0),
        _error_row(today.error, draft.error),
        _amount_row(
            _("Wrong results used, a day"), _("estimate"), today.wrong_per_day, draft.wrong_per_day, 1
        ),
    ]
    hours = _("with blind checks and known answers")
    rows.append(_amount_row(_("Tasks for people, a day"), hours, _tasks(today), _tasks(draft), 0))
    pace = _("no decision says how long it took")
    if found.seconds_per_decision is not None:
        pace = _("at %(n).3g s a decision, the median of the newest") % {"n": found.seconds_per_decision}
    rows.append(_amount_row(_("Reviewer hours, a day"), pace, today.hours_per_day, draft.hours_per_day, 1))
    return rows


def _tasks(side: Side) -> float | None:
    return None if side.tasks_per_day is None else side.tasks_per_day + (side.checks_per_day or 0.0)


def _share_row(title: str, hint: str, today: Side, draft: Side, route: str, *, good: int) -> PreviewRow:
    old, new = today.shares[route] or 0.0, draft.shares[route] or 0.0
    change = round((new - old) * 100, 1)
    return PreviewRow(
        title, hint, rate_text(old), "", rate_text(new), "", _signed(change, 1), _css(change * good)
    )


def _error_row(old: Rate, new: Rate) -> PreviewRow:
    change, css = "", "same"
    if old.value is not None and new.value is not None:
        points = round((new.value - old.value) * 100, 1)
        change, css = _signed(points, 1), _css(-points)
    hint = _("%(old)d and %(new)d of them labelled") % {"old": old.n, "new": new.n}
    if new.value is None:
        hint = in_language(new.note)
    cells = [(_error_text(rate), _range_text(rate)) for rate in (old, new)]
    return PreviewRow(_("Wrong among automatic"), hint, *cells[0], *cells[1], change, css)


def _error_text(rate: Rate) -> str:
    return _("not known") if rate.value is None else rate_text(rate.value)


def _range_text(rate: Rate) -> str:
    if rate.value is None or rate.low is None or rate.high is None:
        return ""
    low, high = bounds(rate.low, rate.high)
    return f"{low} – {high}"


def _amount_row(title: str, hint: str, old: float | None, new: float | None, digits: int) -> PreviewRow:
    if old is None or new is None:
        texts = ["–" if value is None else _amount(value, digits) for value in (old, new)]
        return PreviewRow(title, hint, texts[0], "", texts[1], "", "", "same")
    change = round(new - old, digits)
    return PreviewRow(
        title,
        hint,
        _amount(old, digits),
        "",
        _amount(new, digits),
        "",
        _signed(change, digits),
        _css(-change),
    )


def _amount(value: float, digits: int) -> str:
    digits = digits if value < 100 else 0
    return f"{value:,.{digits}f}".replace(",", THIN_SPACE)


def _signed(change: float, digits: int) -> str:
    if change == 0:
        return "0"
    return f"{'+' if change > 0 else '−'}{_amount(abs(change), digits)}"


def _css(welcome: float) -> str:
    return "better" if welcome > 0 else "worse" if welcome < 0 else "same"


def _fallback_text(fallback: Mapping[str, Any], task_type: str) -> str:
    if fallback["mode"] == "manual":
        return _("a person labels without a suggestion")
    if fallback["mode"] == "constant":
        return _("always %(output)s") % {"output": output_text(fallback["output"], task_type)}
    rules = [
        _("%(output)s when %(when)s")
        % {"output": output_text(rule["output"], task_type), "when": rule["when"]}
        for rule in fallback["rules"]
    ]
    return "; ".join([*rules, _("else %(output)s") % {"output": output_text(fallback["else"], task_type)}])


def _overflow_text(rule: Overflow) -> str:
    if rule.mode == "refuse":
        return _("new reviews are refused above %(n)d waiting") % {"n": rule.waiting_max or 0}
    if rule.mode == "fallback" and rule.after_seconds:
        return _("the fallback answers after %(n)d s") % {"n": rule.after_seconds}
    if rule.mode == "fallback":
        return _("the fallback answers after the queue's deadline")
    return _("it waits")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{percent_text(share)}{THIN_SPACE}%"


def summary(body: Mapping[str, Any]) -> str:
    """A version in a line: its thresholds."""
    return f"{decimal_text(body['low'])} · {decimal_text(body['high'])}"

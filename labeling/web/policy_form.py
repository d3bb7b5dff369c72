"""The policy as a form: plain fields, and rows for what there may be many of (exceptions, limits by label, rules).

Shares are typed in percent, thresholds as confidences. What cannot be read goes on as text and is refused by name.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.errors import InvalidError
from labeling.routing.overflow import Overflow
from labeling.web.forms import PageForm, put_errors
from labeling.web.wording import in_language

SHARES = ("audit_rate", "alpha", "delta", "operator_cap", "sentinel_rate", "second_review_rate")
_ROW_POINTER = re.compile(r"/(overrides|fallback/rules)/(\d+)")
_AS_THEY_ARE = (
    "high",
    "low",
    "audits_per_day_max",
    "autonomy",
    "autonomy_min_interval",
    "detector_threshold",
    "strict",
    "blind_audit",
    "lease_seconds",
)
_PLACES = {f"/{name}": name for name in (*_AS_THEY_ARE, *SHARES, "assumed_false_accept", "note")} | {
    "/fallback/output": "fallback_output",
    "/fallback/else": "fallback_output",
    "/fallback": "fallback_mode",
    "/overflow/mode": "overflow_mode",
    "/overflow/waiting_max": "waiting_max",
    "/overflow/after_seconds": "after_seconds",
}


@dataclass(slots=True)
class ExceptionRow:
    """One override as it is typed."""

    label: str = ""
    segment: str = ""
    force: bool = False
    high: str = ""
    low: str = ""
    error: str = ""


@dataclass(slots=True)
class RuleRow:
    """One rule of the fallback as it is typed."""

    when: str
    output: str
    error: str = ""


@dataclass(slots=True)
class LimitRow:
    """A label's own limit, in percent."""

    label: str
    percent: str


class PolicyForm(PageForm):
    """The fields of a policy that stand once."""

    number = forms.IntegerField(widget=forms.HiddenInput)
    high = forms.FloatField(label=gettext_lazy("High"))
    low = forms.FloatField(label=gettext_lazy("Low"))
    audit_rate = forms.FloatField(label=gettext_lazy("Blind checks of automatic results, %"))
    audits_per_day_max = forms.IntegerField(
        label=gettext_lazy("At most this many blind checks a day"),
        help_text=gettext_lazy("holds with autonomy suggest or on"),
    )
    blind_audit = forms.BooleanField(
        required=False, label=gettext_lazy("Who checks does not see the prediction")
    )
    autonomy = forms.ChoiceField(
        label=gettext_lazy("Autonomy"),
        choices=[
            ("off", gettext_lazy("Off: high rules, the certificate is only shown")),
            ("suggest", gettext_lazy("Suggest: a person accepts each step")),
            ("on", gettext_lazy("On: the certified cut-off replaces high")),
        ],
        widget=forms.RadioSelect,
    )
    alpha = forms.FloatField(
        label=gettext_lazy("Wrong among automatic, limit, %"),
        help_text=gettext_lazy("the certificate is held against this"),
    )
    delta = forms.FloatField(
        label=gettext_lazy("Chance that a certificate is wrong, %"),
        help_text=gettext_lazy("5 % means: true at every look with 95 %"),
    )
    operator_cap = forms.FloatField(
        label=gettext_lazy("Automatic at most, %"),
        help_text=gettext_lazy("the rest stays with people, whatever is certified"),
    )
    autonomy_min_interval = forms.CharField(
        label=gettext_lazy("Time between two steps"),
        max_length=20,
        help_text=gettext_lazy("like 1d, 12h, 30m"),
    )
    detector_threshold = forms.IntegerField(
        label=gettext_lazy("Alarm threshold"),
        help_text=gettext_lazy("higher: fewer false alarms, later true ones"),
    )
    assumed_false_accept = forms.FloatField(
        required=False,
        label=gettext_lazy("Wrong results that reviewers let pass, assumed, %"),
        help_text=gettext_lazy("empty: measured with known answers"),
    )
    strict = forms.BooleanField(
        required=False, label=gettext_lazy("Strict: each band of confidence must hold the limit by itself")
    )
    sentinel_rate = forms.FloatField(label=gettext_lazy("Known answers among reviews, %"))
    second_review_rate = forms.FloatField(label=gettext_lazy("Reviews that a second person answers blind, %"))
    lease_seconds = forms.IntegerField(
        label=gettext_lazy("A claim lasts, seconds"),
        help_text=gettext_lazy("then the task goes back to the queue"),
    )
    fallback_mode = forms.ChoiceField(
        label=gettext_lazy("Below low"),
        choices=[
            ("manual", gettext_lazy("A person labels, without a suggestion")),
            ("constant", gettext_lazy("Always the same output")),
            ("rules", gettext_lazy("The first rule that holds")),
        ],
        widget=forms.RadioSelect,
    )
    fallback_output = forms.CharField(
        required=False,
        label=gettext_lazy("Output; with rules: when none holds"),
        help_text=gettext_lazy("a label, or a JSON object"),
    )
    overflow_mode = forms.ChoiceField(
        label=gettext_lazy("When too much waits"),
        choices=[
            ("keep", gettext_lazy("It waits, however long")),
            ("fallback", gettext_lazy("The fallback answers what has waited too long, the oldest first")),
            (
                "refuse",
                gettext_lazy("New predictions that need a person are refused; senders try again later"),
            ),
        ],
        widget=forms.RadioSelect,
    )
    after_seconds = forms.IntegerField(
        required=False,
        label=gettext_lazy("Too long is, seconds"),
        help_text=gettext_lazy("empty: the deadline of the queue"),
    )
    waiting_max = forms.IntegerField(
        required=False,
        label=gettext_lazy("At most this many may wait"),
        help_text=gettext_lazy("taken again once a tenth of it is free"),
    )
    note = forms.CharField(required=False, max_length=2_000, label=gettext_lazy("Why this change"))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for name in (*SHARES, "assumed_false_accept"):
            if data.get(name) is not None:
                data[name] = round(data[name] / 100, 10)
        return data


@dataclass(slots=True)
class Draft:
    """A policy as it stands in the form."""

    form: PolicyForm
    exceptions: Sequence[ExceptionRow]
    rules: Sequence[RuleRow]
    limits: Sequence[LimitRow]
    task_type: str
    limits_errors: list[str] = field(default_factory=list)

    @classmethod
    def of_body(cls, body: dict[str, Any], task_type: str, *, number: int, note: str = "") -> "Draft":
        """A stored policy, ready to be changed; `number` is the version that it would follow."""
        fallback = body["fallback"]
        output = fallback.get("output", fallback.get("else"))
        initial = {name: body[name] for name in _AS_THEY_ARE}
        initial |= {name: percent_text(body[name]) for name in (*SHARES, "assumed_false_accept")}
        initial |= {"high": decimal_text(body["high"]), "low": decimal_text(body["low"])}
        overflow = Overflow.of_body(body)
        initial |= {"waiting_max": overflow.waiting_max, "after_seconds": overflow.after_seconds}
        initial |= {
            "overflow_mode": overflow.mode,
            "fallback_mode": fallback["mode"],
            "fallback_output": output_text(output, task_type),
        }
        form = PolicyForm(initial=initial | {"number": number, "note": note})
        rules = [
            RuleRow(rule["when"], output_text(rule["output"], task_type))
            for rule in fallback.get("rules", [])
        ]
        limits = [LimitRow(label, percent_text(share)) for label, share in body["alpha_by_label"].items()]
        return cls(form, [_exception_of(part) for part in body["overrides"]], rules, limits, task_type)

    @classmethod
    def of_post(cls, post: QueryDict, task_type: str) -> "Draft":
        """What was typed. Rows without a value are left out."""
        exceptions = [
            ExceptionRow(label.strip(), segment.strip(), then == "force", high.strip(), low.strip())
            for label, segment, then, high, low in _columns(
                post, "exception", "label", "segment", "then", "high", "low"
            )
            if label.strip() or segment.strip()
        ]
        rules = [
            RuleRow(when.strip(), output.strip())
            for when, output in _columns(post, "rule", "when", "output")
            if when.strip()
        ]
        limits = [
            LimitRow(label.strip(), percent.strip())
            for label, percent in _columns(post, "limit", "label", "percent")
            if label.strip()
        ]
        return cls(PolicyForm(post), exceptions, rules, limits, task_type)

    def body(self) -> dict[str, Any] | None:
        """The policy, not yet checked; None with errors in the form when a field cannot be read."""
        if not self.form.is_valid():
            return None
        data = self.form.cleaned_data
        fallback = self._fallback(data["fallback_mode"], data["fallback_output"])
        if fallback is None:
            return None
        return {
            **{name: data[name] for name in (*_AS_THEY_ARE, *SHARES, "assumed_false_accept")},
            "overrides": [_override_of(row) for row in self.exceptions],
            "alpha_by_label": {row.label: _share(row.percent) for row in self.limits},
            "fallback": fallback,
            "overflow": _overflow_of(data),
        }

    def refuse(self, error: InvalidError) -> None:
        """Put the errors of a refused policy at the fields and rows they are about."""
        rest = []
        for part in error.errors:
            found = _ROW_POINTER.match(part.pointer)
            rows: Sequence[ExceptionRow | RuleRow] = ()
            if found:
                rows = self.exceptions if found[1] == "overrides" else self.rules
            if found and int(found[2]) < len(rows):
                rows[int(found[2])].error = in_language(part.detail)
            elif part.pointer.startswith("/alpha_by_label"):
                self.limits_errors.append(in_language(part.detail))
            else:
                rest.append(part)
        if rest or not error.errors:
            put_errors(self.form, InvalidError(error.code, error.detail, rest), _PLACES)

    @property
    def has_errors(self) -> bool:
        in_rows = any(row.error for row in self.exceptions) or any(row.error for row in self.rules)
        return bool(self.form.errors or self.limits_errors or in_rows)

    def _fallback(self, mode: str, text: str) -> dict[str, Any] | None:
        if mode == "manual":
            return {"mode": mode}
        output = output_of(text, self.task_type)
        if output is None:
            self.form.add_error("fallback_output", _("This is not a JSON object."))
            return None
        if mode == "constant":
            return {"mode": mode, "output": output}
        rules = []
        for row in self.rules:
            given = output_of(row.output, self.task_type)
            if given is None:
                row.error = _("The output is not a JSON object.")
                return None
            rules.append({"when": row.when, "output": given})
        return {"mode": mode, "rules": rules, "else": output}


def output_of(text: str, task_type: str) -> dict[str, Any] | None:
    """An output as it is typed: a label, labels with commas between them, a text, or JSON; None when it cannot be read."""
    text = text.strip()
    if not text.startswith("{"):
        if task_type == "classification":
            return {"label": text}
        if task_type == "multilabel":
            return {"labels": [label.strip() for label in text.split(",") if label.strip()]}
        if task_type == "text":
            return {"text": text}
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def output_text(output: dict[str, Any] | None, task_type: str) -> str:
    """The shortest way to type an output."""
    if output is None:
        return ""
    labels = {"classification": [output.get("label")], "multilabel": output.get("labels")}.get(task_type)
    for short in (", ".join(map(str, labels or [])), str(output.get("text", ""))):
        if short and output_of(short, task_type) == output:
            return short
    return json.dumps(output, ensure_ascii=False)


def percent_text(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.10g}"


def decimal_text(value: float | None) -> str:
    """A threshold with at least two digits."""
    if value is None:
        return ""
    return f"{value:.2f}" if round(value, 2) == value else f"{value:.12g}"


def _overflow_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The rule; what belongs to a mode that is not chosen is left out."""
    mode = data["overflow_mode"]
    names = {"refuse": ["waiting_max"], "fallback": ["after_seconds"]}.get(mode, [])
    return {"mode": mode, **{name: data[name] for name in names if data[name] is not None}}


def _exception_of(body: dict[str, Any]) -> ExceptionRow:
    return ExceptionRow(
        label=body.get("label", ""),
        segment=body.get("segment", ""),
        force=body.get("force_review", False),
        high=decimal_text(body.get("high")),
        low=decimal_text(body.get("low")),
    )


def _override_of(row: ExceptionRow) -> dict[str, Any]:
    body: dict[str, Any] = {
        name: text for name, text in (("label", row.label), ("segment", row.segment)) if text
    }
    if row.force:
        return {**body, "force_review": True}
    return {**body, **{name: _number(text) for name, text in (("high", row.high), ("low", row.low)) if text}}


def _columns(post: QueryDict, kind: str, *names: str) -> Iterable[tuple[str, ...]]:
    return zip(*(post.getlist(f"{kind}_{name}") for name in names), strict=False)


def _share(text: str) -> float | str:
    value = _number(text)
    return value if isinstance(value, str) else round(value / 100, 10)


def _number(text: str) -> float | str:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return text

"""The policy: what is in force, its versions, a form for the next one; and what it says about autonomy."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.errors import InvalidError
from labeling.projects.access import Permission
from labeling.projects.models import Project
from labeling.projects.queries import get_output_schema
from labeling.routing.models import PolicyPeriod, PolicyVersion
from labeling.routing.policy import DEFAULTS
from labeling.routing.queries import get_policy
from labeling.routing.services import publish_policy
from labeling.web.forms import PageForm, put_errors
from labeling.web.frame import ProjectFrame, project_frame
from labeling.web.page import page
from labeling.web.traffic import Traffic, find_traffic

TRAFFIC_DAYS = 28
SHOWN_VERSIONS = 50
_NUMBERS = ("high", "low", "audit_rate", "sentinel_rate", "lease_seconds")
_PLACES = {f"/{name}": name for name in (*_NUMBERS, "fallback", "overrides", "note")}


@dataclass(frozen=True, slots=True)
class ExceptionRow:
    """One override as its row in the form."""

    what: str
    value: str
    high: str
    low: str
    force: bool
    segment: str = ""


@dataclass(frozen=True, slots=True)
class PolicyPage:
    """The policy in force, the form, the versions before."""

    version: PolicyVersion
    versions: list[PolicyVersion]
    period: PolicyPeriod | None
    exceptions: list[ExceptionRow]
    labels: tuple[str, ...]
    others: list[tuple[str, str]]
    traffic: Traffic | None


@page("GET", "POST")
def detail(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the policy; a lead saves the next version."""
    posting = request.method == "POST"
    frame = project_frame(request, slug, Permission.LEAD if posting else Permission.SEE, tab="policy")
    version = get_policy(frame.project, frame.project.policy_number)
    form = PolicyForm(request.POST if posting else None, initial=initial_of(version.body))
    if posting and form.is_valid() and _publish(form, request.POST, frame, version):
        messages.success(
            request,
            _("Saved as v%(number)d. It rules from the next prediction on.") % {"number": version.number + 1},
        )
        return redirect("policy:detail", slug)
    rows = (
        read_exceptions(request.POST)
        if posting
        else [exception_of(body) for body in version.body["overrides"]]
    )
    context = {"frame": frame, "form": form, "policy": _context(frame.project, version, rows)}
    return render(request, "policy/detail.html", context, status=422 if form.errors else 200)


@page("GET")
def autonomy(request: HttpRequest, slug: str) -> HttpResponse:
    """What is automatic now, by the policy alone."""
    frame = project_frame(request, slug, Permission.READ_TRUST, tab="autonomy")
    version = get_policy(frame.project, frame.project.policy_number)
    context = {"frame": frame, "policy": _context(frame.project, version, [])}
    return render(request, "policy/autonomy.html", context)


class PolicyForm(PageForm):
    """The part of a policy that has inputs of its own; the rest is carried over from the version before."""

    number = forms.IntegerField(widget=forms.HiddenInput)
    high = forms.FloatField(label=gettext_lazy("High"))
    low = forms.FloatField(label=gettext_lazy("Low"))
    audit_rate = forms.FloatField(label=gettext_lazy("Blind checks of automatic results, %"))
    sentinel_rate = forms.FloatField(label=gettext_lazy("Known answers among reviews, %"))
    lease_seconds = forms.IntegerField(label=gettext_lazy("A claim lasts, seconds"))
    fallback_mode = forms.ChoiceField(
        label=gettext_lazy("Below low"),
        choices=[
            ("manual", gettext_lazy("A person labels, without a suggestion")),
            ("constant", gettext_lazy("Always the same output")),
            ("rules", gettext_lazy("The first rule that holds")),
        ],
        widget=forms.RadioSelect,
    )
    fallback = forms.CharField(required=False, strip=True, label=gettext_lazy("Output or rules, as JSON"))
    note = forms.CharField(required=False, max_length=2_000, label=gettext_lazy("Why this change"))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for name in ("audit_rate", "sentinel_rate"):
            if name in data:
                data[name] = round(data[name] / 100, 10)
        mode, text = data.get("fallback_mode"), data.get("fallback", "")
        if mode in ("constant", "rules"):
            try:
                data["fallback_body"] = {**json.loads(text), "mode": mode}
            except (ValueError, TypeError):
                self.add_error("fallback", _("This is not a JSON object."))
        else:
            data["fallback_body"] = {"mode": "manual"}
        return data


def initial_of(body: dict[str, Any]) -> dict[str, Any]:
    """What the form shows of a policy: rates in percent."""
    fallback = {name: value for name, value in body["fallback"].items() if name != "mode"}
    return {
        "high": _decimal(body["high"]),
        "low": _decimal(body["low"]),
        "audit_rate": _percent(body["audit_rate"]),
        "sentinel_rate": _percent(body["sentinel_rate"]),
        "lease_seconds": body["lease_seconds"],
        "fallback_mode": body["fallback"]["mode"],
        "fallback": json.dumps(fallback, ensure_ascii=False, indent=1) if fallback else "",
    }


def exception_of(body: dict[str, Any]) -> ExceptionRow:
    """A stored override as its row."""
    what = "label" if "label" in body else "segment"
    return ExceptionRow(
        what=what,
        value=body[what],
        segment=body["segment"] if what == "label" and "segment" in body else "",
        high=_text(body.get("high")),
        low=_text(body.get("low")),
        force=body.get("force_review", False),
    )


def read_exceptions(post: QueryDict) -> list[ExceptionRow]:
    """The rows of the form as they were typed; rows without a value are left out."""
    columns = [
        post.getlist(f"exception_{name}") for name in ("what", "value", "then", "high", "low", "segment")
    ]
    rows = []
    for what, value, then, high, low, segment in zip(*columns, strict=False):
        if value.strip():
            rows.append(
                ExceptionRow(what, value.strip(), high.strip(), low.strip(), then == "force", segment)
            )
    return rows


def override_of(row: ExceptionRow) -> dict[str, Any]:
    """A typed row as an override; numbers that are none go through as text and are refused by name."""
    body: dict[str, Any] = {row.what if row.what in ("label", "segment") else "label": row.value}
    if row.segment:
        body["segment"] = row.segment
    if row.force:
        return {**body, "force_review": True}
    return {**body, **{name: _number(text) for name, text in (("high", row.high), ("low", row.low)) if text}}


def _publish(form: PolicyForm, post: QueryDict, frame: ProjectFrame, version: PolicyVersion) -> bool:
    """Make the next version; False with errors in the form when it is refused."""
    data = form.cleaned_data
    if data["number"] != version.number:
        form.add_error(
            None,
            _("v%(number)d was saved meanwhile. Look at it, then save again.") % {"number": version.number},
        )
        return False
    body = {
        **version.body,
        **{name: data[name] for name in _NUMBERS},
        "fallback": data["fallback_body"],
        "overrides": [override_of(row) for row in read_exceptions(post)],
    }
    try:
        publish_policy(project=frame.project, body=body, by=frame.actor, note=data["note"])
    except InvalidError as error:
        put_errors(form, error, _PLACES)
        return False
    return True


def _context(project: Project, version: PolicyVersion, rows: Sequence[ExceptionRow]) -> PolicyPage:
    body = version.body
    in_form = {*_NUMBERS, "fallback", "overrides"}
    return PolicyPage(
        version=version,
        versions=list(
            project.policy_versions.select_related("created_by").order_by("-number")[:SHOWN_VERSIONS]
        ),
        period=PolicyPeriod.objects.filter(
            project=project, model_version=None, label_group="", ended_at=None
        ).first(),
        exceptions=list(rows),
        labels=get_output_schema(project).label_order,
        others=[(name, json.dumps(body[name])) for name in DEFAULTS if name not in in_form],
        traffic=find_traffic(project, days=TRAFFIC_DAYS, low=body["low"], high=body["high"]),
    )


def _percent(share: float) -> str:
    return f"{share * 100:.8g}"


def _decimal(value: float) -> str:
    return f"{value:.2f}" if round(value, 2) == value else f"{value:g}"


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text

"""The policy: what is in force, its versions, a form for the next one with what it would have done; and what it says about
autonomy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from labeling.errors import InvalidError
from labeling.pipeline.policies import publish_policy
from labeling.pipeline.simulation import DAYS, Simulation, simulate_policy
from labeling.projects.access import Permission
from labeling.projects.models import Project
from labeling.projects.queries import get_output_schema
from labeling.routing.models import PolicyPeriod, PolicyVersion
from labeling.routing.queries import get_policy
from labeling.trust.models import SliceKind, SliceValue
from labeling.trust.services import ensure_folded
from labeling.web.frame import ProjectFrame, project_frame
from labeling.web.low_words import LowWords, find_low_words
from labeling.web.page import is_fragment, page
from labeling.web.policy_form import Draft, decimal_text
from labeling.web.policy_words import (
    Difference,
    PreviewRow,
    differences,
    exceptions_of,
    facts_of,
    preview_rows,
    summary,
)
from labeling.web.traffic import Traffic, find_traffic

SHOWN_VERSIONS = 50


@dataclass(frozen=True, slots=True)
class VersionLine:
    """A version in the list, with what it changed."""

    version: PolicyVersion
    thresholds: str
    changes: Sequence[Difference]
    in_force: bool


@dataclass(frozen=True, slots=True)
class PolicyPage:
    """The policy in force, what it says, the versions before."""

    version: PolicyVersion
    period: PolicyPeriod | None
    traffic: Traffic | None
    facts: Sequence[tuple[str, str]] = ()
    exceptions: Sequence[str] = ()
    versions: Sequence[VersionLine] = ()
    labels: Sequence[str] = ()
    segments: Sequence[str] = ()
    proposed: LowWords | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a draft changes, and what it would have done."""

    changes: Sequence[Difference]
    simulation: Simulation | None = None
    rows: Sequence[PreviewRow] = ()
    earns: bool = False
    over_limit: bool = False
    alpha: float = 0.0


@page("GET", "POST")
def detail(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the policy; a lead saves the next version, from the one in force, from an older one (`?version=3`), or with another
    `low` in it (`?low=0.75`)."""
    posting = request.method == "POST"
    frame = project_frame(request, slug, Permission.LEAD if posting else Permission.SEE, tab="policy")
    version = get_policy(frame.project, frame.project.policy_number)
    if posting:
        draft = Draft.of_post(request.POST, frame.project.task_type)
        number = _publish(draft, frame, version)
        if number is not None:
            messages.success(
                request, _("Saved as v%(number)d. It rules from the next prediction on.") % {"number": number}
            )
            return redirect("policy:detail", slug)
    else:
        draft = _first_draft(request, frame, version)
    proposed = None
    if frame.may_lead and not posting:
        ensure_folded(frame.project.pk)
        proposed = find_low_words(frame.project)
    context = _editor(frame, version, draft, proposed=proposed)
    return render(request, "policy/detail.html", context, status=422 if draft.has_errors else 200)


@page("POST")
def preview(request: HttpRequest, slug: str) -> HttpResponse:
    """What the draft in the form would have done: a fragment while somebody types, the whole page without scripts."""
    frame = project_frame(request, slug, Permission.LEAD, tab="policy")
    version = get_policy(frame.project, frame.project.policy_number)
    draft = Draft.of_post(request.POST, frame.project.task_type)
    found = None
    if (body := draft.body()) is not None:
        try:
            found = _preview(frame.project, version.body, body)
        except InvalidError as error:
            draft.refuse(error)
    context = _editor(frame, version, draft, preview=found)
    if is_fragment(request):  # a draft that is half typed is nothing that was refused
        return render(request, "policy/detail.html#live", context)
    return render(request, "policy/detail.html", context, status=422 if draft.has_errors else 200)


def _first_draft(request: HttpRequest, frame: ProjectFrame, version: PolicyVersion) -> Draft:
    """The policy in force, or an older one to go back to; its number that does not exist is not found. With another `low` where
    a proposal was followed: nothing is saved by that."""
    wanted, note = request.GET.get("version", ""), ""
    start = version
    if wanted.isdecimal() and len(wanted) < 9 and int(wanted) != version.number:
        start = get_policy(frame.project, int(wanted))
        note = _("Back to v%(number)d") % {"number": start.number}
    body = start.body
    low = _threshold(request.GET.get("low", ""))
    if low is not None and low != body["low"]:
        said = {"before": decimal_text(body["low"]), "after": decimal_text(low)}
        body, note = {**body, "low": low}, _("Low from %(before)s to %(after)s") % said
    return Draft.of_body(body, frame.project.task_type, number=version.number, note=note)


def _threshold(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0.0 <= value <= 1.0 else None


def _publish(draft: Draft, frame: ProjectFrame, version: PolicyVersion) -> int | None:
    """Make the next version; None with errors in the draft when it is refused."""
    body = draft.body()
    if body is None:
        return None
    data = draft.form.cleaned_data
    if data["number"] != version.number:
        draft.form.add_error(
            None,
            _("v%(number)d was saved meanwhile. Look at it, then save again.") % {"number": version.number},
        )
        return None
    try:
        saved = publish_policy(project=frame.project, body=body, by=frame.actor, note=data["note"])
    except InvalidError as error:
        draft.refuse(error)
        return None
    return saved.number


def _preview(project: Project, before: Mapping[str, Any], body: dict[str, Any]) -> Preview:
    found = simulate_policy(project=project, body=body)
    high, alpha = found.would_be.error.high, float(body["alpha"])
    return Preview(
        changes=differences(before, body, project.task_type),
        simulation=found,
        rows=preview_rows(found) if found.replayed else [],
        earns=body["autonomy"] != "off",
        over_limit=high is not None and found.would_be.error.value is not None and high > alpha,
        alpha=alpha,
    )


def _editor(
    frame: ProjectFrame,
    version: PolicyVersion,
    draft: Draft,
    *,
    preview: Preview | None = None,
    proposed: LowWords | None = None,
) -> dict[str, Any]:
    """The context of the page and of its live part. A form that is not sent yet shows the thresholds it begins with."""
    form, project = draft.form, frame.project
    drawn = dict(version.body)
    for name in ("high", "low"):
        try:
            drawn[name] = min(1.0, max(0.0, float(form[name].value())))
        except (TypeError, ValueError):
            continue
    return {
        "frame": frame,
        "form": form,
        "draft": draft,
        "preview": preview,
        "days": DAYS,
        "policy": PolicyPage(
            version=version,
            period=_period(project),
            traffic=_traffic(project, drawn, version.body),
            facts=facts_of(version.body, project.task_type),
            exceptions=exceptions_of(version.body),
            versions=_versions(project, version),
            labels=get_output_schema(project).label_order,
            segments=_segments(project),
            proposed=proposed,
        ),
    }


def _versions(project: Project, current: PolicyVersion) -> list[VersionLine]:
    """The newest versions, each with what it changed."""
    versions = list(
        project.policy_versions.select_related("created_by").order_by("-number")[: SHOWN_VERSIONS + 1]
    )
    changes = [differences(old.body, new.body, project.task_type) for new, old in pairwise(versions)]
    return [
        VersionLine(version, summary(version.body), changed, version.number == current.number)
        for version, changed in zip(versions[:SHOWN_VERSIONS], [*changes, []], strict=False)
    ]


def _segments(project: Project) -> list[str]:
    values = SliceValue.objects.filter(project_id=project.pk, kind=SliceKind.SEGMENT)
    return sorted(set(values.values_list("value", flat=True)))


def _period(project: Project) -> PolicyPeriod | None:
    return PolicyPeriod.objects.filter(
        project=project, model_version=None, label_group="", ended_at=None
    ).first()


def _traffic(project: Project, drawn: Mapping[str, Any], now: Mapping[str, Any]) -> Traffic | None:
    return find_traffic(
        project, days=DAYS, low=drawn["low"], high=drawn["high"], was=(now["low"], now["high"])
    )

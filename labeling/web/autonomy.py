"""Autonomy: the certificate, what it does not cover, the ladder, what happened, and how to take it back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from labeling.errors import LabelingError
from labeling.pipeline.recalling import count_recallable, stop_and_recall
from labeling.projects.access import Permission
from labeling.routing.models import PolicyVersion, Stop
from labeling.routing.queries import get_policy
from labeling.templatetags.interface import figure, percent, thin
from labeling.trust.certificates import Certificate, Rung, main_certificate, read_certificates
from labeling.trust.looking import look_at_project
from labeling.trust.models import AutonomyEvent
from labeling.trust.prospects import Needs
from labeling.trust.readers import tests_shown_before
from labeling.trust.services import ensure_folded
from labeling.trust.steering import accept_level, find_version, lower_level, resume_automatic
from labeling.web.frame import ProjectFrame, project_frame
from labeling.web.low_words import LowWords, find_low_words
from labeling.web.page import page
from labeling.web.trust_words import at_most
from labeling.web.wording import in_language

SHOWN_EVENTS = 60
_RECALLS = (1, 6, 24, 72)


@dataclass(frozen=True, slots=True)
class Scale:
    """Estimate, proven bound and limit on one axis; places in percent of its width."""

    end: float
    estimate: float | None
    upper: float
    limit: float

    @property
    def label(self) -> str:
        return _("Proven at most %(upper)s, limit %(limit)s") % {
            "upper": at_most(self.upper),
            "limit": percent(self.limit, 1),
        }

    def place(self, value: float) -> float:
        return min(100.0, 100.0 * value / self.end)

    @property
    def upper_at(self) -> float:
        return self.place(self.upper)

    @property
    def limit_at(self) -> float:
        return self.place(self.limit)

    @property
    def estimate_at(self) -> float:
        return self.place(self.estimate or 0.0)

    @property
    def estimate_is_below(self) -> bool:
        """Whether its label fits beside that of the bound, out of the way of the limit's."""
        return self.upper_at - self.estimate_at > 45.0


@dataclass(frozen=True, slots=True)
class Step:
    """A rung of the ladder as the page shows it."""

    rung: Rung
    look: str
    text: str

    @property
    def done(self) -> float:
        return 100.0 * self.rung.evidence


@dataclass(frozen=True, slots=True)
class SignalWords:
    """What a soft signal said the last time, in one clause."""

    name: str
    text: str
    warn: bool


@dataclass(frozen=True, slots=True)
class RecallChoice:
    """Put back what was applied in the last hours; how much that would be."""

    hours: int
    count: int


@dataclass(frozen=True, slots=True)
class AutonomyPage:
    """What the page shows of one scope, and of the project."""

    version: PolicyVersion
    certificates: Sequence[Certificate]
    chosen: Certificate | None
    scale: Scale | None
    steps: Sequence[Step]
    events: Sequence[AutonomyEvent]
    stops: Sequence[Stop]
    recalls: Sequence[RecallChoice]
    next_words: str
    signals: Sequence[SignalWords]
    lower_choices: Sequence[Rung]
    proposed: LowWords | None = None

    @property
    def mode(self) -> str:
        return str(self.version.body["autonomy"])

    @property
    def claim(self) -> str:
        return at_most(self.chosen.upper) if self.chosen and self.chosen.upper is not None else ""


@page("GET")
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    """The page. `scope` chooses a model version or label group."""
    frame = project_frame(request, slug, Permission.READ_TRUST, tab="autonomy")
    ensure_folded(frame.project.pk)
    before = tests_shown_before(frame.actor, frame.project, timezone.now())
    certificates = read_certificates(frame.project, tests_before=before)
    wanted = request.GET.get("scope", "")
    chosen = next((c for c in certificates if str(c.scope.pk) == wanted), None)
    chosen = chosen or main_certificate(certificates)
    context = AutonomyPage(
        version=get_policy(frame.project, frame.project.policy_number),
        certificates=certificates,
        chosen=chosen,
        scale=_scale(chosen),
        steps=_steps(chosen),
        events=list(
            AutonomyEvent.objects.filter(project=frame.project)
            .select_related("model_version", "by")
            .order_by("-pk")[:SHOWN_EVENTS]
        ),
        stops=list(
            Stop.objects.filter(project=frame.project, ended_at=None).select_related("by", "model_version")
        ),
        recalls=_recalls(frame) if frame.may_lead else [],
        next_words=next_words(chosen) if chosen else "",
        signals=signal_words(chosen) if chosen else [],
        lower_choices=_lower_choices(chosen),
        proposed=find_low_words(frame.project) if frame.may_lead else None,
    )
    return render(request, "autonomy/overview.html", {"frame": frame, "autonomy": context})


@page("POST")
def stop(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The kill switch, with or without recall."""

    def act(frame: ProjectFrame) -> str:
        hours = request.POST.get("recall", "")
        since = _since(hours)
        _stopped, recall = stop_and_recall(
            frame.project,
            reason=request.POST.get("reason", ""),
            by=frame.actor,
            version=find_version(frame.project, request.POST.get("model_version")),
            recall_since=since,
        )
        if recall is None:
            return _("Automatic results are stopped. Everything goes to people from the next prediction on.")
        return _("Automatic results are stopped, and %(count)s were put back into review.") % {
            "count": thin(recall.recalled)
        }

    return _steer(request, slug, act)


@page("POST")
def resume(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Take back stops and what was lowered by hand."""

    def act(frame: ProjectFrame) -> str:
        resume_automatic(frame.project, by=frame.actor, reason=request.POST.get("reason", ""))
        look_at_project(frame.project.pk)
        return _("Resumed. What is automatic follows from policy and evidence again.")

    return _steer(request, slug, act)


@page("POST")
def lower(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Limit autonomy to a level."""

    def act(frame: ProjectFrame) -> str:
        level = _level(request)
        lower_level(
            frame.project,
            level=level,
            reason=request.POST.get("reason", ""),
            by=frame.actor,
            version=find_version(frame.project, request.POST.get("model_version")),
        )
        return _("Lowered to level %(level)s. It stays there until somebody resumes.") % {"level": level}

    return _steer(request, slug, act)


@page("POST")
def accept(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Accept what the evidence allows (mode "suggest")."""

    def act(frame: ProjectFrame) -> str:
        level = _level(request)
        accept_level(
            frame.project,
            level=level,
            by=frame.actor,
            version=find_version(frame.project, request.POST.get("model_version")),
        )
        return _("Level %(level)s is in force from the next prediction on.") % {"level": level}

    return _steer(request, slug, act)


def next_words(certificate: Certificate) -> str:
    """What the next step needs, in one sentence."""
    step = certificate.step
    values = {
        "count": thin(step.count or 0),
        "share": percent(step.share or 0.0),
        "at": formats.date_format(timezone.localtime(step.at), "j M H:i") if step.at else "",
    }
    text = {
        Needs.COOL_DOWN: _("%(count)s more predictions cool down; labels do not count until then."),
        Needs.CONFIDENCES: _("%(count)s more predictions, to see how confident this model is. They fix the levels."),
        Needs.SENTINELS: _("Test items: nobody knows yet how often people here let wrong answers pass. Raise their share in the policy, or wait."),
        Needs.LABELS: _("About %(count)s more labels until %(share)s of the traffic can be automatic, at the error rate seen so far."),
        Needs.FEWER_ERRORS: _("A better model: at %(share)s of the traffic its own errors are over the limit. More labels do not change that."),
        Needs.TIME: _("Time: %(share)s of the traffic is certified, and follows on %(at)s."),
        Needs.OPEN_AUDITS: _("Answers: more than 5 %% of the blind checks are open. Until they are done nothing widens."),
        Needs.CONSENT: _("A person: %(share)s of the traffic is certified and waits to be accepted."),
        Needs.RESUME: _("Somebody to resume: a person has limited it."),
        Needs.CAP: _("Nothing: this is as much as the policy's cap allows."),
        Needs.SWITCH_ON: _("Autonomy to be switched on in the policy: the evidence is there."),
        Needs.NOTHING: _("Nothing: everything is automatic."),
    }[step.needs]  # fmt: skip
    told = text % values
    if step.answers is None:
        return told
    more = {
        Needs.LABELS: _("That is some %(answers)s answers in all: people see everything, and only those about that share count."),
    }.get(step.needs, _("The first step then takes some %(answers)s answers at a limit of %(limit)s, if not one finds an error."))  # fmt: skip
    limit = certificate.settings.alpha
    digits = 1 if limit * 100 % 1 else 0
    return f"{told} {more % {'answers': thin(step.answers), 'limit': percent(limit, digits)}}"


def signal_words(certificate: Certificate) -> list[SignalWords]:
    """Effect sizes of the signals that have been compared so far, and whether they were more than chance."""
    clauses = {
        "confidences": _("confidences are %(effect)s apart (0 the same, 1 everything), by %(count)s predictions"),
        "labels": _("predicted labels %(effect)s, by %(count)s predictions"),
        "calibration": _("the share right has moved by %(effect)s for the same confidence, by %(count)s labels"),
    }  # fmt: skip
    found = []
    for name, said in (certificate.signals or {}).items():
        effect = percent(said["effect"], 1) if name == "calibration" else figure(said["effect"])
        text = clauses[name] % {"effect": effect, "count": thin(said["n"])}
        if said["warn"]:
            text = _("%(clause)s – more than chance") % {"clause": text}
        found.append(SignalWords(name, text, said["warn"]))
    return found


def _steer(request: HttpRequest, slug: str, act: Callable[[ProjectFrame], str]) -> HttpResponseBase:
    frame = project_frame(request, slug, Permission.LEAD, tab="autonomy")
    try:
        messages.success(request, act(frame))
    except LabelingError as error:
        messages.error(request, in_language(error.detail))
    return redirect("autonomy:overview", slug)


def _scale(certificate: Certificate | None) -> Scale | None:
    if certificate is None or certificate.upper is None:
        return None
    limit, upper = certificate.settings.alpha, certificate.upper
    end = max(1.5 * limit, min(1.0, 1.15 * upper))
    return Scale(end, certificate.estimate, upper, limit)


def _steps(certificate: Certificate | None) -> list[Step]:
    """The ladder from the top; the next step says what it needs."""
    if certificate is None:
        return []
    state, found = certificate.state, []
    for rung in certificate.rungs:
        look, text = "", ""
        if rung.level == state.level:
            look, text = "is-now", _("now")
        elif rung.level <= state.certified and rung.certified_at:
            text = _("certified %(day)s") % {"day": _day(rung.certified_at)}
        elif not rung.is_offered:
            look, text = "is-out", _("not offered: above the cap")
        elif rung.level == certificate.step.level:
            look, text = "is-next", _short_need(certificate)
        elif rung.level > state.certified:
            text = _("open")
        found.append(Step(rung, look, text))
    return found[::-1]


def _short_need(certificate: Certificate) -> str:
    step = certificate.step
    if step.needs == Needs.LABELS:
        return _("about %(count)s more labels") % {"count": thin(step.count or 0)}
    if step.needs == Needs.FEWER_ERRORS:
        return _("too many errors of its own")
    return _("next")


def _lower_choices(certificate: Certificate | None) -> list[Rung]:
    if certificate is None:
        return []
    return [rung for rung in certificate.rungs if rung.level < certificate.state.level][::-1]


def _recalls(frame: ProjectFrame) -> list[RecallChoice]:
    now = timezone.now()
    return [
        RecallChoice(hours, count_recallable(frame.project.pk, now - timedelta(hours=hours)))
        for hours in _RECALLS
    ]


def _since(hours: str) -> datetime | None:
    return timezone.now() - timedelta(hours=int(hours)) if hours.isdecimal() and len(hours) < 5 else None


def _level(request: HttpRequest) -> int:
    text = request.POST.get("level", "")
    return int(text) if text.isdecimal() and len(text) < 4 else 1_000


def _day(when: datetime) -> str:
    return formats.date_format(timezone.localtime(when), "j M")


urlpatterns: list[Any] = [
    path("", overview, name="overview"),
    path("stop/", stop, name="stop"),
    path("resume/", resume, name="resume"),
    path("lower/", lower, name="lower"),
    path("accept/", accept, name="accept"),
]

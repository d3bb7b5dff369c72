"""Rates over time, with ranges and populations (contract section 7)."""

from dataclasses import asdict
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.api.authentication import actor_of
from labeling.api.v1.autonomy import autonomy_body
from labeling.errors import say
from labeling.projects.access import Permission, get_project
from labeling.projects.models import Scope
from labeling.trust.agreements import Agreements
from labeling.trust.asking import BY, read_query
from labeling.trust.missed_labels import LabelMisses
from labeling.trust.prospects import Needs
from labeling.trust.queries import Point, TrustReport, get_trust_report
from labeling.trust.readers import agreements_for, narrow, tests_shown_before
from labeling.trust.scope import Mode
from labeling.trust.services import ensure_folded
from labeling.trust.timegrid import EVERY


class RateOut(serializers.Serializer[Any]):
    value = serializers.FloatField(allow_null=True, help_text="null when nobody can say; `note` tells why")
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField(help_text="Below the line: how many count")
    count = serializers.IntegerField(help_text="Above the line")
    population = serializers.CharField(help_text="Who counts")
    method = serializers.ChoiceField(
        ["confidence_sequence", "clopper_pearson", "horvitz_thompson", "weighted_e_process", "none"],
        help_text="How low and high were found: 95 %, confidence sequences and weighted bounds at every look",
    )
    note = serializers.CharField(required=False)


class PointOut(serializers.Serializer[Any]):
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    key = serializers.CharField(
        required=False, allow_null=True, help_text="With `by`: whose rates; null: see key_kind"
    )
    key_kind = serializers.ChoiceField(["value", "none", "other"], required=False)
    rates = serializers.DictField(child=RateOut())


class NextStepOut(serializers.Serializer[Any]):
    needs = serializers.ChoiceField([need.value for need in Needs])
    level = serializers.IntegerField(allow_null=True)
    share = serializers.FloatField(allow_null=True)
    count = serializers.IntegerField(allow_null=True)
    at = serializers.DateTimeField(allow_null=True)
    answers = serializers.IntegerField(
        allow_null=True, help_text="About how many people give until then, while they see everything"
    )


class LevelOut(serializers.Serializer[Any]):
    level = serializers.IntegerField()
    share = serializers.FloatField()
    cut_off = serializers.FloatField()
    evidence = serializers.FloatField(
        help_text="1: certified; else the share of the way, on the scale of log E"
    )
    certified_at = serializers.DateTimeField(allow_null=True)


class SignalOut(serializers.Serializer[Any]):
    n = serializers.IntegerField(
        help_text="Predictions (for calibration: labels) since the comparison before"
    )
    p = serializers.FloatField()
    effect = serializers.FloatField(
        help_text="Jensen-Shannon distance, 0 to 1; for calibration the change in share right"
    )
    warn = serializers.BooleanField(help_text="More than chance: blind checks are raised for three days")
    psi_excess = serializers.FloatField(required=False)


class ScopeOut(serializers.Serializer[Any]):
    model_version = serializers.CharField()
    label_group = serializers.CharField()
    mode = serializers.ChoiceField([mode.value for mode in Mode])
    level = serializers.IntegerField()
    share = serializers.FloatField()
    certified_level = serializers.IntegerField()
    certified_share = serializers.FloatField()
    proposed_level = serializers.IntegerField(allow_null=True)
    reachable_share = serializers.FloatField()
    cut_off = serializers.FloatField(allow_null=True)
    auto_error_upper = serializers.FloatField(allow_null=True)
    auto_error_estimate = serializers.FloatField(allow_null=True)
    audited = serializers.IntegerField()
    audited_wrong = serializers.IntegerField()
    alpha = serializers.FloatField()
    alpha_effective = serializers.FloatField()
    delta = serializers.FloatField()
    false_accept_upper = serializers.FloatField()
    sentinels = serializers.IntegerField()
    sentinels_missed = serializers.IntegerField()
    epoch = serializers.IntegerField()
    audit_rate = serializers.FloatField()
    open_audits = serializers.FloatField(allow_null=True, help_text="Only with the scope manage")
    warned = serializers.BooleanField()
    stopped = serializers.BooleanField()
    limit = serializers.IntegerField(allow_null=True)
    cool_down_left = serializers.IntegerField()
    forced_segments = serializers.ListField(child=serializers.CharField(allow_null=True))
    drift = serializers.DictField(
        child=SignalOut(),
        allow_null=True,
        help_text="Confidences, predicted labels and calibration against the first of the epoch, when last compared",
    )
    next_step_needs = serializers.IntegerField(allow_null=True)
    next_step = NextStepOut()
    levels = LevelOut(many=True)


class ProposedLowOut(serializers.Serializer[Any]):
    direction = serializers.ChoiceField(["raise", "lower"])
    low = serializers.FloatField(help_text="As the policy has it")
    proposed = serializers.FloatField(help_text="An edge of the counts by confidence; never above `high`")
    rate = RateOut(
        help_text="Of the band that would change its route: suggestions left unchanged, or right ones among those that people "
        "labelled without seeing them"
    )
    share = serializers.FloatField(
        help_text="Of the predictions of the last 28 days that would have changed their route"
    )
    per_day = serializers.FloatField()
    model_version = serializers.CharField(help_text="Whose suggestions the evidence is about")


class AutonomyOut(serializers.Serializer[Any]):
    level = serializers.IntegerField(allow_null=True)
    share = serializers.FloatField(allow_null=True)
    certified_share = serializers.FloatField(allow_null=True)
    reachable_share = serializers.FloatField(allow_null=True)
    auto_error_upper = serializers.FloatField(allow_null=True)
    alpha = serializers.FloatField(allow_null=True)
    epoch = serializers.IntegerField(allow_null=True)
    audit_rate = serializers.FloatField(allow_null=True)
    warned = serializers.BooleanField()
    next_step_needs = serializers.IntegerField(
        allow_null=True, help_text="About how many more labels (predictions, test items); see next_step"
    )
    scopes = ScopeOut(many=True, help_text="Every model version and label group, the busiest first")
    stopped = serializers.BooleanField()
    proposed_low = ProposedLowOut(
        allow_null=True,
        help_text="Another `low` that saves people work, for a person to decide; null where the evidence speaks for none. Of the whole "
        "project and since `low` was last changed, whatever was asked",
    )


class WindowOut(serializers.Serializer[Any]):
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    time_zone = serializers.CharField()
    every = serializers.ChoiceField(list(EVERY))
    by = serializers.ChoiceField(list(BY), allow_null=True)


class ReliabilityGroupOut(serializers.Serializer[Any]):
    confidence = serializers.FloatField(help_text="Mean of the labelled items")
    n = serializers.IntegerField()
    right = serializers.IntegerField()
    low = serializers.FloatField(help_text="Share right: 95 %, for this group alone")
    high = serializers.FloatField()


class ReliabilityOut(serializers.Serializer[Any]):
    groups = ReliabilityGroupOut(many=True)
    n = serializers.IntegerField(
        help_text="Labelled items: reviews, blind checks, labels without a suggestion"
    )
    off_by = serializers.FloatField(
        allow_null=True,
        help_text="Root mean square distance of confidence and share right, without noise; signed",
    )


class MissOut(serializers.Serializer[Any]):
    label = serializers.CharField()  # type: ignore[assignment]
    rate = RateOut(
        help_text="Of all predictions with this true label: applied automatically as another one. `n` cases were seen, `count` of "
        "them missed; each one seen in a blind check stands for several"
    )
    cases = serializers.FloatField(help_text="Estimate of all cases")
    checked = serializers.IntegerField(help_text="Blind checks that could have seen one")
    automatic = serializers.IntegerField(help_text="Automatic results they were drawn from")


class AgreementOut(serializers.Serializer[Any]):
    items = serializers.IntegerField(help_text="Items that both answered, the second one blind")
    agreed = serializers.IntegerField()


class QueueAgreementOut(AgreementOut):
    queue = serializers.CharField()
    krippendorff_alpha = serializers.FloatField(
        allow_null=True, help_text="null where only one answer was ever given; below 0.67 conclude nothing"
    )


class PairAgreementOut(AgreementOut):
    reviewers = serializers.ListField(child=serializers.CharField())
    cohen_kappa = serializers.FloatField(allow_null=True)


class PersonAgreementOut(AgreementOut):
    reviewer = serializers.CharField()
    cohen_kappa = serializers.FloatField(allow_null=True, help_text="With all others together")


class AgreementsOut(serializers.Serializer[Any]):
    queues = QueueAgreementOut(many=True, help_text="For leads")
    pairs = PairAgreementOut(many=True, help_text="For leads; with at least 50 items in common")
    reviewers = PersonAgreementOut(
        many=True,
        help_text="With at least 50 items; leads see all, everybody else their own, up to yesterday",
    )


class TrustOut(serializers.Serializer[Any]):
    series = PointOut(
        many=True, help_text="Stretches of time in which something was counted; others are left out"
    )
    totals = PointOut(many=True, help_text="With `by`: the whole window by key")
    now = serializers.DictField(child=RateOut())
    autonomy = AutonomyOut()
    reliability = ReliabilityOut(
        allow_null=True, help_text="null where counts by confidence are not kept: by segment, label or person"
    )
    miss_rates = MissOut(
        many=True,
        help_text="Rare labels (those without a limit of their own where others have one), the rarest first; `now.miss_rate` is all "
        "of them together",
    )
    agreement = AgreementsOut(
        allow_null=True,
        help_text="Beyond chance, of the last 90 days, where it was asked about people; null where nobody answered twice",
    )
    window = WindowOut()
    is_current = serializers.BooleanField(
        help_text="false: decisions of the last seconds are not counted yet"
    )


def _parameter(name: str, description: str, enum: tuple[str, ...] | None = None) -> OpenApiParameter:
    return OpenApiParameter(name, str, description=description, enum=enum)


_PARAMETERS = [
    _parameter("from", "A date (that whole day, in the project's time zone) or an RFC 3339 time"),
    _parameter("to", "A date (that whole day) or an RFC 3339 time (excluded)"),
    _parameter(
        "every", "Length of a point; by segment, label, band and reviewer counts are kept by day", EVERY
    ),
    _parameter("by", "One series for each key", BY),
    _parameter("model_version", "Only this model version, spelled as a key of `by=model_version`"),
    _parameter("segment", "Only this segment"),
    _parameter("label", "Only this predicted label"),
    _parameter(
        "reviewer", "Only this person's decisions: leads anybody's, everybody else their own up to yesterday"
    ),
]


_NOT_TOLD = say("told with the scope manage only: it moves when a result is drawn for a check")


class TrustView(APIView):
    @extend_schema(parameters=_PARAMETERS, responses=TrustOut, operation_id="get_trust")
    def get(self, request: Request, slug: str) -> Response:
        actor = actor_of(request)
        project = get_project(actor, slug, Permission.READ_TRUST)
        query = narrow(read_query(request.query_params), actor=actor, project=project, now=timezone.now())
        is_current = ensure_folded(project.pk)
        before = tests_shown_before(actor, project, timezone.now())
        report = get_trust_report(project, query, tests_before=before)
        autonomy = autonomy_body(project, report.autonomy, report.certificates)
        agreements = None
        if query.about_people:
            agreements = agreements_for(actor, project, query.reviewer, now=timezone.now())
        zone = ZoneInfo(project.time_zone)
        body = _as_json(report, autonomy, agreements, zone, is_current=is_current)
        return Response(body if actor.may(Scope.MANAGE) else _without_draws(body))


def _as_json(
    report: TrustReport,
    autonomy: dict[str, Any],
    agreements: Agreements | None,
    zone: ZoneInfo,
    *,
    is_current: bool,
) -> dict[str, Any]:
    return {
        "series": [_point(point, zone) for point in report.series],
        "totals": [_point(point, zone) for point in report.totals],
        "now": {name: rate.as_json() for name, rate in report.now.items()},
        "autonomy": autonomy,
        "reliability": report.reliability and asdict(report.reliability),
        "miss_rates": [_miss(one) for one in report.misses],
        "agreement": None if agreements is None else _agreement(agreements, report.query.reviewer),
        "window": {
            "start": _iso(report.window.start, zone),
            "end": _iso(report.window.end, zone),
            "time_zone": zone.key,
            "every": report.query.every,
            "by": report.query.by,
        },
        "is_current": is_current,
    }


def _without_draws(body: dict[str, Any]) -> dict[str, Any]:
    """Without what moves when a result is drawn for a check: a model service could tell which by asking before and after."""
    for rates in (body["now"], *(point["rates"] for point in (*body["series"], *body["totals"]))):
        if "human_touch_rate" in rates:
            rates["human_touch_rate"] |= {"value": None, "low": None, "high": None, "n": 0, "count": 0}
            rates["human_touch_rate"] |= {"method": "none", "note": str(_NOT_TOLD)}
    for scope in body["autonomy"]["scopes"]:
        scope["open_audits"] = None
    return body


def _miss(one: LabelMisses) -> dict[str, Any]:
    figures = {"cases": one.cases, "checked": one.checked, "automatic": one.automatic}
    return {"label": one.label, "rate": one.rate.as_json(), **figures}


def _agreement(found: Agreements, reviewer: str | None) -> dict[str, Any]:
    """Of one person, what they have a part in."""
    return {
        "queues": [
            {"queue": one.queue, "items": one.items, "agreed": one.agreed, "krippendorff_alpha": one.alpha}
            for one in found.queues
        ],
        "pairs": [
            {
                "reviewers": list(one.people),
                "items": one.items,
                "agreed": one.agreed,
                "cohen_kappa": one.kappa,
            }
            for one in found.pairs
            if reviewer is None or reviewer in one.people
        ],
        "reviewers": [
            {"reviewer": one.person, "items": one.items, "agreed": one.agreed, "cohen_kappa": one.kappa}
            for one in found.people
            if reviewer in (None, one.person)
        ],
    }


def _point(point: Point, zone: ZoneInfo) -> dict[str, Any]:
    key = {"key": point.key, "key_kind": point.key_kind} if point.key_kind else {}
    rates = {name: rate.as_json() for name, rate in point.rates.items()}
    return {"start": _iso(point.start, zone), "end": _iso(point.end, zone), **key, "rates": rates}


def _iso(moment: datetime, zone: ZoneInfo) -> str:
    """With the project's offset, so that the day can be read off; Z for UTC."""
    return moment.astimezone(zone).isoformat().replace("+00:00", "Z")


urlpatterns = [path("projects/<str:slug>/trust/", TrustView.as_view())]

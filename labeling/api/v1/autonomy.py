"""The kill switch and what else people may do about autonomy (contract section 7)."""

from collections.abc import Sequence
from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.api.authentication import actor_of
from labeling.api.pages import PAGE_PARAMETERS, page_of, page_schema
from labeling.api.v1.fields import JsonField, PlainText
from labeling.api.v1.inputs import checked
from labeling.pipeline.recalling import stop_and_recall
from labeling.projects.access import Permission, get_project
from labeling.projects.models import Project
from labeling.routing.models import Stop
from labeling.trust.certificates import Certificate, main_certificate, read_certificates
from labeling.trust.looking import look_at_project
from labeling.trust.low import read_proposed_low
from labeling.trust.models import AutonomyEvent
from labeling.trust.queries import Autonomy
from labeling.trust.steering import accept_level, find_version, lower_level, resume_automatic


class StopIn(serializers.Serializer[Any]):
    reason = PlainText(max_length=2_000)
    model_version = PlainText(required=False, allow_null=True, max_length=401)
    recall_since = serializers.DateTimeField(
        required=False,
        allow_null=True,
        help_text="Put back into review what was applied automatically since then",
    )


class ResumeIn(serializers.Serializer[Any]):
    reason = PlainText(required=False, allow_blank=True, max_length=2_000)
    model_version = PlainText(required=False, allow_null=True, max_length=401)


class LowerIn(serializers.Serializer[Any]):
    level = serializers.IntegerField(min_value=0, max_value=1_000)
    reason = PlainText(max_length=2_000)
    model_version = PlainText(required=False, allow_null=True, max_length=401)


class AcceptLevelIn(ResumeIn):
    level = serializers.IntegerField(min_value=0, max_value=1_000)


class SteeredOut(serializers.Serializer[Any]):
    stopped = serializers.BooleanField()
    level = serializers.IntegerField()
    recalled = serializers.IntegerField(required=False, help_text="So far; the rest follows by itself")
    recall_done = serializers.BooleanField(required=False)


class AutonomyEventOut(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    reason = serializers.CharField()
    model_version = serializers.SerializerMethodField()
    label_group = serializers.CharField()
    epoch = serializers.IntegerField()
    level = serializers.IntegerField()
    policy_period = serializers.IntegerField(source="period_id", allow_null=True)
    by = serializers.CharField(source="by.username", allow_null=True, default=None)
    numbers = JsonField()

    def get_model_version(self, event: AutonomyEvent) -> str | None:
        return str(event.model_version) if event.model_version_id else None


class StopView(APIView):
    @extend_schema(
        operation_id="stop_autonomy",
        request=StopIn,
        responses=SteeredOut,
        description="The kill switch: from the next prediction on, everything goes to people.",
    )
    def post(self, request: Request, slug: str) -> Response:
        actor = actor_of(request)
        project = get_project(actor, slug, Permission.LEAD)
        wanted = checked(StopIn, request)
        _, recall = stop_and_recall(
            project,
            reason=wanted["reason"],
            by=actor,
            version=find_version(project, wanted.get("model_version")),
            recall_since=wanted.get("recall_since"),
        )
        body = steered(project)
        if recall is not None:
            body |= {"recalled": recall.recalled, "recall_done": recall.done_at is not None}
        return Response(body)


class ResumeView(APIView):
    @extend_schema(operation_id="resume_autonomy", request=ResumeIn, responses=SteeredOut)
    def post(self, request: Request, slug: str) -> Response:
        actor = actor_of(request)
        project = get_project(actor, slug, Permission.LEAD)
        wanted = checked(ResumeIn, request)
        resume_automatic(
            project,
            by=actor,
            reason=wanted.get("reason", ""),
            version=find_version(project, wanted.get("model_version")),
        )
        look_at_project(project.pk)
        return Response(steered(project))


class LowerView(APIView):
    @extend_schema(
        operation_id="lower_autonomy",
        request=LowerIn,
        responses=SteeredOut,
        description="Limit autonomy to a level until somebody resumes. Above the certified level: 409.",
    )
    def post(self, request: Request, slug: str) -> Response:
        actor = actor_of(request)
        project = get_project(actor, slug, Permission.LEAD)
        wanted = checked(LowerIn, request)
        lower_level(
            project,
            level=wanted["level"],
            reason=wanted["reason"],
            by=actor,
            version=find_version(project, wanted.get("model_version")),
        )
        return Response(steered(project))


class AcceptView(APIView):
    @extend_schema(
        operation_id="accept_autonomy",
        request=AcceptLevelIn,
        responses=SteeredOut,
        description="Accept a proposed level, where the policy says `suggest`. Above what is certified: 409.",
    )
    def post(self, request: Request, slug: str) -> Response:
        actor = actor_of(request)
        project = get_project(actor, slug, Permission.LEAD)
        wanted = checked(AcceptLevelIn, request)
        accept_level(
            project,
            level=wanted["level"],
            by=actor,
            reason=wanted.get("reason", ""),
            version=find_version(project, wanted.get("model_version")),
        )
        return Response(steered(project))


class EventsView(APIView):
    @extend_schema(
        responses=page_schema("AutonomyEventPage", AutonomyEventOut),
        parameters=PAGE_PARAMETERS,
        operation_id="list_autonomy_events",
    )
    def get(self, request: Request, slug: str) -> Response:
        project = get_project(actor_of(request), slug, Permission.READ_TRUST)
        events = AutonomyEvent.objects.filter(project=project).select_related("model_version", "by")
        return page_of(request, events, ordering="-id", serializer=AutonomyEventOut)


def autonomy_body(project: Project, rates: Autonomy, certificates: Sequence[Certificate]) -> dict[str, Any]:
    """The figures of contract section 7: of the busiest scope, and of every scope."""
    main = main_certificate(certificates)
    stopped = Stop.objects.filter(project=project, ended_at=None, model_version=None).exists()
    body: dict[str, Any] = {
        "level": 0,
        "share": rates.share,
        "certified_share": 0.0,
        "reachable_share": 0.0,
        "auto_error_upper": rates.auto_error_upper,
        "alpha": rates.alpha,
        "epoch": rates.epoch,
        "audit_rate": rates.audit_rate,
        "warned": False,
        "next_step_needs": None,
    }
    if main is not None:
        figures = main.as_json()
        body = {name: figures[name] for name in body}
        if figures["mode"] == "off":
            body |= {"share": rates.share, "audit_rate": rates.audit_rate}
    scopes = [certificate.as_json() for certificate in certificates]
    proposed = read_proposed_low(project)
    return {**body, "stopped": stopped, "scopes": scopes, "proposed_low": proposed and proposed.as_json()}


def steered(project: Project) -> dict[str, Any]:
    """Where a project stands after somebody has steered it."""
    main = main_certificate(read_certificates(project))
    stopped = Stop.objects.filter(project=project, ended_at=None).exists()
    return {"stopped": stopped, "level": main.state.level if main else 0}


urlpatterns = [
    path("projects/<str:slug>/autonomy/stop/", StopView.as_view()),
    path("projects/<str:slug>/autonomy/resume/", ResumeView.as_view()),
    path("projects/<str:slug>/autonomy/lower/", LowerView.as_view()),
    path("projects/<str:slug>/autonomy/accept/", AcceptView.as_view()),
    path("projects/<str:slug>/autonomy/events/", EventsView.as_view()),
]

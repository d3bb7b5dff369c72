"""Claiming and deciding (contract section 5)."""

from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.api.authentication import actor_of
from labeling.api.v1.fields import JsonField, PlainText
from labeling.api.v1.inputs import checked
from labeling.decisions.models import Verdict
from labeling.pipeline.deciding import decide, skip, undo_decision
from labeling.pipeline.reopening import reopen
from labeling.projects.access import Permission, get_project
from labeling.review import services
from labeling.review.claiming import MOST_AT_ONCE, claim_tasks, lease_of
from labeling.review.filters import LONGEST_VALUE, read_filter
from labeling.review.models import TaskKind


class OnlyIn(serializers.Serializer[Any]):
    """Tasks without a suggestion are never found by label or confidence."""

    label = PlainText(  # type: ignore[assignment]
        required=False, max_length=LONGEST_VALUE, help_text="The label the model gave"
    )
    segment = PlainText(required=False, max_length=LONGEST_VALUE)
    model_version = PlainText(
        required=False, max_length=LONGEST_VALUE, help_text="Name and version, as in `reader 2.1`"
    )
    min_confidence = serializers.FloatField(required=False, min_value=0, max_value=1)
    max_confidence = serializers.FloatField(required=False, min_value=0, max_value=1)
    q = PlainText(required=False, max_length=LONGEST_VALUE, help_text="Text of the id or the input")


class ClaimIn(serializers.Serializer[Any]):
    count = serializers.IntegerField(required=False, default=1, min_value=1, max_value=MOST_AT_ONCE)
    queue = PlainText(required=False, max_length=60)
    task = serializers.IntegerField(
        required=False, min_value=0, max_value=2**63 - 1, help_text="Claim this task only, if it is free"
    )
    only = OnlyIn(required=False, help_text="Claim only what fits all of this")


class ClaimedItem(serializers.Serializer[Any]):
    id = serializers.CharField()
    input = serializers.DictField()
    segment = serializers.CharField(allow_null=True)


class ClaimedOut(serializers.Serializer[Any]):
    task = serializers.IntegerField()
    token = serializers.UUIDField()
    expires_at = serializers.DateTimeField()
    kind = serializers.ChoiceField(TaskKind.choices)
    item = ClaimedItem()
    prediction = JsonField(allow_null=True)
    confidence = serializers.FloatField(allow_null=True)
    model = serializers.CharField()
    guidelines_version = serializers.IntegerField()
    answers = JsonField(required=False)


class TokenIn(serializers.Serializer[Any]):
    token = PlainText(max_length=100)


class SkipIn(TokenIn):
    reason = PlainText(required=False, allow_blank=True, max_length=1_000)


class UndoIn(serializers.Serializer[Any]):
    reason = PlainText(required=False, allow_blank=True, max_length=1_000)


class DecisionIn(TokenIn):
    verdict = serializers.ChoiceField(Verdict.choices)
    output = JsonField(required=False, allow_null=True)
    seconds = serializers.FloatField(required=False, allow_null=True, min_value=0, max_value=604_800)
    note = PlainText(required=False, allow_blank=True, max_length=10_000)


class DecisionOut(serializers.Serializer[Any]):
    decision = serializers.IntegerField()
    task = serializers.IntegerField()
    item = serializers.CharField()
    verdict = serializers.ChoiceField(Verdict.choices)
    output = JsonField(allow_null=True)
    decided_at = serializers.DateTimeField()


class CorrectedOut(serializers.Serializer[Any]):
    decision = serializers.IntegerField()
    verdict = serializers.ChoiceField(Verdict.choices)
    output = JsonField(allow_null=True)
    decided_by = serializers.CharField()
    decided_at = serializers.DateTimeField()


class ReopenedOut(ClaimedOut):
    corrects = CorrectedOut()


class ClaimView(APIView):
    @extend_schema(
        operation_id="claim_tasks",
        request=ClaimIn,
        responses=inline_serializer("Claimed", {"tasks": ClaimedOut(many=True)}),
    )
    def post(self, request: Request, slug: str) -> Response:
        actor = actor_of(request)
        project = get_project(actor, slug, Permission.REVIEW)
        wanted = checked(ClaimIn, request)
        only = {name: str(value) for name, value in wanted.get("only", {}).items()}
        claimed = claim_tasks(
            project=project,
            by=actor,
            count=wanted["count"],
            queue=wanted.get("queue"),
            task_id=wanted.get("task"),
            only=read_filter(project, only, at="/only"),
        )
        return Response({"tasks": [task.as_json() for task in claimed]})


class DecisionView(APIView):
    @extend_schema(operation_id="decide", request=DecisionIn, responses={200: DecisionOut, 201: DecisionOut})
    def post(self, request: Request, task_id: int) -> Response:
        wanted = checked(DecisionIn, request)
        answer = decide(task_id=task_id, by=actor_of(request), **wanted)
        return Response(answer.body, status=status.HTTP_201_CREATED if answer.created else status.HTTP_200_OK)


class ReopenView(APIView):
    @extend_schema(operation_id="reopen_task", request=UndoIn, responses=ReopenedOut)
    def post(self, request: Request, task_id: int) -> Response:
        """Hold a decided task to correct its decision, which stands until another one replaces it."""
        return Response(reopen(task_id=task_id, by=actor_of(request), **checked(UndoIn, request)))


class HeartbeatView(APIView):
    @extend_schema(
        operation_id="heartbeat",
        request=TokenIn,
        responses=inline_serializer("Lease", {"expires_at": serializers.DateTimeField()}),
    )
    def post(self, request: Request, task_id: int) -> Response:
        actor = actor_of(request)
        token = checked(TokenIn, request)["token"]
        lease = lease_of(services.get_task_of_any_queue(actor, task_id).project)
        expires_at = services.heartbeat(task_id=task_id, token=token, by=actor, lease=lease)
        return Response({"expires_at": expires_at})


class ReleaseView(APIView):
    @extend_schema(operation_id="release", request=SkipIn, responses={204: None})
    def post(self, request: Request, task_id: int) -> Response:
        token = checked(SkipIn, request)["token"]
        services.release_task(task_id=task_id, token=token, by=actor_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class SkipView(APIView):
    @extend_schema(operation_id="skip", request=SkipIn, responses={204: None})
    def post(self, request: Request, task_id: int) -> Response:
        skip(task_id=task_id, by=actor_of(request), **checked(SkipIn, request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class UndoView(APIView):
    @extend_schema(
        operation_id="undo",
        request=UndoIn,
        responses=inline_serializer(
            "Undone",
            {
                "decision": serializers.IntegerField(),
                "task": serializers.IntegerField(),
                "undone": serializers.BooleanField(),
            },
        ),
    )
    def post(self, request: Request, decision_id: int) -> Response:
        return Response(
            undo_decision(decision_id=decision_id, by=actor_of(request), **checked(UndoIn, request))
        )


urlpatterns = [
    path("projects/<str:slug>/tasks/claim/", ClaimView.as_view()),
    path("tasks/<int:task_id>/decision/", DecisionView.as_view()),
    path("tasks/<int:task_id>/reopen/", ReopenView.as_view()),
    path("tasks/<int:task_id>/heartbeat/", HeartbeatView.as_view()),
    path("tasks/<int:task_id>/release/", ReleaseView.as_view()),
    path("tasks/<int:task_id>/skip/", SkipView.as_view()),
    path("decisions/<int:decision_id>/undo/", UndoView.as_view()),
]

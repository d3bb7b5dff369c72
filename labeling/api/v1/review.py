"""Claiming and deciding (contract section 5)."""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from django.http import HttpRequest, HttpResponse
from django.urls import path
from drf_spectacular.utils import extend_schema, inline_serializer
from msgspec import UNSET, Meta, UnsetType
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.api.authentication import actor_of
from labeling.api.quick import QuickView, as_json, read_object
from labeling.api.v1.fields import JsonField, PlainText
from labeling.api.v1.inputs import checked
from labeling.decisions.models import Verdict
from labeling.history.actor import Actor
from labeling.pipeline.deciding import decide, skip, undo_decision
from labeling.pipeline.reopening import reopen
from labeling.review import services
from labeling.review.claiming import (
    MOST_AT_ONCE,
    claim_certain_task,
    claim_tasks,
    lease_of,
    open_queue,
)
from labeling.review.filters import EVERYTHING, LONGEST_VALUE, read_filter
from labeling.review.models import TaskKind
from labeling.review.tasks import DEFAULT_QUEUE


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
    next = serializers.BooleanField(
        required=False, help_text="Claim the next task of the queue along with the decision"
    )


class DecisionOut(serializers.Serializer[Any]):
    decision = serializers.IntegerField()
    task = serializers.IntegerField()
    item = serializers.CharField()
    verdict = serializers.ChoiceField(Verdict.choices)
    output = JsonField(allow_null=True)
    decided_at = serializers.DateTimeField()
    next = ClaimedOut(
        required=False, allow_null=True, help_text="Where it was asked for; null when nothing waits"
    )


class CorrectedOut(serializers.Serializer[Any]):
    decision = serializers.IntegerField()
    verdict = serializers.ChoiceField(Verdict.choices)
    output = JsonField(allow_null=True)
    decided_by = serializers.CharField()
    decided_at = serializers.DateTimeField()


class ReopenedOut(ClaimedOut):
    corrects = CorrectedOut()


_Value: TypeAlias = Annotated[str, Meta(min_length=1, max_length=LONGEST_VALUE)] | UnsetType
_Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)] | UnsetType


class OnlyBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """OnlyIn as it is decoded."""

    label: _Value = UNSET
    segment: _Value = UNSET
    model_version: _Value = UNSET
    min_confidence: _Share = UNSET
    max_confidence: _Share = UNSET
    q: _Value = UNSET


class ClaimBody(msgspec.Struct, forbid_unknown_fields=True):
    """ClaimIn as it is decoded."""

    count: Annotated[int, Meta(ge=1, le=MOST_AT_ONCE)] = 1
    queue: Annotated[str, Meta(min_length=1, max_length=60)] = DEFAULT_QUEUE
    task: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    only: OnlyBody = OnlyBody()


class DecisionBody(msgspec.Struct, forbid_unknown_fields=True):
    """DecisionIn as it is decoded."""

    token: Annotated[str, Meta(min_length=1, max_length=100)]
    verdict: Literal["confirmed", "corrected", "labelled", "rejected", "escalated"]
    output: Any = None
    seconds: Annotated[float, Meta(ge=0, le=604_800)] | None = None
    note: Annotated[str, Meta(max_length=10_000)] = ""
    and_next: bool = msgspec.field(name="next", default=False)


class ClaimView(QuickView):
    @extend_schema(
        operation_id="claim_tasks",
        request=ClaimIn,
        responses=inline_serializer("Claimed", {"tasks": ClaimedOut(many=True)}),
    )
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Hold the next waiting tasks of a queue, or one certain task; an empty list when nothing waits."""
        return self.answer_signed_in(request, slug=slug)

    def answer(self, request: HttpRequest, actor: Actor, *, slug: str) -> HttpResponse:
        wanted = read_object(request, ClaimBody, ClaimIn)
        within = open_queue(actor, slug, wanted.queue)
        if wanted.task is not None:
            claimed = claim_certain_task(within=within, by=actor, task_id=wanted.task)
        else:
            values = msgspec.structs.asdict(wanted.only).items()
            given = {name: str(value) for name, value in values if value is not UNSET}
            only = read_filter(within.project, given, at="/only") if given else EVERYTHING
            claimed = claim_tasks(within=within, by=actor, count=wanted.count, only=only)
        return as_json({"tasks": [task.as_json() for task in claimed]})


class DecisionView(QuickView):
    @extend_schema(operation_id="decide", request=DecisionIn, responses={200: DecisionOut, 201: DecisionOut})
    def post(self, request: Request, task_id: int) -> HttpResponse:
        """Decide a task that the token holds; the same request again is answered by 200 with the same body. With `next`, the
        next task of the queue is claimed along with it, and found again by the same request while it is held."""
        return self.answer_signed_in(request, task_id=task_id)

    def answer(self, request: HttpRequest, actor: Actor, *, task_id: int) -> HttpResponse:
        wanted = read_object(request, DecisionBody, DecisionIn)
        answer = decide(task_id=task_id, by=actor, **msgspec.structs.asdict(wanted))
        return as_json(answer.body, status.HTTP_201_CREATED if answer.created else status.HTTP_200_OK)


def claim_with_key(request: HttpRequest, plain: str, slug: str) -> HttpResponse:
    """Answer a claim that carries an API key."""
    return ClaimView().answer_key(request, plain, slug=slug)


def decide_with_key(request: HttpRequest, plain: str, task_id: str) -> HttpResponse:
    """Answer a decision that carries an API key."""
    return DecisionView().answer_key(request, plain, task_id=int(task_id))


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

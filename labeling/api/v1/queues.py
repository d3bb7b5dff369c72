"""Queues, who holds what of them, and taking a claim back."""

from dataclasses import asdict
from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.api.authentication import actor_of
from labeling.api.pages import page_schema
from labeling.api.v1.fields import PlainText
from labeling.api.v1.inputs import checked
from labeling.projects.access import Permission, get_project
from labeling.projects.models import Project
from labeling.review.claiming import get_queue
from labeling.review.deadlines import LONGEST_DEADLINE, SHORTEST_DEADLINE, set_deadline
from labeling.review.queries import list_held_tasks, list_queues
from labeling.review.taking_back import take_back
from labeling.routing.queries import get_overflow
from labeling.trust.staffing import find_staffing


class QueueFigures(serializers.Serializer[Any]):
    slug = serializers.CharField()
    name = serializers.CharField()
    leads_only = serializers.BooleanField()
    waiting = serializers.IntegerField()
    claimed = serializers.IntegerField()
    oldest_at = serializers.DateTimeField(allow_null=True)
    oldest_age_seconds = serializers.FloatField(allow_null=True)
    deadline_seconds = serializers.IntegerField(allow_null=True, help_text="How long a task may wait")
    past_deadline = serializers.IntegerField(help_text="Waiting longer than that")
    arriving_per_hour = serializers.FloatField(help_text="Over the last 24 hours")
    seconds_each = serializers.FloatField(
        allow_null=True, help_text="Mean time of a decision over the last 7 days with decisions"
    )
    people_needed = serializers.FloatField(
        allow_null=True,
        help_text="(arriving_per_hour + waiting / hours) x seconds_each / 3600, where hours is the deadline (at least "
        "one hour), without one 8; null before the first timed decision",
    )


class OverflowOut(serializers.Serializer[Any]):
    mode = serializers.ChoiceField(["keep", "fallback", "refuse"])
    waiting_max = serializers.IntegerField(allow_null=True)
    after_seconds = serializers.IntegerField(allow_null=True)
    active = serializers.BooleanField(help_text="Whether the rule acts now")
    since = serializers.DateTimeField(allow_null=True)
    answered = serializers.IntegerField(help_text="Reviews that the fallback has answered since then")


class QueueOut(QueueFigures):
    overflow = OverflowOut(
        allow_null=True, help_text="What the policy does when too much waits; none for leads"
    )


class QueuePatch(serializers.Serializer[Any]):
    deadline_seconds = serializers.IntegerField(
        allow_null=True, min_value=SHORTEST_DEADLINE, max_value=LONGEST_DEADLINE
    )


class HeldOut(serializers.Serializer[Any]):
    task = serializers.IntegerField()
    queue = serializers.CharField()
    item = serializers.CharField()
    holder = serializers.CharField()
    claimed_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()


class TakeBackIn(serializers.Serializer[Any]):
    reason = PlainText(required=False, allow_blank=True, max_length=1_000)


class QueuesView(APIView):
    @extend_schema(responses=page_schema("QueuePage", QueueOut), operation_id="list_queues")
    def get(self, request: Request, slug: str) -> Response:
        project = get_project(actor_of(request), slug, Permission.SEE_WORK)
        return Response({"results": _queues(project), "next": None, "previous": None})


class QueueView(APIView):
    @extend_schema(request=QueuePatch, responses=QueueOut, operation_id="change_queue")
    def patch(self, request: Request, slug: str, queue: str) -> Response:
        actor = actor_of(request)
        project = get_project(actor, slug, Permission.LEAD)
        wanted = checked(QueuePatch, request)
        found = set_deadline(queue=get_queue(project, queue), seconds=wanted["deadline_seconds"], by=actor)
        return Response(next(body for body in _queues(project) if body["slug"] == found.slug))


class ClaimsView(APIView):
    @extend_schema(responses=page_schema("HeldPage", HeldOut), operation_id="list_claims")
    def get(self, request: Request, slug: str) -> Response:
        project = get_project(actor_of(request), slug, Permission.LEAD_REVIEW)
        held = HeldOut(list_held_tasks(project), many=True).data
        return Response({"results": held, "next": None, "previous": None})


class TakeBackView(APIView):
    @extend_schema(
        operation_id="take_back",
        request=TakeBackIn,
        responses=inline_serializer(
            "TakenBack", {"task": serializers.IntegerField(), "holder": serializers.CharField()}
        ),
        description="A lead ends somebody's claim; the task waits again, and the late answer gets `claim_lost` with `taken_by`.",
    )
    def post(self, request: Request, task_id: int) -> Response:
        actor = actor_of(request)
        return Response(take_back(task_id=task_id, by=actor, **checked(TakeBackIn, request)))


def _queues(project: Project) -> list[dict[str, Any]]:
    queues = list_queues(project)
    staffing = find_staffing(project, queues)
    overflow = get_overflow(project).as_json()
    bodies: list[dict[str, Any]] = [
        dict(
            QueueOut(
                {
                    **asdict(queue),
                    "oldest_age_seconds": queue.oldest_age_seconds,
                    **asdict(staffing[queue.id]),
                    "overflow": None if queue.leads_only else overflow,
                }
            ).data
        )
        for queue in queues
    ]
    return bodies


urlpatterns = [
    path("projects/<str:slug>/queues/", QueuesView.as_view()),
    path("projects/<str:slug>/queues/<str:queue>/", QueueView.as_view()),
    path("projects/<str:slug>/claims/", ClaimsView.as_view()),
    path("tasks/<int:task_id>/take-back/", TakeBackView.as_view()),
]

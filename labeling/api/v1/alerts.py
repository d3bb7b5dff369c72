"""Alerts and who is told of them."""

from typing import Any

from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.alerts.models import AlertKind, Channel
from labeling.alerts.queries import STATES, list_alerts, list_recipients
from labeling.alerts.services import acknowledge, add_recipient, remove_recipient, send_test
from labeling.api.authentication import actor_of
from labeling.api.pages import PAGE_PARAMETERS, page_of, page_schema
from labeling.api.v1.fields import PlainText
from labeling.api.v1.inputs import checked
from labeling.projects.access import Permission, get_project, require_admin


class AlertOut(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(AlertKind.choices)
    project = serializers.CharField(source="project.slug", default=None, allow_null=True)
    subject = serializers.CharField()
    detail = serializers.CharField()
    opened_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField()
    times = serializers.IntegerField()
    closed_at = serializers.DateTimeField(allow_null=True)
    acknowledged_at = serializers.DateTimeField(allow_null=True)
    acknowledged_by = serializers.CharField(source="acknowledged_by.username", default=None, allow_null=True)


class RecipientIn(serializers.Serializer[Any]):
    channel = serializers.ChoiceField(Channel.choices)
    address = PlainText(max_length=500)
    kinds = serializers.ListField(
        child=serializers.ChoiceField(AlertKind.choices), required=False, default=list, max_length=20
    )
    project = PlainText(required=False, max_length=60, help_text="Alerts of this project only")


class RecipientOut(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    channel = serializers.ChoiceField(Channel.choices)
    address = serializers.CharField()
    kinds = serializers.ListField(child=serializers.CharField())
    project = serializers.CharField(source="project.slug", default=None, allow_null=True)
    created_at = serializers.DateTimeField()


class NewRecipientOut(RecipientOut):
    secret = serializers.CharField(help_text="Signs what this webhook is sent; shown this once")


class AlertsView(APIView):
    @extend_schema(
        operation_id="list_alerts",
        parameters=[
            OpenApiParameter("state", OpenApiTypes.STR, enum=STATES),
            OpenApiParameter("kind", OpenApiTypes.STR, enum=AlertKind.values),
            OpenApiParameter("project", OpenApiTypes.STR),
            *PAGE_PARAMETERS,
        ],
        responses=page_schema("Alerts", AlertOut),
    )
    def get(self, request: Request) -> Response:
        """Alerts of the projects you lead, newest first; administrators also see those of the instance."""
        wanted = request.query_params
        found = list_alerts(
            actor_of(request),
            state=wanted.get("state", "open"),
            kind=wanted.get("kind", ""),
            project=wanted.get("project", ""),
        )
        return page_of(request, found, ordering="-id", serializer=AlertOut)


class AcknowledgeView(APIView):
    @extend_schema(operation_id="acknowledge_alert", request=None, responses=AlertOut)
    def post(self, request: Request, alert_id: int) -> Response:
        return Response(AlertOut(acknowledge(alert_id=alert_id, by=actor_of(request))).data)


class RecipientsView(APIView):
    @extend_schema(
        operation_id="list_alert_recipients",
        parameters=PAGE_PARAMETERS,
        responses=page_schema("AlertRecipients", RecipientOut),
    )
    def get(self, request: Request) -> Response:
        require_admin(actor_of(request))
        return page_of(request, list_recipients(), ordering="id", serializer=RecipientOut)

    @extend_schema(operation_id="add_alert_recipient", request=RecipientIn, responses={201: NewRecipientOut})
    def post(self, request: Request) -> Response:
        actor = actor_of(request)
        require_admin(actor)
        wanted = checked(RecipientIn, request)
        slug = wanted.get("project")
        recipient = add_recipient(
            channel=wanted["channel"],
            address=wanted["address"],
            kinds=wanted["kinds"],
            project=get_project(actor, slug, Permission.LEAD) if slug else None,
            by=actor,
        )
        return Response(NewRecipientOut(recipient).data, status=status.HTTP_201_CREATED)


class RecipientView(APIView):
    @extend_schema(operation_id="remove_alert_recipient", responses={204: None})
    def delete(self, request: Request, recipient_id: int) -> Response:
        remove_recipient(recipient_id=recipient_id, by=actor_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class TestView(APIView):
    @extend_schema(
        operation_id="send_test_alert",
        request=None,
        responses=inline_serializer("TestAlert", {"alert": serializers.IntegerField()}),
    )
    def post(self, request: Request) -> Response:
        """An alert that is over at once, to see that messages arrive."""
        return Response({"alert": send_test(by=actor_of(request))})


urlpatterns = [
    path("alerts/", AlertsView.as_view()),
    path("alerts/<int:alert_id>/acknowledge/", AcknowledgeView.as_view()),
    path("alerts/test/", TestView.as_view()),
    path("alerts/recipients/", RecipientsView.as_view()),
    path("alerts/recipients/<int:recipient_id>/", RecipientView.as_view()),
]

"""Projects and policy (contract section 3)."""

from typing import Any

from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.api.authentication import actor_of
from labeling.api.pages import PAGE_PARAMETERS, page_of, page_schema
from labeling.api.v1.fields import JsonField, PlainText
from labeling.api.v1.inputs import checked
from labeling.errors import invalid, say
from labeling.pipeline.policies import publish_policy
from labeling.pipeline.projects import change_project, create_project
from labeling.pipeline.simulation import simulate_policy
from labeling.projects.access import Permission, get_project, require_admin
from labeling.projects.models import Project, TaskType
from labeling.projects.queries import get_guidelines, get_schema_body, list_projects
from labeling.routing.models import PolicyVersion
from labeling.routing.queries import get_policy


class ProjectIn(serializers.Serializer[Any]):
    slug = serializers.SlugField(max_length=60)
    name = PlainText(max_length=200)
    task_type = serializers.ChoiceField(TaskType.choices)
    label_schema = JsonField()
    guidelines = PlainText(required=False, allow_blank=True, max_length=200_000)
    policy = JsonField(required=False)
    time_zone = PlainText(required=False, max_length=60)
    simulation = serializers.BooleanField(required=False)


class ProjectPatch(serializers.Serializer[Any]):
    name = PlainText(required=False, max_length=200)
    notice = PlainText(required=False, allow_blank=True, max_length=300)
    label_schema = JsonField(required=False)
    guidelines = PlainText(required=False, allow_blank=True, max_length=200_000)
    time_zone = PlainText(required=False, max_length=60)
    publish_every_seconds = serializers.IntegerField(required=False, min_value=10, max_value=30 * 24 * 3600)
    publish_after_decisions = serializers.IntegerField(required=False, min_value=1, max_value=1_000_000)


class ProjectOut(serializers.Serializer[Any]):
    slug = serializers.CharField()
    name = serializers.CharField()
    task_type = serializers.CharField()
    label_schema = JsonField()
    guidelines = serializers.CharField()
    guidelines_version = serializers.IntegerField()
    notice = serializers.CharField(help_text="One sentence for everybody, shown on every page of the project")
    policy = JsonField()
    policy_version = serializers.IntegerField()
    time_zone = serializers.CharField()
    simulation = serializers.BooleanField()
    publish_every_seconds = serializers.IntegerField()
    publish_after_decisions = serializers.IntegerField()
    created_at = serializers.DateTimeField()


class ProjectLine(serializers.Serializer[Any]):
    slug = serializers.CharField()
    name = serializers.CharField()
    task_type = serializers.CharField()
    simulation = serializers.BooleanField()
    policy_version = serializers.IntegerField(source="policy_number")
    created_at = serializers.DateTimeField()


class PolicyOut(serializers.Serializer[Any]):
    """The policy's own keys as PUT takes them, beside its number, note, time and author."""

    number = serializers.IntegerField()
    note = serializers.CharField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField(source="created_by.username", allow_null=True, default=None)

    def to_representation(self, instance: PolicyVersion) -> dict[str, Any]:
        return {**super().to_representation(instance), **instance.body}


class ProjectsView(APIView):
    @extend_schema(
        responses=page_schema("ProjectPage", ProjectLine),
        parameters=PAGE_PARAMETERS,
        operation_id="list_projects",
    )
    def get(self, request: Request) -> Response:
        projects = list_projects(actor_of(request))
        return page_of(request, projects, ordering="slug", serializer=ProjectLine)

    @extend_schema(request=ProjectIn, responses={201: ProjectOut}, operation_id="create_project")
    def post(self, request: Request) -> Response:
        actor = actor_of(request)
        require_admin(actor)
        project = create_project(by=actor, **checked(ProjectIn, request))
        return Response(_project_out(project), status=status.HTTP_201_CREATED)


class ProjectView(APIView):
    @extend_schema(responses=ProjectOut, operation_id="get_project")
    def get(self, request: Request, slug: str) -> Response:
        return Response(_project_out(get_project(actor_of(request), slug, Permission.SEE)))

    @extend_schema(request=ProjectPatch, responses=ProjectOut, operation_id="change_project")
    def patch(self, request: Request, slug: str) -> Response:
        actor = actor_of(request)
        project = get_project(actor, slug, Permission.LEAD)
        return Response(
            _project_out(change_project(project=project, by=actor, **checked(ProjectPatch, request)))
        )


class PolicyView(APIView):
    @extend_schema(responses=PolicyOut, operation_id="get_policy")
    def get(self, request: Request, slug: str) -> Response:
        project = get_project(actor_of(request), slug, Permission.SEE)
        return Response(PolicyOut(get_policy(project, project.policy_number)).data)

    @extend_schema(
        request=OpenApiTypes.OBJECT,
        responses=PolicyOut,
        operation_id="publish_policy",
        description="The policy's keys, and optionally `note`: why. What is left out takes its default.",
    )
    def put(self, request: Request, slug: str) -> Response:
        actor = actor_of(request)
        project = get_project(actor, slug, Permission.LEAD)
        body, note = _policy_and_note(request.data)
        version = publish_policy(project=project, body=body, by=actor, note=note)
        return Response(PolicyOut(get_policy(project, version.number)).data)


def _policy_and_note(data: Any) -> tuple[Any, str]:
    """The note travels beside the policy's own keys, as it is answered."""
    if not isinstance(data, dict) or "note" not in data:
        return data, ""
    note = data["note"]
    if not isinstance(note, str):
        raise invalid("/note", "invalid", say("a note is a text"))
    return {name: value for name, value in data.items() if name != "note"}, note


class PolicyVersionsView(APIView):
    @extend_schema(
        responses=page_schema("PolicyPage", PolicyOut),
        parameters=PAGE_PARAMETERS,
        operation_id="list_policy_versions",
    )
    def get(self, request: Request, slug: str) -> Response:
        project = get_project(actor_of(request), slug, Permission.SEE)
        versions = PolicyVersion.objects.filter(project=project).select_related("created_by")
        return page_of(request, versions, ordering="-number", serializer=PolicyOut)


class SimulateView(APIView):
    @extend_schema(
        request=OpenApiTypes.OBJECT,
        responses=OpenApiTypes.OBJECT,
        operation_id="simulate_policy",
        description=(
            "What a draft policy would have done to the predictions of the last 28 days (a sample of about 20,000 where there "
            "are more): `was` as they were routed, `today` by the policy in force, `would_be` by the draft. Where evidence rules, "
            "automatic is what it certifies today under the draft's limits; `first_steps` are about how many answers of people the "
            "first step takes."
        ),
    )
    def post(self, request: Request, slug: str) -> Response:
        project = get_project(actor_of(request), slug, Permission.LEAD)
        return Response(simulate_policy(project=project, body=request.data).as_json())


_PROJECT_COLUMNS = (
    "slug",
    "name",
    "task_type",
    "time_zone",
    "simulation",
    "notice",
    "publish_every_seconds",
    "publish_after_decisions",
    "created_at",
)


def _project_out(project: Project) -> dict[str, Any]:
    policy = get_policy(project, project.policy_number)
    return dict(
        ProjectOut(
            {
                **{name: getattr(project, name) for name in _PROJECT_COLUMNS},
                "label_schema": get_schema_body(project),
                "guidelines": get_guidelines(project),
                "guidelines_version": project.guidelines_number,
                "policy": policy.body,
                "policy_version": project.policy_number,
            }
        ).data
    )


urlpatterns = [
    path("projects/", ProjectsView.as_view()),
    path("projects/<str:slug>/", ProjectView.as_view()),
    path("projects/<str:slug>/policy/", PolicyView.as_view()),
    path("projects/<str:slug>/policy/versions/", PolicyVersionsView.as_view()),
    path("projects/<str:slug>/policy/simulate/", SimulateView.as_view()),
]

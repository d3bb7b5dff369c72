"""Projects, policy, members, keys (contract section 3)."""

from typing import Any

from django.contrib.auth import get_user_model
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
from labeling.errors import NotAllowedError, NotFoundError, invalid
from labeling.history.actor import Actor
from labeling.pipeline.projects import change_project, create_project
from labeling.pipeline.simulation import simulate_policy
from labeling.projects.access import Permission, get_project, require, require_admin
from labeling.projects.models import ApiKey, Project, Role, Scope, TaskType
from labeling.projects.queries import get_guidelines, get_schema_body, list_projects
from labeling.projects.services import (
    create_api_key,
    remove_member,
    revoke_api_key,
    set_member,
)
from labeling.routing.models import PolicyVersion
from labeling.routing.queries import get_policy
from labeling.routing.services import publish_policy


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


class MemberIn(serializers.Serializer[Any]):
    username = PlainText(max_length=150)
    role = serializers.ChoiceField(Role.choices)


class MemberOut(serializers.Serializer[Any]):
    username = serializers.CharField(source="user.username")
    role = serializers.CharField()


class KeyIn(serializers.Serializer[Any]):
    name = PlainText(max_length=200)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(Scope.choices), allow_empty=False, max_length=10
    )
    project = PlainText(required=False, allow_null=True, max_length=60)
    member = PlainText(required=False, allow_null=True, max_length=150)


class KeyOut(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    prefix = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    project = serializers.CharField(source="project.slug", allow_null=True, default=None)
    member = serializers.CharField(source="member.username")
    created_at = serializers.DateTimeField()
    revoked_at = serializers.DateTimeField(allow_null=True)


class NewKeyOut(KeyOut):
    key = serializers.CharField(help_text="Shown this once")


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

    @extend_schema(request=OpenApiTypes.OBJECT, responses=PolicyOut, operation_id="publish_policy")
    def put(self, request: Request, slug: str) -> Response:
        actor = actor_of(request)
        project = get_project(actor, slug, Permission.LEAD)
        version = publish_policy(project=project, body=request.data, by=actor)
        return Response(PolicyOut(get_policy(project, version.number)).data)


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
            "are more): `was` as they were routed, `today` by the policy in force, `would_be` by the draft."
        ),
    )
    def post(self, request: Request, slug: str) -> Response:
        project = get_project(actor_of(request), slug, Permission.LEAD)
        return Response(simulate_policy(project=project, body=request.data).as_json())


class MembersView(APIView):
    @extend_schema(
        responses=page_schema("MemberPage", MemberOut),
        parameters=PAGE_PARAMETERS,
        operation_id="list_members",
    )
    def get(self, request: Request, slug: str) -> Response:
        project = get_project(actor_of(request), slug, Permission.LEAD)
        return page_of(
            request, project.memberships.select_related("user"), ordering="id", serializer=MemberOut
        )

    @extend_schema(request=MemberIn, responses={201: MemberOut}, operation_id="set_member")
    def post(self, request: Request, slug: str) -> Response:
        actor = actor_of(request)
        project = get_project(actor, slug, Permission.OWN)
        member = set_member(project=project, by=actor, **checked(MemberIn, request))
        return Response(MemberOut(member).data, status=status.HTTP_201_CREATED)


class MemberView(APIView):
    @extend_schema(responses={204: None}, operation_id="remove_member")
    def delete(self, request: Request, slug: str, username: str) -> Response:
        actor = actor_of(request)
        remove_member(project=get_project(actor, slug, Permission.OWN), username=username, by=actor)
        return Response(status=status.HTTP_204_NO_CONTENT)


class KeysView(APIView):
    @extend_schema(
        responses=page_schema("KeyPage", KeyOut), parameters=PAGE_PARAMETERS, operation_id="list_keys"
    )
    def get(self, request: Request) -> Response:
        actor = actor_of(request)
        _require_manage(actor)
        keys = ApiKey.objects.select_related("project", "member")
        if not actor.is_admin or actor.project_id is not None:
            keys = keys.filter(project__in=_owned_projects(actor))
        return page_of(request, keys, ordering="-id", serializer=KeyOut)

    @extend_schema(request=KeyIn, responses={201: NewKeyOut}, operation_id="create_key")
    def post(self, request: Request) -> Response:
        actor = actor_of(request)
        wanted = checked(KeyIn, request)
        project = _project_of_key(actor, wanted.get("project"))
        member = _member_of_key(actor, project, wanted.get("member"))
        key, plain = create_api_key(
            name=wanted["name"], scopes=wanted["scopes"], project=project, member=member, by=actor
        )
        return Response({**KeyOut(key).data, "key": plain}, status=status.HTTP_201_CREATED)


class KeyView(APIView):
    @extend_schema(responses={204: None}, operation_id="revoke_key")
    def delete(self, request: Request, key_id: int) -> Response:
        actor = actor_of(request)
        key = ApiKey.objects.filter(pk=key_id).first() if key_id < 2**63 else None
        if key is None or (key.project_id is None and not actor.is_admin):
            raise NotFoundError("not_found", "There is no such key.")
        if key.project_id is not None:
            require(actor, key.project_id, Permission.OWN)
        else:
            require_admin(actor)
        revoke_api_key(key=key, by=actor)
        return Response(status=status.HTTP_204_NO_CONTENT)


_PROJECT_COLUMNS = (
    "slug",
    "name",
    "task_type",
    "time_zone",
    "simulation",
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


def _require_manage(actor: Actor) -> None:
    if not actor.may(Scope.MANAGE):
        raise NotAllowedError("scope_missing", "This key needs the scope manage.")


def _owned_projects(actor: Actor) -> Any:
    return list_projects(actor).filter(memberships__user_id=actor.user_id, memberships__role=Role.OWNER)


def _project_of_key(actor: Actor, slug: str | None) -> Project | None:
    """A key for one project is its owner's to make, a key for all of them the administrator's."""
    if slug is None:
        require_admin(actor)
        return None
    return get_project(actor, slug, Permission.OWN)


def _member_of_key(actor: Actor, project: Project | None, username: str | None) -> Any:
    users = get_user_model().objects.filter(is_active=True)
    if username is None or username == actor.username:
        return users.get(pk=actor.user_id)
    members = users.filter(username=username)
    if not actor.is_admin and project is not None:
        members = members.filter(memberships__project=project)
    found = members.first()
    if found is None:
        raise invalid("/member", "unknown_user", f"there is no active member {username!r}")
    return found


urlpatterns = [
    path("projects/", ProjectsView.as_view()),
    path("projects/<str:slug>/", ProjectView.as_view()),
    path("projects/<str:slug>/policy/", PolicyView.as_view()),
    path("projects/<str:slug>/policy/versions/", PolicyVersionsView.as_view()),
    path("projects/<str:slug>/policy/simulate/", SimulateView.as_view()),
    path("projects/<str:slug>/members/", MembersView.as_view()),
    path("projects/<str:slug>/members/<str:username>/", MemberView.as_view()),
    path("keys/", KeysView.as_view()),
    path("keys/<int:key_id>/", KeyView.as_view()),
]

"""Members, invitations, accounts and keys (contract section 3)."""

from typing import Any

from django.contrib.auth import get_user_model
from django.urls import path, reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.api.authentication import actor_of
from labeling.api.pages import PAGE_PARAMETERS, page_of, page_schema
from labeling.api.v1.fields import PlainText
from labeling.api.v1.inputs import checked
from labeling.errors import NotAllowedError, NotFoundError, invalid, say
from labeling.history.actor import Actor
from labeling.pipeline.people import deactivate, remove_member, set_member
from labeling.projects.access import Permission, get_project, require, require_account, require_admin
from labeling.projects.accounts import make_password_link, reactivate, set_password_by_link
from labeling.projects.invitations import (
    accept_as_newcomer,
    accept_invitation,
    invite,
    renew_invitation,
    withdraw_invitation,
)
from labeling.projects.mailing import mail_invitation, mail_password_link
from labeling.projects.models import ApiKey, Invitation, Project, Role, Scope
from labeling.projects.queries import get_invitation_of, get_member, list_projects
from labeling.projects.services import MOST_PER_SECOND, create_api_key, revoke_api_key


class MemberIn(serializers.Serializer[Any]):
    username = PlainText(max_length=150)
    role = serializers.ChoiceField(Role.choices)


class RoleIn(serializers.Serializer[Any]):
    role = serializers.ChoiceField(Role.choices)


class MemberOut(serializers.Serializer[Any]):
    username = serializers.CharField(source="user.username")
    name = serializers.CharField(source="user.get_full_name")
    role = serializers.CharField()
    active = serializers.BooleanField(source="user.is_active")


class InvitationIn(serializers.Serializer[Any]):
    name = PlainText(max_length=200, help_text="For whom, to recognise it by")
    role = serializers.ChoiceField(Role.choices)
    email = serializers.EmailField(
        required=False, allow_blank=True, help_text="The link goes there too, where mail is set up"
    )


class InvitationOut(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    role = serializers.CharField()
    email = serializers.CharField()
    created_by = serializers.CharField(source="created_by.username")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()


class NewInvitationOut(InvitationOut):
    url = serializers.CharField(help_text="The link, shown this once")
    mailed = serializers.BooleanField()


class AcceptIn(serializers.Serializer[Any]):
    """A signed-in person needs the token only; somebody new chooses a name and a password."""

    token = PlainText(max_length=200)
    username = PlainText(required=False, max_length=150)
    password = PlainText(required=False, max_length=1_000)
    name = PlainText(required=False, allow_blank=True, max_length=150)


class JoinedOut(serializers.Serializer[Any]):
    username = serializers.CharField()
    project = serializers.CharField()
    role = serializers.CharField()


class LinkOut(serializers.Serializer[Any]):
    url = serializers.CharField(help_text="Shown this once")
    expires_at = serializers.DateTimeField()
    mailed = serializers.BooleanField()


class NothingIn(serializers.Serializer[Any]):
    """An empty object, or no body."""


class UseLinkIn(serializers.Serializer[Any]):
    token = PlainText(max_length=200)
    password = PlainText(max_length=1_000)


class KeyIn(serializers.Serializer[Any]):
    name = PlainText(max_length=200)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(Scope.choices), allow_empty=False, max_length=10
    )
    project = PlainText(required=False, allow_null=True, max_length=60)
    member = PlainText(required=False, allow_null=True, max_length=150)
    requests_per_second = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=MOST_PER_SECOND, help_text="None: no limit"
    )
    rows_per_second = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=MOST_PER_SECOND,
        help_text="Of predictions, whatever becomes of them; none: no limit",
    )


class KeyOut(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    prefix = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    project = serializers.CharField(source="project.slug", allow_null=True, default=None)
    member = serializers.CharField(source="member.username")
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="To within a few minutes")
    requests_per_second = serializers.IntegerField(allow_null=True)
    rows_per_second = serializers.IntegerField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)


class NewKeyOut(KeyOut):
    key = serializers.CharField(help_text="Shown this once")


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
    @extend_schema(request=RoleIn, responses=MemberOut, operation_id="change_role")
    def patch(self, request: Request, slug: str, username: str) -> Response:
        actor = actor_of(request)
        project = get_project(actor, slug, Permission.OWN)
        get_member(project, username)
        role = checked(RoleIn, request)["role"]
        return Response(MemberOut(set_member(project=project, username=username, role=role, by=actor)).data)

    @extend_schema(responses={204: None}, operation_id="remove_member")
    def delete(self, request: Request, slug: str, username: str) -> Response:
        actor = actor_of(request)
        remove_member(project=get_project(actor, slug, Permission.OWN), username=username, by=actor)
        return Response(status=status.HTTP_204_NO_CONTENT)


class InvitationsView(APIView):
    @extend_schema(
        responses=page_schema("InvitationPage", InvitationOut),
        parameters=PAGE_PARAMETERS,
        operation_id="list_invitations",
    )
    def get(self, request: Request, slug: str) -> Response:
        project = get_project(actor_of(request), slug, Permission.LEAD)
        rows = project.invitations.select_related("created_by")
        return page_of(request, rows, ordering="-id", serializer=InvitationOut)

    @extend_schema(
        request=InvitationIn,
        responses={201: NewInvitationOut},
        operation_id="invite",
        description="A link with which one person joins, once, within a week.",
    )
    def post(self, request: Request, slug: str) -> Response:
        actor = actor_of(request)
        project = get_project(actor, slug, Permission.OWN)
        invitation, plain = invite(project=project, by=actor, **checked(InvitationIn, request))
        return _with_link(request, invitation, plain)


class InvitationView(APIView):
    @extend_schema(responses={204: None}, operation_id="withdraw_invitation")
    def delete(self, request: Request, slug: str, invitation_id: int) -> Response:
        actor = actor_of(request)
        invitation = get_invitation_of(get_project(actor, slug, Permission.OWN), invitation_id)
        withdraw_invitation(invitation=invitation, by=actor)
        return Response(status=status.HTTP_204_NO_CONTENT)


class RenewView(APIView):
    @extend_schema(
        request=None,
        responses={201: NewInvitationOut},
        operation_id="renew_invitation",
        description="A new link for another week; the one before stops working.",
    )
    def post(self, request: Request, slug: str, invitation_id: int) -> Response:
        actor = actor_of(request)
        invitation = get_invitation_of(get_project(actor, slug, Permission.OWN), invitation_id)
        checked(NothingIn, request)
        plain = renew_invitation(invitation=invitation, by=actor)
        invitation.refresh_from_db()
        return _with_link(request, invitation, plain)


class AcceptView(APIView):
    permission_classes = (AllowAny,)

    @extend_schema(
        request=AcceptIn,
        responses={201: JoinedOut},
        auth=[],
        operation_id="accept_invitation",
        description="Join with the token of an invitation: signed in as who you are, or without signing in as somebody new.",
    )
    def post(self, request: Request) -> Response:
        wanted = checked(AcceptIn, request)
        if request.user.is_authenticated:
            actor = actor_of(request)
            if actor.scopes is not None:
                raise NotAllowedError("not_a_person", say("People accept invitations, keys do not."))
            member = accept_invitation(plain=wanted["token"], by=actor)
        else:
            for field in ("username", "password"):
                if not wanted.get(field):
                    raise invalid(f"/{field}", "required", say("this is needed to make an account"))
            member = accept_as_newcomer(
                plain=wanted["token"],
                username=wanted["username"],
                password=wanted["password"],
                name=wanted.get("name", ""),
            )
        joined = {
            "username": member.user.get_username(),
            "project": member.project.slug,
            "role": member.role,
        }
        return Response(joined, status=status.HTTP_201_CREATED)


class PasswordLinkView(APIView):
    @extend_schema(
        request=None,
        responses={201: LinkOut},
        operation_id="make_password_link",
        description="A link with which this person sets a new password, once, within a day.",
    )
    def post(self, request: Request, slug: str, username: str) -> Response:
        actor, user = _account(request, slug, username)
        link, plain = make_password_link(user=user, by=actor)
        url = request.build_absolute_uri(reverse("link:password", args=[plain]))
        answer = {"url": url, "expires_at": link.expires_at, "mailed": mail_password_link(user, url)}
        return Response(LinkOut(answer).data, status=status.HTTP_201_CREATED)


class UsePasswordLinkView(APIView):
    permission_classes = (AllowAny,)
    authentication_classes = ()

    @extend_schema(request=UseLinkIn, responses={204: None}, auth=[], operation_id="use_password_link")
    def post(self, request: Request) -> Response:
        wanted = checked(UseLinkIn, request)
        set_password_by_link(plain=wanted["token"], password=wanted["password"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class DeactivateView(APIView):
    @extend_schema(
        request=None,
        responses=MemberOut,
        operation_id="deactivate_member",
        description="Closes the account: sessions end, keys are refused, and claims are released at once.",
    )
    def post(self, request: Request, slug: str, username: str) -> Response:
        actor, user = _account(request, slug, username)
        deactivate(user=user, by=actor)
        return Response(MemberOut(user.memberships.get(project__slug=slug)).data)


class ReactivateView(APIView):
    @extend_schema(request=None, responses=MemberOut, operation_id="reactivate_member")
    def post(self, request: Request, slug: str, username: str) -> Response:
        actor, user = _account(request, slug, username)
        reactivate(user=user, by=actor)
        return Response(MemberOut(user.memberships.get(project__slug=slug)).data)


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

    @extend_schema(
        request=KeyIn,
        responses={201: NewKeyOut},
        operation_id="create_key",
        description="What is more than a key's limits is answered by 429 `rate_limited` with Retry-After. A second's worth may come "
        "at once; a batch of more rows than that is taken whole when the key owes nothing, and what follows waits for it.",
    )
    def post(self, request: Request) -> Response:
        actor = actor_of(request)
        wanted = checked(KeyIn, request)
        project = _project_of_key(actor, wanted.get("project"))
        member = _member_of_key(actor, project, wanted.get("member"))
        key, plain = create_api_key(
            name=wanted["name"],
            scopes=wanted["scopes"],
            project=project,
            member=member,
            by=actor,
            requests_per_second=wanted.get("requests_per_second"),
            rows_per_second=wanted.get("rows_per_second"),
        )
        return Response({**KeyOut(key).data, "key": plain}, status=status.HTTP_201_CREATED)


class KeyView(APIView):
    @extend_schema(responses={204: None}, operation_id="revoke_key")
    def delete(self, request: Request, key_id: int) -> Response:
        actor = actor_of(request)
        key = ApiKey.objects.filter(pk=key_id).first() if key_id < 2**63 else None
        if key is None or (key.project_id is None and not actor.is_admin):
            raise NotFoundError("not_found", say("There is no such key."))
        if key.project_id is not None:
            require(actor, key.project_id, Permission.OWN)
        else:
            require_admin(actor)
        revoke_api_key(key=key, by=actor)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _account(request: Request, slug: str, username: str) -> tuple[Actor, Any]:
    """A member of a project of the actor's, whose whole account the actor may do something to."""
    actor = actor_of(request)
    user = get_member(get_project(actor, slug, Permission.OWN), username).user
    require_account(actor, user)
    checked(NothingIn, request)
    return actor, user


def _with_link(request: Request, invitation: Invitation, plain: str) -> Response:
    url = request.build_absolute_uri(reverse("link:invitation", args=[plain]))
    answer = {**InvitationOut(invitation).data, "url": url, "mailed": mail_invitation(invitation, url)}
    return Response(answer, status=status.HTTP_201_CREATED)


def _require_manage(actor: Actor) -> None:
    if not actor.may(Scope.MANAGE):
        raise NotAllowedError("scope_missing", say("This key needs the scope manage."))


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
        raise invalid(
            "/member", "unknown_user", say("there is no active member {username!r}", username=username)
        )
    return found


urlpatterns = [
    path("projects/<str:slug>/members/", MembersView.as_view()),
    path("projects/<str:slug>/members/<str:username>/", MemberView.as_view()),
    path("projects/<str:slug>/members/<str:username>/password-link/", PasswordLinkView.as_view()),
    path("projects/<str:slug>/members/<str:username>/deactivate/", DeactivateView.as_view()),
    path("projects/<str:slug>/members/<str:username>/reactivate/", ReactivateView.as_view()),
    path("projects/<str:slug>/invitations/", InvitationsView.as_view()),
    path("projects/<str:slug>/invitations/<int:invitation_id>/", InvitationView.as_view()),
    path("projects/<str:slug>/invitations/<int:invitation_id>/renew/", RenewView.as_view()),
    path("invitations/accept/", AcceptView.as_view()),
    path("password-links/use/", UsePasswordLinkView.as_view()),
    path("keys/", KeysView.as_view()),
    path("keys/<int:key_id>/", KeyView.as_view()),
]

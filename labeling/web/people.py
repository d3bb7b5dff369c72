"""Members, invitations and API keys of a project."""

from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.errors import LabelingError
from labeling.pipeline.people import deactivate, remove_member, set_member
from labeling.projects.access import Permission, accounts_in_reach, require_account
from labeling.projects.accounts import make_password_link, reactivate
from labeling.projects.invitations import invite, renew_invitation, withdraw_invitation
from labeling.projects.mailing import mail_invitation, mail_password_link
from labeling.projects.models import ApiKey, Invitation, Membership, Role, Scope
from labeling.projects.queries import get_invitation_of, get_member
from labeling.projects.services import MOST_PER_SECOND, create_api_key, revoke_api_key
from labeling.web.forms import PageForm, put_errors
from labeling.web.frame import ProjectFrame, project_frame
from labeling.web.names import NAMES
from labeling.web.page import page


@dataclass(frozen=True, slots=True)
class Secret:
    """Something shown in the answer that made it and never again: a key, or the address of a link."""

    title: str
    value: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member; `account_is_mine` when the one who looks may do something to the whole account."""

    member: Membership
    account_is_mine: bool


@dataclass(frozen=True, slots=True)
class PeoplePage:
    """Who works here, who is invited, and which keys exist."""

    members: list[MemberRow]
    invitations: list[Invitation]
    keys: list[ApiKey]
    roles: list[tuple[str, str]]
    invite_form: "InviteForm"
    member_form: "MemberForm"
    key_form: "KeyForm"
    secret: Secret | None = None


class InviteForm(PageForm):
    """A link for one person."""

    name = forms.CharField(max_length=200, label=gettext_lazy("Who is it for"))
    role = forms.ChoiceField(choices=Role.choices, initial=Role.REVIEWER, label=gettext_lazy("Role"))
    email = forms.EmailField(required=False, label=gettext_lazy("E-mail, if you like"))


class MemberForm(PageForm):
    """Give a person a role."""

    username = forms.CharField(max_length=150, label=gettext_lazy("User name of somebody with an account"))
    role = forms.ChoiceField(choices=Role.choices, initial=Role.REVIEWER, label=gettext_lazy("Role"))


class KeyForm(PageForm):
    """A key for this project; it acts as whoever makes it, or as a member."""

    name = forms.CharField(max_length=200, label=gettext_lazy("Name, of what will use it"))
    scopes = forms.MultipleChoiceField(
        choices=[*NAMES["scope"].items()],
        widget=forms.CheckboxSelectMultiple,
        initial=[Scope.INGEST],
        label=gettext_lazy("It may"),
    )
    member = forms.ChoiceField(required=False, label=gettext_lazy("Acts as"))
    requests_per_second = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST_PER_SECOND,
        label=gettext_lazy("Requests a second"),
    )
    rows_per_second = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST_PER_SECOND,
        label=gettext_lazy("Predictions a second"),
    )

    def __init__(self, frame: ProjectFrame, *args: Any) -> None:
        super().__init__(*args)
        names = frame.project.memberships.order_by("user__username").values_list("user__username", flat=True)
        member = cast(forms.ChoiceField, self.fields["member"])
        member.choices = [("", _("me")), *((name, name) for name in names)]


@page("GET", "POST")
def overview(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Members, invitations and keys; an owner changes roles here."""
    posting = request.method == "POST"
    frame = project_frame(request, slug, Permission.OWN if posting else Permission.LEAD, tab="people")
    form = MemberForm(request.POST or None) if posting else MemberForm()
    if posting and form.is_valid():
        try:
            return _change_member(request, frame, form)
        except LabelingError as error:
            put_errors(form, error, {"/username": "username"})
    return _show(request, frame, member_form=form)


@page("POST")
def invite_somebody(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Make an invitation and show its link this once."""
    frame = project_frame(request, slug, Permission.OWN, tab="people")
    form = InviteForm(request.POST)
    if not form.is_valid():
        return _show(request, frame, invite_form=form)
    invitation, plain = invite(project=frame.project, by=frame.actor, **form.cleaned_data)
    return _show(request, frame, secret=_invitation_secret(request, invitation, plain))


@page("POST")
def change_invitation(request: HttpRequest, slug: str, invitation_id: int) -> HttpResponseBase:
    """A new link for an invitation (`do=renew`), or none any more (`do=withdraw`)."""
    frame = project_frame(request, slug, Permission.OWN, tab="people")
    invitation = get_invitation_of(frame.project, invitation_id)
    if request.POST.get("do") == "renew":
        plain = renew_invitation(invitation=invitation, by=frame.actor)
        invitation.refresh_from_db()
        return _show(request, frame, secret=_invitation_secret(request, invitation, plain))
    withdraw_invitation(invitation=invitation, by=frame.actor)
    messages.success(
        request, _("The invitation for %(name)s is withdrawn; its link is dead.") % {"name": invitation.name}
    )
    return redirect("people:list", slug)


@page("POST")
def change_account(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Do something to the whole account of a member: a password link, deactivate, reactivate."""
    frame = project_frame(request, slug, Permission.OWN, tab="people")
    user: Any = get_member(frame.project, request.POST.get("username", "")).user
    require_account(frame.actor, user)
    name, do = user.get_username(), request.POST.get("do")
    if do == "password":
        _link, plain = make_password_link(user=user, by=frame.actor)
        url = request.build_absolute_uri(reverse("link:password", args=[plain]))
        title = _("The link with which %(name)s sets a new password. It is shown this once.") % {"name": name}
        hint = _("Good once, for a day. The present password works until then.")
        sent = mail_password_link(user, url)
        return _show(request, frame, secret=Secret(title, url, _mailed(user.email, hint) if sent else hint))
    if do == "deactivate":
        deactivate(user=user, by=frame.actor)
        text = _("%(name)s is signed out everywhere and can no longer sign in; what they held waits again.")
    else:
        reactivate(user=user, by=frame.actor)
        text = _("%(name)s can sign in again.")
    messages.success(request, text % {"name": name})
    return redirect("people:list", slug)


@page("POST")
def create_key(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Make a key and show it this once."""
    frame = project_frame(request, slug, Permission.OWN, tab="people")
    form = KeyForm(frame, request.POST)
    if not form.is_valid():
        return _show(request, frame, key_form=form)
    name = form.cleaned_data["member"] or frame.actor.username
    _key, plain = create_api_key(
        name=form.cleaned_data["name"],
        scopes=form.cleaned_data["scopes"],
        project=frame.project,
        member=get_user_model().objects.get(username=name, is_active=True),
        by=frame.actor,
        requests_per_second=form.cleaned_data["requests_per_second"],
        rows_per_second=form.cleaned_data["rows_per_second"],
    )
    return _show(request, frame, secret=Secret(_("The new key. It is shown this once."), plain))


@page("POST")
def revoke_key(request: HttpRequest, slug: str, key_id: int) -> HttpResponseBase:
    """End a key of this project."""
    frame = project_frame(request, slug, Permission.OWN, tab="people")
    key = get_object_or_404(ApiKey, pk=key_id, project=frame.project)
    revoke_api_key(key=key, by=frame.actor)
    messages.success(request, _("The key “%(name)s” is revoked.") % {"name": key.name})
    return redirect("people:list", slug)


def _change_member(request: HttpRequest, frame: ProjectFrame, form: MemberForm) -> HttpResponseBase:
    username = form.cleaned_data["username"]
    if request.POST.get("remove"):
        remove_member(project=frame.project, username=username, by=frame.actor)
        messages.success(request, _("%(name)s is no longer a member.") % {"name": username})
    else:
        member = set_member(
            project=frame.project, username=username, role=form.cleaned_data["role"], by=frame.actor
        )
        values = {"name": username, "role": member.get_role_display()}
        messages.success(request, _("%(name)s is now %(role)s.") % values)
    return redirect("people:list", frame.project.slug)


def _invitation_secret(request: HttpRequest, invitation: Invitation, plain: str) -> Secret:
    url = request.build_absolute_uri(reverse("link:invitation", args=[plain]))
    values = {"name": invitation.name, "role": invitation.get_role_display()}
    title = _("The link with which %(name)s joins as %(role)s. It is shown this once.") % values
    hint = _("Good once, for a week. Anybody who holds it can use it, so hand it over with care.")
    return Secret(title, url, _mailed(invitation.email, hint) if mail_invitation(invitation, url) else hint)


def _mailed(address: str, hint: str) -> str:
    return _("It was sent to %(address)s.") % {"address": address} + " " + hint


def _show(
    request: HttpRequest,
    frame: ProjectFrame,
    *,
    invite_form: InviteForm | None = None,
    member_form: MemberForm | None = None,
    key_form: KeyForm | None = None,
    secret: Secret | None = None,
) -> HttpResponse:
    project = frame.project
    members = list(
        project.memberships.select_related("user").order_by("-user__is_active", "role", "user__username")
    )
    mine = accounts_in_reach(frame.actor, [member.user for member in members]) if frame.may_own else set()
    keys = ApiKey.objects.filter(project=project).select_related("member").order_by("-revoked_at", "-pk")
    context = PeoplePage(
        members=[MemberRow(member, member.user_id in mine) for member in members],
        invitations=list(project.invitations.select_related("created_by").order_by("-pk")[:200]),
        keys=list(keys[:200]),
        roles=[(role.value, str(role.label)) for role in Role],
        invite_form=invite_form or InviteForm(),
        member_form=member_form or MemberForm(),
        key_form=key_form or KeyForm(frame),
        secret=secret,
    )
    refused = any(form is not None and form.errors for form in (invite_form, member_form, key_form))
    response = render(
        request, "project/people.html", {"frame": frame, "people": context}, status=422 if refused else 200
    )
    response["Cache-Control"] = "no-store"
    return response

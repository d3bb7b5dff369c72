"""Members and API keys of a project."""

from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.errors import LabelingError
from labeling.projects.access import Permission
from labeling.projects.models import ApiKey, Membership, Role, Scope
from labeling.projects.services import create_api_key, remove_member, revoke_api_key, set_member
from labeling.web.forms import PageForm, put_errors
from labeling.web.frame import ProjectFrame, project_frame
from labeling.web.page import page


@dataclass(frozen=True, slots=True)
class PeoplePage:
    """Who works here, and which keys exist. `new_key` is shown in the answer that made it and never again."""

    members: list[Membership]
    keys: list[ApiKey]
    member_form: "MemberForm"
    key_form: "KeyForm"
    new_key: str = ""


class MemberForm(PageForm):
    """Give a person a role."""

    username = forms.CharField(max_length=150, label=gettext_lazy("User name"))
    role = forms.ChoiceField(choices=Role.choices, initial=Role.REVIEWER, label=gettext_lazy("Role"))


class KeyForm(PageForm):
    """A key for this project; it acts as whoever makes it, or as a member."""

    name = forms.CharField(max_length=200, label=gettext_lazy("Name, of what will use it"))
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        initial=[Scope.INGEST],
        label=gettext_lazy("It may"),
    )
    member = forms.ChoiceField(required=False, label=gettext_lazy("Acts as"))

    def __init__(self, frame: ProjectFrame, *args: Any) -> None:
        super().__init__(*args)
        names = frame.project.memberships.order_by("user__username").values_list("user__username", flat=True)
        member = cast(forms.ChoiceField, self.fields["member"])
        member.choices = [("", _("me")), *((name, name) for name in names)]


@page("GET", "POST")
def overview(request: HttpRequest, slug: str) -> HttpResponseBase:
    """Members and keys; an owner changes roles here."""
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
    )
    return _show(request, frame, new_key=plain)


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


def _show(
    request: HttpRequest,
    frame: ProjectFrame,
    *,
    member_form: MemberForm | None = None,
    key_form: KeyForm | None = None,
    new_key: str = "",
) -> HttpResponse:
    context = PeoplePage(
        members=list(frame.project.memberships.select_related("user").order_by("role", "user__username")),
        keys=list(
            ApiKey.objects.filter(project=frame.project)
            .select_related("member")
            .order_by("revoked_at", "-pk")[:200]
        ),
        member_form=member_form or MemberForm(),
        key_form=key_form or KeyForm(frame),
        new_key=new_key,
    )
    refused = any(form is not None and form.errors for form in (member_form, key_form))
    response = render(
        request, "project/people.html", {"frame": frame, "people": context}, status=422 if refused else 200
    )
    response["Cache-Control"] = "no-store"
    return response

"""Pages behind one-time links: an invitation, a new password. Whoever holds the link may open them, signed in or not."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.errors import LabelingError
from labeling.projects.accounts import get_password_link, set_password_by_link
from labeling.projects.invitations import accept_as_newcomer, accept_invitation, get_invitation
from labeling.projects.models import Membership
from labeling.web import actor_of
from labeling.web.account import sign_in
from labeling.web.forms import PageForm, put_errors
from labeling.web.page import page


def _password(label: Any) -> forms.CharField:
    return forms.CharField(
        strip=False,
        max_length=1_000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "class": "input"}),
        label=label,
        help_text=gettext_lazy("At least 8 characters; not a common one, not your name."),
    )


class NewcomerForm(PageForm):
    """An account is a name and a password."""

    username = forms.CharField(
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none"}),
        label=gettext_lazy("User name"),
        help_text=gettext_lazy("You sign in with it. Letters, digits and @ . + - _"),
    )
    name = forms.CharField(
        max_length=150,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        label=gettext_lazy("Your name, as others see it"),
    )
    password = _password(gettext_lazy("Password"))


class NewPasswordForm(PageForm):
    """Only the password: the link says whose."""

    password = _password(gettext_lazy("New password"))


@page("GET", "POST", anonymous=True)
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Join a project, as oneself or with a new account. Looking does not use the link up."""
    found = get_invitation(token)
    form = NewcomerForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        if request.user.is_authenticated:
            member = accept_invitation(plain=token, by=actor_of(request))
            return _welcome(request, member)
        if form.is_valid():
            try:
                member = accept_as_newcomer(plain=token, **form.cleaned_data)
            except LabelingError as error:
                put_errors(form, error, {"/username": "username", "/password": "password"})
            else:
                sign_in(request, member.user)
                return _welcome(request, member)
    return _private(request, "account/invitation.html", {"invitation": found, "form": form})


@page("GET", "POST", anonymous=True)
def password(request: HttpRequest, token: str) -> HttpResponse:
    """Set a new password, and be signed in with it."""
    link = get_password_link(token)
    form = NewPasswordForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            user = set_password_by_link(plain=token, password=form.cleaned_data["password"])
        except LabelingError as error:
            put_errors(form, error, {"/password": "password"})
        else:
            sign_in(request, user)
            messages.success(request, _("Your new password is set. Other browsers are signed out."))
            return redirect("home")
    return _private(request, "account/new_password.html", {"link": link, "form": form})


def _welcome(request: HttpRequest, member: Membership) -> HttpResponse:
    values = {"project": member.project.name, "role": member.get_role_display()}
    messages.success(request, _("Welcome to %(project)s. Your role: %(role)s.") % values)
    return redirect("project:detail", member.project.slug)


def _private(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """A page whose address is a secret: kept in no cache (and, by SECURE_REFERRER_POLICY, told to no other site)."""
    answer = render(request, template, context, status=422 if context["form"].errors else 200)
    answer["Cache-Control"] = "no-store"
    return answer

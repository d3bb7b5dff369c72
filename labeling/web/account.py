"""Signing in and out, and one's own account."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import SESSION_KEY, login
from django.contrib.auth import views as auth
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.errors import LabelingError
from labeling.projects.accounts import (
    change_password,
    list_sessions,
    sign_out_everywhere,
)
from labeling.projects.models import Membership
from labeling.web import actor_of
from labeling.web.forms import PageForm, put_errors
from labeling.web.my_day import my_day
from labeling.web.page import page

SIGN_IN_BACKEND = "django.contrib.auth.backends.ModelBackend"
_BROWSERS = ("Edg", "OPR", "Firefox", "Chrome", "Safari")
_SYSTEMS = ("iPhone", "iPad", "Android", "Windows", "Mac OS X", "CrOS", "Linux")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A browser in which this person is signed in."""

    browser: str
    since: datetime | None
    is_this: bool


class PasswordForm(PageForm):
    """Another password; the present one proves who asks."""

    present = forms.CharField(
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "class": "input"}),
        label=gettext_lazy("Present password"),
    )
    password = forms.CharField(
        strip=False,
        max_length=1_000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "class": "input"}),
        label=gettext_lazy("New password"),
        help_text=gettext_lazy("At least 8 characters; not a common one, not your name."),
    )


class SignIn(auth.LoginView):
    """Name and password; then back to where one wanted to go."""

    template_name = "account/sign_in.html"
    redirect_authenticated_user = True
    next_page = "home"

    def form_valid(self, form: Any) -> HttpResponse:
        """Signed in; the session remembers since when and where, for the list of one's sessions."""
        answer = super().form_valid(form)
        remember_browser(self.request)
        return answer

    def form_invalid(self, form: object) -> HttpResponse:
        """A refused form keeps the name that was typed."""
        return self.render_to_response(self.get_context_data(form=form), status=422)


class SignOut(auth.LogoutView):
    """Ends the session of this browser."""

    next_page = "account:sign-in"


@page("GET")
def detail(request: HttpRequest) -> HttpResponse:
    """Who I am, where I may work, where I am signed in, how my keys behave."""
    return _show(request, PasswordForm())


@page("POST")
def new_password(request: HttpRequest) -> HttpResponse:
    """Change my password; every other browser is signed out."""
    form = PasswordForm(request.POST)
    user: Any = request.user
    if form.is_valid() and not user.check_password(form.cleaned_data["present"]):
        form.add_error("present", _("This is not your password."))
    if form.is_valid():
        try:
            change_password(user=user, password=form.cleaned_data["password"], by=actor_of(request))
        except LabelingError as error:
            put_errors(form, error, {"/password": "password"})
        else:
            sign_in(request, user)
            messages.success(request, _("Your password is changed. Other browsers are signed out."))
            return redirect("account:detail")
    return _show(request, form, status=422)


@page("POST")
def end_sessions(request: HttpRequest) -> HttpResponse:
    """Sign me out in every browser, this one too."""
    sign_out_everywhere(user=request.user, by=actor_of(request))
    request.session.flush()
    messages.success(request, _("You are signed out everywhere."))
    return redirect("account:sign-in")


def sign_in(request: HttpRequest, user: Any) -> None:
    """Begin a session for somebody who has proved who they are."""
    request.session.flush()
    login(request, user, backend=SIGN_IN_BACKEND)
    remember_browser(request)


def remember_browser(request: HttpRequest) -> None:
    """Write down since when and with what this session is used."""
    request.session["since"] = timezone.now().isoformat()
    request.session["browser"] = request.headers.get("User-Agent", "")[:300]


def address_of(request: HttpRequest) -> str:
    """The address that counts wrong passwords: in production the one that the proxy in front has seen."""
    forwarded = request.headers.get("X-Forwarded-For", "") if settings.PRODUCTION else ""
    last = forwarded.rsplit(",", 1)[-1].strip()
    return last or str(request.META.get("REMOTE_ADDR") or "") or "127.0.0.1"


def too_many_attempts(request: HttpRequest, *_rest: Any) -> HttpResponse:
    """What the sign-in says after too many wrong passwords for one name from one address; 429."""
    minutes = int(settings.AXES_COOLOFF_TIME.total_seconds() // 60)
    context = {
        "locked_minutes": minutes,
        "username": str(request.POST.get("username", ""))[:150],
        "next": str(request.POST.get("next", ""))[:2_000],
    }
    answer = render(request, "account/sign_in.html", context, status=429)
    answer["Retry-After"] = str(minutes * 60)
    return answer


def _show(request: HttpRequest, form: PasswordForm, *, status: int = 200) -> HttpResponse:
    actor = actor_of(request)
    memberships = Membership.objects.filter(user_id=actor.user_id)
    context = {
        "today": my_day(actor),
        "memberships": memberships.select_related("project").order_by("project__slug"),
        "password_form": form,
        "sessions": _signed_in(request),
    }
    return render(request, "account/detail.html", context, status=status)


def _signed_in(request: HttpRequest) -> list[SignedIn]:
    found = []
    for key, data in list_sessions(request.user):
        if SESSION_KEY in data:
            since = data.get("since")
            found.append(
                SignedIn(
                    browser=_browser_name(data.get("browser", "")),
                    since=datetime.fromisoformat(since) if since else None,
                    is_this=key == request.session.session_key,
                )
            )
    return sorted(found, key=lambda one: (not one.is_this, -(one.since.timestamp() if one.since else 0)))


def _browser_name(agent: str) -> str:
    """Firefox, Linux: enough to recognise one's own."""
    names = {"Edg": "Edge", "OPR": "Opera", "Mac OS X": "macOS", "CrOS": "ChromeOS"}
    parts = (next((word for word in words if word in agent), "") for words in (_BROWSERS, _SYSTEMS))
    return ", ".join(names.get(part, part) for part in parts if part) or _("another program")

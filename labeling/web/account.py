"""Signing in and out, and one's own account."""

from django.contrib.auth import views as auth
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from labeling.projects.models import Membership
from labeling.web import actor_of
from labeling.web.my_day import my_day
from labeling.web.page import page


class SignIn(auth.LoginView):
    """Name and password; then back to where one wanted to go."""

    template_name = "account/sign_in.html"
    redirect_authenticated_user = True
    next_page = "home"

    def form_invalid(self, form: object) -> HttpResponse:
        """A refused form keeps the name that was typed."""
        return self.render_to_response(self.get_context_data(form=form), status=422)


class SignOut(auth.LogoutView):
    """Ends the session of this browser."""

    next_page = "account:sign-in"


@page("GET")
def detail(request: HttpRequest) -> HttpResponse:
    """Who I am, where I may work, how my keys behave."""
    actor = actor_of(request)
    context = {
        "today": my_day(actor),
        "memberships": Membership.objects.filter(user_id=actor.user_id)
        .select_related("project")
        .order_by("project__slug"),
    }
    return render(request, "account/detail.html", context)

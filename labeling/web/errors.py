"""Pages for what goes wrong before or outside a view; `reviewapp.urls` names them as handlers."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from labeling.web.page import problem


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404 for addresses that no view answers."""
    return problem(request, 404, _("There is nothing at this address, or you may not see it."))


def not_allowed(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    return problem(request, 403, _("You are signed in, but this is not open to you."))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400 from Django itself: a broken form or a foreign host name."""
    return problem(request, 400, _("The request was not understood. Nothing was saved."))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 when a form's token is missing or old."""
    detail = _(
        "This form is too old, or cookies are blocked. Nothing was saved. Load the page again, then repeat."
    )
    return problem(request, 403, detail)


def server_error(request: HttpRequest) -> HttpResponse:
    """500, without anything that could fail again."""
    return render(request, "500.html", status=500)

"""The door of every page: method, sign-in, domain errors as pages or fragments, `Vary: HX-Request`."""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, cast
from urllib.parse import urlsplit

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _

from labeling.errors import (
    BusyError,
    ConflictError,
    InvalidError,
    LabelingError,
    NotAllowedError,
    NotFoundError,
    UnavailableError,
)
from labeling.web.wording import in_language

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]

_STATUS: dict[type[LabelingError], int] = {
    InvalidError: 422,
    NotAllowedError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    BusyError: 429,
    UnavailableError: 503,
}


def page(*methods: str, anonymous: bool = False) -> Callable[[View[P]], View[P]]:
    """Make a view of a signed-in person: `@page("GET")` or `@page("GET", "POST")`; `anonymous` lets in everybody."""
    allowed = {*methods, "HEAD"} if "GET" in methods else set(methods)

    def decorate(view: View[P]) -> View[P]:
        @functools.wraps(view)
        def door(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if request.method not in allowed:
                return HttpResponseNotAllowed(sorted(allowed))
            if not anonymous and not request.user.is_authenticated:
                response: HttpResponseBase = _sign_in_first(request)
            else:
                response = _answer(request, lambda: view(request, *args, **kwargs))
            patch_vary_headers(cast(HttpResponse, response), ["HX-Request"])
            return response

        door.methods = allowed  # type: ignore[attr-defined]
        return cast(View[P], door)

    return decorate


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx or one of our scripts asks for a part of a page. A restored history entry wants the whole page."""
    headers = request.headers
    return headers.get("HX-Request") == "true" and headers.get("HX-History-Restore-Request") != "true"


def status_of(error: LabelingError) -> int:
    """The HTTP status of a domain error."""
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 400)


def problem(
    request: HttpRequest, status: int, detail: str, *, error: LabelingError | None = None
) -> HttpResponse:
    """An error as a page of its own, or as a fragment for whoever asked for one."""
    template = "errors/problem.html#problem" if is_fragment(request) else "errors/problem.html"
    context = {"status": status, "title": _title(status), "detail": detail, "error": error}
    return render(request, template, context, status=status)


def _answer(request: HttpRequest, view: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    try:
        with timezone.override(None):  # a project's page turns the clock to its zone, for this request only
            return view()
    except LabelingError as error:
        return problem(request, status_of(error), in_language(error.detail), error=error)
    except Http404:
        return problem(request, 404, _("There is nothing at this address, or you may not see it."))


def _sign_in_first(request: HttpRequest) -> HttpResponse:
    """Pages lead to the sign-in; a fragment says so, because a redirect would put the sign-in page into its place."""
    if is_fragment(request):
        return problem(request, 401, _("You are signed out. Sign in in another tab, then try again here."))
    back = request.get_full_path()
    if request.method != "GET":  # after signing in, go to the page the form was on
        back = urlsplit(request.headers.get("Referer", "")).path or "/"
    return redirect_to_login(back, login_url=reverse("account:sign-in"))


def _title(status: int) -> str:
    return {
        401: _("Signed out"),
        403: _("Not yours to do"),
        404: _("Nothing here"),
        409: _("Something was faster"),
        422: _("This cannot be saved as it is"),
        429: _("Too much at once"),
        503: _("Not available now"),
    }.get(status, _("This did not work"))

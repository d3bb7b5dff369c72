"""The site map. Errors are problems below /api/ and pages elsewhere."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import include, path
from django.views.generic import RedirectView

from labeling.api import health, problems
from labeling.web import errors as pages

View = Callable[..., HttpResponseBase]


def _by_side(api: View, page: View) -> View:
    def handler(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return (api if request.path.startswith("/api/") else page)(request, *args, **kwargs)

    return handler


handler400 = _by_side(problems.bad_request, pages.bad_request)
handler403 = _by_side(problems.not_allowed, pages.not_allowed)
handler404 = _by_side(problems.not_found, pages.not_found)
handler500 = _by_side(problems.server_error, pages.server_error)

urlpatterns = [
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    path("api/v1/", include(("labeling.api.v1.urls", "api"))),
    path(
        "admin/password_change/", RedirectView.as_view(pattern_name="account:detail")
    ),  # told in the history there
    path("admin/", admin.site.urls),
    path("", include("labeling.web.urls")),
]

"""A lane of its own for predictions that come with an API key: nothing on it is there for browsers.

Sessions, languages, CSRF, messages, content policies and DRF cost more than writing a prediction does. A request by key needs
none of them, so this middleware answers it as soon as the ones above it (transport security) have had their say.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from labeling.api.authentication import bearer_of
from labeling.api.v1.predictions import post_with_key

_BEFORE, _AFTER = "/api/v1/projects/", "/predictions/"


class PredictionsByKey:
    """Middleware: answers `POST /api/v1/projects/<slug>/predictions/` with a key, and hands on everything else."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        slug = _slug_of(request)
        plain = bearer_of(request) if slug else None
        if slug is None or plain is None:
            return self._get_response(request)
        request.get_host()  # refuses a host that is not allowed, as CommonMiddleware does
        response: HttpResponse = post_with_key(request, plain, slug)
        response.headers["Content-Length"] = str(len(response.content))
        return response


def _slug_of(request: HttpRequest) -> str | None:
    path = request.path_info
    if request.method != "POST" or not path.startswith(_BEFORE) or not path.endswith(_AFTER):
        return None
    slug = path[len(_BEFORE) : -len(_AFTER)]
    return slug if slug and "/" not in slug else None

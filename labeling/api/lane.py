"""A lane of its own for what comes all the time with an API key: nothing on it is there for browsers.

Sessions, languages, CSRF, messages, content policies and DRF cost more than writing a prediction or a decision does. A request
by key needs none of them, so this middleware answers it as soon as the ones above it (transport security) have had their say.
"""

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from labeling.api.authentication import bearer_of
from labeling.api.v1.predictions import post_with_key
from labeling.api.v1.review import claim_with_key, decide_with_key

_Answer = Callable[[HttpRequest, str, str], HttpResponse]
"""Answers a request, given the key and the part of the address that names the project or task."""

# The same addresses are in the site map, for signed-in browsers and for other methods.
_LANES: tuple[tuple[re.Pattern[str], _Answer], ...] = (
    (re.compile(r"/api/v1/projects/([^/]+)/predictions/"), post_with_key),
    (re.compile(r"/api/v1/projects/([^/]+)/tasks/claim/"), claim_with_key),
    (re.compile(r"/api/v1/tasks/([0-9]{1,19})/decision/"), decide_with_key),
)


class ByKey:
    """Middleware: answers POSTs with a key to the addresses of the lane, and hands on everything else."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        plain = bearer_of(request) if request.method == "POST" else None
        if plain is not None:
            for address, answer in _LANES:
                if found := address.fullmatch(request.path_info):
                    request.get_host()  # refuses a host that is not allowed, as CommonMiddleware does
                    response = answer(request, plain, found[1])
                    response.headers["Content-Length"] = str(len(response.content))
                    return response
        return self._get_response(request)

"""Views for what comes all the time: with an API key the lane calls them past DRF, whose dispatch costs as much as the work.

A signed-in browser reaches the same `answer` through DRF, which knows sessions and CSRF.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from django.http import HttpRequest, HttpResponse
from rest_framework import serializers
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.request import Request
from rest_framework.views import APIView

from labeling.api.authentication import actor_of, actor_of_key, find_key
from labeling.api.bodies import JSON_TYPE, BodyError, read_body
from labeling.api.limits import Allowance, allowance_of
from labeling.api.problems import problem_of, problem_response
from labeling.api.v1.inputs import checked_value
from labeling.errors import LabelingError
from labeling.history.actor import Actor
from labeling.ingestion.decoding import MalformedError, decode_value
from labeling.projects.key_use import note_key_use
from labeling.projects.services import digest_of

S = TypeVar("S", bound=msgspec.Struct)
# What may have another answer for another key. A database that is away has the same for all.
_REFUSALS = (LabelingError, APIException, BodyError, MalformedError)
_MOST = 1_000


@dataclass(frozen=True, slots=True)
class _Known:
    """A key as this process remembers it."""

    key_id: int
    actor: Actor
    allowance: Allowance | None


_remembered: dict[str, _Known] = {}


class QuickView(APIView):
    """A view with one operation, `answer`, whose first statement asks KEY_STANDS.

    `answer(request, actor, **parts of the address)` does what is asked for on behalf of the actor; its errors become problems.
    """

    answer: Callable[..., HttpResponse]

    def answer_key(self, request: HttpRequest, plain: str, **kwargs: Any) -> HttpResponse:
        """What the lane does for a key."""
        try:
            return self._answer_key(request, plain, **kwargs)
        # The edge of the process: what can be told becomes a problem, the rest stays an error.
        except Exception as error:
            found = problem_of(error)
            if found is None:
                raise
            return problem_response(*found)

    def _answer_key(self, request: HttpRequest, plain: str, **kwargs: Any) -> HttpResponse:
        """For the key as it is remembered. What was refused is tried again where the key has changed meanwhile.

        More than the key's limits is refused at once: it must not cost a look-up.
        """
        digest = digest_of(plain)
        remembered = _remembered.get(digest)
        known = remembered or _look_up(plain, digest)
        if known.allowance:
            known.allowance.take_request()
        if remembered is None:
            return self.answer(request, known.actor, **kwargs)
        note_key_use(known.key_id)
        try:
            return self.answer(request, known.actor, **kwargs)
        except _REFUSALS:
            if (fresh := _look_up(plain, digest)) == known:
                raise
        return self.answer(request, fresh.actor, **kwargs)

    def answer_signed_in(self, request: Request, **kwargs: Any) -> HttpResponse:
        """What the method that DRF dispatches to does."""
        return self.answer(request._request, actor_of(request), **kwargs)


def _look_up(plain: str, digest: str) -> _Known:
    """Who the key acts as now, to be remembered."""
    _remembered.pop(digest, None)
    key = find_key(plain)
    if key is None:
        raise AuthenticationFailed("The API key is unknown or revoked.", code="key_invalid")
    if len(_remembered) >= _MOST:
        _remembered.clear()
    _remembered[digest] = _Known(key.pk, actor_of_key(key), allowance_of(key))
    return _remembered[digest]


def read_object(request: HttpRequest, shape: type[S], serializer: type[serializers.Serializer[Any]]) -> S:
    """The body as `shape`, which takes nothing that `serializer` would refuse. What it does not take, the serializer judges."""
    value = _decoded(request)
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError:
        return msgspec.convert(checked_value(serializer, value), shape, strict=False)


def _decoded(request: HttpRequest) -> Any:
    if request.META.get("CONTENT_LENGTH", "0") in ("", "0") and not request.META.get(
        "HTTP_TRANSFER_ENCODING"
    ):
        return {}  # nothing was sent, so nothing needs a type
    kind, body = read_body(request)
    if kind != JSON_TYPE:
        raise BodyError(415, "unsupported_media_type", f"send {JSON_TYPE}")
    return decode_value(body)


def as_json(body: Any, status: int = 200) -> HttpResponse:
    """An answer in JSON; times are written as DRF writes them."""
    return HttpResponse(msgspec.json.encode(body), content_type="application/json", status=status)

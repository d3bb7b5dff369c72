"""Cursor pages: `{"results", "next", "previous"}`, by one unique column, never by offset and never with a count."""

import base64
from collections.abc import Callable
from typing import Any

import msgspec
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.errors import invalid, say

DEFAULT_SIZE = 50
MOST = 500


def page_of(
    request: Request,
    rows: QuerySet[Any],
    *,
    ordering: str,
    serializer: Callable[..., serializers.BaseSerializer[Any]],
) -> Response:
    """One page of a queryset by a unique column (`-id` for descending)."""
    size = page_size(request)
    column, descending = ordering.lstrip("-"), ordering.startswith("-")
    backwards, at = read_cursor(request)
    forward_down = descending != backwards
    if at is not None:
        try:
            rows = rows.filter(**{f"{column}__{'lt' if forward_down else 'gt'}": at})
        except (ValueError, TypeError) as error:
            raise _bad_cursor() from error
    found = list(rows.order_by(f"-{column}" if forward_down else column)[: size + 1])
    more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    has_next, has_previous = (at is not None or more, more) if backwards else (more, at is not None)
    return Response(
        {
            "results": serializer(found, many=True).data,
            "next": _link(request, getattr(found[-1], column), False) if found and has_next else None,
            "previous": _link(request, getattr(found[0], column), True) if found and has_previous else None,
        }
    )


def page_size(request: Request) -> int:
    """How many rows are wanted, from `limit`."""
    text = request.query_params.get("limit", str(DEFAULT_SIZE))
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= MOST:
        raise invalid("/limit", "out_of_range", say("limit must be from 1 to {most}", most=MOST))
    return int(text)


def read_cursor(request: Request) -> tuple[bool, Any]:
    """Direction and place of a cursor; (False, None) at the beginning."""
    text = request.query_params.get("cursor")
    if not text:
        return False, None
    try:
        backwards, at = msgspec.json.decode(base64.urlsafe_b64decode(text), type=tuple[bool, int | str])
    except (ValueError, msgspec.MsgspecError) as error:
        raise _bad_cursor() from error
    if (isinstance(at, int) and not -(2**63) <= at < 2**63) or (isinstance(at, str) and "\x00" in at):
        raise _bad_cursor()
    return backwards, at


def link(request: Request, at: Any, *, backwards: bool = False) -> str:
    """The address of the page that begins after `at`."""
    return _link(request, at, backwards)


PAGE_PARAMETERS = [
    OpenApiParameter("limit", OpenApiTypes.INT, description=f"Rows of a page, at most {MOST}"),
    OpenApiParameter("cursor", OpenApiTypes.STR, description="Where to go on, from `next` or `previous`"),
]


def page_schema(name: str, serializer: type[serializers.Serializer[Any]]) -> Any:
    """The page of a list, for the OpenAPI schema."""
    return inline_serializer(
        name,
        {
            "results": serializer(many=True),
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
        },
    )


def _link(request: Request, at: Any, backwards: bool) -> str:
    params = request.query_params.copy()
    params["cursor"] = base64.urlsafe_b64encode(msgspec.json.encode([backwards, at])).decode()
    return request.build_absolute_uri(f"{request.path}?{params.urlencode()}")


def _bad_cursor() -> Exception:
    return invalid("/cursor", "invalid", say("this is not a cursor that was given out"))

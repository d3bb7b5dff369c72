"""Errors as RFC 9457 problems: the one place where domain errors become HTTP."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from psycopg_pool import PoolTimeout
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from labeling.api.bodies import BodyError
from labeling.errors import (
    BusyError,
    ConflictError,
    FieldError,
    InvalidError,
    LabelingError,
    NotAllowedError,
    NotFoundError,
    UnavailableError,
    quote,
)
from labeling.ingestion.decoding import MalformedError

logger = logging.getLogger(__name__)
CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_S = 2

_STATUS: dict[type[LabelingError], int] = {
    InvalidError: 422,
    NotAllowedError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    BusyError: 429,
    UnavailableError: 503,
}
_MALFORMED = {"too_many_rows": 413, "too_deep": 422}
_TITLES = {
    400: "Malformed request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    422: "Invalid",
    429: "Too much at once",
    500: "Internal error",
    503: "Not available now",
}
DATABASE_ERRORS = (OperationalError, InterfaceError, PoolTimeout)


def problem(
    status: int,
    code: str,
    detail: str,
    errors: Sequence[FieldError] = (),
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The body of a problem."""
    return {
        "type": "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "code": code,
        "detail": detail,
        "errors": field_errors(errors),
        **(extra or {}),
    }


def field_errors(errors: Sequence[FieldError]) -> list[dict[str, str]]:
    return [{"pointer": e.pointer, "code": e.code, "detail": str(e.detail)} for e in errors]


def problem_response(body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> HttpResponse:
    """A problem outside DRF."""
    return JsonResponse(body, status=body["status"], content_type=CONTENT_TYPE, headers=headers)


def problem_of(error: Exception) -> tuple[dict[str, Any], dict[str, str]] | None:
    """Body and headers for an error that the client can be told about, or none."""
    if isinstance(error, LabelingError):
        status = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
        headers = (
            {"Retry-After": str(error.extra.get("retry_after", RETRY_AFTER_S))}
            if status in (429, 503)
            else {}
        )
        return problem(status, error.code, error.detail, error.errors, error.extra), headers
    if isinstance(error, BodyError):
        return problem(error.status, error.code, error.detail), {}
    if isinstance(error, MalformedError):
        return problem(_MALFORMED.get(error.code, 400), error.code, str(error)), {}
    if isinstance(error, DATABASE_ERRORS):
        logger.warning("database not available: %s", error)
        body = problem(503, "unavailable", "The database is not available now; nothing was stored.")
        return body, {"Retry-After": str(RETRY_AFTER_S)}
    if isinstance(error, Http404):
        return problem(404, "not_found", "There is no such thing."), {}
    if isinstance(error, PermissionDenied):
        return problem(403, "not_allowed", "You may not do this."), {}
    if isinstance(error, RequestDataTooBig):
        return problem(413, "too_large", "The request is too large."), {}
    if isinstance(error, SuspiciousOperation):
        return problem(400, "malformed", "The request is malformed."), {}
    return _of_drf(error) if isinstance(error, exceptions.APIException) else None


def problem_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler."""
    found = problem_of(error)
    if found is None:
        return None
    set_rollback()
    body, headers = found
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem_response(problem(400, "malformed", "The request is malformed."))


def not_allowed(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem_response(problem(403, "not_allowed", "You may not do this."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem_response(problem(404, "not_found", "There is nothing at this address."))


def server_error(request: HttpRequest) -> HttpResponse:
    """What a client of the API sees of an error nobody foresaw."""
    return problem_response(problem(500, "internal", "Something failed here; it has been logged."))


def _of_drf(error: exceptions.APIException) -> tuple[dict[str, Any], dict[str, str]]:
    headers: dict[str, str] = {}
    if error.status_code == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="api"'
    if getattr(error, "wait", None):
        headers["Retry-After"] = str(int(error.wait))  # type: ignore[attr-defined]
    if isinstance(error, exceptions.ValidationError):
        errors = list(_flatten(error.detail, ""))
        return problem(
            422, "invalid", errors[0].detail if errors else "The input is invalid.", errors
        ), headers
    if isinstance(error, exceptions.ParseError):
        return problem(400, "malformed", str(error.detail)), headers
    code = getattr(error.detail, "code", None) or "error"
    return problem(error.status_code, code, str(error.detail)), headers


def _flatten(detail: Any, pointer: str) -> Sequence[FieldError]:
    if isinstance(detail, dict):
        return [found for name, part in detail.items() for found in _flatten(part, _below(pointer, name))]
    if (
        isinstance(detail, list)
        and detail
        and all(isinstance(part, exceptions.ErrorDetail) for part in detail)
    ):
        return [
            FieldError(pointer, part.code, quote(f"{pointer.lstrip('/')}: {part}".lstrip(": ")))
            for part in detail
        ]
    if isinstance(detail, list):
        return [found for index, part in enumerate(detail) for found in _flatten(part, f"{pointer}/{index}")]
    return [FieldError(pointer, getattr(detail, "code", "invalid"), quote(str(detail)))]


def _below(pointer: str, name: str) -> str:
    return (
        pointer
        if name == "non_field_errors"
        else f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"
    )

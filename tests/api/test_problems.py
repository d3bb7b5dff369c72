"""Which error becomes which problem, and what is said outside the API: alive, ready, measured."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404
from django.test import Client, RequestFactory
from psycopg_pool import PoolTimeout
from rest_framework import exceptions

from labeling import errors
from labeling.api.bodies import BodyError
from labeling.api.problems import problem_of, server_error
from labeling.errors import FieldError, invalid
from labeling.ingestion.decoding import MalformedError
from reviewapp.celery import app
from tests.world import World, a_row

TABLE: list[tuple[Exception, int, str]] = [
    (invalid("/id", "blank", "an id is blank"), 422, "invalid"),
    (errors.InvalidError("last_owner", "A project keeps an owner."), 422, "last_owner"),
    (errors.NotAllowedError("role_missing", "No."), 403, "role_missing"),
    (errors.NotFoundError("not_found", "No."), 404, "not_found"),
    (errors.ConflictError("claim_lost", "No.", extra={"holder": "rita"}), 409, "claim_lost"),
    (errors.BusyError("rules_changing", "Later."), 429, "rules_changing"),
    (BodyError(413, "too_large", "Too large."), 413, "too_large"),
    (BodyError(415, "unsupported_encoding", "What?"), 415, "unsupported_encoding"),
    (MalformedError("not JSON"), 400, "malformed"),
    (MalformedError("too many", "too_many_rows"), 413, "too_many_rows"),
    (MalformedError("too deep", "too_deep"), 422, "too_deep"),
    (OperationalError("the server closed the connection"), 503, "unavailable"),
    (InterfaceError("the connection is closed"), 503, "unavailable"),
    (PoolTimeout("no connection in time"), 503, "unavailable"),
    (Http404(), 404, "not_found"),
    (PermissionDenied(), 403, "not_allowed"),
    (RequestDataTooBig(), 413, "too_large"),
    (SuspiciousOperation(), 400, "malformed"),
    (exceptions.NotAuthenticated(), 401, "not_authenticated"),
    (exceptions.AuthenticationFailed("no", code="key_invalid"), 401, "key_invalid"),
    (exceptions.PermissionDenied(), 403, "permission_denied"),
    (exceptions.MethodNotAllowed("BREW"), 405, "method_not_allowed"),
    (exceptions.NotAcceptable(), 406, "not_acceptable"),
    (exceptions.UnsupportedMediaType("text/plain"), 415, "unsupported_media_type"),
    (exceptions.ParseError("what?"), 400, "malformed"),
    (exceptions.ValidationError({"name": ["may not be blank"]}), 422, "invalid"),
    (exceptions.Throttled(wait=7), 429, "throttled"),
]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    TABLE,
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_each_error_has_its_problem(error: Exception, status: int, code: str) -> None:
    found = problem_of(error)
    assert found is not None
    body, headers = found
    assert (body["status"], body["code"], body["type"]) == (status, code, "about:blank")
    assert body["title"] not in ("", "Error")
    assert body["detail"]
    assert ("Retry-After" in headers) == (status in (429, 503))
    assert ("WWW-Authenticate" in headers) == (status == 401)
    json.dumps(body)


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), DatabaseError("x"), AssertionError()])
def test_what_nobody_foresaw_is_no_problem_of_the_client(error: Exception) -> None:
    assert problem_of(error) is None


def test_an_error_nobody_foresaw_says_nothing_of_the_inside() -> None:
    response = server_error(RequestFactory().get("/api/v1/keys/"))
    assert (response.status_code, response["Content-Type"]) == (500, "application/problem+json")
    assert json.loads(response.content)["code"] == "internal"


def test_members_of_an_error_come_along() -> None:
    found = problem_of(
        errors.ConflictError("claim_lost", "Lost.", [FieldError("/token", "x", "y")], {"holder": "rita"})
    )
    assert found is not None
    assert found[0]["holder"] == "rita"
    assert found[0]["errors"] == [{"pointer": "/token", "code": "x", "detail": "y"}]


NESTED = [
    ({"scopes": {0: ["no choice"]}}, ["/scopes/0"]),
    ({"a/b": ["x"], "c~d": ["y"]}, ["/a~1b", "/c~0d"]),
    ({"non_field_errors": ["x"]}, [""]),
    (["x", "y"], ["", ""]),
    ({"rows": [{}, {"id": ["x"]}]}, ["/rows/1/id"]),
]


@pytest.mark.parametrize(("detail", "pointers"), NESTED)
def test_where_drf_found_something_wrong(detail: Any, pointers: list[str]) -> None:
    found = problem_of(exceptions.ValidationError(detail))
    assert found is not None
    assert [error["pointer"] for error in found[0]["errors"]] == pointers


# --- Alive, ready, measured ------------------------------------------------------------------------------------------


def test_alive() -> None:
    response = Client().get("/livez")
    assert (response.status_code, response.content) == (200, b"ok\n")


@pytest.mark.slow
def test_ready_without_a_broker(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker is only the bell: it is told about and stops nothing."""
    monkeypatch.setattr(app.conf, "broker_read_url", "redis://127.0.0.1:1/0")
    response = Client().get("/readyz")
    assert response.status_code == 200
    body = response.json()
    assert body["ready"] is True
    assert (body["checks"]["database"], body["checks"]["migrations"]) == ("ok", "ok")
    assert body["checks"]["broker"].startswith("failed")


def test_ready_with_a_broker(db: None, broker: str) -> None:
    assert Client().get("/readyz").json()["checks"]["broker"] == "ok"


def test_measures(world: World) -> None:
    otto = world.api("otto")
    otto.predict([a_row(), a_row(), a_row(confidence=0.99)]).expect(200)
    world.api("rita").claim_one()
    response = Client().get("/metrics")
    assert response["Content-Type"].startswith("text/plain")
    lines = response.content.decode().splitlines()
    assert 'reviewapp_queue_waiting{project="letters",queue="default"} 1.0' in lines
    assert 'reviewapp_queue_claimed{project="letters",queue="default"} 1.0' in lines
    assert any(
        line.startswith('reviewapp_queue_oldest_seconds{project="letters",queue="default"}') for line in lines
    )


def test_measures_behind_a_token(db: None, settings: Any) -> None:
    settings.REVIEWAPP_METRICS_TOKEN = "of the scraper"
    for headers in ({}, {"Authorization": "Bearer of somebody"}, {"Authorization": "of the scraper"}):
        refused = Client().get("/metrics", headers=headers)
        assert (refused.status_code, refused["WWW-Authenticate"]) == (401, "Bearer")
        assert b"reviewapp_" not in refused.content
    assert Client().get("/metrics", headers={"Authorization": "Bearer of the scraper"}).status_code == 200
    assert Client().get("/livez").status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_they_are_only_read(db: None, path: str) -> None:
    assert Client().post(path).status_code == 405
    assert Client().head(path).status_code == 200

"""Who may do what: every endpoint by every kind of caller. A refusal never says whether there is something."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from drf_spectacular.generators import SchemaGenerator

from labeling.projects.models import Scope
from tests.api.endpoints import ENDPOINTS, PUBLIC, Endpoint, Place, list_endpoints
from tests.world import Api, Reply, World

MEMBERS = ("otto", "lea", "rita", "vic", "nora")
GUARDED = [endpoint for endpoint in ENDPOINTS if endpoint.permission is not PUBLIC]
WRITING = [endpoint for endpoint in GUARDED if endpoint.body is not None]
REFUSED = ("role_missing", "scope_missing")


@pytest.fixture
def place(world: World) -> Place:
    return Place(world)


Check = Callable[[Place, Endpoint], None]


def for_each(endpoints: list[Endpoint]) -> Callable[[Check], Callable[..., None]]:
    """One test of many endpoints in one world; what each does is taken back at once."""

    def decorate(check: Check) -> Callable[..., None]:
        def test(place: Place, subtests: pytest.Subtests) -> None:
            for endpoint in endpoints:
                with subtests.test(str(endpoint)):
                    check(place, endpoint)

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate


def call(place: Place, endpoint: Endpoint, api: Api) -> Reply:
    """Ask, and take back whatever it did."""
    with transaction.atomic():
        body = place.body(endpoint)
        more = () if body is None else (body,)
        reply = api.request(endpoint.method, place.path(endpoint.route), *more)
        transaction.set_rollback(True)
    return reply


def assert_lets_in(reply: Reply) -> None:
    """The door is open, whatever is said inside (a decision that is published cannot be undone, say)."""
    assert reply.status < 500
    assert reply.status not in (401, 404), reply
    if reply.status == 403:
        assert reply.body["code"] not in REFUSED, reply


def assert_refuses(reply: Reply, code: str) -> None:
    reply.expect_problem(403, code)


def test_every_endpoint_is_in_the_table() -> None:
    known = [(endpoint.method, endpoint.route) for endpoint in ENDPOINTS]
    assert len(set(known)) == len(known)
    assert set(known) == set(list_endpoints()), "say in tests/api/endpoints.py who may use it"


@for_each(GUARDED)
def test_anonymous(place: Place, endpoint: Endpoint) -> None:
    reply = call(place, endpoint, Api(None, place.world.letters))
    reply.expect_problem(401)
    assert reply.headers["WWW-Authenticate"].startswith("Bearer")
    call(place, endpoint, Api("rva_unknown", place.world.letters)).expect_problem(401, "key_invalid")


@pytest.mark.slow
@for_each(GUARDED)
def test_members_strangers_and_the_administrator(place: Place, endpoint: Endpoint) -> None:
    assert endpoint.permission is not None
    for name in MEMBERS:
        reply = call(place, endpoint, place.world.api(name))
        if name in endpoint.permission.members:
            assert_lets_in(reply)
        elif name == "nora" and endpoint.permission.hides:
            reply.expect_problem(404, "not_found")
        else:
            assert_refuses(reply, "role_missing")
    assert_lets_in(call(place, endpoint, place.world.api("ada")))


@pytest.mark.slow
@for_each(GUARDED)
def test_signed_in_people_may_what_their_role_may(place: Place, endpoint: Endpoint) -> None:
    assert endpoint.permission is not None
    for name in MEMBERS:
        reply = call(place, endpoint, place.world.browser(name))
        if name in endpoint.permission.members:
            assert_lets_in(reply)
        else:
            assert reply.status == (404 if name == "nora" and endpoint.permission.hides else 403)
    assert_lets_in(call(place, endpoint, place.world.browser("ada")))


@pytest.mark.slow
@for_each(GUARDED)
def test_scopes(place: Place, endpoint: Endpoint) -> None:
    """The key of an owner (of the administrator, where only she may) with one scope only."""
    assert endpoint.permission is not None
    person = "otto" if "otto" in endpoint.permission.members else "ada"
    for scope in Scope.values:
        reply = call(place, endpoint, place.world.api(person, scope))
        if scope in endpoint.permission.scopes:
            assert_lets_in(reply)
        else:
            assert_refuses(reply, "scope_missing")


@pytest.mark.slow
@for_each(GUARDED)
def test_a_key_tied_to_another_project(place: Place, endpoint: Endpoint) -> None:
    for name in ("otto", "ada"):
        reply = call(place, endpoint, place.world.api(name, project=place.other))
        if endpoint.permission is not None and endpoint.permission.hides:
            reply.expect_problem(404, "not_found")
        elif endpoint.method == "GET":
            assert "letters" not in reply.content.decode()
        else:
            assert reply.status == 403


@pytest.mark.slow
@for_each(GUARDED)
def test_a_key_tied_to_this_project_is_enough(place: Place, endpoint: Endpoint) -> None:
    assert endpoint.permission is not None
    reply = call(place, endpoint, place.world.api("otto", project=place.world.letters))
    if "otto" in endpoint.permission.members:
        assert_lets_in(reply)


@for_each([endpoint for endpoint in ENDPOINTS if endpoint.permission is PUBLIC])
def test_what_is_public(place: Place, endpoint: Endpoint) -> None:
    """Also what a link that nobody made is used with: it is not there, rather than closed."""
    reply = call(place, endpoint, Api(None, place.world.letters))
    if endpoint.method == "GET":
        assert reply.status == 200
    else:
        assert reply.status in (404, 422), reply


def test_a_stranger_cannot_tell_what_is_there_from_what_is_not(place: Place) -> None:
    nora = place.world.api("nora")
    for endpoint in GUARDED:
        if endpoint.permission is None or not endpoint.permission.hides:
            continue
        there = nora.request(endpoint.method, place.path(endpoint.route), place.body(endpoint) or {})
        nowhere = nora.request(
            endpoint.method,
            place.path(endpoint.route, str="nowhere", int="7", path="q"),
            _elsewhere(place.body(endpoint)),
        )
        assert there.status == nowhere.status == 404, endpoint


def _elsewhere(body: Any) -> Any:
    return {**body, "project": "nowhere"} if body and "project" in body else body or {}


# --- What no path and no body may do ---------------------------------------------------------------------------------

ODD_TEXTS = ["%00", "%ff", "%F0%9F%99%82", "%2E%2E", "'%3B--", "%25", "a" * 300, "%E2%80%AE", "%0A"]


@pytest.mark.slow
@for_each(GUARDED)
def test_odd_texts_in_a_path_find_nothing(place: Place, endpoint: Endpoint) -> None:
    if "<str:" not in endpoint.route and "<path:" not in endpoint.route:
        return
    ada = place.world.api("ada")
    for text in ODD_TEXTS:
        for name in ("str", "path"):
            if f"<{name}:" in endpoint.route:
                with transaction.atomic():
                    reply = ada.request(
                        endpoint.method,
                        place.path(endpoint.route, **{name: text}),
                        place.body(endpoint) or {},
                    )
                    assert reply.status in (404, 405, 422), (text, reply)
                    transaction.set_rollback(True)
        for name in [part.split(">")[0] for part in endpoint.route.split("<str:")[1:]]:
            place.values, before = {**place.values, name: text}, place.values
            reply = call(place, endpoint, ada)
            assert reply.status in (404, 405, 422), (name, text, reply)
            place.values = before


@for_each([endpoint for endpoint in GUARDED if "<int:" in endpoint.route])
def test_odd_numbers_in_a_path_find_nothing(place: Place, endpoint: Endpoint) -> None:
    ada = place.world.api("ada")
    for number in (
        "0",
        str(2**31),
        str(2**63 - 1),
        str(2**63),
        str(2**64),
        "9" * 5_000,
        "-1",
        "1.0",
        "+1",
        "%D9%A1",
        "1e3",
        "0x1",
    ):
        reply = ada.request(
            endpoint.method, place.path(endpoint.route, int=number), place.body(endpoint) or {}
        )
        assert reply.status == 404, (number, reply)


ODD_VALUES = [
    *ODD_TEXTS,
    "",
    "0",
    "-1",
    "1.5",
    "1e9",
    "99999999999999999999",
    "9" * 5_000,
    "null",
    "%D9%A1",
    "[]",
    "a&b",
    "2026-02-30",
]


def query_parameters() -> dict[tuple[str, str], list[str]]:
    """The names of query parameters of each operation, as the OpenAPI schema has them."""
    paths = SchemaGenerator().get_schema(public=True)["paths"]
    return {
        (method.upper(), path): [
            each["name"] for each in operation.get("parameters", []) if each["in"] == "query"
        ]
        for path, operations in paths.items()
        for method, operation in operations.items()
    }


@pytest.mark.slow
def test_odd_values_in_a_query_are_no_server_errors(place: Place, subtests: pytest.Subtests) -> None:
    """A value is taken, or refused by a problem that names it."""
    ada, known = place.world.api("ada"), query_parameters()
    asked = 0
    for endpoint in GUARDED:
        described = "/api/v1/" + re.sub(r"<\w+:(\w+)>", r"{\1}", endpoint.route)
        for name in known[endpoint.method, described]:
            with subtests.test(f"{endpoint} {name}"):
                for value in ODD_VALUES:
                    reply = ada.request(endpoint.method, f"{place.path(endpoint.route)}?{name}={value}")
                    asked += 1
                    assert reply.status in (200, 404, 422), (value, reply)
                    if reply.status == 422:
                        assert [error["pointer"] for error in reply.expect_problem(422)["errors"]] == [
                            f"/{name}"
                        ]
    assert asked > 300


JSON = "application/json"
NESTED = b'{"name":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
BODIES: dict[str, tuple[bytes, str, dict[str, str], int]] = {
    "cut off": (b'{"name":', JSON, {}, 400),
    "no JSON": (b"name=x", JSON, {}, 400),
    "a byte order mark": (b"\xef\xbb\xbf{}", JSON, {}, 400),
    "invalid UTF-8": (b'{"name":"\xff"}', JSON, {}, 400),
    "called gzip but plain": (b"{}", JSON, {"Content-Encoding": "gzip"}, 400),
    "brotli": (b"{}", JSON, {"Content-Encoding": "br"}, 415),
    "Latin-1": (b"{}", "application/json; charset=latin-1", {}, 415),
    "a form": (b"name=x", "application/x-www-form-urlencoded", {}, 415),
    "a file": (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x", {}, 415),
    "plain text": (b"{}", "text/plain", {}, 415),
    "a number": (b"5", JSON, {}, 422),
    "a text": (b'"x"', JSON, {}, 422),
    "null": (b"null", JSON, {}, 422),
    "U+0000 in a value": (b'{"name":"\\u0000"}', JSON, {}, 422),
    "U+0000 in a key": (b'{"\\u0000":1}', JSON, {}, 422),
    "lone surrogate in a value": (b'{"name":"\\ud800"}', JSON, {}, 422),
    "lone surrogate in a key": (b'{"\\ud800":1}', JSON, {}, 422),
    "NaN": (b'{"name":NaN}', JSON, {}, 422),
    "1e400": (b'{"name":1e400}', JSON, {}, 422),
    "a number of 5,000 digits": (b'{"name":' + b"9" * 5_000 + b"}", JSON, {}, 422),
    "65 bits": (b'{"name":%d}' % 2**64, JSON, {}, 422),
    "10,000 levels": (NESTED, JSON, {}, 422),
    "more than 1 MB": (b'{"name":"' + b"x" * (1024 * 1024 + 1) + b'"}', JSON, {}, 422),
    "an unknown name": (b'{"colour":1}', JSON, {}, 422),
}


@pytest.mark.slow
@for_each(WRITING)
def test_bad_bodies_are_problems_everywhere(place: Place, endpoint: Endpoint) -> None:
    ada = place.world.api("ada")
    for name, (content, kind, headers, status) in BODIES.items():
        reply = ada.request(endpoint.method, place.path(endpoint.route), content, kind=kind, **headers)
        assert reply.status == status, (name, reply)
        reply.expect_problem(status)


@for_each(WRITING)
def test_gzip_is_understood_everywhere(place: Place, endpoint: Endpoint) -> None:
    body = gzip.compress(json.dumps(place.body(endpoint)).encode())
    ada = place.world.api("rita" if "token" in (endpoint.body or {}) else "ada")
    with transaction.atomic():
        reply = ada.request(endpoint.method, place.path(endpoint.route), body, **{"Content-Encoding": "gzip"})
        transaction.set_rollback(True)
    assert reply.status < 300 or reply.status in (403, 409), reply


@pytest.mark.slow
@for_each(GUARDED)
def test_other_methods_are_not_allowed(place: Place, endpoint: Endpoint) -> None:
    allowed = {e.method for e in ENDPOINTS if e.route == endpoint.route}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} - allowed:
        place.world.api("ada").request(method, place.path(endpoint.route)).expect_problem(405)


def test_there_is_nothing_at_other_addresses(world: World) -> None:
    for path in (
        "/",
        "/nothing/",
        "/projects",
        "/projects/letters",
        "/projects/letters/predictions",
        "/keys//",
        "/%00/",
        "/tasks/x/skip/",
    ):
        reply = world.api("ada").get(path)
        assert reply.status in (301, 404), (path, reply)
        if reply.status == 404:
            reply.expect_problem(404)


def test_an_answer_that_the_client_cannot_read_is_refused(world: World) -> None:
    api = world.api("ada")
    api.get("/projects/", Accept="application/xml").expect_problem(406)
    api.get("/projects/nowhere/", Accept="application/json, application/problem+json").expect_problem(404)
    api.get("/projects/", Accept="*/*").expect(200)

"""The OpenAPI schema, and what the running API does with whatever the schema allows and forbids."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from reviewapp.wsgi import application
from tests.api.endpoints import Place, list_endpoints
from tests.world import World

PREFIX = "/api/v1"
EXAMPLES = settings(
    max_examples=int(os.environ.get("EXAMPLES") or 5),  # `make fuzz` asks for more
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance]
OPERATIONS = sorted(set(list_endpoints()) - {("GET", "schema/"), ("GET", "docs/")})


def described(route: str) -> str:
    """A route as OpenAPI writes it."""
    return re.sub(r"<\w+:(\w+)>", r"{\1}", route)


@contextmanager
def in_this_transaction() -> Iterator[None]:
    """The running application would close the connection that the test's transaction is in; Django's client avoids it alike."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


@pytest.fixture
def api_schema(db: None) -> Any:
    with in_this_transaction():
        return schemathesis.openapi.from_wsgi(f"{PREFIX}/schema/", application)


@pytest.mark.slow
def test_it_is_made_without_a_warning() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=io.StringIO())


@pytest.mark.slow
def test_it_names_every_endpoint(api_schema: Any) -> None:
    found = {
        (method.upper(), path.removeprefix(f"{PREFIX}/"))
        for path, operations in api_schema.raw_schema["paths"].items()
        for method in operations
    }
    assert found == {(method, described(route)) for method, route in OPERATIONS}
    assert api_schema.raw_schema["openapi"].startswith("3.1")


@pytest.mark.slow
def test_every_operation_may_answer_with_a_problem(api_schema: Any) -> None:
    for operations in api_schema.raw_schema["paths"].values():
        for operation in operations.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
def test_whatever_is_sent_is_answered_as_described(
    world: World, api_schema: Any, mode: Any, subtests: pytest.Subtests
) -> None:
    """Ada sends what fits the schema, or what does not; to what is not there, and to what is."""
    place = Place(world)
    headers = {"Authorization": f"Bearer {world.api('ada').key}"}

    def send(case: Case) -> None:
        for values in ({}, place.values):
            for name in case.path_parameters or {}:
                case.path_parameters[name] = values.get(name, case.path_parameters[name])
            with in_this_transaction(), transaction.atomic():
                case.call_and_validate(headers=headers, checks=CHECKS)
                transaction.set_rollback(True)

    for method, route in OPERATIONS:
        operation = api_schema[f"{PREFIX}/{described(route)}"][method]
        with subtests.test(f"{method} {route}"):
            EXAMPLES(given(case=operation.as_strategy(generation_mode=mode))(send))()

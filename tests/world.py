"""People, not users. Ada administers, Otto owns, Lea leads, Rita and Rolf review, Vic views, and Nora is a stranger.

`World` makes people, projects and keys through the real services; `Api` speaks to the API as one of them. A `conftest.py`
that wants the fixtures imports them from here.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, TypeVar
from urllib.parse import quote

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test import Client
from django.test.client import ClientHandler

from labeling.history.actor import Actor
from labeling.pipeline.projects import create_project
from labeling.projects.models import Membership, Project, Role, Scope
from labeling.projects.services import create_api_key

T = TypeVar("T")

MEMBERS = {
    "otto": Role.OWNER,
    "lea": Role.LEAD,
    "rita": Role.REVIEWER,
    "rolf": Role.REVIEWER,
    "vic": Role.VIEWER,
}
PEOPLE = ("ada", *MEMBERS, "nora")
ALL_SCOPES = tuple(Scope.values)
QUIET = {"audit_rate": 0, "sentinel_rate": 0}
"""A policy in which chance has no part."""

SCHEMAS: dict[str, dict[str, Any]] = {
    "classification": {"labels": ["a", "b", "c"]},
    "multilabel": {"labels": ["a", "b", "c"]},
    "text": {},
    "fields": {
        "fields": {
            "total": {"type": "string"},
            "count": {"type": "number"},
            "paid": {"type": "boolean"},
            "date": {"type": "date"},
        }
    },
    "spans": {"labels": ["PER", "LOC"]},
    "boxes": {"labels": ["cat", "dog"]},
}


@dataclass(frozen=True)
class Person:
    """Somebody, and how the services know them."""

    name: str
    user: Any

    @property
    def actor(self) -> Actor:
        return Actor(user_id=self.user.pk, username=self.name, is_admin=self.user.is_superuser)


class World:
    """Everybody, and one project, `letters`, unless another is asked for first."""

    def __init__(self) -> None:
        model = get_user_model()
        users = [model(username=name, is_superuser=name == "ada", is_staff=name == "ada") for name in PEOPLE]
        for user in model.objects.bulk_create(users):
            setattr(self, user.username, Person(user.username, user))
        self._keys: dict[Any, str] = {}

    ada: Person
    otto: Person
    lea: Person
    rita: Person
    rolf: Person
    vic: Person
    nora: Person

    def make_project(
        self, slug: str, task_type: str = "classification", *, members: bool = True, **more: Any
    ) -> Project:
        """A project that Otto owns, with its members; quiet unless a policy is given."""
        more.setdefault("policy", QUIET)
        more.setdefault("label_schema", SCHEMAS[task_type])
        project = create_project(
            slug=slug, name=slug.title(), task_type=task_type, by=self.otto.actor, **more
        )
        if members:
            Membership.objects.bulk_create(
                Membership(project=project, user=self.person(name).user, role=role)
                for name, role in MEMBERS.items()
                if name != "otto"
            )
        return project

    @cached_property
    def letters(self) -> Project:
        """The project most tests are about."""
        return self.make_project("letters")

    def person(self, name: str) -> Person:
        found: Person = getattr(self, name)
        return found

    def newcomers(
        self, count: int, role: Role = Role.REVIEWER, project: Project | None = None
    ) -> list[Person]:
        """More people, each with this role."""
        names = [f"{role}-{number}" for number in range(count)]
        users = get_user_model().objects.bulk_create(get_user_model()(username=name) for name in names)
        Membership.objects.bulk_create(
            Membership(project=project or self.letters, user=user, role=role) for user in users
        )
        return [Person(name, user) for name, user in zip(names, users, strict=True)]

    def make_key(self, who: Person | str, *scopes: str, project: Project | None = None) -> str:
        """A new key of this person's; with every scope unless some are named."""
        person = self.person(who) if isinstance(who, str) else who
        _, plain = create_api_key(
            name=f"{person.name}'s",
            scopes=list(scopes or ALL_SCOPES),
            project=project,
            member=person.user,
            by=self.ada.actor,
        )
        return plain

    def api(
        self,
        who: Person | str = "otto",
        *scopes: str,
        project: Project | None = None,
        at: Project | None = None,
    ) -> Api:
        """The API as this person uses it, with a key; `at` is the project that short paths are about."""
        person = self.person(who) if isinstance(who, str) else who
        remembered = (person.name, scopes, project and project.pk)
        if remembered not in self._keys:
            self._keys[remembered] = self.make_key(person, *scopes, project=project)
        return Api(self._keys[remembered], at or project or self.letters)

    def browser(self, who: str, *, enforce_csrf_checks: bool = False, at: Project | None = None) -> Api:
        """The API as this person uses it when signed in."""
        api = Api(None, at or self.letters, enforce_csrf_checks=enforce_csrf_checks)
        api.client.force_login(self.person(who).user)
        return api


@dataclass(frozen=True)
class Reply:
    """What the API answered."""

    status: int
    headers: dict[str, str]
    content: bytes

    @cached_property
    def body(self) -> Any:
        return json.loads(self.content) if self.content else None

    def expect(self, status: int) -> Any:
        """The body, if the status is this."""
        assert self.status == status, f"{self.status} instead of {status}: {self.content[:2000]!r}"
        return self.body

    def expect_problem(self, status: int, code: str | None = None) -> Any:
        """The body, if it is a problem of this status (and code)."""
        body = self.expect(status)
        assert self.headers["Content-Type"] == "application/problem+json", self.headers
        assert body["status"] == status
        assert {"type", "title", "status", "code", "detail", "errors"} <= set(body), body
        assert body["title"], body
        assert body["detail"], body
        assert all(set(error) == {"pointer", "code", "detail"} for error in body["errors"]), body
        assert code is None or body["code"] == code, body
        return body


@cache
def _handler(enforce_csrf_checks: bool) -> ClientHandler:
    """The stack of middleware is made once, not for every client: one of its layers reads all static files."""
    handler = ClientHandler(enforce_csrf_checks)
    handler.load_middleware()
    return handler


_NOTHING = object()


class Api:
    """A client of `/api/v1`, with a key or signed in. `at` is the project for the verbs below."""

    def __init__(self, key: str | None, at: Project, **options: Any) -> None:
        self.key = key
        self.at = at
        self.client = Client(**options)
        self.client.handler = _handler(self.client.handler.enforce_csrf_checks)

    def request(
        self, method: str, path: str, body: Any = _NOTHING, *, kind: str = "application/json", **headers: str
    ) -> Reply:
        """One request. A body of bytes goes as it is, anything else as JSON."""
        data = b"" if body is _NOTHING else body if isinstance(body, bytes) else json.dumps(body).encode()
        if self.key is not None:
            headers.setdefault("Authorization", f"Bearer {self.key}")
        if body is not _NOTHING:
            headers.setdefault("Content-Type", kind)
        where = path if path.startswith(("http", "/api/")) else f"/api/v1{path}"
        response = self.client.generic(method, where, data, headers=headers)
        content = b"".join(response.streaming_content) if response.streaming else response.content
        return Reply(response.status_code, dict(response.headers), content)

    def get(self, path: str, **headers: str) -> Reply:
        return self.request("GET", path, **headers)

    def post(self, path: str, body: Any = _NOTHING, **more: str) -> Reply:
        return self.request("POST", path, body, **more)

    def put(self, path: str, body: Any = _NOTHING, **more: str) -> Reply:
        return self.request("PUT", path, body, **more)

    def patch(self, path: str, body: Any = _NOTHING, **more: str) -> Reply:
        return self.request("PATCH", path, body, **more)

    def delete(self, path: str, **headers: str) -> Reply:
        return self.request("DELETE", path, **headers)

    # --- What people do with the project -----------------------------------------------------------------------

    def below(self, path: str) -> str:
        return f"/projects/{self.at.slug}/{path}"

    def predict(self, body: Any, **more: str) -> Reply:
        """Send a row, rows, or bytes."""
        return self.post(self.below("predictions/"), body, **more)

    def predict_lines(self, *lines: Any) -> Reply:
        """Send rows (or lines as bytes) as NDJSON."""
        body = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
        return self.predict(body, kind="application/x-ndjson")

    def story(self, item: str) -> Any:
        """Everything about an item."""
        return self.get(self.below(f"predictions/{quote(item, safe='')}/")).expect(200)

    def claim(self, count: int = 1, **more: Any) -> list[dict[str, Any]]:
        tasks: list[dict[str, Any]] = self.post(self.below("tasks/claim/"), {"count": count, **more}).expect(
            200
        )["tasks"]
        return tasks

    def claim_one(self, **more: Any) -> dict[str, Any]:
        (task,) = self.claim(1, **more)
        return task

    def decide(self, task: dict[str, Any], verdict: str, output: Any = _NOTHING, **more: Any) -> Reply:
        body = {"token": task["token"], "verdict": verdict, **more}
        if output is not _NOTHING:
            body["output"] = output
        return self.post(f"/tasks/{task['task']}/decision/", body)

    def on_task(self, task: dict[str, Any], verb: str, **more: Any) -> Reply:
        """heartbeat, release or skip."""
        return self.post(f"/tasks/{task['task']}/{verb}/", {"token": task["token"], **more})

    def undo(self, decision: int, **more: Any) -> Reply:
        return self.post(f"/decisions/{decision}/undo/", more)

    def outcomes(self, after: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(self.below(f"outcomes/?after={after}&limit={limit}")).expect(
            200
        )["results"]
        return found


_numbers = itertools.count(1)


def a_row(**changes: Any) -> dict[str, Any]:
    """A valid row of `letters`, in the middle tier; `confidence=None` is null, `...` takes a field away."""
    row = {
        "id": f"item-{next(_numbers)}",
        "input": {"text": "Dear Sir"},
        "prediction": {"label": "a"},
        "confidence": 0.8,
        "model": "reader",
        "model_version": "1",
        **changes,
    }
    return {name: value for name, value in row.items() if value is not ...}


def in_threads(work: Sequence[Callable[[], T]], *, timeout: float = 60) -> list[T]:
    """Run all at once, each in a thread with a database connection of its own; their results in order.

    The first error of any thread is raised here.
    """
    results: list[Any] = [None] * len(work)
    errors: list[BaseException] = []
    start = threading.Barrier(len(work))

    def run(index: int) -> None:
        try:
            start.wait(timeout)
            results[index] = work[index]()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
    assert not any(thread.is_alive() for thread in threads), "a thread does not end"
    if errors:
        raise errors[0]
    return results


class Beside:
    """Runs something in a thread with a connection of its own, from now on; `end` waits for it and raises its error."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._error = error
        finally:
            connection.close()

    def end(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive(), "a thread does not end"
        if self._error is not None:
            raise self._error


@contextmanager
def uncommitted(work: Callable[[], Any]) -> Iterator[None]:
    """Somebody else has done this, in another connection, and their transaction commits only when the block ends."""
    began, end = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                work()
                began.set()
                end.wait(60)
        finally:
            began.set()

    other = Beside(hold)
    began.wait(60)
    try:
        yield
    finally:
        end.set()
        other.end()


def somebody_waits(count: int = 1) -> bool:
    """Whether so many connections wait for a lock of another one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0] >= count)


def wait_until(condition: Callable[[], bool], *, timeout: float = 30) -> None:
    """Look until it is so."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it never became so"
        time.sleep(0.01)


@pytest.fixture
def world(db: None) -> World:
    """People, and the project `letters` when it is first asked for; gone after the test."""
    return World()


@pytest.fixture
def live_world(transactional_db: None) -> World:
    """The same, committed, so that other connections see it."""
    return World()

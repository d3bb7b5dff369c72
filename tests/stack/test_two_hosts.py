"""Two web servers and two workers on one database and broker, as on two machines: nothing depends on a process's memory."""

from __future__ import annotations

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from labeling.replay.credentials import read_credentials
from tests.stack import prepared
from tests.stack.conftest import temporary_home
from tests.stack.instance import Instance, wait_for

pytestmark = pytest.mark.slow

QUIET = {"high": 0.9, "low": 0.2, "audit_rate": 0, "sentinel_rate": 0}
STRICT = {**QUIET, "high": 0.99}
CAREFUL = 0.95  # automatic under the quiet policy, reviewed under the strict one


class Host:
    """One of the machines, over HTTP."""

    def __init__(self, instance: Instance, key: str) -> None:
        self.instance = instance
        self.key = key

    def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> tuple[int, Any]:
        """Status and answer of one request."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.instance.port}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def get(self, path: str) -> Any:
        status, answer = self.ask("GET", path)
        assert status == 200, answer
        return answer

    def do(self, method: str, path: str, body: Any = None) -> Any:
        """A change that must succeed."""
        status, answer = self.ask(method, path, body)
        assert status in (200, 201, 202, 204), answer
        return answer

    def predict(self, slug: str, *, confidence: float = CAREFUL, key: str | None = None) -> tuple[int, Any]:
        row = {
            "id": secrets.token_hex(8),
            "input": {"text": "two hosts"},
            "prediction": {"label": "a"},
            "confidence": confidence,
            "model": "m",
        }
        return self.ask("POST", f"/projects/{slug}/predictions/", row, key=key)

    def route(self, slug: str) -> str:
        status, answer = self.predict(slug)
        assert status == 201, answer
        return str(answer["route"])


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, Host]]:
    """The first has database, broker and storage; the second only its own web server, worker and beat."""
    with temporary_home() as first_home, temporary_home() as second_home:
        first, second = Instance(first_home), Instance(second_home)
        secret = secrets.token_hex(32)
        prepared.lay(first.home)
        try:
            first.start(SECRET_KEY=secret)
            services = first.home.recorded_services()
            second.start(
                SECRET_KEY=secret,
                DATABASE_URL=services.database_url,
                REDIS_URL=services.redis_url,
                REVIEWAPP_STORAGE=str(first.home.path / "storage"),
            )
            key = read_credentials(first.home.credentials).api_key
            yield Host(first, key), Host(second, key)
        finally:
            second.clean_up()
            first.clean_up()


@pytest.fixture
def slug(hosts: tuple[Host, Host]) -> str:
    """A project of its own, known to both hosts' processes before the test changes anything."""
    name = f"p-{secrets.token_hex(4)}"
    body = {"slug": name, "name": name, "task_type": "classification", "label_schema": {"labels": ["a", "b"]}}
    hosts[0].do("POST", "/projects/", {**body, "policy": QUIET})
    warm_up(hosts, name)
    return name


def warm_up(hosts: tuple[Host, Host], slug: str) -> None:
    """Every web process of both hosts has answered for this project, and remembers what it may."""
    with ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(host.predict, slug) for host in hosts for _ in range(40)]
        assert {answer.result()[0] for answer in answers} == {201}


def test_each_host_has_processes_of_its_own(hosts: tuple[Host, Host]) -> None:
    first, second = (host.instance for host in hosts)
    assert {first.pid("web"), first.pid("worker")}.isdisjoint({second.pid("web"), second.pid("worker")})
    assert len(second.children("web")) == len(first.children("web")) == 2
    with second.control() as control:
        assert {info["name"] for info in control.getAllProcessInfo()} == {"web", "worker", "beat"}


def test_a_policy_is_in_force_on_both_hosts_as_soon_as_it_is_answered(
    hosts: tuple[Host, Host], slug: str
) -> None:
    first, second = hosts
    for _ in range(5):
        first.do("PUT", f"/projects/{slug}/policy/", STRICT)
        assert [second.route(slug) for _ in range(4)] == ["review"] * 4
        second.do("PUT", f"/projects/{slug}/policy/", QUIET)
        assert [first.route(slug) for _ in range(4)] == ["auto"] * 4


def test_a_revoked_key_opens_neither_host(hosts: tuple[Host, Host], slug: str) -> None:
    first, second = hosts
    made = first.do("POST", "/keys/", {"name": "for two", "scopes": ["ingest"], "project": slug})
    for host in hosts:
        assert [host.predict(slug, key=made["key"])[0] for _ in range(8)] == [201] * 8

    first.do("DELETE", f"/keys/{made['id']}/")

    assert [second.predict(slug, key=made["key"])[0] for _ in range(8)] == [401] * 8


def test_the_kill_switch_stops_both_hosts(hosts: tuple[Host, Host], slug: str) -> None:
    first, second = hosts
    assert second.route(slug) == "auto"

    first.do("POST", f"/projects/{slug}/autonomy/stop/", {"reason": "a bad batch"})

    assert [second.route(slug) for _ in range(8)] == ["review"] * 8


def test_a_task_claimed_on_one_host_is_decided_on_the_other_and_nobody_gets_it_twice(
    hosts: tuple[Host, Host], slug: str
) -> None:
    first, second = hosts
    for _ in range(40):
        assert first.predict(slug, confidence=0.5)[0] == 201

    def claim(host: Host) -> list[Any]:
        tasks: list[Any] = host.do("POST", f"/projects/{slug}/tasks/claim/", {"count": 2})["tasks"]
        return tasks

    with ThreadPoolExecutor(8) as pool:
        claimed = [task for tasks in pool.map(claim, [first, second] * 10) for task in tasks]
    assert len({task["task"] for task in claimed}) == len(claimed) == 40

    answer = {"token": claimed[0]["token"], "verdict": "confirmed"}
    path = f"/tasks/{claimed[0]['task']}/decision/"
    assert second.ask("POST", path, answer)[0] == 201
    assert first.ask("POST", path, answer)[0] == 200  # the same request again, at the other host
    status, lost = first.ask("POST", path, {**answer, "token": "00000000-0000-4000-8000-000000000000"})
    assert (status, lost["code"]) == (409, "claim_lost")


def test_what_one_host_is_asked_to_publish_the_other_ones_worker_publishes(
    hosts: tuple[Host, Host], slug: str
) -> None:
    first, second = hosts
    first.predict(slug, confidence=0.5)
    (task,) = first.do("POST", f"/projects/{slug}/tasks/claim/", {"count": 1})["tasks"]
    first.do("POST", f"/tasks/{task['task']}/decision/", {"token": task["token"], "verdict": "confirmed"})
    versions = f"/projects/{slug}/datasets/main/versions/"
    with first.instance.control() as control:
        control.stopProcess("worker")
        control.stopProcess("beat")
    try:
        first.do("POST", versions, {"note": "asked for at the first host"})
        wait_for(lambda: first.get(versions)["results"], 60, "the second host's worker publishes")
    finally:
        with first.instance.control() as control:
            control.startProcess("worker", False)
            control.startProcess("beat", False)
    assert [version["number"] for version in second.get(versions)["results"]] == [1]
    assert second.get(f"{versions}1/")["digest"] == first.get(f"{versions}latest/")["digest"]
    assert second.get(f"{versions}1/records/")["label"] == {"label": "a"}  # one record is one line


def test_both_hosts_tell_one_feed_of_outcomes(hosts: tuple[Host, Host], slug: str) -> None:
    first, second = hosts
    for turn in range(20):
        assert hosts[turn % 2].predict(slug)[0] == 201
    expected = 80 + 20  # what the processes were warmed up with is automatic too
    path = f"/projects/{slug}/outcomes/?after=0&limit=1000"

    wait_for(lambda: len(first.get(path)["results"]) == expected, 30, "every outcome has its number")

    assert second.get(path)["results"] == first.get(path)["results"]
    numbers = [entry["cursor"] for entry in first.get(path)["results"]]
    assert len(set(numbers)) == expected


def test_who_signed_in_at_one_host_is_signed_in_at_the_other(hosts: tuple[Host, Host]) -> None:
    """A balancer sends a person's requests anywhere. Here the hosts differ in their port, so the cookie's name does too."""
    first, second = hosts
    session = sign_in(first.instance, first.instance.home.credentials)
    request = urllib.request.Request(
        f"http://127.0.0.1:{second.instance.port}/account/",
        headers={"Cookie": f"reviewapp_session_{second.instance.port}={session}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.geturl().endswith("/account/")
    stranger = urllib.request.Request(f"http://127.0.0.1:{second.instance.port}/account/")
    with urllib.request.urlopen(stranger, timeout=30) as answer:
        assert "/account/sign-in/" in answer.geturl()


def sign_in(instance: Instance, credentials: Path) -> str:
    """The session's key that the browser would keep."""
    jar = CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    url = f"http://127.0.0.1:{instance.port}/account/sign-in/"
    known = read_credentials(credentials)
    opener.open(url, timeout=30).read()
    cookies = {cookie.name: cookie.value for cookie in jar}
    form = urlencode(
        {
            "csrfmiddlewaretoken": cookies[f"reviewapp_csrf_{instance.port}"],
            "username": known.username,
            "password": known.password,
        }
    )
    opener.open(urllib.request.Request(url, form.encode(), {"Referer": url}), timeout=30).read()
    return str({cookie.name: cookie.value for cookie in jar}[f"reviewapp_session_{instance.port}"])

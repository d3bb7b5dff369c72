"""A database that refuses, or stands still, and a stop in the middle of a long request: real processes, real signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.stack.instance import BACK_WITHIN_S, Instance, wait_for

pytestmark = pytest.mark.slow

THREADS = 2 * 4  # REVIEWAPP_WORKERS of the tests by the default of REVIEWAPP_THREADS


class Client:
    """The API of an instance, as its administrator's key."""

    def __init__(self, instance: Instance) -> None:
        self.base = f"http://127.0.0.1:{instance.port}/api/v1"
        self.key = json.loads(instance.home.credentials.read_text())["api_key"]

    def ask(self, path: str, body: Any = None, timeout: float = 30) -> tuple[int, Any, float]:
        """Status, headers and seconds."""
        request = urllib.request.Request(
            f"{self.base}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        began = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                answer.read()
                return answer.status, answer.headers, time.monotonic() - began
        except urllib.error.HTTPError as error:
            error.read()
            return error.code, error.headers, time.monotonic() - began

    def ready(self) -> bool:
        return self.ask("/projects/")[0] == 200


@pytest.fixture
def client(running: Instance) -> Client:
    made = Client(running)
    wait_for(made.ready, BACK_WITHIN_S, "the instance is well")
    return made


def test_a_database_that_is_gone_is_503_at_once_and_back_without_a_restart(
    running: Instance, client: Client
) -> None:
    web = running.pid("web")
    with running.control() as supervisor:
        supervisor.stopProcess("postgres")
        try:
            # A server that restarts is worth a moment's wait; after that nobody queues for one that is gone.
            wait_for(lambda: client.ask("/projects/")[0] == 503, 10, "503")
            time.sleep(2.5)  # the watch's own patience (GONE_S), after which new work is turned away
            for _ in range(10):
                status, headers, seconds = client.ask("/projects/")
                assert (status, headers["Retry-After"]) == (503, "2")
                assert seconds < 5  # promised within 1 s; on a busy machine this only tells it from a wait
            assert running.answers("/livez")
        finally:
            supervisor.startProcess("postgres")
    wait_for(client.ready, BACK_WITHIN_S, "the product goes on")
    assert running.pid("web") == web


def test_a_database_that_stands_still_holds_no_thread(running: Instance, client: Client) -> None:
    server = running.pid("postgres")
    stopped = [server, *running.children("postgres")]
    web = running.pid("web")
    with ThreadPoolExecutor(2 * THREADS) as pool:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            in_flight = [pool.submit(client.ask, "/projects/", timeout=60) for _ in range(2 * THREADS)]
            time.sleep(2)  # the watch's patience; what is new from here on is turned away
            for status, headers, seconds in pool.map(lambda _n: client.ask("/projects/"), range(8)):
                assert (status, headers["Retry-After"]) == (503, "2")
                assert seconds < 3
        finally:
            for pid in reversed(stopped):
                os.kill(pid, signal.SIGCONT)
        began = time.monotonic()
        assert {one.result(60)[0] for one in in_flight} <= {200, 503}
        wait_for(client.ready, BACK_WITHIN_S, "the product goes on")
        answers = list(pool.map(lambda _n: client.ask("/projects/")[0], range(THREADS)))
        assert set(answers) == {200}, "every thread is free"
        assert time.monotonic() - began < 5
    assert running.pid("web") == web


def test_a_stop_waits_for_a_long_request(instance: Instance) -> None:
    """The body of an upload is under way, slowly, when the stop comes: it is stored and answered."""
    instance.start()
    client = Client(instance)
    project = {
        "slug": "p",
        "name": "P",
        "task_type": "classification",
        "label_schema": {"labels": ["a"]},
    }
    assert client.ask("/projects/", project)[0] == 201
    row = {"id": "x", "input": {}, "prediction": {"label": "a"}, "confidence": 0.99, "model": "m"}
    body = json.dumps(row).encode()
    head = (
        f"POST /api/v1/projects/p/predictions/ HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {client.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with psycopg.connect(instance.home.recorded_services().database_url) as connection:
        # The request is accepted and waits in the middle of its transaction for this lock.
        connection.execute("lock table labeling_itemkey in share mode")
        with socket.create_connection(("127.0.0.1", instance.port), timeout=30) as upload:
            upload.sendall(head.encode() + body)
            wait_for(lambda: _somebody_waits(instance), 20, "the request is under way")
            assert instance.process is not None
            instance.process.send_signal(signal.SIGTERM)
            wait_for(lambda: not instance.answers("/livez"), 10, "nothing new is taken")
            connection.rollback()
            assert upload.recv(12) == b"HTTP/1.1 201"
    instance.process.wait(15)
    instance.start()
    assert Client(instance).ask("/projects/p/predictions/x/")[0] == 200


def _somebody_waits(instance: Instance) -> bool:
    with instance.database() as connection:
        found = connection.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        ).fetchone()
    return bool(found and found[0])

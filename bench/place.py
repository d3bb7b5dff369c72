"""The instance that is measured, a plain server beside it for floors, and what each part of them spends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from bench.wire import Wire, request
from labeling.replay.credentials import Credentials, read_credentials
from reviewapp.stack.postgres import SUPERUSER
from tests.stack.instance import PROJECT, Instance, clean_environment, free_port, wait_for

Headers = dict[str, str]


@dataclass(frozen=True)
class Spent:
    """CPU seconds of each part since it began."""

    server: float
    database: float
    worker: float

    def __sub__(self, before: Spent) -> Spent:
        return Spent(
            self.server - before.server, self.database - before.database, self.worker - before.worker
        )


class Place:
    """A running instance, with the administrator's key and a database connection."""

    def __init__(self, instance: Instance, floor_port: int) -> None:
        self.instance = instance
        self.port = instance.port
        self.floor_port = floor_port
        self.credentials: Credentials = read_credentials(instance.home.credentials)
        self.database_url = instance.home.own_services.database_url

    def connect(self) -> psycopg.Connection[Any]:
        """A connection of the harness's own, committing each statement. It may hold a snapshot as long as it likes."""
        return psycopg.connect(
            self.database_url, autocommit=True, options="-c idle_in_transaction_session_timeout=0"
        )

    def database_bytes(self) -> int:
        """The size of the database on the disk, without its log."""
        with self.connect() as connection:
            row = connection.execute("select pg_database_size(current_database())").fetchone()
        assert row is not None
        return int(row[0])

    def put_to_rest(self) -> None:
        """Have everything that was stored so far vacuumed and on the disk, as what has been there for a day is: autovacuum and the
        kernel would be at it for minutes, and every commit wait for them. No checkpoint: the first writes after one cost most."""
        with psycopg.connect(self.database_url, user=SUPERUSER, autocommit=True) as connection:
            connection.execute("vacuum (analyze)")
        os.sync()

    def headers(self, key: str | None = None) -> Headers:
        return {"Authorization": f"Bearer {key or self.credentials.api_key}"}

    def call(self, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        """One API call; its answer. RuntimeError with the problem when it is refused."""
        wire = Wire(
            self.port
        )  # one that was kept open while a measurement ran may have been closed by the server
        status, answer = wire.ask(request(method, f"/api/v1{path}", body, headers=self.headers(key)))
        wire.close()
        if status >= 400:
            raise RuntimeError(f"{method} {path}: {status} {answer[:500]!r}")
        return json.loads(answer) if answer else None

    def spent(self) -> Spent:
        """What web server, database and Celery worker have used so far."""
        return Spent(
            *(_cpu(psutil.Process(self.instance.pid(name))) for name in ("web", "postgres", "worker"))
        )


@contextmanager
def running_place() -> Iterator[Place]:
    """An instance in a temporary home, gone afterwards, and the floor's server on the same database."""
    with tempfile.TemporaryDirectory(prefix="reviewapp-bench-") as folder:
        instance = Instance(Path(folder) / "home")
        try:
            instance.start()
            port = free_port()
            with _floor_server(instance, port):
                yield Place(instance, port)
        finally:
            if instance.process is not None and instance.process.poll() is None:
                instance.stop()
            instance.clean_up()


@contextmanager
def _floor_server(instance: Instance, port: int) -> Iterator[None]:
    """The same web server with the same options, answering with the smallest views there can be."""
    environment: Mapping[str, str] = clean_environment(
        DJANGO_SETTINGS_MODULE="bench.floor.settings",
        FLOOR_DATABASE_URL=instance.home.own_services.database_url,
    )
    options = ["--interface", "wsgi", "--http", "1", "--no-ws", "--log-level", "warning", "--backlog", "1024"]
    options += ["--port", str(port), "--workers", "2", "--blocking-threads", "4"]
    process = subprocess.Popen(
        [sys.executable, "-m", "granian", *options, "bench.floor.site:application"],
        cwd=PROJECT,
        env=environment,
    )
    try:
        wait_for(lambda: _answers(port), 30, "the floor's server answers")
        yield
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    try:
        return Wire(port).ask(request("GET", "/constant"))[0] == 200
    except OSError:
        return False


def _cpu(process: psutil.Process) -> float:
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
        if one.pid == process.pid:
            total += times.children_user + times.children_system
    return total


def settle(seconds: float = 1.0) -> None:
    """Let what an earlier measurement left behind (folding, checkpoints) pass."""
    time.sleep(seconds)

"""One real instance in a temporary home, as `make run` starts it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from xmlrpc.client import ServerProxy

import psutil
import psycopg
from supervisor.xmlrpc import SupervisorTransport

from reviewapp.stack import orphans, postgres
from reviewapp.stack.home import Home

PROJECT = Path(__file__).resolve().parent.parent.parent
UP_WITHIN_S = 150
BACK_WITHIN_S = 40
STOP_WITHIN_S = 10


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(**values: str) -> dict[str, str]:
    """This process's environment without what the test run or a developer set for the product."""
    names = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE")
    kept = {
        k: v
        for k, v in os.environ.items()
        if k not in names and not k.startswith(("REVIEWAPP_", "SUPERVISOR_"))
    }
    return {**kept, "REVIEWAPP_DEMO": "0", "REVIEWAPP_WORKERS": "2", "PYTHONUNBUFFERED": "1", **values}


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def run_once(**environment: str) -> subprocess.CompletedProcess[str]:
    """Start with a wrong setting: ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "reviewapp.stack", "run"],
        cwd=PROJECT,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Instance:
    """A running instance and what tests ask of it."""

    def __init__(self, path: Path, port: int | None = None) -> None:
        self.home = Home(path)
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.output = path.with_name(f"{path.name}.out")

    def start(self, **environment: str) -> None:
        settings = {"REVIEWAPP_HOME": str(self.home.path), "REVIEWAPP_PORT": str(self.port), **environment}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "reviewapp.stack", "run"],
                cwd=PROJECT,
                env=clean_environment(**settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_for(self._is_up_or_ended, UP_WITHIN_S, "the instance answers")
        assert self.process.poll() is None, self.output.read_text()
        wait_for(
            lambda: "Ctrl-C stops" in self.output.read_text(),
            UP_WITHIN_S,
            "the start says where the product is",
        )

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> float:
        """Ask the foreground process to end; how many seconds it took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(with_signal)
        self.process.wait(STOP_WITHIN_S + 5)
        return time.monotonic() - began

    def kill(self) -> None:
        """What the kernel does when memory runs out."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def clean_up(self) -> None:
        """End what still runs. A database outside the home goes too: it could not be found once the home is gone."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        orphans.end(self.home)
        if self.home.postgres_location.exists():
            shutil.rmtree(self.home.postgres, ignore_errors=True)

    def answers(self, page: str = "/livez") -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{page}", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _is_up_or_ended(self) -> bool:
        assert self.process is not None
        return self.answers() or self.process.poll() is not None

    @contextmanager
    def control(self) -> Iterator[Any]:
        """The supervisor's own commands."""
        transport = SupervisorTransport(None, None, f"unix://{self.home.control_socket}")
        with ServerProxy("http://127.0.0.1", transport=transport) as server:
            yield server.supervisor

    def pid(self, program: str) -> int:
        """The pid of one of the supervisor's children; 0 when it does not run."""
        with self.control() as supervisor:
            return int(supervisor.getProcessInfo(program)["pid"])

    def children(self, program: str) -> list[int]:
        """The processes below one of the supervisor's children."""
        return [process.pid for process in psutil.Process(self.pid(program)).children(recursive=True)]

    def own_processes(self) -> list[psutil.Process]:
        """Everything that carries this home's mark."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(orphans.MARK) == orphans.mark(self.home):
                    found.append(process)
        return found

    def left_over(self) -> list[str]:
        """What still runs of this home, for an assertion that shows it."""
        server = postgres.running_pid(self.home)
        return [" ".join(process.cmdline()) for process in self.own_processes()] + (
            [f"postgres {server}"] if server else []
        )

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        with psycopg.connect(self.home.recorded_services().database_url, autocommit=True) as connection:
            yield connection

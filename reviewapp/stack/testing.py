"""A database and a broker for one test run or one check, gone without a trace afterwards.

As a pytest plugin (`-p reviewapp.stack.testing`) it points the settings at a temporary home before
Django reads them, and starts the servers when the first test asks for the database. As a program,
`python -m reviewapp.stack.testing COMMAND ...` runs a command beside such servers.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from types import FrameType

import psutil
import pytest

from reviewapp.stack import postgres, postgres_client, valkey
from reviewapp.stack.home import Home

PROJECT = Path(__file__).resolve().parent.parent.parent
PREFIX = "reviewapp-test-"
OWNER = "owner.pid"
EXTERNAL = "REVIEWAPP_TEST_DATABASE_URL"
SHARED = "REVIEWAPP_TEST_SHARED"


@contextmanager
def temporary_home() -> Iterator[Home]:
    """A home in the temporary folder; homes whose test run was killed go first."""
    _remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    (folder / OWNER).write_text(f"{os.getpid()} {psutil.Process().create_time()}", encoding="ascii")
    try:
        home = Home(folder)
        home.prepare()
        yield home
    finally:
        shutil.rmtree(home.postgres, ignore_errors=True)
        for sockets in (home.postgres_sockets, home.valkey_socket.parent):
            shutil.rmtree(sockets, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_postgres(home: Home) -> Iterator[None]:
    """The embedded PostgreSQL with the product's role and database; it forgets all at a power cut."""
    postgres.prepare(home, durable=False)
    with _child(postgres.command(home), home.logs / "postgres.log", signal.SIGINT):
        postgres_client.wait_until_ready(home)
        postgres_client.create_database(home)
        yield


@contextmanager
def running_valkey(home: Home) -> Iterator[None]:
    """The embedded broker."""
    valkey.prepare(home)
    with _child(valkey.command(home), home.logs / "valkey.log", signal.SIGTERM):
        valkey.wait_until_ready(home)
        yield


def environment(home: Home) -> dict[str, str]:
    """What a process needs to use the temporary servers, and nothing that belongs to a real instance."""
    own = home.own_services
    return {
        "REVIEWAPP_HOME": str(home.path),
        "REVIEWAPP_STORAGE": str(home.path / "storage"),
        "REVIEWAPP_ENV": "development",
        "REVIEWAPP_ROLE": "test",
        "SECRET_KEY": "only-for-tests-" * 4,
        "DATABASE_URL": os.environ.get(EXTERNAL) or own.database_url,
        "REDIS_URL": own.redis_url,
    }


def end_on_sigterm() -> None:
    """Turn SIGTERM into an exception, so that everything above cleans up."""

    def stop(signum: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGTERM, stop)


@contextmanager
def _child(command: list[str], log: Path, stop_with: signal.Signals) -> Iterator[None]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.send_signal(stop_with)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _remove_abandoned() -> None:
    """Remove temporary homes of this user whose test run is no longer alive."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError, ValueError):
            if folder.stat().st_uid == os.geteuid() and not _is_alive(folder / OWNER):
                shutil.rmtree(folder, ignore_errors=True)


def _is_alive(owner: Path) -> bool:
    pid, started = owner.read_text(encoding="ascii").split()
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(started)) < 2
    except psutil.NoSuchProcess:
        return False


# --- pytest ----------------------------------------------------------------------------------------------------


class _Run:
    """What this test run has started so far."""

    def __init__(self) -> None:
        self.stack = ExitStack()

    @cached_property
    def home(self) -> Home:
        return self.stack.enter_context(temporary_home())


_run = _Run()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None, object, object]:
    """Before pytest-django reads the settings: a home and addresses of this run's own."""
    end_on_sigterm()
    os.environ.update(environment(_run.home))
    # Processes that run tests side by side inherit it from the one that started them, which outlives them.
    os.environ.setdefault(SHARED, str(_run.home.path))
    return (yield)


def shared_folder() -> Path | None:
    """A folder that all processes of this test run see, gone with it; None outside a test run."""
    return Path(os.environ[SHARED]) if SHARED in os.environ else None


def pytest_unconfigure() -> None:
    _run.stack.close()


@pytest.fixture(scope="session")
def embedded_home() -> Home:
    """The temporary home of this test run."""
    return _run.home


@pytest.fixture(scope="session")
def database_server(embedded_home: Home) -> None:
    """A running PostgreSQL, unless REVIEWAPP_TEST_DATABASE_URL names one."""
    if not os.environ.get(EXTERNAL):
        _run.stack.enter_context(running_postgres(embedded_home))


@pytest.fixture
def broker(embedded_home: Home) -> Iterator[str]:
    """A running Valkey; its URL. It runs for this test alone: all others show that the product needs no broker."""
    with running_valkey(embedded_home):
        yield embedded_home.own_services.redis_url


# --- A command beside the servers --------------------------------------------------------------------------------


def run_beside(command: list[str], environ: Mapping[str, str]) -> int:
    """Run a command with the database and the broker at hand; its exit code."""
    end_on_sigterm()
    with temporary_home() as home, running_postgres(home), running_valkey(home):
        return subprocess.run(command, env={**environ, **environment(home)}, check=False).returncode


if __name__ == "__main__":
    sys.exit(run_beside(sys.argv[1:], os.environ))

"""A start that cannot work says why in one sentence, and starts nothing."""

from __future__ import annotations

import os
import pwd
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from reviewapp.stack.home import POSTGRES_SOCKET, Home
from tests.stack.instance import PROJECT, Instance, clean_environment, free_port, run_once

pytestmark = pytest.mark.slow


def assert_one_sentence(outcome: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert outcome.returncode == 2, outcome.stderr
    [line] = outcome.stderr.splitlines()
    assert line.startswith("reviewapp: ")
    for part in parts:
        assert part in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REVIEWAPP_PORT", "eighty"),
        ("REVIEWAPP_PORT", "70000"),
        ("REVIEWAPP_DEMO", "yes"),
        ("REVIEWAPP_WORKERS", "0"),
        ("REVIEWAPP_ENV", "staging"),
        ("REVIEWAPP_STORAGE", "ftp://somewhere"),
        ("DATABASE_URL", "sqlite:///db"),
        ("DATABASE_URL", "postgresql://[broken"),
        ("REDIS_URL", "amqp://broker"),
        ("SECRET_KEY", "short"),
        ("REVIEWAPP_HOST", "no such host"),
    ],
)
def test_a_wrong_value_is_one_sentence(home: Path, name: str, value: str) -> None:
    settings = {"REVIEWAPP_HOME": str(home), "REVIEWAPP_PORT": str(free_port()), name: value}
    assert_one_sentence(run_once(**settings), name)


def test_production_needs_a_secret_key(home: Path) -> None:
    outcome = run_once(REVIEWAPP_HOME=str(home), REVIEWAPP_ENV="production")
    assert_one_sentence(outcome, "SECRET_KEY", "production")


def test_a_busy_port_is_one_sentence(home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert_one_sentence(run_once(REVIEWAPP_HOME=str(home), REVIEWAPP_PORT=port), "REVIEWAPP_PORT", port)


def test_a_home_that_is_a_file_is_one_sentence(home: Path) -> None:
    home.touch()
    assert_one_sentence(run_once(REVIEWAPP_HOME=str(home / "home")), "REVIEWAPP_HOME")
    home.unlink()


def test_a_home_that_cannot_be_written_is_one_sentence(home: Path) -> None:
    """Root may write into a folder of mode 0500, but nobody into the kernel's own."""
    home.mkdir(mode=0o500)
    closed = Path("/proc") if os.geteuid() == 0 else home
    assert_one_sentence(run_once(REVIEWAPP_HOME=str(closed / "inner")), "REVIEWAPP_HOME", "inner")


def test_data_of_another_major_version_are_one_sentence(home: Path) -> None:
    data = Home(home).postgres / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("14\n")
    outcome = run_once(REVIEWAPP_HOME=str(home), REVIEWAPP_PORT=str(free_port()))
    assert_one_sentence(outcome, "PostgreSQL 14")


def test_a_home_in_use_is_one_sentence(instance: Instance) -> None:
    instance.start()
    outcome = run_once(REVIEWAPP_HOME=str(instance.home.path), REVIEWAPP_PORT=str(free_port()))
    assert_one_sentence(outcome, "in use", str(instance.process.pid) if instance.process else "")
    assert instance.answers()


def test_an_external_database_that_is_away_is_one_sentence(home: Path) -> None:
    outcome = run_once(
        REVIEWAPP_HOME=str(home),
        REVIEWAPP_PORT=str(free_port()),
        DATABASE_URL=f"postgresql://nobody@127.0.0.1:{free_port()}/nothing",
    )
    assert_one_sentence(outcome, "DATABASE_URL")


def test_manage_says_one_sentence_too(home: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=PROJECT,
        env=clean_environment(REVIEWAPP_HOME=str(home), REVIEWAPP_PORT="none"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 2
    assert (
        outcome.stderr.strip()
        == "reviewapp: REVIEWAPP_PORT must be a whole number from 1 to 65535, but it is 'none'."
    )


def test_everything_in_the_home_is_private(new_instance: Instance) -> None:
    new_instance.start()
    files = new_instance.home
    assert stat.S_IMODE(files.credentials.stat().st_mode) == 0o600
    assert stat.S_IMODE((files.path / "secret_key").stat().st_mode) == 0o600
    assert files.path.stat().st_mode & 0o067 == 0
    for folder in (files.run, files.logs, files.postgres, files.postgres_sockets):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user's place")
def test_nobody_else_reaches_database_or_broker(instance: Instance) -> None:
    instance.start()
    # Becomes nobody only after its imports: root's Python may be closed to others.
    attempt = (
        "import os, socket, sys\n"
        "os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))\n"
        "for path in sys.argv[2:]:\n"
        "    try:\n        socket.socket(socket.AF_UNIX).connect(path)\n"
        "    except PermissionError:\n        continue\n"
        "    sys.exit(path)\n"
    )
    sockets = (
        instance.home.postgres_sockets / POSTGRES_SOCKET,
        instance.home.valkey_socket,
        instance.home.control_socket,
    )
    nobody = str(pwd.getpwnam("nobody").pw_uid)
    outcome = subprocess.run([sys.executable, "-c", attempt, nobody, *map(str, sockets)], check=False)
    assert outcome.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user's place")
def test_a_home_of_another_user_is_one_sentence(home: Path) -> None:
    home.mkdir()
    (home / "secret_key").touch()
    os.chown(home, pwd.getpwnam("nobody").pw_uid, -1)
    assert_one_sentence(run_once(REVIEWAPP_HOME=str(home)), "REVIEWAPP_HOME", "belongs")
    assert home.stat().st_uid == pwd.getpwnam("nobody").pw_uid

"""Everything that can be killed is killed while a replay runs; it goes on by itself and the counts are right."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.replay.replaying import recount, synthetic_rows, write_rows
from tests.stack import prepared
from tests.stack.instance import PROJECT, Instance, clean_environment

pytestmark = pytest.mark.slow

ROWS = synthetic_rows(400)
# The shortest lease there is: claims whose answer was lost with a process come back soon.
POLICY = {"audit_rate": 0, "sentinel_rate": 0, "lease_seconds": 30}


@pytest.fixture
def instance() -> Iterator[Instance]:
    """A running product. Not below pytest's own folder, which is closed to PostgreSQL's user."""
    home = Path(tempfile.gettempdir()) / f"reviewapp-kills-{secrets.token_hex(6)}"
    found = Instance(home)
    prepared.lay(found.home)
    try:
        found.start()
        yield found
    finally:
        found.clean_up()
        shutil.rmtree(home, ignore_errors=True)
        home.with_name(f"{home.name}.out").unlink(missing_ok=True)


def manage(instance: Instance, *arguments: str) -> subprocess.Popen[str]:
    environment = clean_environment(REVIEWAPP_HOME=str(instance.home.path), REVIEWAPP_PORT=str(instance.port))
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill(instance: Instance, program: str) -> None:
    """End one of the supervisor's children as the kernel would."""
    pid = instance.pid(program)
    assert pid > 0, f"{program} does not run"
    os.kill(pid, signal.SIGKILL)


def test_a_replay_survives_every_kill(instance: Instance, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "posts.jsonl", ROWS)
    options = ["--project", "posts", "--policy", json.dumps(POLICY), "--reviewers", "4", "--rate", "40"]
    replay = manage(instance, "replay", str(path), *options)

    for program in ("web", "worker", "valkey", "postgres"):
        time.sleep(2)
        kill(instance, program)
    time.sleep(3)
    instance.kill()
    instance.start()
    said, complained = replay.communicate(timeout=240)

    assert replay.returncode == 0, complained
    summary = json.loads(said)
    assert summary["retries"] > 0
    assert (summary["sent"], summary["conflicts"], summary["invalid"], summary["left_open"]) == (400, 0, 0, 0)
    assert summary["created"] + summary["duplicates"] == 400
    assert summary["routes"] == dict(recount(ROWS))
    ledger = manage(instance, "verify_ledger")
    found, complained = ledger.communicate(timeout=60)
    assert ledger.returncode == 0, found + complained
    reviewed = recount(ROWS)["review"] + recount(ROWS)["fallback"]
    assert f"ok {reviewed}  Every final task has exactly one effective decision" in found
    assert f"ok {reviewed}  Every label that counts" in found

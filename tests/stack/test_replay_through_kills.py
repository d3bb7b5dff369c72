"""A replay goes on while every process of the instance is killed in turn, the supervisor too; afterwards the counts are right."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.stack.instance import PROJECT, Instance, clean_environment

pytestmark = pytest.mark.slow

ROWS = 1_000
VICTIMS = ("web", "worker", "valkey", "postgres", "beat")
PLAIN = json.dumps({"audit_rate": 0, "sentinel_rate": 0})


def write_rows(path: Path) -> list[dict[str, object]]:
    rng = random.Random(7)
    rows = []
    for number in range(ROWS):
        truth, confidence = rng.choice("ab"), round(rng.random() ** 0.5, 3)
        rows.append(
            {
                "id": f"row-{number}",
                "task_type": "classification",
                "input": {"text": f"row {number}"},
                "prediction": {"label": truth if rng.random() < confidence else "a"},
                "confidence": confidence,
                "truth": {"label": truth},
                "model": "guess",
            }
        )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def command(instance: Instance, *arguments: str) -> subprocess.Popen[str]:
    environment = clean_environment(REVIEWAPP_HOME=str(instance.home.path), REVIEWAPP_PORT=str(instance.port))
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str], seconds: float) -> str:
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, out + err
    return out


def test_nothing_is_lost_or_doubled(instance: Instance, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = write_rows(file)
    instance.start()
    replay = command(
        instance,
        "replay",
        str(file),
        "--project",
        "killed",
        "--policy",
        PLAIN,
        "--rate",
        "100",
        "--reviewers",
        "5",
    )
    for victim in VICTIMS:
        time.sleep(1.5)
        os.kill(instance.pid(victim), signal.SIGKILL)
    time.sleep(1.5)
    instance.kill()
    instance.start()
    summary = json.loads(finished(replay, 240).splitlines()[-1])

    routes = Counter(
        "auto" if r["confidence"] >= 0.95 else "review" if r["confidence"] >= 0.7 else "fallback"
        for r in rows
    )
    assert summary["routes"] == dict(routes)
    assert sum(summary["decisions"].values()) == routes["review"] + routes["fallback"]
    finished(command(instance, "publish", "killed"), 60)
    assert "The ledger is whole." in finished(command(instance, "verify_ledger"), 60)
    finished(command(instance, "verify_dataset", "killed"), 60)

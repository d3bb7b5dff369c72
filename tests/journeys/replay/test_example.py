"""The example model service from the README does what it says, against a running product."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys.replay.replaying import Server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "model_service.py"


def run(server: Server) -> list[str]:
    environment = {
        "REVIEWAPP_URL": server.url,
        "REVIEWAPP_KEY": server.credentials.api_key,
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run(
        [sys.executable, EXAMPLE], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_example_asks_and_listens(server: Server) -> None:
    first = run(server)

    assert first[:4] == [
        "msg-1: auto, use {'label': 'praise'}",
        "msg-2: fallback, wait for a person",
        "msg-3: auto, use {'label': 'complaint'}",
        "msg-4: fallback, wait for a person",
    ]
    assert first[4:] == [
        "outcome 1: msg-1 is {'label': 'praise'} (auto)",
        "outcome 2: msg-3 is {'label': 'complaint'} (auto)",
    ]
    assert run(server) == first

"""The changes from outside still find what they change; a run would only notice that nothing starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.control import Control
from tests.stack.instance import PROJECT

pytestmark = pytest.mark.slow

PROGRAM = """
import django
django.setup()
from labeling import tasks
from labeling.datasets import batches, services as datasets
from labeling.pipeline import deciding, holding
from labeling.review import services as review
for function in (batches.claim_rows, datasets.publish_due, deciding.write_decision, holding.require_held):
    print(function.__code__.co_filename)
print((review.timezone.now() - django.utils.timezone.now()).total_seconds() > 80)
"""


def test_every_change_is_in_place(tmp_path: Path) -> None:
    control = Control(tmp_path / "control.json")
    control.say(clock=90)
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=PROJECT,
        env={**os.environ, **control.environment, "DJANGO_SETTINGS_MODULE": "reviewapp.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    *changed, is_ahead = found.stdout.splitlines()
    assert [Path(name).name for name in changed] == ["sitecustomize.py"] * 4, found.stderr
    assert is_ahead == "True"

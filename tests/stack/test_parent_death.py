"""A process ends with its parent, also where that had ended before the process could ask for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.stack.instance import PROJECT

# The child outlives its parent, and only then asks.
LATE = """
import os, sys, time
from reviewapp.stack.parent_death import die_with_parent
parent = os.getpid()
if os.fork():
    os._exit(0)
while os.getppid() == parent:
    time.sleep(0.01)
die_with_parent(**({"parent": parent} if sys.argv[1] == "told" else {}))
print("alive", flush=True)
"""


@pytest.mark.parametrize(("knows", "said"), [("told", ""), ("not told", "alive\n")])
def test_a_child_that_asks_too_late_ends_all_the_same_where_it_knows_its_parent(
    knows: str, said: str
) -> None:
    command = [sys.executable, "-c", LATE, knows]
    found = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=20, check=True)
    assert found.stdout == said

"""The newcomer: from a fresh clone to the first page, and the second start."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from bench.results import Result
from bench.wire import Wire, request
from tests.stack.instance import PROJECT, clean_environment, free_port, wait_for

FIRST_WITHIN_S, STOP_WITHIN_S = 600.0, 20.0


def measure(_quick: bool) -> list[Result]:
    """`newcomer`: seconds of `make run` in a clone of the last commit, demo included, until a page answers."""
    with tempfile.TemporaryDirectory(prefix="reviewapp-newcomer-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL's user enters it, or its data would lie elsewhere and stay
        clone = Path(folder) / "clone"
        began = time.perf_counter()
        subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(clone)], check=True)
        first = time.perf_counter() - began + _start_and_stop(clone, Path(folder) / "home")
        second = _start_and_stop(clone, Path(folder) / "home")
    return [
        Result(
            "newcomer",
            first,
            "s",
            note=f"git clone and make run with the demo to the first page, pip's cache as it was; second start {second:.1f} s",
            sizes={"first_start_s": first, "second_start_s": second},
        )
    ]


def _start_and_stop(clone: Path, home: Path) -> float:
    """Seconds until the sign-in page answers; everything has ended afterwards."""
    port = free_port()
    environment = clean_environment(REVIEWAPP_HOME=str(home), REVIEWAPP_PORT=str(port), REVIEWAPP_DEMO="1")
    for name in ("VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL"):  # a clone knows nothing of what runs this
        environment.pop(name, None)
    began = time.perf_counter()
    with (clone / "run.log").open("wb") as log:
        process = subprocess.Popen(
            ["make", "run"],
            cwd=clone,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(lambda: _answers(port) or process.poll() is not None, FIRST_WITHIN_S, "make run answers")
        took = time.perf_counter() - began
        if process.poll() is not None:
            raise RuntimeError(f"make run ended: {(clone / 'run.log').read_text()[-2_000:]}")
        return took
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does
            process.wait(STOP_WITHIN_S)


def _answers(port: int) -> bool:
    try:
        return Wire(port).ask(request("GET", "/account/sign-in/"))[0] == 200
    except OSError:
        return False

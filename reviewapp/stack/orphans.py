"""Ends what a killed supervisor left running, and only what belongs to the same home.

A process is ours when the supervisor recorded it (pid and start time, since a pid is used again), or
when its environment carries the mark of this home, as grandchildren do.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable
from contextlib import suppress

import psutil

from reviewapp.stack import postgres
from reviewapp.stack.home import Home, write_private

MARK = "REVIEWAPP_STACK"
SAME_START_S = 2.0
GRACE_S = 3.0
POSTGRES_GRACE_S = 8.0


def mark(home: Home) -> str:
    """What the environment of each process of this home carries under MARK."""
    return os.path.realpath(home.path)


def record(home: Home, pids: Iterable[int]) -> None:
    """Keep which processes the supervisor started last."""
    started = {}
    for pid in pids:
        with suppress(psutil.Error):
            started[str(pid)] = psutil.Process(pid).create_time()
    write_private(home.processes, json.dumps(started))


def end(home: Home) -> int:
    """End every process an earlier run of this home left; how many there were.

    PostgreSQL goes last and gets longer: its clients are gone by then, so it can write its checkpoint.
    """
    server = postgres.running_pid(home)
    servers = _with_children(server)
    others = [process for process in _left_over(home) if process not in servers]
    _end(others, signal.SIGTERM, GRACE_S)
    if server is not None:
        _end(servers[:1], signal.SIGINT, POSTGRES_GRACE_S)
        psutil.wait_procs(servers, timeout=POSTGRES_GRACE_S)
    home.processes.unlink(missing_ok=True)
    return len(others) + len(servers[:1])


def _left_over(home: Home) -> list[psutil.Process]:
    own = {process.pid for process in (psutil.Process(), *psutil.Process().parents())}
    found = {process.pid: process for process in (*_recorded(home), *_marked(home))}
    return [process for pid, process in found.items() if pid not in own]


def _recorded(home: Home) -> list[psutil.Process]:
    try:
        started = json.loads(home.processes.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    found = []
    for pid, at in started.items():
        with suppress(psutil.Error):
            process = psutil.Process(int(pid))
            if abs(process.create_time() - at) < SAME_START_S:
                found += [process, *process.children(recursive=True)]
    return found


def _marked(home: Home) -> list[psutil.Process]:
    wanted = mark(home)
    found = []
    for process in psutil.process_iter():
        # Other people's processes and ones that just ended have no environment for us.
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == wanted:
                found.append(process)
    return found


def _with_children(pid: int | None) -> list[psutil.Process]:
    if pid is None:
        return []
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _end(processes: list[psutil.Process], politely: signal.Signals, seconds: float) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(politely)
            process.resume()  # a stopped process would take the signal only later
    _gone, alive = psutil.wait_procs(processes, timeout=seconds)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=seconds)

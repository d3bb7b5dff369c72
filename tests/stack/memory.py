"""What an instance's processes hold in memory, as the kernel counts it: proportional set size, shared pages divided."""

from __future__ import annotations

from collections.abc import Iterable

import psutil

from tests.stack.instance import Instance


def held_mb(pid: int) -> float:
    """Megabytes of a process without memory that was made to be shared (PostgreSQL's buffers). Pages of files and pages
    shared since a fork count by the share of each process. NoSuchProcess when it has ended."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            sizes = dict(line.split(":", 1) for line in list(rollup)[1:])
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    return (_kilobytes(sizes["Pss"]) - _kilobytes(sizes["Pss_Shmem"])) / 1_024


def stack_mb(instance: Instance) -> dict[str, float]:
    """Megabytes of the supervisor and of each of its programs with everything below it."""
    assert instance.process is not None
    supervisor = psutil.Process(instance.process.pid)
    with instance.control() as control:
        programs = {info["name"]: info["pid"] for info in control.getAllProcessInfo() if info["pid"]}
    found = {name: _tree_mb(psutil.Process(pid)) for name, pid in programs.items()}
    return {"supervisor": held_mb(supervisor.pid), **found}


def web_workers_mb(instance: Instance) -> list[float]:
    """Megabytes of each process that answers requests."""
    return _each_mb(instance.children("web"))


def _tree_mb(process: psutil.Process) -> float:
    return sum(_each_mb([process.pid, *(child.pid for child in process.children(recursive=True))]))


def _each_mb(pids: Iterable[int]) -> list[float]:
    found = []
    for pid in pids:
        try:
            found.append(held_mb(pid))
        except psutil.NoSuchProcess:
            continue  # a connection's process that ended meanwhile
    return found


def _kilobytes(text: str) -> int:
    return int(text.removesuffix("kB\n"))

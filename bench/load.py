"""Load from processes of their own: closed loop for the maximum, open loop where a rate is offered."""

from __future__ import annotations

import multiprocessing
import resource
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# One client's way of working: given the number of the request, do it and return whether it succeeded; None when it has
# nothing left to send.
Step = Callable[[int], bool | None]
# Made inside each thread of the load process, so that it may open a connection.
MakeStep = Callable[..., Step]
# How long an open loop goes on after its last request was due; a server that cannot keep up must not stop the benchmark.
OVERTIME_S = 10.0


# Its server has loaded what load processes need, and has nothing else in it: no thread, no connection.
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    ["__main__", *(f"bench.work.{name}" for name in ("growth", "ingestion", "memory", "reading", "review"))]
)


@dataclass
class Samples:
    """What a load process saw: seconds of each request (in an open loop from the moment it was due), and its own costs."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0  # refused, broken, or still not sent OVERTIME_S after the last was due
    lasted: float = 0.0
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.seconds) / self.lasted

    def percentile_ms(self, percent: float) -> float:
        return float(np.percentile(self.seconds, percent) * 1_000)


def run_load(
    make_step: MakeStep,
    arguments: Sequence[Any],
    *,
    connections: int,
    seconds: float,
    rate: float | None = None,
) -> Samples:
    """Offer requests for `seconds` from another process, or until no connection has anything left to send.

    With `rate` they are due at fixed moments whether or not earlier ones were answered (open loop), and a late start counts
    as waiting; without, each connection sends its next request when it has an answer.
    """
    receiver, sender = context.Pipe(duplex=False)
    given = (sender, make_step, list(arguments), connections, seconds, rate)
    process = context.Process(target=_run, args=given)
    process.start()
    sender.close()
    try:
        samples: Samples = receiver.recv()
    except EOFError:
        raise RuntimeError("the load process ended without a result; its error is above") from None
    finally:
        process.join()
    return samples


def _run(
    sender: Any,
    make_step: MakeStep,
    arguments: list[Any],
    connections: int,
    seconds: float,
    rate: float | None,
) -> None:
    try:
        sender.send(_Offer(make_step, arguments, connections, seconds, rate).run())
    finally:
        sender.close()


class _Offer:
    """The load process: a thread for each connection, all taking the next number from one counter."""

    def __init__(
        self,
        make_step: MakeStep,
        arguments: list[Any],
        connections: int,
        seconds: float,
        rate: float | None,
    ) -> None:
        self._make_step, self._arguments = make_step, arguments
        self._seconds, self._rate = seconds, rate
        self._threads = [threading.Thread(target=self._work) for _ in range(connections)]
        self._ready = threading.Barrier(connections + 1, action=self._start)
        self._lock = threading.Lock()
        self._began = 0.0
        self._taken = 0
        self._samples = Samples()

    def run(self) -> Samples:
        """Wait until every connection is ready, then until all have ended."""
        for thread in self._threads:
            thread.start()
        self._ready.wait(60)
        before = resource.getrusage(resource.RUSAGE_SELF)
        for thread in self._threads:
            thread.join()
        after = resource.getrusage(resource.RUSAGE_SELF)
        self._samples.lasted = time.perf_counter() - self._began
        self._samples.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return self._samples

    def _start(self) -> None:
        self._began = time.perf_counter() + 0.01

    def _work(self) -> None:
        try:
            step = self._make_step(*self._arguments)
        except BaseException:
            self._ready.abort()
            raise
        seconds: list[float] = []
        errors = 0
        self._ready.wait()
        while (turn := self._next()) is not None:
            number, due = turn
            if not self._wait_until(due):
                errors += 1
                continue
            try:
                good = step(number)
            except OSError:
                good = False
            if good is None:
                break
            seconds.append(time.perf_counter() - due)
            errors += not good
        with self._lock:
            self._samples.seconds.extend(seconds)
            self._samples.errors += errors

    def _next(self) -> tuple[int, float] | None:
        """The number of the next request and when it is due; none when the time is over."""
        with self._lock:
            number = self._taken
            self._taken += 1
        due = self._began + number / self._rate if self._rate else time.perf_counter()
        return (number, due) if due < self._began + self._seconds else None

    def _wait_until(self, due: float) -> bool:
        """Whether the request may still be sent."""
        if self._rate is None:
            return True
        if (pause := due - time.perf_counter()) > 0:
            time.sleep(pause)
        return time.perf_counter() <= self._began + self._seconds + OVERTIME_S

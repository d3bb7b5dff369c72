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


@dataclass
class Samples:
    """What a load process saw: seconds of each request (in an open loop from the moment it was due), and its own costs."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0
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
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=_run, args=(sender, make_step, list(arguments), connections, seconds, rate)
    )
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
    lock = threading.Lock()
    taken = 0
    samples = Samples()
    began = 0.0

    def start() -> None:
        nonlocal began
        began = time.perf_counter() + 0.01

    ready = threading.Barrier(connections + 1, action=start)

    def next_number() -> int:
        nonlocal taken
        with lock:
            taken += 1
            return taken - 1

    def work() -> None:
        try:
            step = make_step(*arguments)
        except BaseException:
            ready.abort()
            raise
        mine: list[float] = []
        errors = 0
        ready.wait()
        while True:
            number = next_number()
            due = began + number / rate if rate else time.perf_counter()
            if due >= began + seconds:
                break
            if rate and (pause := due - time.perf_counter()) > 0:
                time.sleep(pause)
            try:
                good = step(number)
            except OSError:
                good = False
            if good is None:
                break
            mine.append(time.perf_counter() - due)
            errors += not good
        with lock:
            samples.seconds.extend(mine)
            samples.errors += errors

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    try:
        ready.wait(60)
        before = resource.getrusage(resource.RUSAGE_SELF)
        for thread in threads:
            thread.join()
        after = resource.getrusage(resource.RUSAGE_SELF)
        samples.lasted = time.perf_counter() - began
        samples.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        sender.send(samples)
    finally:
        sender.close()

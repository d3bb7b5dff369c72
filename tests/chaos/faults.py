"""What is done to a running instance. A fault is injected, stands for a while, and is taken back; most only strike.

Everything is real: signals, the supervisor's own stop and start, limits of the kernel, the database's own commands.
The lease clock is the exception, see `injected`.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from xmlrpc.client import Fault as SupervisorFault
from xmlrpc.client import ServerProxy

import psutil
import psycopg
import redis
from supervisor.xmlrpc import SupervisorTransport

from reviewapp.stack.postgres import SUPERUSER
from tests.chaos.control import Control
from tests.stack.instance import Instance

PAUSE_S = (0.5, 3.0)
QUOTA_BYTES = 512
JUMP_S = 90


@dataclass
class Target:
    """The instance under fire, and what faults leave behind: when the lease clock said what, how long starts took."""

    instance: Instance
    control: Control
    dice: random.Random
    clock: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)])
    started_s: list[float] = field(default_factory=list)

    def main(self, program: str) -> psutil.Process:
        """A child of the supervisor; waits while it is being restarted."""
        deadline = time.monotonic() + 30
        while True:
            with suppress(psutil.Error, OSError, SupervisorFault):
                if pid := self.instance.pid(program):
                    return psutil.Process(pid)
            if time.monotonic() > deadline:
                raise RuntimeError(f"{program} does not run")
            time.sleep(0.05)

    def tree(self, program: str) -> list[psutil.Process]:
        main = self.main(program)
        return [main, *main.children(recursive=True)]

    def worker_of(self, program: str) -> psutil.Process:
        """One of the processes that do the work of a program, not the one that watches them."""
        children = [
            c for c in self.main(program).children() if "resource_tracker" not in " ".join(c.cmdline())
        ]
        return self.dice.choice(children)

    def set_clock(self, seconds: float) -> None:
        """What is noted is that the clock was ahead for at least as long as anybody may have seen it so."""
        before = time.time()
        self.control.say(clock=seconds)
        ahead = seconds > self.clock[-1][1]
        self.clock.append((before if ahead else time.time(), seconds))

    @contextmanager
    def superuser(self) -> Iterator[psycopg.Connection]:
        sockets = str(self.instance.home.postgres_sockets)
        with psycopg.connect(
            host=sockets, dbname="reviewapp", user=SUPERUSER, autocommit=True, connect_timeout=3
        ) as found:
            yield found

    @contextmanager
    def supervisor(self) -> Iterator[ServerProxy]:
        transport = SupervisorTransport(None, None, f"unix://{self.instance.home.control_socket}")
        with ServerProxy("http://127.0.0.1", transport=transport) as server:
            yield server


Strike = Callable[[Target], None]


def _kill(program: str) -> Strike:
    return lambda target: target.main(program).kill()


def _kill_one_of(program: str) -> Strike:
    return lambda target: target.worker_of(program).kill()


def _pause(program: str) -> Strike:
    def strike(target: Target) -> None:
        _stand_still(target, target.tree(program))

    return strike


def _pause_one_of(program: str) -> Strike:
    def strike(target: Target) -> None:
        _stand_still(target, [target.worker_of(program)])

    return strike


def _stand_still(target: Target, processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.suspend()
    try:
        time.sleep(target.dice.uniform(*PAUSE_S))
    finally:
        for process in processes:
            with suppress(psutil.Error):
                process.resume()


def _restart(program: str) -> Strike:
    def strike(target: Target) -> None:
        with target.supervisor() as server:
            server.supervisor.stopProcess(program)
            server.supervisor.startProcess(program, False)

    return strike


def _shut_postgres_down(how: signal.Signals) -> Strike:
    """SIGQUIT is an immediate shutdown (recovery at the next start), SIGINT a fast one. The supervisor starts it again."""
    return lambda target: target.main("postgres").send_signal(how)


def _kill_backend(target: Target) -> None:
    """One server process of a client: PostgreSQL then ends all of them and recovers."""
    with target.superuser() as connection:
        rows = connection.execute(
            "select pid from pg_stat_activity where application_name like 'reviewapp-%'"
        )
        pids = [row[0] for row in rows]
    if pids:
        with suppress(ProcessLookupError):
            os.kill(target.dice.choice(pids), signal.SIGKILL)


def _cut_connections(target: Target) -> None:
    with target.superuser() as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'reviewapp-%'"
        )


def _lose_broker_data(target: Target) -> None:
    """Whatever bells have not been heard are gone."""
    with redis.from_url(target.instance.home.recorded_services().redis_url) as broker:
        broker.flushall()


def _lose_bells_of_a_paused_worker(target: Target) -> None:
    """Bells wait while the worker stands still, and are lost before it hears them."""
    processes = target.tree("worker")
    for process in processes:
        process.suspend()
    try:
        time.sleep(target.dice.uniform(1.0, 2.0))
        _lose_broker_data(target)
    finally:
        for process in processes:
            with suppress(psutil.Error):
                process.resume()


def _fill_storage(target: Target) -> None:
    """The kernel refuses the worker every file beyond QUOTA_BYTES (RLIMIT_FSIZE), as a full quota would."""
    before: dict[int, tuple[int, int]] = {}

    def limit(process: psutil.Process) -> None:
        soft, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        before.setdefault(process.pid, (soft, hard))
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (QUOTA_BYTES, hard))

    for process in target.tree("worker"):
        with suppress(OSError):
            limit(process)
    try:
        time.sleep(target.dice.uniform(2.0, 4.0))
    finally:
        for process in target.tree("worker"):
            with suppress(OSError):
                _soft, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))


def _jump_clock(target: Target) -> None:
    """All leases run out at once; then the clock is set right again, and leases of the meantime are far too long."""
    target.set_clock(JUMP_S)
    time.sleep(target.dice.uniform(1.0, 2.0))
    target.set_clock(0)


def _kill_supervisor(target: Target) -> None:
    """Nobody watches the supervisor; we start it again, as an init system would."""
    target.instance.kill()


# Kinds in the order of importance: the first CORE are in every run, however short.
FAULTS: dict[str, Strike] = {
    "kill web": _kill("web"),
    "kill worker": _kill("worker"),
    "kill beat": _kill("beat"),
    "kill valkey (all data lost)": _kill("valkey"),
    "kill postgres": _kill("postgres"),
    "kill supervisor": _kill_supervisor,
    "pause a web process": _pause_one_of("web"),
    "pause worker, lose its bells": _lose_bells_of_a_paused_worker,
    "postgres immediate shutdown": _shut_postgres_down(signal.SIGQUIT),
    "cut database connections": _cut_connections,
    "storage quota full": _fill_storage,
    "lease clock jumps": _jump_clock,
    "kill a web process": _kill_one_of("web"),
    "kill a worker process": _kill_one_of("worker"),
    "kill a database backend": _kill_backend,
    "pause web": _pause("web"),
    "pause worker": _pause("worker"),
    "pause beat": _pause("beat"),
    "pause valkey": _pause("valkey"),
    "pause postgres": _pause("postgres"),
    "postgres fast shutdown": _shut_postgres_down(signal.SIGINT),
    "lose broker data": _lose_broker_data,
    "restart web": _restart("web"),
    "restart worker": _restart("worker"),
    "restart beat": _restart("beat"),
    "restart valkey": _restart("valkey"),
    "restart postgres": _restart("postgres"),
}
CORE = 12


def schedule(count: int, dice: random.Random, *, only: str = "") -> list[str]:
    """`count` kinds of faults: the core ones first, then all, again and again, each round in another order."""
    core, rest = (
        [kind for kind in part if only in kind] for part in (list(FAULTS)[:CORE], list(FAULTS)[CORE:])
    )
    kinds = core + rest
    if not kinds:
        raise SystemExit(f"ONLY: no fault has {only!r} in its name; there are {', '.join(FAULTS)}.")
    dice.shuffle(core)
    dice.shuffle(rest)
    planned = core + rest
    while len(planned) < count:
        dice.shuffle(kinds)
        planned += kinds
    return planned[:count]


def strike(kind: str, target: Target) -> float:
    """Inject a fault and take it back; the moment from which recovery counts: the kill, or the component's return."""
    at = time.time()
    FAULTS[kind](target)
    if kind.startswith(("kill", "cut", "lose", "postgres")) and kind != "kill supervisor":
        return at
    if kind == "kill supervisor":
        target.instance.start(**target.control.environment)
        target.started_s.append(time.time() - at)
    return time.time()

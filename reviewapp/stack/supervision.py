"""Runs the supervisor inside this process, with the few things `supervisord` alone does not do.

It records what it starts (for `orphans`), keeps trying to restart with a pause that stays short, ends
when the preparation fails, and takes a closed terminal as a request to stop.
"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress

from supervisor import events
from supervisor.compat import as_string
from supervisor.medusa import asyncore_25 as asyncore
from supervisor.options import ServerOptions, SignalReceiver
from supervisor.process import ProcessGroupBase
from supervisor.states import SupervisorStates
from supervisor.supervisord import Supervisor

from reviewapp.stack import orphans
from reviewapp.stack.home import Home
from reviewapp.stack.programs import BACKGROUND

LONGEST_PAUSE_S = 3
TURN_S = 0.2
STOP_S = 8.0


class _Options(ServerOptions):  # type: ignore[misc]
    """Supervisor's options, which are also its door to the operating system."""

    mood: int

    def __init__(self, home: Home) -> None:
        super().__init__()
        self._home = home
        self._children: set[int] = set()
        self.preparation: subprocess.Popen[bytes] | None = None
        self.exit_code = 0
        self.signal_receiver = _Signals()
        # The loop sees signals and ended children when its poll returns: five times a second, not once.
        poll = self.poller.poll
        self.poller.poll = lambda timeout: poll(min(timeout, TURN_S))

    def fork(self) -> int:
        pid = int(super().fork())
        if pid:
            self._children.add(pid)
            orphans.record(self._home, self._children)
        return pid

    def waitpid(self) -> tuple[int | None, int | None]:
        pid, status = super().waitpid()
        self._children.discard(pid)
        if self.preparation is not None and pid == self.preparation.pid:
            self.preparation.returncode = os.waitstatus_to_exitcode(status)
            if self.preparation.returncode and self.mood == SupervisorStates.RUNNING:
                self.exit_code = self.preparation.returncode
                self.mood = SupervisorStates.SHUTDOWN
            self.preparation = None
        return pid, status

    def usage(self, msg: str) -> None:
        raise RuntimeError(f"the generated supervisor configuration is wrong: {msg}")


class _Supervisor(Supervisor):  # type: ignore[misc]
    """Supervisor, for one foreground instance."""

    def __init__(self, options: _Options, prepare: list[str]) -> None:
        super().__init__(options)
        self._prepare = prepare
        self._stop_by = 0.0

    def runforever(self) -> None:
        events.subscribe(events.ProcessStateBackoffEvent, _shorten_pause)
        events.subscribe(events.ProcessLogStdoutEvent, _show)
        self.options.preparation = subprocess.Popen(self._prepare)
        super().runforever()

    def ordered_stop_groups_phase_1(self) -> None:
        """Ask the next to stop. All may take STOP_S together; PostgreSQL, the last, gets what is left of it."""
        self._stop_by = self._stop_by or time.monotonic() + STOP_S
        for group in self._next_to_stop():
            for process in group.processes.values():
                left = max(0.5, self._stop_by - time.monotonic())
                process.config.stopwaitsecs = min(process.config.stopwaitsecs, left)
            group.stop_all()

    def _next_to_stop(self) -> list[ProcessGroupBase]:
        """The one whose turn it is; those without clients (demo, worker, beat) stop at the same time."""
        if not self.stop_groups:
            return []
        turn = self.stop_groups[-1]
        if turn.config.priority not in BACKGROUND:
            return [turn]
        return [group for group in self.stop_groups if group.config.priority in BACKGROUND]

    def handle_signal(self) -> None:
        """All signals that came, not one for each turn; a closed terminal (SIGHUP) means stop, not restart."""
        while self.options.signal_receiver.pending():
            super().handle_signal()
        if self.options.mood == SupervisorStates.RESTARTING:
            self.options.mood = SupervisorStates.SHUTDOWN
        if self.options.mood == SupervisorStates.SHUTDOWN and self.options.preparation is not None:
            self.options.preparation.terminate()


class _Signals(SignalReceiver):  # type: ignore[misc]
    def pending(self) -> bool:
        return bool(self._signals_recvd)


def run(home: Home, configuration: str, prepare: list[str]) -> int:
    """Supervise until a signal asks to stop; the exit code. `prepare` runs once, beside the servers."""
    config_file = home.run / "supervisord.conf"
    config_file.write_text(configuration, encoding="utf-8")
    options = _Options(home)
    options.realize(["-c", str(config_file)], doc="")
    options.first, options.test = True, False
    if os.geteuid() == 0:
        options.uid = 0  # said on purpose: the servers leave root behind themselves
    try:
        _Supervisor(options, prepare).main()
    except asyncore.ExitNow:
        pass
    finally:
        home.processes.unlink(missing_ok=True)
    return options.exit_code


def _show(event: events.ProcessLogStdoutEvent) -> None:
    """What a program writes for people, in the terminal. One that was closed meanwhile is no reason to stop."""
    text = as_string(event.data)
    with suppress(OSError):
        for line in text.splitlines():
            print(f"{event.process.config.name}: {line}", flush=True)


def _shorten_pause(event: events.ProcessStateBackoffEvent) -> None:
    """Supervisor waits a second longer after each failed try, without end."""
    event.process.backoff = min(event.process.backoff, LONGEST_PAUSE_S)
    event.process.delay = min(event.process.delay, time.time() + LONGEST_PAUSE_S)

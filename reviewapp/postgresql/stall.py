"""Notices that the database does not answer at all, and ends the waits for it.

A server that is gone refuses connections, and psycopg says so at once. A server that stands still (its
machine is paused, its disk hangs) accepts everything and answers nothing: a thread that waits for it
waits for ever, and soon all threads do. So one connection of each web process is asked every
PAUSE_S for nothing. Without an answer for PATIENCE_S the database counts as stalled: waits in progress
end with an error, new ones do not begin, and both are 503 to the client, until the database answers.
A slow statement is not a stall: the asking connection is answered meanwhile. A server that has refused
connections for GONE_S turns new work away too, so that threads do not queue for it.
"""

from __future__ import annotations

import logging
import math
import select
import threading
import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg.waiting import READY_NONE

logger = logging.getLogger(__name__)

PAUSE_S = 0.3
PATIENCE_S = 1.2
GONE_S = 2.0
LOOK_S = 0.1
ASK_AGAIN_S = 5.0

T = TypeVar("T")


class DatabaseStalled(psycopg.OperationalError):
    """The database accepts connections and answers nothing."""


class StallWatch:
    """Asks one database; a daemon thread that begins with the first question."""

    def __init__(self) -> None:
        self.stalled = False
        self._gone_since: float | None = None
        self._started = threading.Lock()
        self._parameters: dict[str, Any] = {}

    @property
    def refuses(self) -> bool:
        """Whether to turn new work away at once. A server that restarts is worth a moment's wait first."""
        gone_since = self._gone_since
        return self.stalled or (gone_since is not None and time.monotonic() - gone_since > GONE_S)

    def start(self, parameters: dict[str, Any]) -> None:
        """Begin to watch the database with these connection parameters; later calls do nothing."""
        if not self._parameters and self._started.acquire(blocking=False):
            self._parameters = parameters
            threading.Thread(target=self._watch, name="stall-watch", daemon=True).start()

    def _watch(self) -> None:
        connection: _Asking | None = None
        while True:
            try:
                connection = connection or _Asking.connect(
                    **self._parameters, autocommit=True, connect_timeout=2
                )
                connection.execute("SELECT")
                self._note(stalled=False)
                self._gone_since = None
            # Whatever it is: a watch that ended would leave its last word standing for ever.
            except Exception as error:
                self._note(stalled=isinstance(error, DatabaseStalled | psycopg.errors.ConnectionTimeout))
                if not self.stalled:
                    self._gone_since = self._gone_since or time.monotonic()
                if connection is not None:
                    connection.pgconn.finish()  # without a word to the server
                    connection = None
            time.sleep(PAUSE_S)

    def _note(self, *, stalled: bool) -> None:
        if stalled != self.stalled:
            logger.warning("the database %s", "does not answer" if stalled else "answers again")
        self.stalled = stalled


watch = StallWatch()


class StallAwareConnection(psycopg.Connection[Any]):
    """A connection whose waits end when the database stalls, and which is asked seldom whether it lives."""

    _asked_at = -math.inf

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> psycopg.Cursor[Any]:
        """As psycopg's. The empty query is how a pool asks whether a connection lives, each time it hands one out: nothing
        is sent while the last answer is young and nothing has come since (a server that ends a connection says so)."""
        if query == "":
            now = time.monotonic()
            if now - self._asked_at < ASK_AGAIN_S and not self._has_something_to_say():
                return self.cursor()
            found = super().execute(query, *args, **kwargs)
            self._asked_at = now
            return found
        return super().execute(query, *args, **kwargs)

    def _has_something_to_say(self) -> bool:
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        return bool(poll.poll(0))

    def wait(self, gen: Generator[Any, Any, T], interval: float = LOOK_S, timeout: float | None = None) -> T:
        return super().wait(_ending(gen, self.pgconn), interval, timeout)


class _Asking(psycopg.Connection[Any]):
    """The watch's own connection, which is patient for a moment only."""

    def wait(self, gen: Generator[Any, Any, T], interval: float = LOOK_S, timeout: float | None = None) -> T:
        return super().wait(_patient(gen), interval, timeout)


def _ending(gen: Generator[Any, Any, T], pgconn: Any) -> Generator[Any, Any, T]:
    """The same waits, looked at every LOOK_S; a stall closes the connection, whose state nobody knows."""
    try:
        wanted = next(gen)
        while True:
            if watch.stalled:
                pgconn.finish()
                raise DatabaseStalled("the database does not answer")
            wanted = gen.send((yield wanted))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def _patient(gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
    deadline = time.monotonic() + PATIENCE_S
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if ready == READY_NONE and time.monotonic() > deadline:
                raise DatabaseStalled("the database does not answer")
            wanted = gen.send(ready)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]

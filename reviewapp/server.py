"""The web server: `python -m reviewapp.server` loads the application once, and granian's workers are forks that share it."""

from __future__ import annotations

import multiprocessing
import os
import sys
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels

from reviewapp import env as environment
from reviewapp.stack.parent_death import die_with_parent

APPLICATION = "reviewapp.wsgi:application"
RESPAWN_PAUSE_S = 0.2
STOP_WORKERS_WITHIN_S = 2

_master: int | None = None


def main() -> None:
    """Serve until a signal asks to stop."""
    global _master  # noqa: PLW0603
    env = environment.read()
    if sys.platform == "linux":
        _master = os.getpid()  # its forks know whose they are
        multiprocessing.set_start_method("fork")
        load()
    server = Granian(
        APPLICATION,
        address=env.host,
        port=env.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=env.workers,
        blocking_threads=env.threads,
        backlog=1024,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        respawn_interval=RESPAWN_PAUSE_S,
        workers_kill_timeout=STOP_WORKERS_WITHIN_S,
    )
    server.serve(target_loader=_worker_application, wrap_loader=False)


def load() -> Any:
    """The application. Loading opens no connection and starts no thread, so that a process may fork afterwards."""
    from reviewapp.wsgi import application

    return application


def _worker_application() -> Any:
    """Called in each worker when it begins. One outlives a killed master otherwise, and keeps the port."""
    die_with_parent(parent=_master)
    return load()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reviewapp.settings")
    main()

"""One process at a time owns a home: the supervisor, or a command that works on the stopped instance."""

from __future__ import annotations

import fcntl
import os
from typing import IO

from reviewapp.env import SettingError
from reviewapp.stack.home import Home


def only_instance(home: Home) -> IO[str]:
    """Hold the home's lock. The kernel lets go of it when this process ends, however it ends."""
    lock = home.lock.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        raise SettingError(
            f"REVIEWAPP_HOME: {home.path} is in use by a running instance (process {holder}); stop it or choose another."
        ) from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock

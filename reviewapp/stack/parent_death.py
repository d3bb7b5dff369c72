"""Lets a process end when its parent does, also when the parent was killed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1


def die_with_parent(sig: signal.Signals = signal.SIGKILL, parent: int | None = None) -> None:
    """From now on, the end of the parent ends this process.

    On Linux the kernel sends the signal; elsewhere a thread looks twice a second. The parent may have died before this call:
    `parent` says who it was, for whoever knows from before the fork; without, a parent that was gone by now is not missed.
    """
    parent = parent or os.getppid()
    if sys.platform == "linux":
        set_death_signal(sig)
    else:
        threading.Thread(target=_watch, args=(parent, sig), daemon=True).start()
    if os.getppid() != parent:
        os.kill(os.getpid(), sig)


def set_death_signal(sig: int) -> None:
    """Ask the Linux kernel for a signal when the parent ends. A change of user forgets it."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(sig), 0, 0, 0)


def _watch(parent: int, sig: signal.Signals) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), sig)

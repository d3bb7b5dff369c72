"""Becomes another program: `python -S -m reviewapp.stack.child --uid 65117 --signal 2 -- postgres ...`.

Between fork and exec it leaves root behind when asked to, and asks the kernel for a signal when the
supervisor ends, so that a killed supervisor leaves little behind. The pid stays the same, so the
supervisor watches the program itself. Imports the standard library only: it runs before every child.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys

from reviewapp.stack.parent_death import set_death_signal


def as_child(
    program: list[str], *, stop_with: signal.Signals, uid: int | None = None, directory: str = "/"
) -> list[str]:
    """The command line that runs a program through this module; it needs the project as working directory."""
    rights = [] if uid is None else ["--uid", str(uid)]
    options = [*rights, "--signal", str(int(stop_with)), "--directory", directory]
    return [sys.executable, "-S", "-m", "reviewapp.stack.child", *options, "--", *program]


def main() -> None:
    """Drop rights, ask for the signal (a change of user forgets it, so in this order), and exec."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--uid", type=int, default=os.geteuid())
    parser.add_argument("--signal", type=int, required=True)
    parser.add_argument("--directory", default="/")
    parser.add_argument("program", nargs="+")
    arguments = parser.parse_args()
    parent = os.getppid()
    os.chdir(arguments.directory)
    if arguments.uid != os.geteuid():
        os.setgroups([])
        os.setgid(arguments.uid)
        os.setuid(arguments.uid)
    if sys.platform == "linux":
        set_death_signal(arguments.signal)
        if os.getppid() != parent:
            sys.exit("the supervisor is gone")
    os.execv(arguments.program[0], arguments.program)  # noqa: S606


if __name__ == "__main__":
    main()

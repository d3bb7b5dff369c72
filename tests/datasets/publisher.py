"""Publishes in processes that can be killed or stopped at any step. Run by the tests as a program.

Like a prefork worker it imports everything once and forks for each publication; orders come as JSON lines on stdin.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback

POINTS = ("claimed", "built", "half_written", "written", "uncommitted", "committed")


class Publishers:
    """The tests' side of this program."""

    storage = ""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, dataset_id: int, *, point: str | None = None, signum: int = signal.SIGKILL) -> int:
        """Start a publication that sends itself a signal at a step; the pid."""
        return self._ask(
            do="start", dataset=dataset_id, point=point, signal=int(signum), storage=self.storage
        )

    def wait(self, pid: int) -> int:
        """Until the process has ended or stopped: its exit code, or the signal's number negated."""
        return self._ask(do="wait", pid=pid)

    def run(self, dataset_id: int, *, point: str | None = None) -> int:
        return self.wait(self.start(dataset_id, point=point))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _ask(self, **order: object) -> int:
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def main() -> None:
    import django

    django.setup()
    from django.conf import settings

    from labeling.datasets.services import publish

    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "wait":
            _pid, status = os.waitpid(order["pid"], os.WUNTRACED)
            answer = -os.WSTOPSIG(status) if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status)
        elif (answer := os.fork()) == 0:
            settings.REVIEWAPP_STORAGE = order["storage"]
            os._exit(_publish(publish, order))
        print(json.dumps(answer), flush=True)


def _publish(publish, order) -> int:
    def pause(point: str) -> None:
        if point == order["point"]:
            os.kill(os.getpid(), order["signal"])

    try:
        publish(order["dataset"], pause=pause)
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main()

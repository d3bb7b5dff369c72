"""Another process of the product, for tests: it answers the requests it reads from its standard input.

python -m tests.api.second_process        # one JSON object a line in, one a line out
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.world import Api, Reply

ROOT = Path(__file__).resolve().parent.parent.parent
_PROGRAM = (
    "import django; django.setup(); from tests.api import second_process; second_process.answer_requests()"
)


class SecondProcess:
    """Speaks to the other process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def request(self, method: str, path: str, key: str | None, body: Any = None) -> Reply:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([method, path, key, body]) + "\n")
        self._process.stdin.flush()
        status, headers, content = json.loads(self._process.stdout.readline())
        return Reply(status, headers, content.encode())

    def api(self, other: Api) -> Api:
        """The same person's API, as the other process answers it."""
        twin = Api(other.key, other.at)
        twin.request = lambda method, path, body=None, **more: self.request(method, path, other.key, body)  # type: ignore[method-assign]
        return twin


@contextmanager
def second_process(database: str) -> Iterator[SecondProcess]:
    """Start it beside this test run, on the same (test) database."""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}").geturl()
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "reviewapp.settings",
            "REVIEWAPP_ALLOWED_HOSTS": "testserver",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:  # leaving it closes its input, and it ends
        yield SecondProcess(process)


def answer_requests() -> None:
    """What the other process does until its input ends."""
    for line in sys.stdin:
        method, path, key, body = json.loads(line)
        reply = Api(key, None).request(method, path, body)  # type: ignore[arg-type]
        sys.stdout.write(json.dumps([reply.status, reply.headers, reply.content.decode()]) + "\n")
        sys.stdout.flush()

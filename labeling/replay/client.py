"""HTTP with patience: a request is repeated until the server answers, for as long as it may be away.

Everything a replay sends may be repeated: predictions carry their idempotency key, decisions their claim's token.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

_AWAY = frozenset({429, 500, 502, 503, 504})
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_TIMEOUT = httpx.Timeout(30.0, connect=5.0)

logging.getLogger("httpx").setLevel(logging.WARNING)  # it writes a line for every request otherwise


class ReplayError(Exception):
    """The replay cannot go on; the text is for a person."""


class ServerAwayError(ReplayError):
    """No answer for longer than the patience lasts."""


class StoppedError(ReplayError):
    """Somebody asked the replay to stop while a request waited for the server."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said to one request."""

    method: str
    path: str
    status: int
    body: Any

    @property
    def code(self) -> str:
        """The stable code of a problem answer; empty otherwise."""
        return str(self.body.get("code", "")) if isinstance(self.body, Mapping) else ""

    def expect(self, *statuses: int) -> Any:
        """The body, or ReplayError when the status is none of these."""
        if self.status in statuses:
            return self.body
        detail = self.body.get("detail") if isinstance(self.body, Mapping) else None
        errors = self.body.get("errors") if isinstance(self.body, Mapping) else None
        because = f" {detail or str(self.body)[:200]}" + (f" {errors[:3]}" if errors else "")
        raise ReplayError(f"{self.method} {self.path} was answered with {self.status}.{because}")


@dataclass
class Patience:
    """How long the server may be away, whether somebody wants to stop, and how often requests were repeated."""

    seconds: float = 120.0
    stopping: threading.Event = field(default_factory=threading.Event)
    retries: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def pause(self, seconds: float) -> None:
        """Wait; StoppedError when asked to stop meanwhile."""
        if self.stopping.wait(seconds):
            raise StoppedError("The replay was stopped.")

    def count_retry(self) -> None:
        with self._lock:
            self.retries += 1


class Api:
    """One person's or service's connection to the public API. Not shared between threads."""

    def __init__(
        self,
        url: str,
        key: str,
        patience: Patience,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = patience
        self._clock = clock
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1",
            headers={"Authorization": f"Bearer {key}", "Accept": "application/json"},
            timeout=_TIMEOUT,
            transport=transport,
            trust_env=False,
        )

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str) -> Answer:
        return self.send("GET", path)

    def post(self, path: str, body: Any) -> Answer:
        return self.send("POST", path, body)

    def send(self, method: str, path: str, body: Any = None) -> Answer:
        """Send until answered. 429 and 5xx count as away: the server says itself that later will do."""
        away_since: float | None = None
        pause = _FIRST_PAUSE
        while True:
            answer, wait = self._try(method, path, body)
            if isinstance(answer, Answer) and answer.status not in _AWAY:
                return answer
            now = self._clock()
            away_since = now if away_since is None else away_since
            if now - away_since >= self._patience.seconds:
                said = f"it answers {answer.status}" if isinstance(answer, Answer) else str(answer)
                raise ServerAwayError(
                    f"{self._http.base_url} was away for {self._patience.seconds:g} s ({method} {path}: {said})."
                )
            self._patience.count_retry()
            self._patience.pause(min(_LONGEST_PAUSE, max(wait, pause)))
            pause *= 2

    def _try(self, method: str, path: str, body: Any) -> tuple[Answer | httpx.TransportError, float]:
        """One attempt: the answer, or why there was none, and how long the server asked us to wait."""
        try:
            response = self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            return error, 0.0
        retry_after = response.headers.get("Retry-After", "")
        return Answer(method, path, response.status_code, _decoded(response)), (
            float(retry_after) if retry_after.isdecimal() else 0.0
        )


def _decoded(response: httpx.Response) -> Any:
    """The JSON of an answer; the text of one that is none (a proxy's error page)."""
    try:
        return response.json() if response.content else None
    except ValueError:
        return response.text

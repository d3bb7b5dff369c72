"""HTTP for drivers: a request is repeated until it is answered, and what should never be answered is written down."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import httpx

from tests.chaos.histories import History

AWAY = frozenset({429, 502, 503, 504})
PAUSE_S = 0.1
TIMEOUT = httpx.Timeout(20.0, connect=2.0)


@dataclass(frozen=True)
class Reply:
    """The answer, when the first attempt went out and when the answer came in."""

    status: int
    body: Any
    sent: float
    acked: float

    @property
    def times(self) -> dict[str, float]:
        return {"sent": self.sent, "acked": self.acked}


class Caller:
    """One client's connection; not shared between threads."""

    def __init__(self, url: str, key: str, history: History) -> None:
        self._history = history
        self._http = httpx.Client(
            base_url=f"{url}/api/v1",
            headers={"Authorization": f"Bearer {key}", "Accept": "application/json"},
            timeout=TIMEOUT,
            trust_env=False,
        )

    def send(self, method: str, path: str, body: Any = None) -> Reply:
        """Until answered, for as long as it takes; the harness ends a driver that hangs."""
        sent = time.time()
        while True:
            try:
                response = self._http.request(method, path, json=body)
            except httpx.TransportError:
                time.sleep(PAUSE_S)
                continue
            acked = time.time()
            if response.status_code in AWAY:
                time.sleep(PAUSE_S)
                continue
            if response.status_code >= 500:
                self._history.note(
                    "failure",
                    sent=sent,
                    acked=acked,
                    status=response.status_code,
                    request=f"{method} {path}",
                    said=response.text[:500],
                )
                time.sleep(PAUSE_S)
                continue
            return Reply(response.status_code, response.json() if response.content else None, sent, acked)

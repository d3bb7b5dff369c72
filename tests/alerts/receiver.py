"""A server that takes webhooks, on a port of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer


class Receiver(HTTPServer):
    """Keeps what it was sent; answers with `status`, and with a body that is never whole if it `never_ends`."""

    status = 200
    never_ends = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_port}/hook?a=1"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append(
            ({**{k.lower(): v for k, v in self.headers.items()}, ":path": self.path}, body)
        )
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Length", "9999" if self.server.never_ends else "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: tests print what they need."""


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A running one."""
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)

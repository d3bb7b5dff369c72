"""HTTP over one kept-open connection, with as little work in the client as possible."""

from __future__ import annotations

import json
import socket
from typing import Any


class Wire:
    """One connection to the server. Requests are bytes made beforehand; answers are (status, body)."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket: socket.socket | None = None
        self._rest = b""

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send one whole request and read one whole answer: status and body."""
        return self.ask_with_head(request)[:2]

    def ask_with_head(self, request: bytes) -> tuple[int, bytes, bytes]:
        """The same with the answer's head. After an error the next request opens a new connection."""
        if self._socket is None:
            self._connect()
        assert self._socket is not None
        try:
            self._socket.sendall(request)
            return self._read()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._rest = b""

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _read(self) -> tuple[int, bytes, bytes]:
        data = self._rest
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        head, data = data[:end], data[end + 4 :]
        status = int(head[9:12])
        if b"content-length:" in (lower := head.lower()):
            length = int(lower.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            parts, have = [data], len(data)
            while have < length:
                parts.append(self._more())
                have += len(parts[-1])
            data = b"".join(parts)
            self._rest = data[length:]
            return status, data[:length], head
        while not data.endswith(b"0\r\n\r\n"):  # chunked; only its end matters here
            data += self._more()
        self._rest = b""
        return status, data, head

    def _more(self) -> bytes:
        assert self._socket is not None
        part = self._socket.recv(1 << 18)
        if not part:
            raise ConnectionResetError("the server closed the connection")
        return part


def request(method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> bytes:
    """A whole HTTP/1.1 request; `body` is JSON, or bytes that are sent as they are."""
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {
        "Host": "127.0.0.1",
        "Content-Length": str(len(content)),
        **({"Content-Type": "application/json"} if content else {}),
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content

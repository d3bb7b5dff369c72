"""The connection that web processes keep in their pool."""

from __future__ import annotations

import os
import socket
from typing import Any

from reviewapp.postgresql.stall import StallAwareConnection

SEND_BUFFER_BYTES = 2 * 1024 * 1024


class PooledConnection(StallAwareConnection):
    """A connection into which a batch of predictions fits whole.

    What is sent by COPY leaves the process at once then, and the server takes it in while the process goes on: with the
    kernel's usual 208 KB, three quarters of a thousand rows stay behind until the process waits for the server. The kernel
    grants less where its own limit (`net.core.wmem_max`) is lower.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        with socket.socket(fileno=os.dup(self.pgconn.socket)) as mine:
            mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

"""The backend Django loads by this module's name. It differs from Django's own only while the database is away."""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base
from django.utils.asyncio import async_unsafe

from reviewapp.postgresql.stall import DatabaseStalled, watch

_NOT_FOR_THE_WATCH = ("cursor_factory", "context", "prepare_threshold", "connect_timeout")


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's wrapper, which does not queue for a database that answers nothing."""

    @async_unsafe
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if self.pool:
            watch.start(
                {name: value for name, value in conn_params.items() if name not in _NOT_FOR_THE_WATCH}
            )
            if watch.refuses:
                raise DatabaseStalled("the database is not available")
        return super().get_new_connection(conn_params)

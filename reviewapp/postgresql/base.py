"""The backend Django loads by this module's name. It differs from Django's own while the database is away, and in what it logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.backends.postgresql import base, operations
from django.utils.asyncio import async_unsafe

from reviewapp.postgresql.pool import WarmPool
from reviewapp.postgresql.stall import DatabaseStalled, watch

_NOT_FOR_THE_WATCH = ("cursor_factory", "context", "prepare_threshold", "connect_timeout")


class DatabaseOperations(operations.DatabaseOperations):
    """Django's, which also knows what a statement was that is still on its way (`labeling.bulk.Prepared.fetch_meanwhile`)."""

    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> Any:
        return super().last_executed_query(cursor, sql, params) or sql


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's wrapper, which does not queue for a database that answers nothing."""

    ops_class = DatabaseOperations
    _connection_pools: dict[str, Any]  # Django's own; its types do not say so
    _configure_connection: Callable[[Any], None]

    @property
    def pool(self) -> Any:
        """As Django's, which makes psycopg's own kind of pool when there is none yet; several threads may be here at once."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if options and self.alias not in self._connection_pools:
            made = WarmPool(
                kwargs={**self.get_connection_params(), "autocommit": True},
                open=False,
                configure=self._configure_connection,
                check=WarmPool.check_connection,
                **options,
            )
            self._connection_pools.setdefault(self.alias, made)
        return super().pool

    @async_unsafe
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if self.pool:
            watch.start(
                {name: value for name, value in conn_params.items() if name not in _NOT_FOR_THE_WATCH}
            )
            if watch.refuses:
                raise DatabaseStalled("the database is not available")
        return super().get_new_connection(conn_params)

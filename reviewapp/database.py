"""How a process talks to PostgreSQL: the connection, its pool and the limits of its role."""

from __future__ import annotations

from typing import Any

from psycopg.conninfo import conninfo_to_dict

from reviewapp.env import Environment, SettingError
from reviewapp.postgresql.stall import StallAwareConnection

# Milliseconds a statement may take, by role of the process. A person at the keyboard (command) has no limit;
# a worker's limit is how long an export may hold a snapshot (claims slow down behind an old one).
STATEMENT_TIMEOUT = {
    "web": 15_000,
    "worker": 60_000,
    "beat": 15_000,
    "demo": 60_000,
    "command": 0,
    "test": 60_000,
}
LOCK_TIMEOUT = {"web": 5_000, "worker": 10_000, "beat": 5_000, "demo": 10_000, "command": 0, "test": 20_000}
IDLE_IN_TRANSACTION_TIMEOUT = 60_000
WAIT_FOR_CONNECTION_S = 1.5


def connection_settings(url: str, env: Environment) -> dict[str, Any]:
    """Django's DATABASES entry for a URL."""
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except Exception as error:
        raise SettingError("DATABASE_URL is not a PostgreSQL connection URL.") from error
    return {
        "ENGINE": "reviewapp.postgresql",
        "NAME": given.pop("dbname", "reviewapp"),
        "USER": given.pop("user", ""),
        "PASSWORD": given.pop("password", ""),
        "HOST": given.pop("host", ""),
        "PORT": given.pop("port", ""),
        "CONN_HEALTH_CHECKS": True,
        # Pooled connections must go back to the pool after each request.
        "CONN_MAX_AGE": 0 if env.role == "web" else 60,
        "OPTIONS": {
            "connect_timeout": 3,
            "application_name": f"reviewapp-{env.role}",
            **given,
            "options": " ".join(filter(None, (given.get("options"), _limits(env.role)))),
            # For cursors that ask the server to bind (labeling.bulk); Django's own bind in the client.
            "prepare_threshold": 1,
            **_pool(env),
        },
    }


def _limits(role: str) -> str:
    limits = {
        "statement_timeout": STATEMENT_TIMEOUT[role],
        "lock_timeout": LOCK_TIMEOUT[role],
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_TIMEOUT,
    }
    return " ".join(f"-c {name}={value}" for name, value in limits.items())


def _pool(env: Environment) -> dict[str, Any]:
    """A pool for web processes: one connection for each thread, made before they are needed: the first requests of a burst would
    wait for a new one, and each plans its statements anew. Others have a single thread and no pool."""
    if env.role != "web":
        return {}
    return {
        "pool": {
            "min_size": env.threads,
            "max_size": env.threads,
            "timeout": WAIT_FOR_CONNECTION_S,
            "connection_class": StallAwareConnection,
            # The pause between tries doubles up to here, then the pool gives up and starts anew when asked.
            "reconnect_timeout": 2.0,
            "max_idle": 300.0,
        }
    }

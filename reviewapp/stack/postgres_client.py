"""Talks to PostgreSQL before Django does: is it up, is it one we know, has it our database."""

from __future__ import annotations

import time

import psycopg
from psycopg import sql

from reviewapp.env import SettingError
from reviewapp.stack.home import DATABASE, Home
from reviewapp.stack.postgres import SUPERUSER

SUPPORTED = range(15, 19)


def wait_until_ready(home: Home, seconds: float = 60.0) -> None:
    """Return when the server takes connections; SettingError when it does not in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with _as_superuser(home):
                return
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise SettingError(
                    f"the embedded PostgreSQL did not start within {seconds:.0f} s; see {home.logs / 'postgres.log'}."
                ) from error
            time.sleep(0.05)


def create_database(home: Home) -> None:
    """Make the product's role and database. The role may make databases (tests do), and nothing more."""
    with _as_superuser(home) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [DATABASE]).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(sql.Identifier(DATABASE)))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            name = sql.Identifier(DATABASE)
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))


def refuse_unsupported(url: str) -> None:
    """SettingError for an external server that cannot be reached or has a version we do not know."""
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            major = connection.info.server_version // 10_000
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[-1]
        raise SettingError(f"DATABASE_URL: the database cannot be reached: {reason}") from error
    if major not in SUPPORTED:
        raise SettingError(
            f"DATABASE_URL: PostgreSQL {SUPPORTED.start} to {SUPPORTED.stop - 1} is supported, the server is {major}."
        )


def _as_superuser(home: Home) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=str(home.postgres_sockets), dbname="postgres", user=SUPERUSER, autocommit=True, connect_timeout=3
    )

"""Brings a started instance to life, once for each start: `python -m reviewapp.stack.prepare`.

The supervisor runs it beside the servers: wait for them, migrate, make the first user, collect static
files, start the rest, say where the product is. When it fails, the supervisor stops everything.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from xmlrpc.client import Fault, ServerProxy

import django
import psycopg
import redis
from supervisor.xmlrpc import Faults, SupervisorTransport

from reviewapp import env as environment
from reviewapp.env import Environment, SettingError
from reviewapp.stack import postgres_client, valkey
from reviewapp.stack.home import Home
from reviewapp.stack.parent_death import die_with_parent
from reviewapp.stack.programs import programs

MIGRATION_LOCK = 7_236_541  # any number; other instances on the same external database wait for it
WRONG_SETTING = 2
WEB_START_S = 120.0


def main() -> int:
    """All steps in order; the exit code."""
    die_with_parent()
    env = environment.read()
    home = Home(env.home)
    try:
        _wait_for_services(home, env)
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reviewapp.settings")
        django.setup()
        migrate(home)
        _call("bootstrap")
        collect_static(home)
        # The web server alone first: it is what people wait for, and everything imports at its start.
        _start(home, "web")
        _wait_for_web(env)
        _start(home, *(program.name for program in programs(home, env) if not program.starts_at_once))
    except SettingError as error:
        print(f"reviewapp: {error}", file=sys.stderr, flush=True)
        return WRONG_SETTING
    _greet(home, env)
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


def _call(command: str, **options: object) -> None:
    from django.core.management import call_command

    call_command(command, **options)


def _wait_for_services(home: Home, env: Environment) -> None:
    if env.database_url is None:
        postgres_client.wait_until_ready(home)
        postgres_client.create_database(home)
    else:
        postgres_client.refuse_unsupported(env.database_url)
    if env.redis_url is None:
        valkey.wait_until_ready(home)
    else:
        try:
            redis.from_url(env.redis_url, socket_connect_timeout=5).ping()
        except (redis.RedisError, ValueError) as error:
            raise SettingError(f"REDIS_URL: the broker cannot be reached: {error}.") from error


def migrate(home: Home) -> None:
    """Apply what is missing, one instance at a time."""
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    services = home.recorded_services()
    with psycopg.connect(services.database_url, autocommit=True) as guard:
        guard.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            _say(f"Applying {len(missing)} migrations")
            _call("migrate", interactive=False, verbosity=1)


def collect_static(home: Home) -> None:
    """Collect again only when a file of the product or of a package changed."""
    record = home.run / "static-fingerprint"
    fingerprint = _static_fingerprint()
    if record.exists() and record.read_text(encoding="ascii") == fingerprint:
        return
    _say("Collecting static files")
    _call("collectstatic", interactive=False, clear=True, verbosity=0)
    record.write_text(fingerprint, encoding="ascii")


def _static_fingerprint() -> str:
    from django.contrib.staticfiles.finders import get_finders

    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            found = Path(storage.path(path)).stat()
            digest.update(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _start(home: Home, *names: str) -> None:
    """Ask the supervisor to start what needed the database first; what runs already is left alone."""
    transport = SupervisorTransport(None, None, f"unix://{home.control_socket}")
    with ServerProxy("http://127.0.0.1", transport=transport) as server:
        for name in names:
            try:
                server.supervisor.startProcess(name, False)
            except Fault as fault:
                if fault.faultCode != Faults.ALREADY_STARTED:
                    raise


def _wait_for_web(env: Environment) -> None:
    """Return when the product answers; any answer counts, it is /readyz that judges."""
    deadline = time.monotonic() + WEB_START_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{env.url}/livez", timeout=2):  # noqa: S310
                return
        except urllib.error.HTTPError:
            return
        except (TimeoutError, OSError):
            time.sleep(0.05)
    raise SettingError(
        f"the web server did not answer within {WEB_START_S:.0f} s; see the logs in the home's folder."
    )


def _greet(home: Home, env: Environment) -> None:
    _say("")
    _say(f"reviewapp runs at {env.url}/")
    if home.credentials.exists():
        _say(f"Sign in with the name and password in {home.credentials}")
    _say(f"Logs are in {home.logs}; Ctrl-C stops everything")


if __name__ == "__main__":
    sys.exit(main())

"""The database for a command that nobody may disturb: a restore.

On a stopped instance with an embedded database it starts that database for the time being. On a running one it stops the
programs that use it, and starts them again. With a database of your own, whoever else uses it must be stopped first.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xmlrpc.client import Fault, ServerProxy

import psycopg
from supervisor.xmlrpc import Faults, SupervisorTransport

from reviewapp.env import Environment, SettingError
from reviewapp.stack import postgres, postgres_client
from reviewapp.stack.home import Home, Services
from reviewapp.stack.lock import only_instance
from reviewapp.stack.programs import programs

PROJECT = Path(__file__).resolve().parent.parent.parent
STOP_S = 30


@contextmanager
def alone_with_database(home: Home, env: Environment) -> Iterator[None]:
    """The database answers, and no process of the product uses it."""
    if env.database_url is not None:
        _refuse_users(env.database_url)
        yield
    elif postgres.running_pid(home) is None:
        home.prepare()
        with only_instance(home), _started(home):
            yield
    else:
        with _paused_programs(home, env):
            yield


@contextmanager
def _started(home: Home) -> Iterator[None]:
    postgres.prepare(home)
    own = home.own_services
    home.record_services(Services(own.database_url, own.redis_url))
    with (home.logs / "postgres.log").open("ab") as output:
        server = subprocess.Popen(
            postgres.command(home),
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        postgres_client.wait_until_ready(home)
        postgres_client.create_database(home)
        yield
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(STOP_S)


@contextmanager
def _paused_programs(home: Home, env: Environment) -> Iterator[None]:
    """Without web, worker and beat for the time being."""
    names = [program.name for program in programs(home, env) if not program.starts_at_once]
    transport = SupervisorTransport(None, None, f"unix://{home.control_socket}")
    with ServerProxy("http://127.0.0.1", transport=transport) as server:
        try:
            server.supervisor.getState()
        except OSError as error:
            raise SettingError(
                f"REVIEWAPP_HOME: the database of {home.path} runs without its supervisor; start the instance first."
            ) from error
        stopped = [name for name in names if _stop(server, name)]
        try:
            yield
        finally:
            for name in stopped:
                server.supervisor.startProcess(name, False)


def _stop(server: ServerProxy, name: str) -> bool:
    try:
        server.supervisor.stopProcess(name)
    except Fault as fault:
        if fault.faultCode != Faults.NOT_RUNNING:
            raise
        return False
    return True


def _refuse_users(url: str) -> None:
    with psycopg.connect(url, connect_timeout=5) as connection:
        found = connection.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            " and application_name like 'reviewapp-%%' and application_name <> 'reviewapp-command'",
        ).fetchone()
    if found and found[0]:
        raise SettingError(
            f"DATABASE_URL: {found[0]} connections of the product use this database; stop it first."
        )

"""`python -m reviewapp.stack run`: check, clear what a killed run left, start, supervise, stop."""

from __future__ import annotations

import os
import socket
import sys

from reviewapp import env as environment
from reviewapp.env import Environment, SettingError
from reviewapp.stack import orphans, postgres, supervision, valkey
from reviewapp.stack.home import Home, Services
from reviewapp.stack.lock import only_instance
from reviewapp.stack.programs import configuration, programs

WRONG_SETTING = 2


def main(arguments: list[str]) -> int:
    """Run the instance; its exit code. What a person must change is one sentence and exit code 2."""
    if arguments != ["run"]:
        print("usage: python -m reviewapp.stack run", file=sys.stderr)
        return WRONG_SETTING
    try:
        return _run(environment.read())
    except SettingError as error:
        print(f"reviewapp: {error}", file=sys.stderr)
        return WRONG_SETTING


def _run(env: Environment) -> int:
    home = Home(env.home)
    home.prepare()
    with only_instance(home):
        ended = orphans.end(home)
        if ended:
            print(f"Ended {ended} processes that an earlier run left", flush=True)
        _refuse_busy_port(env)
        _prepare_services(home, env)
        os.environ.update({"REVIEWAPP_HOME": str(home.path), orphans.MARK: orphans.mark(home)})
        return supervision.run(
            home, configuration(home, programs(home, env)), [sys.executable, "-m", "reviewapp.stack.prepare"]
        )


def _refuse_busy_port(env: Environment) -> None:
    try:
        [(family, kind, protocol, _name, address), *_others] = socket.getaddrinfo(
            env.host, env.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise SettingError(f"REVIEWAPP_HOST: {env.host!r} is not an address of this machine.") from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            raise SettingError(
                f"REVIEWAPP_PORT: port {env.port} on {env.host} cannot be used: {error.strerror}."
            ) from error


def _prepare_services(home: Home, env: Environment) -> None:
    """Lay out the embedded servers that are wanted, and record where all will listen."""
    if env.database_url is None:
        if not (home.postgres / "data").exists():
            print("Making the database", flush=True)
        postgres.prepare(home)
    if env.redis_url is None:
        valkey.prepare(home)
    if env.secret_key is None:
        environment.kept_secret_key(home.path)
    own = home.own_services
    home.record_services(Services(env.database_url or own.database_url, env.redis_url or own.redis_url))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Which processes one instance consists of, and the supervisor's configuration made from them."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from reviewapp.env import Environment
from reviewapp.stack import postgres, valkey
from reviewapp.stack.child import as_child
from reviewapp.stack.home import Home

PROJECT = Path(__file__).resolve().parent.parent.parent
WORKER_PROCESSES = 2
# glibc gives each thread an arena of its own otherwise, and each keeps what its thread once needed. Other systems ignore it.
FEW_ARENAS = {"MALLOC_ARENA_MAX": "2"}
# Places of programs that nobody waits for.
BACKGROUND = range(30, 60)


@dataclass(frozen=True, kw_only=True)
class Program:
    """One child of the supervisor. They start in order of `place` and stop the other way round."""

    name: str
    place: int
    command: list[str]
    stop_with: signal.Signals = signal.SIGTERM
    # The supervisor shortens these when the whole stop would take too long.
    stop_within_s: int = 1
    # Servers start at once; what needs a migrated database waits until `prepare` starts it.
    starts_at_once: bool = False
    restart: str = "true"
    # An end before this counts as a failed start.
    started_after_s: int = 1
    # Whether its children get the stop signal too; others pass it on themselves.
    whole_group: bool = False
    # Whether what it writes appears in the terminal too, besides its log.
    shown: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


def programs(home: Home, env: Environment) -> list[Program]:
    """Every process of the instance; servers whose address was given from outside are not ours."""
    found = [_web(), _worker(), _beat(home)]
    if env.demo:
        found.append(_demo())
    if env.redis_url is None:
        found.append(_valkey(home))
    if env.database_url is None:
        found.append(_postgres(home))
    return sorted(found, key=lambda program: program.place)


def configuration(home: Home, found: list[Program]) -> str:
    """The supervisor's configuration file."""
    return "\n".join([_daemon(home), *(_section(home, program) for program in found)])


def _postgres(home: Home) -> Program:
    return Program(
        name="postgres",
        place=10,
        command=postgres.command(home),
        stop_with=signal.SIGINT,  # SIGTERM would wait for clients
        stop_within_s=8,  # it writes what is still in memory
        starts_at_once=True,
    )


def _valkey(home: Home) -> Program:
    return Program(name="valkey", place=20, command=valkey.command(home), starts_at_once=True)


def _beat(home: Home) -> Program:
    options = ["--loglevel", "WARNING", "--pidfile=", "--schedule", str(home.beat_schedule)]
    return _python("beat", 30, ["-m", "celery", "-A", "reviewapp.beat", "beat", *options], stop_within_s=3)


def _worker() -> Program:
    options = [
        "--loglevel",
        "WARNING",
        "--pool",
        "prefork",
        "--concurrency",
        str(WORKER_PROCESSES),
        "-O",
        "fair",
    ]
    options += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return _python(
        "worker", 40, ["-m", "celery", "-A", "reviewapp.celery", "worker", *options], stop_within_s=3
    )


def _demo() -> Program:
    """Goes on until it succeeded once; the product does not need it."""
    demo = as_child([sys.executable, "manage.py", "demo"], stop_with=signal.SIGTERM, directory=str(PROJECT))
    program = _python("demo", 50, ["-S", "-m", "reviewapp.stack.retry", "--", *demo])
    return replace(program, restart="unexpected", started_after_s=0, whole_group=True, shown=True)


def _web() -> Program:
    return _python("web", 60, ["-m", "reviewapp.server"], stop_within_s=3)


def _python(name: str, place: int, arguments: list[str], *, stop_within_s: int = 1) -> Program:
    """A program of our own: this Python, the project as working directory, its name as role."""
    command = [sys.executable, *arguments]
    return Program(
        name=name,
        place=place,
        command=as_child(command, stop_with=signal.SIGTERM, directory=str(PROJECT)),
        stop_within_s=stop_within_s,
        environment={"REVIEWAPP_ROLE": name, **FEW_ARENAS},
    )


def _daemon(home: Home) -> str:
    socket = _escaped(str(home.control_socket))
    return f"""\
[supervisord]
identifier = reviewapp
nodaemon = true
silent = true
nocleanup = true
minfds = 256
umask = 077
directory = {_escaped(str(PROJECT))}
logfile = {_escaped(str(home.logs / "supervisor.log"))}
logfile_maxbytes = 5MB
logfile_backups = 2
pidfile = {_escaped(str(home.run / "supervisor.pid"))}

[unix_http_server]
file = {socket}
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://{socket}
"""


def _section(home: Home, program: Program) -> str:
    environment = ",".join(f'{name}="{_escaped(value)}"' for name, value in program.environment.items())
    return f"""\
[program:{program.name}]
command = {_escaped(shlex.join(program.command))}
directory = {_escaped(str(PROJECT))}
environment = {environment}
priority = {program.place}
autostart = {str(program.starts_at_once).lower()}
autorestart = {program.restart}
exitcodes = 0
startsecs = {program.started_after_s}
startretries = 1000000
stopsignal = {program.stop_with.name.removeprefix("SIG")}
stopwaitsecs = {program.stop_within_s}
stopasgroup = {str(program.whole_group).lower()}
killasgroup = true
redirect_stderr = true
stdout_events_enabled = {str(program.shown).lower()}
stdout_logfile = {_escaped(str(home.logs / f"{program.name}.log"))}
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 3
"""


def _escaped(text: str) -> str:
    """Supervisor reads %(name)s as an expansion."""
    return text.replace("%", "%%")

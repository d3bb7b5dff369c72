"""PostgreSQL's own programs, in the version of the embedded server: they know every kind of table, sequence and trigger."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, cast

from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

from labeling.errors import ConflictError, say
from reviewapp.stack.postgres import binary

# What libpq takes from the environment. Passwords do not belong on a command line, which everybody can read.
_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "options": "PGOPTIONS",
}

# Servers before 17 do not know this setting, which the newer program puts at the head of what it writes.
_TOO_NEW = b"SET transaction_timeout = 0;"
_HEAD_LINES = 60
_PIECE = 1024 * 1024

# Everything of ours, whatever version of the product made it. In the transaction of the restore: all or nothing.
_EMPTY = b"""
do $$
declare found record;
begin
    for found in
        select format('drop table if exists %I.%I cascade', n.nspname, c.relname) as statement
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition
    loop execute found.statement; end loop;
    for found in
        select format('drop sequence if exists %I.%I cascade', n.nspname, c.relname) as statement
        from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' and c.relkind = 'S'
    loop execute found.statement; end loop;
    for found in
        select format('drop function if exists %s cascade', p.oid::regprocedure) as statement
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = 'public' and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
    loop execute found.statement; end loop;
end $$;
"""


def dump(to: Path, *, snapshot: str) -> None:
    """The whole database as one snapshot sees it, into a file."""
    options = ["--format=custom", "--no-owner", "--no-privileges", "--lock-wait-timeout=60s"]
    _run("pg_dump", *options, f"--snapshot={snapshot}", f"--file={to}")


def read_through(dump: Path) -> None:
    """Read and unpack all of a dump; ConflictError when it cannot be."""
    _run("pg_restore", "--file=/dev/null", str(dump))


def load(dump: Path) -> None:
    """Put a dump in the place of everything in the database, in one transaction.

    The statements go through this process, which writes the commit only when the last of them has been read without an error:
    psql takes any other end as a reason to roll back.
    """
    reader = [str(binary("pg_restore")), "--no-owner", "--no-privileges", "--file=-", str(dump)]
    writer = [str(binary("psql")), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-"]
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        reading = subprocess.Popen(reader, stdout=subprocess.PIPE, stderr=said)
        writing = subprocess.Popen(
            writer, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complained
        )
        with reading, writing:
            try:
                _pass_on(cast(IO[bytes], reading.stdout), cast(IO[bytes], writing.stdin))
                is_read = reading.wait() == 0
                if is_read:
                    cast(IO[bytes], writing.stdin).write(b"\ncommit;\n")
                cast(IO[bytes], writing.stdin).close()
            except BrokenPipeError:
                reading.kill()  # psql has stopped at an error, which is told below
        said.seek(0)
        complained.seek(0)
        _require_success("psql", writing.returncode, complained.read())
        _require_success("pg_restore", reading.returncode, said.read())


def _pass_on(source: IO[bytes], target: IO[bytes]) -> None:
    target.write(b"begin;\nset local client_min_messages = warning;\n" + _EMPTY)
    for _line in range(_HEAD_LINES):
        line = source.readline()
        if not line.startswith(_TOO_NEW):
            target.write(line)
    shutil.copyfileobj(source, target, _PIECE)


def _run(program: str, *arguments: str) -> None:
    outcome = subprocess.run(
        [str(binary(program)), *arguments], env=_environment(), capture_output=True, check=False
    )
    _require_success(program, outcome.returncode, outcome.stderr)


def _require_success(program: str, code: int, said: bytes) -> None:
    if code:
        lines = said.decode(errors="replace").strip().splitlines()
        reasons = [line for line in lines if "error" in line.lower()] or lines or [f"exit code {code}"]
        raise ConflictError(
            "postgres_refused", say("{program} failed: {reason}", program=program, reason=reasons[0].strip())
        )


def _environment() -> Mapping[str, str]:
    url = settings.ENV.database_url or settings.HOME.recorded_services().database_url
    given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    return {
        "LC_ALL": "C",
        "PGAPPNAME": "reviewapp-command",
        **{_VARIABLES[name]: value for name, value in given.items() if name in _VARIABLES},
    }

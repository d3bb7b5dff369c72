"""A home as a first start leaves it just before it gets its first user: made once for a test run, copied for each instance.

What must differ is not in it: secrets, credentials and addresses come with the copy's own start. Tests that are about a first
start take a home that does not exist. As a program it is what runs inside the home that is prepared.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

import django

from reviewapp import env
from reviewapp.stack import prepare, testing
from reviewapp.stack.home import Home
from tests.stack.instance import PROJECT, clean_environment

KEPT = ("postgres", "static", "run/static-fingerprint")
"""The first one is not in the home where PostgreSQL's user cannot enter the temporary folder; then each start makes its own."""


def lay(home: Home) -> None:
    """Put a copy where `home` will be. Outside a test run there is none, and the first start does everything."""
    shared = testing.shared_folder()
    if shared is None:
        return
    source = shared / "prepared-home"
    with (shared / "prepared-home.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not source.exists():
            _make(source)
    home.prepare()
    _copy(source, home.path)


def _make(target: Path) -> None:
    """Like the steps of a first start (reviewapp.stack.prepare), in a place that PostgreSQL's user can enter."""
    draft = target.with_name(f"{target.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    (draft / "run").mkdir(parents=True)
    with testing.temporary_home() as home:
        home.record_services(home.own_services)
        with testing.running_postgres(home):
            subprocess.run(
                [sys.executable, "-m", "tests.stack.prepared"],
                cwd=PROJECT,
                # With a key of the environment none is made in the home.
                env=clean_environment(
                    REVIEWAPP_HOME=str(home.path),
                    SECRET_KEY="only-for-tests-" * 4,
                    DJANGO_SETTINGS_MODULE="reviewapp.settings",
                ),
                stdout=subprocess.DEVNULL,
                check=True,
            )
        _copy(home.path, draft)
    draft.rename(target)


def _copy(source: Path, target: Path) -> None:
    """With owners and modes, which PostgreSQL insists on; what is copied replaces an empty folder."""
    for part in KEPT:
        if (target / part).is_dir():
            (target / part).rmdir()
        if (source / part).exists():
            subprocess.run(["cp", "-a", str(source / part), str(target / part)], check=True)


def _prepare_from_inside() -> None:
    django.setup()
    home = Home(env.read().home)
    prepare.migrate(home)
    prepare.collect_static(home)


if __name__ == "__main__":
    _prepare_from_inside()

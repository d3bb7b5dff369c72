"""Instances of their own for the tests of this folder."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.stack import prepared
from tests.stack.instance import Instance


@pytest.fixture
def instance(home: Path) -> Iterator[Instance]:
    """An instance that is not started yet, and is gone after the test. Its home is prepared, and has no user yet."""
    found = Instance(home)
    prepared.lay(found.home)
    yield found
    found.clean_up()


@pytest.fixture
def new_instance(home: Path) -> Iterator[Instance]:
    """The same with a home that does not exist yet, for what a first start does."""
    found = Instance(home)
    yield found
    found.clean_up()


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that does not exist yet. Not below pytest's own folder, which is closed to PostgreSQL's user."""
    with temporary_home() as path:
        yield path


@pytest.fixture(scope="module")
def running() -> Iterator[Instance]:
    """One running instance for all tests of a module that leave it running."""
    with temporary_home() as path:
        found = Instance(path)
        prepared.lay(found.home)
        try:
            found.start()
            yield found
        finally:
            found.clean_up()


@contextmanager
def temporary_home() -> Iterator[Path]:
    """A path for a home that does not exist yet, and does not exist afterwards."""
    path = Path(tempfile.gettempdir()) / f"reviewapp-stack-{secrets.token_hex(6)}"
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        path.with_name(f"{path.name}.out").unlink(missing_ok=True)

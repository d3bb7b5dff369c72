"""Instances of their own for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.instance import Instance


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    """An instance that is not started yet, and is gone after the test."""
    found = Instance(tmp_path / "home")
    yield found
    found.clean_up()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """One running instance for all tests of a module that leave it running."""
    found = Instance(tmp_path_factory.mktemp("stack") / "home")
    try:
        found.start()
        yield found
    finally:
        found.clean_up()

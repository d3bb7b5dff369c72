"""Homes in difficult places: a path too long for sockets, and one that PostgreSQL's user cannot reach."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from reviewapp.stack.home import ROOT_STATE
from tests.stack.instance import Instance

pytestmark = pytest.mark.slow


def test_a_long_path_gets_private_sockets_elsewhere(home: Path) -> None:
    instance = Instance(home / ("long" * 20) / "home")
    home.mkdir(mode=0o755)
    instance.home.path.parent.mkdir(mode=0o755)
    try:
        instance.start()
        elsewhere = {instance.home.postgres_sockets, instance.home.valkey_socket.parent}

        assert instance.answers("/readyz")
        assert not any(folder.is_relative_to(home) for folder in elsewhere)
        assert {stat.S_IMODE(folder.stat().st_mode) for folder in elsewhere} == {0o700}
    finally:
        instance.clean_up()
        for folder in elsewhere:
            shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user for PostgreSQL")
def test_a_home_below_a_closed_folder_keeps_its_database_elsewhere(home: Path) -> None:
    home.mkdir(mode=0o700)
    instance = Instance(home / "inner")
    try:
        instance.start()
        assert instance.answers("/readyz")
        assert instance.home.postgres.parent == ROOT_STATE
        assert stat.S_IMODE(instance.home.postgres.stat().st_mode) == 0o700
        instance.stop()
        # Made again, the home is empty again.
        first = instance.home.postgres
        shutil.rmtree(instance.home.path)
        instance.start()
        assert instance.home.postgres != first
        shutil.rmtree(first)
    finally:
        place = instance.home.postgres
        instance.clean_up()
    assert not place.exists(), "what tests and benchmarks start leaves no database behind"

"""Datasets of a small world, on a storage folder of each test's own."""

from __future__ import annotations

import json
import os
import sys
from urllib.parse import quote

import pytest
from django.db import connection

from labeling.datasets.exports import to_jsonl
from labeling.datasets.records import open_snapshot, read_records
from labeling.datasets.storage import open_storage
from tests.datasets.publisher import Publishers
from tests.datasets.world import World


@pytest.fixture
def storage_root(settings, tmp_path):
    settings.REVIEWAPP_STORAGE = str(tmp_path / "storage")
    return tmp_path / "storage"


@pytest.fixture
def world(db, storage_root):
    return World()


@pytest.fixture
def records():
    """The records of a version, by record id."""

    def read(dataset, number, split=None):
        batches = read_records(open_storage(), open_snapshot(dataset, number), split=split)
        rows = [json.loads(line) for line in b"".join(to_jsonl(batches)).splitlines()]
        assert len({row["record_id"] for row in rows}) == len(rows), "a record twice"
        return {row["record_id"]: row for row in rows}

    return read


@pytest.fixture
def live_world(transactional_db, storage_root):
    """A world whose rows are committed, so that other connections and processes see them."""
    return World()


@pytest.fixture(scope="session")
def database_url(django_db_setup, django_db_blocker):
    """The tests' database, for other programs."""
    with django_db_blocker.unblock():
        at = connection.settings_dict
    url = f"postgresql://{quote(at['USER'])}:{quote(at['PASSWORD'])}@/{quote(at['NAME'])}?host={quote(at['HOST'], safe='')}"
    return url + (f"&port={at['PORT']}" if at["PORT"] else "")


@pytest.fixture(scope="session")
def publishing_program(database_url):
    """One program for all tests; it forks for each publication."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": "reviewapp.settings",
    }
    started = Publishers({**environment, "PYTHONPATH": os.pathsep.join(sys.path)})
    yield started
    started.close()


@pytest.fixture
def publishers(publishing_program, live_world, storage_root):
    """Processes that publish in the test's database and storage."""
    publishing_program.storage = str(storage_root)
    return publishing_program

"""Datasets of a small world, on a storage folder of each test's own."""

from __future__ import annotations

import json

import pytest

from labeling.datasets.exports import to_jsonl
from labeling.datasets.records import open_snapshot, read_records
from labeling.datasets.storage import open_storage
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

"""Dataset files in a bucket: the same promises over S3's own protocol, spoken by a server on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import boto3
import pytest
from django.utils import timezone
from moto.server import ThreadedMotoServer

from labeling.backup.archive import Archive
from labeling.backup.making import make_backup
from labeling.datasets import services, upkeep
from labeling.datasets.models import DatasetSegment
from labeling.datasets.storage import Storage, StorageError, open_storage
from tests.datasets.world import World

pytestmark = pytest.mark.slow

BUCKET = "labels"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def root(endpoint, settings, monkeypatch) -> str:
    """The setting: a folder of a bucket."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "only-for-tests")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    boto3.client("s3", endpoint_url=f"http://{endpoint}", region_name="us-east-1").create_bucket(
        Bucket=BUCKET
    )
    options = urlencode({"scheme": "http", "endpoint_override": endpoint, "region": "us-east-1"})
    settings.REVIEWAPP_STORAGE = f"s3://{BUCKET}/below?{options}"
    return settings.REVIEWAPP_STORAGE


@pytest.fixture
def in_bucket(root, transactional_db) -> World:
    return World()


def test_write_read_list_delete(root):
    storage = Storage(root)
    storage.write("a/one", b"content")
    (found,) = storage.list_files("a")
    assert (found.path, found.size) == ("a/one", 7)
    assert timezone.now() - found.modified_at < timedelta(minutes=1)
    assert storage.read("a/one") == b"content"
    assert storage.read("a/two") is None
    storage.delete("a/one")
    storage.delete("a/one")
    assert storage.list_files("a") == []


def test_versions_are_published_read_merged_and_swept(in_bucket, records, monkeypatch):
    monkeypatch.setattr(upkeep, "MANY_SEGMENTS", 1)
    for key, label in (("a", "spam"), ("b", "ham"), ("a", "ham")):
        in_bucket.decide(key, label)
        services.publish(in_bucket.dataset.pk)
    dataset = in_bucket.dataset
    as_they_were = {number: records(dataset, number) for number in (1, 2, 3)}
    assert as_they_were[3]["a"]["label"] == {"label": "ham"}
    assert services.verify_version(dataset=dataset, number=3, full=True).is_intact

    assert upkeep.maintain_storage().merged == 3
    assert {number: records(dataset, number) for number in (1, 2, 3)} == as_they_were
    later = timezone.now() + upkeep.RETIRED_AGE + timedelta(hours=1)
    assert upkeep.sweep_files(open_storage(), dataset, later) == 3
    assert {number: records(dataset, number) for number in (1, 2, 3)} == as_they_were
    assert services.verify_version(dataset=dataset, number=3, full=True).is_intact


def test_a_backup_has_the_files_of_the_bucket(in_bucket, database_url, settings, tmp_path: Path):
    settings.ENV = replace(settings.ENV, database_url=database_url)
    in_bucket.decide("a", "spam")
    services.publish(in_bucket.dataset.pk)
    backup = make_backup(tmp_path / "kept")
    assert [file.path for file in backup.files] == list(DatasetSegment.objects.values_list("path", flat=True))
    assert list(Archive(tmp_path / "kept").list_damage(backup)) == []


def test_a_bucket_that_is_gone_keeps_the_publication_waiting(in_bucket, endpoint, settings, records):
    in_bucket.decide("a", "spam")
    whole = settings.REVIEWAPP_STORAGE
    settings.REVIEWAPP_STORAGE = whole.replace(BUCKET, "no-such-bucket")
    with pytest.raises(StorageError):
        services.publish(in_bucket.dataset.pk)
    settings.REVIEWAPP_STORAGE = whole
    assert services.publish(in_bucket.dataset.pk).state == "done"
    assert records(in_bucket.dataset, 1)["a"]["label"] == {"label": "spam"}

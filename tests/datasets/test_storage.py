"""Files are whole or not there, on the disk before they are named, and trouble with them is told in our words."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pyarrow as pa
import pytest

from labeling.datasets import services
from labeling.datasets.models import DatasetEntry, Publication, WaitingDecision
from labeling.datasets.storage import Storage, StorageError, open_storage


@pytest.fixture
def storage(tmp_path):
    return Storage(str(tmp_path / "root"))


@pytest.fixture
def small_files_only():
    """No file may grow beyond a few bytes: what a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_write_read_list_delete(storage):
    storage.write("a/b/one.json", b"{}")
    storage.write("a/b/one.json", b"[1]")
    with storage.open("a/b/one.json") as file:
        assert file.read() == b"[1]"
    assert (
        storage.sha256("a/b/one.json") == "080a9ed428559ef602668b4c00f114f1a11c3f6b02a435f0bdc154578e4d7f22"
    )
    assert [(file.path, file.size) for file in storage.list_files("a/b")] == [("a/b/one.json", 3)]
    assert storage.list_files("nowhere") == []
    storage.delete("a/b/one.json")
    storage.delete("a/b/one.json")
    assert storage.list_files("a/b") == []
    with pytest.raises(StorageError) as error:
        storage.sha256("a/b/one.json")
    assert error.value.code == "storage_unavailable"


def test_a_draft_that_is_not_kept_leaves_nothing(storage, tmp_path):
    with storage.draft("a") as draft:
        draft.write(b"half")
        assert [file.suffix for file in (tmp_path / "root/a").iterdir()] == [".tmp"]
    assert list((tmp_path / "root/a").iterdir()) == []


def test_the_disk_is_told_before_the_database(storage, tmp_path, monkeypatch):
    """Gotcha 5: fsync of the file, rename, fsync of the folder; new folders too."""
    calls = []
    fsync, rename = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: calls.append(("fsync", os.readlink(f"/proc/self/fd/{fd}"))) or fsync(fd)
    )
    monkeypatch.setattr(Path, "replace", lambda a, b: calls.append(("rename", str(b))) or rename(a, b))
    storage.write("a/b/one.json", b"{}")
    root = str(tmp_path / "root")
    temporary = calls[3][1]
    assert temporary.startswith(f"{root}/a/b/.")
    assert calls == [
        ("fsync", str(tmp_path)),
        ("fsync", root),
        ("fsync", f"{root}/a"),
        ("fsync", temporary),
        ("rename", f"{root}/a/b/one.json"),
        ("fsync", f"{root}/a/b"),
    ]


def test_a_full_disk_is_a_storage_error(storage, small_files_only):
    small_files_only(10)
    with pytest.raises(StorageError, match="Could not write") as error:
        storage.write("one", b"x" * 100)
    assert error.value.code == "storage_full"
    small_files_only(resource.RLIM_INFINITY)
    storage.write("one", b"x" * 100)


def test_what_is_no_folder_is_a_storage_error(tmp_path):
    (tmp_path / "root").write_text("a file")
    with pytest.raises(StorageError) as error:
        Storage(str(tmp_path / "root")).write("a/one", b"")
    assert error.value.code == "storage_unavailable"


@pytest.mark.parametrize("root", ["ftp://somewhere", "az://no-account/path"])
def test_a_root_that_nobody_can_open_is_a_storage_error(root):
    with pytest.raises(StorageError):
        Storage(root).list_files("a")


def test_buckets_write_through_the_same_door(tmp_path, monkeypatch):
    """pyarrow's own URL for a folder stands in for a bucket: one upload under the final name, nothing temporary beside it."""
    bucket = tmp_path / "bucket"
    (bucket / "a").mkdir(parents=True)
    storage = Storage(f"file://{bucket}")
    with storage.draft("a") as draft:
        draft.write(b"content")
        assert list((bucket / "a").iterdir()) == []
        storage.keep(draft, "a/one")
    assert storage.list_files("a")[0].size == 7
    assert storage.sha256("a/one") == draft.sha256


def test_a_full_disk_keeps_the_publication_open(world, small_files_only, records):
    """And the attempts do not count: the batch is not at fault."""
    world.decide("a", "spam")
    small_files_only(100)
    for _ in range(7):
        with pytest.raises(StorageError):
            services.publish(world.dataset.pk)
    small_files_only(resource.RLIM_INFINITY)
    publication = Publication.objects.get()
    assert (publication.state, publication.attempt) == ("open", 0)
    assert "full" in publication.error or "too large" in publication.error
    assert WaitingDecision.objects.count() == 1
    assert not DatasetEntry.objects.exists()
    assert open_storage().list_files(f"{world.dataset.folder}/segments") == []
    assert services.publish(world.dataset.pk).number == 1
    assert set(records(world.dataset, 1)) == {"a"}


def test_a_manifest_that_cannot_be_written_does_not_undo_the_version(world, small_files_only):
    world.decide("a", "spam")
    services.publish(
        world.dataset.pk, pause=lambda point: small_files_only(10) if point == "committed" else None
    )
    small_files_only(resource.RLIM_INFINITY)
    assert world.dataset.head == 1
    assert open_storage().list_files(f"{world.dataset.folder}/versions") == []


def test_pyarrow_is_made_inside_functions_only():
    """Gotcha 17: some of its objects do not survive the fork of a worker."""
    from labeling.datasets import differences, exports, records, segments, storage, upkeep

    for module in (differences, exports, records, segments, storage, upkeep):
        found = [
            name
            for name, value in vars(module).items()
            if isinstance(value, pa.Schema | pa.DataType | pa.Array)
        ]
        assert found == [], module.__name__

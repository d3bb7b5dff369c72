"""Verification finds what was changed, and names it."""

from __future__ import annotations

import pyarrow as pa
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pyarrow import parquet

from labeling.datasets import services
from labeling.datasets.models import DatasetSegment, DatasetVersion
from labeling.datasets.storage import open_storage


@pytest.fixture
def versions(world):
    for labels in ({"a": "spam", "b": "ham"}, {"a": "ham", "c": "spam"}, {"b": None}):
        for key, label in labels.items():
            world.decide(key, label)
        services.publish(world.dataset.pk)
    return world.dataset


def problems(dataset, number=3, **more):
    found = services.verify_version(dataset=dataset, number=number, **more)
    assert found.is_intact == (not found.problems)
    return found.problems


def path_of(storage_root, number):
    return storage_root / DatasetSegment.objects.get(lo=number).path


def unguarded(table, change, *values):
    """Change what the database refuses to change, as its owner could."""
    with connection.cursor() as cursor:
        cursor.execute("set constraints all immediate")
        cursor.execute(f"alter table {table} disable trigger user")
        cursor.execute(f"update {table} set {change}", values)
        cursor.execute(f"alter table {table} enable trigger user")


def test_what_is_intact(versions):
    for number in (1, 2, 3):
        assert problems(versions, number) == problems(versions, number, full=True) == []
    found = services.verify_version(dataset=versions, number=2, full=True)
    assert (found.files, found.rows, found.digest) == (2, 4, DatasetVersion.objects.get(number=2).digest)


def test_each_changed_byte_is_found(versions, storage_root):
    """Gotcha 7: a file is compared with what was written here, never with what another pyarrow would write."""
    path = path_of(storage_root, 2)
    content = path.read_bytes()
    for place in range(0, len(content), max(1, len(content) // 40)):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        assert len(problems(versions)) == 1
        assert path.name in problems(versions)[0]
        assert problems(versions, 1) == [], "an earlier version does not stand on this file"
    path.write_bytes(content)
    assert problems(versions) == []


def test_a_missing_file(versions, storage_root):
    path_of(storage_root, 1).unlink()
    assert "cannot be read" in problems(versions)[0]


def rewrite(storage_root, number, change):
    """Another file, whose hash the database was made to believe: only the chain of digests can tell."""
    path = path_of(storage_root, number)
    table = change(parquet.read_table(path))
    parquet.write_table(table, path)
    storage = open_storage()
    segment = DatasetSegment.objects.get(lo=number)
    unguarded(
        "labeling_datasetsegment",
        "sha256 = %s where id = %s",
        storage.sha256(segment.path),
        segment.pk,
    )


def test_a_row_left_out(versions, storage_root):
    rewrite(storage_root, 1, lambda table: table.slice(0, 1))
    assert problems(versions) == ["The rows of v1 do not give the digest that was published."]


def test_rows_in_another_order(versions, storage_root):
    rewrite(storage_root, 1, lambda table: table.take([1, 0]))
    assert problems(versions) == ["The rows of v1 do not give the digest that was published."]


def test_a_version_left_out(versions, storage_root):
    rewrite(storage_root, 3, lambda table: table.slice(0, 0))
    assert problems(versions) == ["The rows of 1 versions are missing, from v3 on."]


def test_a_changed_value_behind_an_unchanged_row_digest(versions, storage_root):
    """The quick check trusts stored row digests; the full one works them out again."""

    def relabel(table):
        index = table.column_names.index("label")
        return table.set_column(index, "label", pa.array(['{"label":"ham"}'] * table.num_rows))

    rewrite(storage_root, 1, relabel)
    assert problems(versions) == []
    assert problems(versions, full=True) == ["The row 'a' of v1 has another digest."]


def test_a_changed_version_row(versions):
    unguarded("labeling_datasetversion", "digest = %s where number = 2", "0" * 64)
    assert problems(versions) == ["The rows of v2 do not give the digest that was published."]


def test_the_same_bytes_in_another_file_layout_verify(versions, storage_root):
    """Row digests do not depend on compression, row groups or the version of pyarrow."""

    path = path_of(storage_root, 1)
    table = parquet.read_table(path)
    parquet.write_table(table, path, compression="none", row_group_size=1)
    segment = DatasetSegment.objects.get(lo=1)
    unguarded(
        "labeling_datasetsegment",
        "sha256 = %s where id = %s",
        open_storage().sha256(segment.path),
        segment.pk,
    )
    assert problems(versions, full=True) == []


def test_the_command(versions, world, storage_root, capsys):
    call_command("verify_dataset", world.project.slug)
    assert (
        f"v3 verified: 3 files, 5 rows, digest {DatasetVersion.objects.get(number=3).digest}."
        in capsys.readouterr().out
    )
    call_command("verify_dataset", world.project.slug, "--at", "v1", "--quick")
    path_of(storage_root, 1).write_bytes(b"nothing")
    with pytest.raises(CommandError, match="not what was published"):
        call_command("verify_dataset", world.project.slug)
    for arguments in (
        ["nowhere"],
        [world.project.slug, "--dataset", "other"],
        [world.project.slug, "--at", "v9"],
    ):
        with pytest.raises(CommandError):
            call_command("verify_dataset", *arguments)


def test_publishing_by_command(world, capsys):
    call_command("publish", world.project.slug)
    assert "Nothing waits; the current version is none yet." in capsys.readouterr().out
    call_command("verify_dataset", world.project.slug)
    assert "There is no version yet." in capsys.readouterr().out
    world.decide("a", "spam")
    call_command("publish", world.project.slug, "--note", "first", "--tag", "one")
    assert "Published 1 decisions as v1." in capsys.readouterr().out
    world.decide("b", "spam"), world.decide("b", None)
    call_command("publish", world.project.slug)
    assert "2 decisions changed nothing" in capsys.readouterr().out
    with pytest.raises(CommandError, match="reserved"):
        call_command("publish", world.project.slug, "--tag", "v7")

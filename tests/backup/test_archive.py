"""What a backup's folder says of itself, and what a restore refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from labeling.backup import restoring
from labeling.backup.archive import Archive, Backup, kept, new_archive
from labeling.errors import ConflictError, LabelingError, NotFoundError


def make(path: Path) -> Backup:
    with new_archive(path) as archive:
        archive.dump.write_bytes(b"not looked at here")
        copy = archive.file("datasets/1-ab/segments/1.parquet")
        copy.parent.mkdir(parents=True)
        copy.write_bytes(b"rows")
        backup = Backup(
            made_at="2026-01-01T00:00:00+00:00",
            server="18.4",
            migrations={"labeling": ["0001_initial"]},
            dump=kept(archive.dump, archive.dump.name),
            files=[kept(copy, "datasets/1-ab/segments/1.parquet")],
            datasets=[],
            feeds={},
        )
        archive.write(backup)
    return backup


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    backup = make(tmp_path / "kept")
    assert Archive(tmp_path / "kept").read() == backup
    assert list(Archive(tmp_path / "kept").list_damage(backup)) == []
    assert [path.name for path in tmp_path.iterdir()] == ["kept"], "no draft stays"


def test_nothing_stays_of_a_backup_that_failed(tmp_path: Path) -> None:
    def fail() -> None:
        with new_archive(tmp_path / "kept") as archive:
            archive.dump.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    make(tmp_path / "kept")
    with pytest.raises(ConflictError, match="exists already"), new_archive(tmp_path / "kept"):
        pass
    assert Archive(tmp_path / "kept").read().files


@pytest.mark.parametrize("name", ["database.dump", "storage/datasets/1-ab/segments/1.parquet"])
@pytest.mark.parametrize("gone", [True, False], ids=["gone", "changed"])
def test_every_file_is_looked_at(name: str, gone: bool, tmp_path: Path) -> None:
    backup = make(tmp_path / "kept")
    file = tmp_path / "kept" / name
    if gone:
        file.unlink()
    else:
        file.write_bytes(b"r0ws" if "parquet" in name else b"x")
    (damage,) = Archive(tmp_path / "kept").list_damage(backup)
    assert str(file) in damage
    with pytest.raises(CommandError, match=file.name):
        call_command("restore", str(tmp_path / "kept"), "--check")


@pytest.mark.parametrize(
    ("text", "error"),
    [(None, NotFoundError), ("{", ConflictError), ("[]", ConflictError), ('{"format": 99}', ConflictError)],
)
def test_a_folder_that_is_no_backup(text: str | None, error: type[LabelingError], tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "backup.json").write_text(text)
    with pytest.raises(error, match=str(tmp_path)):
        Archive(tmp_path).read()


def test_a_dump_that_cannot_be_unpacked_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "kept")
    with pytest.raises(ConflictError, match=r"pg_restore failed: .*error"):
        restoring.open_backup(tmp_path / "kept")


def test_a_backup_of_a_newer_product_is_refused(tmp_path: Path) -> None:
    backup = replace(make(tmp_path / "kept"), migrations={"labeling": ["0001_initial", "9999_tomorrow"]})
    record = tmp_path / "kept" / "backup.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "migrations": backup.migrations}))
    with pytest.raises(ConflictError, match="which has the migration labeling"):
        restoring.refuse_newer(Archive(tmp_path / "kept").read())

"""A backup is a folder: `backup.json`, `database.dump` (pg_dump's custom format), and the dataset files below `storage/`.

It is written beside its final name and renamed at the end, so a folder with that name is whole. `backup.json` has the size and
sha256 of everything else.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labeling.errors import ConflictError, NotFoundError, say

FORMAT = 1
_RECORD = "backup.json"
_DUMP = "database.dump"
_FILES = "storage"
_PIECE = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file as it was when the backup was made; the path is relative to the folder, or to the storage root."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class KeptDataset:
    """Where a dataset stood; after a restore it must stand there again."""

    project: str
    dataset: str
    head: int
    digest: str | None


@dataclass(frozen=True, slots=True)
class Backup:
    """What `backup.json` says. `feeds` are the last numbers of the outcome feeds, for whoever reads them."""

    made_at: str
    server: str
    migrations: dict[str, list[str]]
    dump: KeptFile
    files: list[KeptFile]
    datasets: list[KeptDataset]
    feeds: dict[str, int]


@dataclass(frozen=True, slots=True)
class Archive:
    """One backup's folder."""

    folder: Path

    @property
    def dump(self) -> Path:
        return self.folder / _DUMP

    def file(self, path: str) -> Path:
        """Where the copy of a dataset file lies."""
        return self.folder / _FILES / path

    def write(self, backup: Backup) -> None:
        """The record, last of all."""
        with (self.folder / _RECORD).open("w", encoding="utf-8") as file:
            json.dump({"format": FORMAT, **asdict(backup)}, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> Backup:
        """The record; NotFoundError where there is none, ConflictError when this version cannot read it."""
        try:
            said: dict[str, Any] = json.loads((self.folder / _RECORD).read_text(encoding="utf-8"))
            if said.pop("format") != FORMAT:
                raise ConflictError(
                    "backup_format",
                    say("{folder} was made by another version of the product.", folder=self.folder),
                )
            return Backup(
                **{
                    **said,
                    "dump": KeptFile(**said["dump"]),
                    "files": [KeptFile(**file) for file in said["files"]],
                    "datasets": [KeptDataset(**dataset) for dataset in said["datasets"]],
                }
            )
        except OSError as error:
            raise NotFoundError(
                "no_backup",
                say("{folder} is not a backup: {record} cannot be read.", folder=self.folder, record=_RECORD),
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConflictError(
                "backup_damaged", say("{path} is damaged.", path=self.folder / _RECORD)
            ) from error

    def list_damage(self, backup: Backup) -> Iterator[str]:
        """One sentence for each file that is not what was backed up."""
        if damage := _damage(self.dump, backup.dump):
            yield damage
        for kept in backup.files:
            if damage := _damage(self.file(kept.path), kept):
                yield damage


@contextmanager
def new_archive(path: Path) -> Iterator[Archive]:
    """A folder that gets its name when everything is in it; nothing stays of one that failed."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ConflictError("path_taken", say("{path} exists already; name a new folder.", path=path))
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.mkdir(mode=0o700, parents=True)
        yield Archive(draft)
        _sync_folder(draft)
        draft.replace(path)
        _sync_folder(path.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def copy_and_hash(source: Any, target: Any) -> KeptFile:
    """Copy a stream piece by piece; what was copied, without its path."""
    digest = hashlib.sha256()
    size = 0
    while piece := source.read(_PIECE):
        digest.update(piece)
        target.write(piece)
        size += len(piece)
    return KeptFile("", digest.hexdigest(), size)


def kept(path: Path, name: str) -> KeptFile:
    """A file on the disk as it is now."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return KeptFile(name, digest.hexdigest(), path.stat().st_size)


def _damage(path: Path, wanted: KeptFile) -> str:
    try:
        found = kept(path, wanted.path)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}."
    return "" if found == wanted else f"{path} is not what was backed up: its sha256 is {found.sha256}."


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Where the files of dataset versions live: a folder, or a bucket of S3, Google Cloud Storage or Azure.

A file is written completely before it gets its name, and is never changed afterwards. On a local disk that means: a
temporary name, fsync of the file, rename, fsync of the folder. In a bucket it is one upload under the final name.
pyarrow's objects are made inside functions only: some of them do not survive the fork of a worker.
"""

import errno
import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import pyarrow as pa
from django.conf import settings
from pyarrow import fs

from labeling.errors import Sentence, UnavailableError, say

_PIECE = 8 * 1024 * 1024
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


class StorageError(UnavailableError):
    """The storage of dataset files is full, refuses to be written or cannot be reached. Trying again later may work."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as a listing shows it; the path is relative to the storage root."""

    path: str
    size: int
    modified_at: datetime


class Draft:
    """A file that is being written: hashed on the way, and without a name until `Storage.keep` gives it one."""

    mode = "wb"

    def __init__(self, file: IO[bytes], temporary: Path | None) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.temporary = temporary
        self.size = 0
        self.closed = False
        self.is_abandoned = False

    def write(self, data: Any) -> int:
        """Append; pyarrow hands over its buffers here."""
        piece = memoryview(data).cast("B")
        if self.is_abandoned:
            return len(piece)
        self._hash.update(piece)
        with _told(say("write to")):
            self._file.write(piece)
        self.size += len(piece)
        return len(piece)

    def tell(self) -> int:
        """The position, which pyarrow notes in the file's footer."""
        return self.size

    def flush(self) -> None:
        """Nothing to do before `sync`: nobody reads a draft."""

    def close(self) -> None:
        """pyarrow closes what it wrote; the file itself is closed by `Storage.draft`."""

    @property
    def sha256(self) -> str:
        """The hash of what was written so far."""
        return self._hash.hexdigest()

    def sync(self) -> None:
        """Onto the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def pieces(self) -> Iterator[bytes]:
        """What was written, from the start."""
        self._file.flush()
        self._file.seek(0)
        while piece := self._file.read(_PIECE):
            yield piece


class Storage:
    """The storage root that the settings name."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._is_local = "://" not in root

    @contextmanager
    def draft(self, folder: str) -> Iterator[Draft]:
        """A new file for this folder. What is not kept is gone at the end."""
        with _told(say("write to")):
            file, temporary = self._open_draft(folder)
        try:
            yield Draft(file, temporary)
        finally:
            _close(file)
            if temporary is not None:
                temporary.unlink(missing_ok=True)

    def keep(self, draft: Draft, path: str) -> None:
        """Give a finished draft its name. From here on the file survives a power cut."""
        with _told(say("write to")):
            if draft.temporary is None:
                filesystem, base = self._open()
                with filesystem.open_output_stream(f"{base}/{path}") as target:
                    for piece in draft.pieces():
                        target.write(piece)
                return
            draft.sync()
            final = Path(self._root, path)
            draft.temporary.replace(final)
            _sync_folder(final.parent)

    def write(self, path: str, content: bytes) -> None:
        """A small file, whole or not at all."""
        with self.draft(path.rpartition("/")[0]) as draft:
            draft.write(content)
            self.keep(draft, path)

    def open(self, path: str) -> Any:
        """A file to read from at any place (a pyarrow NativeFile)."""
        with _told(say("read from")):
            filesystem, base = self._open()
            return filesystem.open_input_file(f"{base}/{path}")

    def read(self, path: str) -> bytes | None:
        """A small file; none when there is no such file."""
        with _told(say("read from")):
            filesystem, base = self._open()
            try:
                with filesystem.open_input_file(f"{base}/{path}") as file:
                    return bytes(file.read())
            except FileNotFoundError:
                return None

    def sha256(self, path: str) -> str:
        """The hash of a file as it is now."""
        digest = hashlib.sha256()
        with _told(say("read from")), self.open(path) as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
        return digest.hexdigest()

    def list_files(self, folder: str) -> list[StoredFile]:
        """The files directly in a folder; none when there is no such folder."""
        with _told(say("read from")):
            filesystem, base = self._open()
            selector = fs.FileSelector(f"{base}/{folder}", allow_not_found=True)
            return [
                StoredFile(f"{folder}/{info.base_name}", info.size, info.mtime.astimezone(UTC))
                for info in filesystem.get_file_info(selector)
                if info.is_file
            ]

    def delete(self, path: str) -> None:
        """Remove a file; one that is gone already is no error, because two sweeps may meet."""
        with _told(say("delete from")), suppress(FileNotFoundError):
            filesystem, base = self._open()
            filesystem.delete_file(f"{base}/{path}")

    def _open(self) -> tuple[Any, str]:
        if self._is_local:
            return fs.LocalFileSystem(), self._root
        try:
            filesystem, base = fs.FileSystem.from_uri(_pyarrow_uri(self._root))
        except pa.ArrowInvalid as error:
            raise StorageError(
                "storage_unusable", say("The storage of dataset files cannot be used: {error}.", error=error)
            ) from error
        return filesystem, base.rstrip("/")

    def _open_draft(self, folder: str) -> tuple[IO[bytes], Path | None]:
        if not self._is_local:
            return tempfile.TemporaryFile(), None
        target = Path(self._root, folder)
        _make_folders(target)
        temporary = target / f".{uuid.uuid4().hex}.tmp"
        return temporary.open("xb"), temporary


def open_storage() -> Storage:
    """The storage of this instance."""
    return Storage(settings.REVIEWAPP_STORAGE)


def _pyarrow_uri(root: str) -> str:
    """pyarrow knows `az://container@account/path` under Azure's own name for it."""
    parts = urlsplit(root)
    if parts.scheme != "az":
        return root
    if "@" not in parts.netloc:
        raise StorageError(
            "storage_unusable", say("Name the account of an Azure storage: az://container@account/path.")
        )
    return f"abfs://{parts.netloc}.dfs.core.windows.net{parts.path}"


def _make_folders(folder: Path) -> None:
    """Like mkdir -p, but a power cut cannot take the new folders away again."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _close(file: IO[bytes]) -> None:
    """Close, though a full disk may refuse the last buffer: what was not synced is thrown away anyhow."""
    with suppress(OSError):
        file.close()


@contextmanager
def _told(doing: Sentence) -> Iterator[None]:
    """What the operating system or the object store says, in our words."""
    try:
        yield
    except OSError as error:
        code = "storage_unavailable"
        if error.errno in _FULL:
            code = "storage_full"
        elif error.errno in _REFUSED:
            code = "storage_not_writable"
        reason = error.strerror or str(error)
        raise StorageError(
            code, say("Could not {doing} the storage of dataset files: {reason}.", doing=doing, reason=reason)
        ) from error

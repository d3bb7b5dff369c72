"""Reading a replay file: a first pass that learns what it needs, then the rows, one by one, as often as wanted."""

import base64
import gzip
import json
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from labeling.replay.mapping import (
    Json,
    MappingError,
    SchemaSeen,
    Truth,
    prediction_of,
    task_type_of,
    truth_of,
)


class SourceError(Exception):
    """A file that cannot be replayed; the text names the line."""


@dataclass
class Survey:
    """What a first pass over the file found."""

    schema: SchemaSeen = field(default_factory=SchemaSeen)
    truths: dict[str, Truth] = field(default_factory=dict)
    rows: int = 0


@dataclass(frozen=True)
class ReplayFile:
    """A JSONL file, gzipped or not. `limit` rows of it are replayed; its label schema always is the whole file's."""

    path: Path
    limit: int | None = None

    def survey(self) -> Survey:
        """Labels, fields and truths. Reads the file once and keeps no inputs."""
        found = Survey()
        for number, record in self._records():
            try:
                truth = truth_of(record)
                found.schema.see(task_type_of(record), (prediction_of(record), truth.output))
            except (MappingError, KeyError, TypeError, AttributeError) as error:
                raise SourceError(f"{self.path.name}, line {number}: {_sentence(error)}") from error
            if self.limit is None or found.rows < self.limit:
                found.truths[str(record["id"])] = truth
                found.rows += 1
        if not found.rows:
            raise SourceError(f"{self.path.name} holds no rows.")
        return found

    def rows(self, repeat: int = 1) -> Iterator[Json]:
        """The rows in file order, `repeat` times; from the second time on with ids ending in `~2`, `~3`, ..."""
        for turn in range(1, repeat + 1):
            for count, (number, record) in enumerate(self._records()):
                if self.limit is not None and count >= self.limit:
                    break
                try:
                    record["input"] = self._with_image(record["input"])
                except OSError as error:
                    raise SourceError(f"{self.path.name}, line {number}: {error}") from error
                yield record if turn == 1 else record | {"id": f"{record['id']}~{turn}"}

    def _records(self) -> Iterator[tuple[int, Json]]:
        try:
            with _open(self.path) as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        yield number, _parsed(self.path, number, line)
        except OSError as error:
            raise SourceError(f"{self.path} cannot be read: {error.strerror or error}.") from error

    def _with_image(self, recorded: Json) -> Json:
        """The input with its picture inside: a path below the file's folder becomes a data URI."""
        image = recorded.get("image")
        if not isinstance(image, str) or image.startswith(("data:", "http:", "https:")):
            return recorded
        folder = self.path.resolve().parent
        picture = (folder / image).resolve()
        if not picture.is_relative_to(folder):
            raise OSError(f"the image {image} is not below {folder}")
        kind = mimetypes.guess_type(picture.name)[0] or "application/octet-stream"
        return recorded | {"image": f"data:{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"}


def item_of(identifier: str, truths: dict[str, Truth]) -> Truth | None:
    """The truth of an item, also of its repetitions (`id~2`)."""
    if identifier in truths:
        return truths[identifier]
    base, separator, turn = identifier.rpartition("~")
    return truths.get(base) if separator and turn.isdecimal() else None


def _open(path: Path) -> IO[str]:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def _parsed(path: Path, number: int, line: str) -> Json:
    try:
        record = json.loads(line, parse_constant=_refuse_constant)
    except ValueError as error:
        raise SourceError(f"{path.name}, line {number}: not JSON ({error}).") from error
    if not isinstance(record, dict):
        raise SourceError(f"{path.name}, line {number}: a row is a JSON object.")
    return record


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _sentence(error: Exception) -> str:
    return f"the key {error} is missing." if isinstance(error, KeyError) else str(error)

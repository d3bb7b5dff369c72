"""What a driver was told, as lines of JSON. A line is on the disk before the driver goes on: nobody forgets an answer.

Every line has `op`, `who`, `sent` (the first attempt) and `acked` (the answer arrived), in seconds of the machine's clock.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class History:
    """The notes of one driver thread."""

    def __init__(self, folder: Path, who: str) -> None:
        self.who = who
        self._file = (folder / f"{who}.jsonl").open("a", encoding="utf-8")

    def close(self) -> None:
        self._file.close()

    def note(self, op: str, *, sent: float, acked: float, **more: Any) -> None:
        self.note_all([{"op": op, "sent": sent, "acked": acked, **more}])

    def note_all(self, lines: list[Line]) -> None:
        for line in lines:
            self._file.write(json.dumps({"who": self.who, **line}) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


class Histories:
    """The notes of all drivers in a folder, read as they grow."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self.lines: list[Line] = []

    def read_on(self) -> list[Line]:
        """The lines that are new since the last call; a line that is half written waits for the next one."""
        fresh: list[Line] = []
        for path in sorted(self._folder.glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                whole, _newline, _half = file.read().rpartition(b"\n")
            if whole:
                self._read[path] = self._read.get(path, 0) + len(whole) + 1
                fresh += [json.loads(line) for line in whole.split(b"\n")]
        self.lines += fresh
        return fresh

    def of(self, *ops: str) -> Iterator[Line]:
        return (line for line in self.lines if line["op"] in ops)

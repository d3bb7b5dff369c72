"""The cases of one exhibit, on disk: made once by a process of their own, then read one at a time.

Training needs numpy, scikit-learn and all the data; showing needs one line of a file. So the process that streams for
hours never loads them.
"""

import subprocess
import sys
from array import array
from collections.abc import Callable, Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import overload

from labeling.replay.client import ReplayError
from labeling.replay.demo.exhibit import Case

_PACKAGES = ("django", "djangorestframework", "faker", "numpy", "pillow", "scikit-learn")
_FOLDER = Path(__file__).parent


class Pool(Sequence[Case]):
    """A file with one case on each line, and where each line begins."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._starts = array("Q", [0])
        for line in self._file:
            self._starts.append(self._starts[-1] + len(line))

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, place: int) -> Case: ...
    @overload
    def __getitem__(self, place: slice) -> list[Case]: ...
    def __getitem__(self, place: int | slice) -> Case | list[Case]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(place)
        self._file.seek(self._starts[place])
        return Case.from_line(self._file.read(self._starts[place + 1] - self._starts[place]))

    def close(self) -> None:
        self._file.close()


def make_pool(slug: str, folder: Path, at_work: Callable[[], None] = lambda: None) -> Path:
    """Where the cases of an exhibit are; trains its models in a process of its own when they are not there yet;
    `at_work` is called before that."""
    path = folder / f"{slug}-{_fingerprint(slug)}.jsonl"
    if path.exists():
        return path
    at_work()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    command = [sys.executable, "-m", "labeling.replay.demo.train", slug, str(draft)]
    ended = subprocess.run(  # noqa: S603 (our own module)
        command, stderr=subprocess.PIPE, text=True, errors="replace", check=False
    )
    if ended.returncode:
        said = ended.stderr.strip().splitlines() or ["it was ended."]
        raise ReplayError(f"The models of {slug} could not be trained: {said[-1]}")
    draft.replace(path)
    return path


def _fingerprint(slug: str) -> str:
    """Changes with the code that makes the cases and the packages it uses, so that another release makes its own."""
    digest = sha256(slug.encode())
    for source in sorted(_FOLDER.glob("*.py")):
        digest.update(source.read_bytes())
    for package in _PACKAGES:
        digest.update(f"{package} {version(package)}".encode())
    return digest.hexdigest()[:12]

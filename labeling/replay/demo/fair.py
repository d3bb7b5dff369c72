"""All exhibits on one instance: fills them one after the other, then keeps them alive with little effort."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from labeling.replay.client import Patience
from labeling.replay.demo.exhibit import Exhibit
from labeling.replay.demo.show import Report, Show

TURN_SECONDS = 5.0
_TURNS_BETWEEN_LOOKS = 12  # how often somebody may have asked for a new demo


class Fair:
    """The shows of one instance. Only one process fills them at a time: the lock in `folder` says which."""

    def __init__(
        self,
        exhibits: Sequence[Exhibit],
        url: str,
        api_key: str,
        patience: Patience,
        report: Report,
        folder: Path,
    ) -> None:
        self._patience = patience
        self._connections = ExitStack()
        self._shows = [
            self._connections.enter_context(Show(exhibit, url, api_key, patience, report, folder))
            for exhibit in exhibits
        ]

    def __enter__(self) -> "Fair":
        return self

    def __exit__(self, *_: object) -> None:
        self._connections.close()

    def open(self, *, anew: bool = False) -> None:
        """All projects at once, so that everybody sees what is coming."""
        for show in self._shows:
            show.open(anew=anew)

    def fill(self) -> None:
        for show in self._shows:
            show.fill()

    def stream(self) -> None:
        """One exhibit each turn, for ever; those of a newer demo instead of the old ones."""
        turn = 0
        while True:
            show = self._shows[turn % len(self._shows)]
            if turn % _TURNS_BETWEEN_LOOKS == 0:
                self._move_on()
            show.step()
            turn += 1
            self._patience.pause(TURN_SECONDS)

    def _move_on(self) -> None:
        for show in self._shows:
            if show.is_overtaken():
                show.open()
                show.fill()


@contextmanager
def only_filler(folder: Path) -> Iterator[bool]:
    """Whether this process is the one that fills the demo. The kernel gives the lock back however the process ends."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True

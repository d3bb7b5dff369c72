"""Room on the disks, and what happens when it gets scarce.

    nearly full    an alert; where a retention is set, the inputs of the oldest week that nobody looked at go before their
                   time, one week after the other until there is room, but never this week's or the last one's
    full           predictions are refused (503, `disk_full`) while there is still room for reviewing, publishing and the
                   database's own log: a PostgreSQL that cannot write its log stops

A database on another machine is not seen from here: its own limits answer then.
"""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from labeling.errors import UnavailableError, say

# A share of the disk, but within these bounds: a percent of a large disk is room for days.
LOW_SHARE, LOW_BYTES = 0.05, (512 * 2**20, 10 * 2**30)
FULL_SHARE, FULL_BYTES = 0.01, (256 * 2**20, 2 * 2**30)
_LOOK_EVERY_S = 1.0

# What `shutil.disk_usage` answers: total, used and free bytes.
Usage = Callable[[Path], tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of one of the product's folders; bytes."""

    name: str
    total: int
    free: int

    @property
    def is_nearly_full(self) -> bool:
        return self.free < _within(LOW_BYTES, LOW_SHARE * self.total)

    @property
    def is_full(self) -> bool:
        """Whether only what people do may still be written. A small disk keeps at most a twentieth back."""
        return self.free < min(_within(FULL_BYTES, FULL_SHARE * self.total), self.total / 20)


def _within(bounds: tuple[int, int], size: float) -> float:
    return min(max(size, bounds[0]), bounds[1])


def list_disks(usage: Usage = shutil.disk_usage) -> Iterator[Disk]:
    """The disks of the home (database, logs) and of the datasets' storage, where it is a folder."""
    places = {"home": Path(settings.REVIEWAPP_HOME)}
    if "://" not in settings.REVIEWAPP_STORAGE:
        places["storage"] = Path(settings.REVIEWAPP_STORAGE)
    for name, path in places.items():
        there = next((one for one in (path, *path.parents) if one.exists()), None)
        if there is not None:
            total, _used, free = usage(there)
            yield Disk(name, total, free)


def home_disk(usage: Usage = shutil.disk_usage) -> Disk:
    """The disk that the embedded database is on."""
    return next(list_disks(usage))


class RoomKeeper:
    """Knows whether the home's disk is full; looks once a second, so that asking costs nothing."""

    def __init__(self, usage: Usage = shutil.disk_usage, clock: Callable[[], float] = time.monotonic) -> None:
        self._usage, self._clock = usage, clock
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._is_full = False

    def require_room(self) -> None:
        """UnavailableError when predictions must not be stored now."""
        now = self._clock()
        with self._lock:
            if now - self._looked_at >= _LOOK_EVERY_S:
                self._is_full = home_disk(self._usage).is_full
                self._looked_at = now
        if self._is_full:
            raise UnavailableError(
                "disk_full", say("The disk is full: predictions are not stored until there is room again.")
            )


require_room = RoomKeeper().require_room

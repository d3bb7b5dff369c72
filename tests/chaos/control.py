"""The control file: what the harness tells the drivers and the changed processes of the instance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

INJECTED = Path(__file__).parent / "injected"

LOAD, DRAIN, STOP = "load", "drain", "stop"

# clock: seconds that the leases' clock is ahead. late: share of decisions that commit late, by up to late_s seconds.
# hesitate: share of tasks that a reviewer holds for some seconds before he decides.
AS_USUAL: Mapping[str, Any] = {
    "phase": LOAD,
    "clock": 0,
    "late": 0.1,
    "late_s": 0.4,
    "hesitate": 0.06,
    "broken": [],
}


class Control:
    """One small file, replaced whole at each change."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._said: dict[str, Any] = dict(AS_USUAL)

    @property
    def environment(self) -> dict[str, str]:
        """What a process of the instance needs to obey."""
        return {"CHAOS_CONTROL": str(self.path), "PYTHONPATH": str(INJECTED)}

    def say(self, **changes: Any) -> None:
        self._said |= changes
        draft = self.path.with_suffix(".new")
        draft.write_text(json.dumps(self._said), encoding="utf-8")
        draft.replace(self.path)


def read_control(path: Path) -> Mapping[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))

"""What is said about a run: a table for people, `bench/results/chaos.json` for everything else."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.checker import Findings
from tests.chaos.histories import Histories
from tests.chaos.recovery import LIMIT_S

SHOWN = 20


@dataclass
class Recovery:
    """One fault, and after how many seconds each kind of work went on."""

    fault: str
    seconds: dict[str, float]

    @property
    def slowest(self) -> tuple[float, str]:
        return max((value, kind) for kind, value in self.seconds.items())


@dataclass
class Report:
    """One run."""

    seed: int
    recoveries: list[Recovery] = field(default_factory=list)
    acknowledged: dict[str, int] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    ledger: str = "not checked"
    started_s: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def slowest(self) -> Recovery | None:
        return max(self.recoveries, key=lambda recovery: recovery.slowest, default=None)

    @property
    def slowest_s(self) -> float:
        return round(self.slowest.slowest[0], 2) if self.slowest else 0.0

    @property
    def holds(self) -> bool:
        """Nothing was lost, doubled or shared, the ledger is whole, and all came back in time."""
        return not self.findings.all and self.ledger == "ok" and self.slowest_s <= LIMIT_S

    def as_json(self) -> dict[str, Any]:
        found = self.findings
        return {
            "seed": self.seed,
            "faults": dict(Counter(recovery.fault for recovery in self.recoveries)),
            "acknowledged": self.acknowledged,
            "lost": len(found.lost),
            "doubled": len(found.doubled),
            "held_twice": len(found.held_twice),
            "feed": len(found.feed),
            "other": len(found.other),
            "ledger": self.ledger,
            "slowest_recovery_s": self.slowest_s,
            "slowest_fault": self.slowest.fault if self.slowest else None,
            "slowest_start_s": round(max(self.started_s, default=0.0), 2),
            "recovery_s": self._by_fault(),
            "seconds": round(self.seconds, 1),
            "holds": self.holds,
            "findings": found.all[:100],
        }

    def _by_fault(self) -> dict[str, float]:
        """The slowest recovery of each kind of fault."""
        slowest: dict[str, float] = {}
        for recovery in self.recoveries:
            slowest[recovery.fault] = max(slowest.get(recovery.fault, 0.0), round(recovery.slowest[0], 2))
        return slowest

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), indent=2) + "\n", encoding="utf-8")

    def as_text(self) -> str:
        said = self.as_json()
        lines = [f"{'fault':<32}{'times':>6}{'slowest recovery':>18}"]
        for kind, count in sorted(said["faults"].items()):
            lines.append(f"{kind:<32}{count:>6}{said['recovery_s'][kind]:>16.1f} s")
        lines += ["", f"{'acknowledged':<32}{'':>6}"]
        lines += [f"  {name:<30}{count:>6}" for name, count in said["acknowledged"].items()]
        lines += [
            "",
            *(f"{name:<32}{said[name]:>6}" for name in ("lost", "doubled", "held_twice", "feed", "other")),
        ]
        if self.started_s:
            lines.append(f"the slowest start after a killed supervisor took {said['slowest_start_s']} s")
        lines += [f"ledger: {self.ledger}", f"seed {self.seed}, {self.seconds:.0f} s"]
        lines += [f"  - {sentence}" for sentence in self.findings.all[:SHOWN]]
        lines.append("Everything that was acknowledged is there once." if self.holds else "THE RUN FAILED.")
        return "\n".join(lines)


def count_acknowledged(histories: Histories) -> dict[str, int]:
    """How many operations of each kind were answered with success."""
    of = histories.of
    return {
        "predictions": len({line["item"] for line in of("predict") if line["status"] == "created"}),
        "decisions": sum(line["status"] in (200, 201) for line in of("decide")),
        "undone": sum(line["status"] == 200 for line in of("undo")),
        "claims": sum(len(line["tasks"]) for line in of("claim")),
        "publications": sum(line["publication"] is not None for line in of("publish")),
        "feed_entries": sum(len(line["entries"]) for line in of("read")),
    }

"""What a benchmark found, its file and its table."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from bench.load import Samples

LATEST = Path(__file__).parent / "results" / "latest.json"


@dataclass
class Result:
    """One measured figure. `floor` has the same unit; `ratio` is value / floor where more is better, floor / value where
    less is. CPU seconds are per 1,000 rows or requests, for client, server and database apart."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    ratio: float | None = None
    cpu_seconds_per_1k: dict[str, float] = field(default_factory=dict)
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    rows_before: int = 0
    errors: int = 0
    note: str = ""

    def timed(self, samples: Samples) -> Result:
        """The same with the latencies of these requests."""
        self.p50_ms, self.p95_ms, self.p99_ms = (samples.percentile_ms(p) for p in (50, 95, 99))
        return self


def machine() -> dict[str, object]:
    """What the figures were measured on, as far as they depend on it."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def write(results: list[Result], *, quick: bool, on: dict[str, object], path: Path = LATEST) -> None:
    """Put the file in place whole."""
    path.parent.mkdir(exist_ok=True)
    body = {"machine": on, "quick": quick, "results": [asdict(result) for result in results]}
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def table(results: list[Result]) -> str:
    """The results for a terminal."""
    head = ("name", "value", "unit", "floor", "ratio", "p50", "p95", "p99 ms", "rows before", "errors")
    rows = [head] + [
        (
            r.name,
            _number(r.value),
            r.unit,
            _number(r.floor),
            _number(r.ratio),
            _number(r.p50_ms),
            _number(r.p95_ms),
            _number(r.p99_ms),
            f"{r.rows_before:,}",
            str(r.errors),
        )
        for r in results
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"

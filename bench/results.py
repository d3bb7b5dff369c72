"""What a benchmark found, its file and its table."""

from __future__ import annotations

import json
import os
import platform
import sysconfig
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from bench.load import Samples

LATEST = Path(__file__).parent / "results" / "latest.json"


@dataclass
class Result:
    """One measured figure. `floor` has the same unit; `ratio` is value / floor where more is better, floor / value where
    less is. CPU seconds are per 1,000 rows or requests, for client, server and database apart. `sizes` holds the same figure
    at several sizes of what is stored, where growth is what counts."""

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
    sizes: dict[str, float] = field(default_factory=dict)

    def timed(self, samples: Samples) -> Result:
        """The same with the latencies of these requests."""
        self.p50_ms, self.p95_ms, self.p99_ms = (samples.percentile_ms(p) for p in (50, 95, 99))
        return self


@dataclass(frozen=True)
class Failure:
    """A work that did not come to its end."""

    name: str
    error: str


@dataclass
class Report:
    """Everything one run found so far. `growth` is {operation: {rows stored: {"p50_ms", "p99_ms"}}}."""

    quick: bool
    rows: int
    machine: dict[str, object]
    results: list[Result] = field(default_factory=list)
    growth: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=dict)
    lasted_s: float = 0.0
    bytes_per_prediction: float | None = None  # table, indexes and keys; 400 bytes of input

    @property
    def is_clean(self) -> bool:
        """Whether every work came to its end and no request was refused."""
        return not self.failures and not any(result.errors for result in self.results)

    def write(self, path: Path = LATEST) -> None:
        """Put the file in place whole. Called after each work, so that an interrupted run keeps what it has."""
        path.parent.mkdir(exist_ok=True)
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        draft.replace(path)


def machine() -> dict[str, object]:
    """What the figures were measured on, as far as they depend on it."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version()
        + ("" if _is_optimized() else ", configured without --enable-optimizations"),
        "load_before": round(os.getloadavg()[0], 2),
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def _is_optimized() -> bool:
    """Whether it was configured to be compiled with a profile. Some are without that option, Debian's for one."""
    return "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")


def table(results: list[Result]) -> str:
    """The results for a terminal."""
    head = ("name", "value", "unit", "floor", "ratio", "p50", "p95", "p99 ms", "rows before", "errors")
    rows = [
        (
            r.name,
            number(r.value),
            r.unit,
            number(r.floor),
            number(r.ratio),
            number(r.p50_ms),
            number(r.p95_ms),
            number(r.p99_ms),
            f"{r.rows_before:,}",
            str(r.errors),
        )
        for r in results
    ]
    return _aligned([head, *rows])


def growth_table(growth: dict[str, dict[str, dict[str, float]]]) -> str:
    """Latencies by rows stored for a terminal, with the last size beside the first."""
    rows = [("operation", "rows stored", "p50 ms", "p99 ms", "p50 grew", "p99 grew")]
    for operation, sizes in growth.items():
        first = next(iter(sizes.values()))
        rows += [
            (
                operation,
                f"{int(size):,}",
                number(found["p50_ms"]),
                number(found["p99_ms"]),
                f"{found['p50_ms'] / first['p50_ms']:.2f}x",
                f"{found['p99_ms'] / first['p99_ms']:.2f}x",
            )
            for size, found in sizes.items()
        ]
    return _aligned(rows)


def number(value: float | None) -> str:
    """Three significant digits, or whole thousands."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def _aligned(rows: list[Any]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )

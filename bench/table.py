"""Write the tables of docs/performance.md and docs/scaling.md from `bench/results/latest.json`: python -m bench.table [FILE].

Figures are never typed by hand. Each table stands between `<!-- name -->` and `<!-- /name -->`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.results import LATEST, number

DOCS = Path(__file__).resolve().parent.parent / "docs"
# How much of its cores a machine should be busy with: the rest is for peaks.
BUSY = 0.7
DAY_S = 86_400

# What each figure has to reach, and what it aims at.
GOALS = {
    "ingest_batch": ("ratio 0.3, 25,000/s", "0.5"),
    "ingest_batch_3": ("ratio 0.45", "0.7, 50,000/s"),
    "ingest_single": ("ratio 0.65, p99 8 ms at 600/s, 0.7 CPU-s of the server", "0.85, 5 ms"),
    "claim_decide": ("ratio 0.5, 1,000/s, p99 12 ms at 500/s", "0.75, 6 ms"),
    "claim_behind": ("p99 25 ms", "12 ms"),
    "queue_page": ("p95 60 ms", "30 ms"),
    "queue_page_swap": ("p95 30 ms", "15 ms"),
    "trust_page": ("p95 100 ms", "50 ms"),
    "trust_page_cpu": ("50 ms", "40 ms"),
    "publish_100": ("grows 2.5 times at most", "1.5 times"),
    "publish_10k": ("grows 1.6 times at most", "1.3 times"),
    "outcomes_feed": ("ratio 0.4", "0.7"),
    "newcomer": ("60 s, then 5 s", "30 s, then 3 s"),
    "memory_idle": ("600 MB", ""),
    "memory_web_worker": ("200 MB", ""),
    "memory_growth": ("none", ""),
}


@dataclass(frozen=True)
class Peer:
    """One work as others do it, measured by us on a machine with as many cores, and how ours is read from the report."""

    work: str
    label_studio: str
    doccano: str
    ours: Callable[[Found], str]


class Found:
    """The results of a report by name."""

    def __init__(self, report: dict[str, Any]) -> None:
        self.report = report
        self.results: dict[str, dict[str, Any]] = {result["name"]: result for result in report["results"]}

    def value(self, name: str, *, unit: str = "") -> str:
        """A result's figure, or a dash when it was not measured."""
        if name not in self.results:
            return "-"
        return f"{number(self.results[name]['value'])} {unit}".strip()

    def latency(self, name: str, percentile: str) -> str:
        if name not in self.results or self.results[name][percentile] is None:
            return "-"
        return f"{number(self.results[name][percentile])} ms"

    def cpu_ms(self, name: str) -> str:
        """Milliseconds of web server and database for one row or request: seconds for a thousand are the same number."""
        if name not in self.results:
            return "-"
        spent = self.results[name]["cpu_seconds_per_1k"]
        return f"{number(spent['server'] + spent['database'])} ms CPU"

    def grown(self, operation: str, percentile: str = "p50_ms") -> str:
        """An operation's latency at each size."""
        sizes = self.report["growth"].get(operation, {})
        return " / ".join(number(found[percentile]) for found in sizes.values()) + " ms" if sizes else "-"


PEERS = (
    Peer(
        "newcomer: install and start",
        "84 s + 20-24 s",
        "54 s + 22 s",
        lambda f: f.value("newcomer", unit="s"),
    ),
    Peer("memory after start", "354-1,240 MB", "1,151 MB", lambda f: f.value("memory_idle", unit="MB")),
    Peer(
        "ingest, 1,000 a request",
        "976-1,164 /s, 0.91-0.99 ms CPU each",
        "957-2,389 /s by file, 0.37-0.49 ms CPU",
        lambda f: f"{f.value('ingest_batch')} /s, {f.cpu_ms('ingest_batch')}",
    ),
    Peer(
        "ingest, one a request",
        "p50 27-34 ms, 29-47 ms CPU",
        "9.1 ms, 8.4 ms CPU",
        lambda f: f"p50 {f.latency('ingest_single', 'p50_ms')}, {f.cpu_ms('ingest_single')}",
    ),
    Peer(
        "decide and next, one reviewer, as the project grows",
        "98 / 142 / 256 ms at 1k / 55k / 200k rows",
        "17 / 92 ms at 1k / 50k rows",
        lambda f: f.grown("claim_and_decide"),
    ),
    Peer(
        "decide and next, many reviewers",
        "8: 438-1,267 ms, 16-5 decisions/s",
        "8: 159 ms, 46 decisions/s",
        lambda f: (
            f"50: p99 {f.latency('claim_decide', 'p99_ms')}, {f.value('claim_decide')} decisions/s at most"
        ),
    ),
    Peer(
        "CPU of a decision",
        "102 ms at 1k, 283 ms at 200k rows",
        "17 ms at 1k, 93 ms at 50k rows",
        lambda f: f.cpu_ms("claim_decide"),
    ),
)


def machine_line(found: Found) -> str:
    """What the figures were measured on, and whether they are whole."""
    report, on = found.report, found.report["machine"]
    head = (
        f"Measured {on['measured_at']} on {on['cores']} cores, {on['memory_gib']} GiB, {on['system']}, Python {on['python']}, "
        f"load {on['load_before']} before, {report['rows']:,} predictions stored; it took {report['lasted_s'] / 60:.0f} "
        "minutes."
    )
    lines = [head]
    if report["quick"]:
        lines.append("**A quick run with small sizes: the figures say that it works, not how fast.**")
    lines += [f"**{failure['name']} failed: {failure['error']}**" for failure in report["failures"]]
    lines += [f"Left out: {name} ({why})." for name, why in report["left_out"].items()]
    return "\n\n".join(lines)


def results_table(found: Found) -> str:
    """Every figure beside its floor and its goals."""
    rows = [
        (
            f"`{name}`",
            f"{number(r['value'])} {r['unit']}",
            number(r["floor"]),
            number(r["ratio"]),
            " / ".join(number(r[p]) for p in ("p50_ms", "p95_ms", "p99_ms")) if r["p50_ms"] else "-",
            ", ".join(f"{part} {number(spent)}" for part, spent in r["cpu_seconds_per_1k"].items()) or "-",
            f"{r['rows_before']:,}" if r["rows_before"] else "-",
            " · ".join(filter(None, GOALS.get(name, ("", "")))) or "-",
            str(r["errors"]),
        )
        for name, r in found.results.items()
    ]
    head = (
        "work",
        "figure",
        "floor",
        "ratio",
        "p50 / p95 / p99 ms",
        "CPU-s per 1,000",
        "stored",
        "must · aim",
        "errors",
    )
    notes = [f"- `{name}`: {r['note']}" for name, r in found.results.items() if r["note"]]
    return "\n".join([_markdown(head, rows), "", *notes])


def growth_table(found: Found) -> str:
    """Latencies at each size of what is stored; must: p50 1.3 times and p99 2 times the first at most."""
    growth: dict[str, dict[str, dict[str, float]]] = found.report["growth"]
    if not growth:
        return "Not measured in this run."
    sizes = list(next(iter(growth.values())))
    head = ("operation", *(f"{int(size):,}" for size in sizes), "p50 grew", "p99 grew")
    rows = []
    for operation, at in growth.items():
        figures = [at[size] for size in sizes if size in at]
        first, last = figures[0], figures[-1]
        rows.append(
            (
                operation.replace("_", " "),
                *(f"{number(one['p50_ms'])} / {number(one['p99_ms'])}" for one in figures),
                *("-" for _ in range(len(sizes) - len(figures))),
                f"{last['p50_ms'] / first['p50_ms']:.2f} times",
                f"{last['p99_ms'] / first['p99_ms']:.2f} times",
            )
        )
    return _markdown(head, rows)


def peers_table(found: Found) -> str:
    rows = [(peer.work, peer.label_studio, peer.doccano, peer.ours(found)) for peer in PEERS]
    return _markdown(("work", "Label Studio 1.23.2", "doccano 1.8.4", "here"), rows)


def capacity_table(found: Found) -> str:
    """What one core does of each kind of work, and the machine of the run at BUSY of its cores."""
    cores = found.report["machine"]["cores"]
    rows = []
    for work, name in (
        ("predictions, one a request", "ingest_single"),
        ("predictions, 1,000 a request", "ingest_batch"),
        ("decisions, each with the next claim", "claim_decide"),
        ("outcomes read, 1,000 a page", "outcomes_feed"),
    ):
        if name not in found.results:
            continue
        spent = found.results[name]["cpu_seconds_per_1k"]
        web, database = spent["server"], spent["database"]
        a_second = 1_000 / (web + database)
        a_day = a_second * cores * BUSY * DAY_S
        rows.append(
            (
                work,
                f"{number(web)} ms",
                f"{number(database)} ms",
                number(a_second),
                f"{a_day / 1e6:,.0f} million",
            )
        )
    head = ("work", "CPU, web", "CPU, database", "a second and core", f"a day, {cores} cores {BUSY:.0%} busy")
    lines = [_markdown(head, rows)]
    if size := found.report["bytes_per_prediction"]:
        lines += [
            "",
            f"A stored prediction with 400 bytes of input takes {size:,.0f} bytes with its keys and indexes.",
        ]
    return "\n".join(lines)


Table = Callable[[Found], str]
TABLES: dict[str, dict[str, Table]] = {
    "performance.md": {
        "machine": machine_line,
        "results": results_table,
        "growth": growth_table,
        "peers": peers_table,
    },
    "scaling.md": {"capacity": capacity_table},
}


def filled(document: str, report: dict[str, Any], tables: dict[str, Table]) -> str:
    """The document with its tables written anew. ValueError when a place for one is missing."""
    for name, table in tables.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        content = table(Found(report))
        document, count = place.subn(
            lambda found, content=content: f"{found[1]}{content}\n{found[2]}", document
        )
        if count != 1:
            raise ValueError(f"the document has {count} places for the table {name!r}")
    return document


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.table", description=__doc__)
    parser.add_argument("report", nargs="?", type=Path, default=LATEST)
    report = json.loads(parser.parse_args().report.read_text(encoding="utf-8"))
    for name, tables in TABLES.items():
        path = DOCS / name
        path.write_text(filled(path.read_text(encoding="utf-8"), report, tables), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Run the benchmarks on an instance of their own and write `bench/results/latest.json`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import results
from bench.filling import Filler
from bench.place import Place, running_place
from bench.results import Result
from bench.rows import POLICY, SCHEMA
from bench.work import ingestion, reading, review

ROWS, QUICK_ROWS = 10_000_000, 200_000
SLUG = "bench"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, under 90 s")
    parser.add_argument(
        "--rows", type=int, help=f"stored predictions (default {ROWS:,}, quick {QUICK_ROWS:,})"
    )
    parser.add_argument("--only", help="names of works, with commas between them")
    given = parser.parse_args()
    wanted = set(given.only.split(",")) if given.only else None
    unknown = (wanted or set()) - set(WORKS)
    if unknown:
        parser.error(f"no such work: {', '.join(sorted(unknown))}; there are {', '.join(WORKS)}")
    rows = given.rows if given.rows is not None else QUICK_ROWS if given.quick else ROWS
    machine = results.machine()
    found: list[Result] = []
    with running_place() as place, tempfile.TemporaryDirectory() as folder, place.connect() as connection:
        place.call(
            "POST",
            "/projects/",
            {
                "slug": SLUG,
                "name": "Benchmark",
                "task_type": "classification",
                "label_schema": SCHEMA,
                "policy": POLICY,
            },
        )
        filler = Filler(connection, SLUG)
        _fill(filler, rows)
        run = Run(place, filler, Path(folder), rows, given.quick)
        for name, work in WORKS.items():
            if wanted is None or name in wanted:
                _say(f"measuring {name}")
                found += work(run)
    results.write(found, quick=given.quick, on=machine)
    print(results.table(found))
    return 1 if any(result.errors for result in found) else 0


@dataclass(frozen=True)
class Run:
    """What every work needs."""

    place: Place
    filler: Filler
    folder: Path
    rows: int
    quick: bool


def _fill(filler: Filler, rows: int) -> None:
    began = time.monotonic()
    waiting = rows // 10
    filler.add(rows - waiting)
    filler.add(waiting, state="waiting", tenths_reviewed=10)
    _say(f"stored {rows:,} predictions in {time.monotonic() - began:.0f} s")


def _target(run: Run) -> ingestion.Target:
    return ingestion.Target(run.place.port, f"/api/v1/projects/{SLUG}/predictions/", run.place.headers())


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


WORKS: dict[str, Callable[[Run], list[Result]]] = {
    "ingest_batch": lambda r: ingestion.measure_batches(r.place, _target(r), r.rows, quick=r.quick),
    "ingest_single": lambda r: ingestion.measure_singles(r.place, _target(r), r.rows, quick=r.quick),
    "claim_decide": lambda r: review.measure_decisions(
        r.place, SLUG, r.filler, r.rows, r.folder, quick=r.quick
    ),
    "queue_page": lambda r: reading.measure_task_page(r.place, SLUG, r.rows, quick=r.quick),
    "trust_page": lambda r: reading.measure_trust_page(r.place, SLUG, r.rows, quick=r.quick),
    "outcomes_feed": lambda r: reading.measure_feed(r.place, SLUG, r.filler, r.rows, quick=r.quick),
}

if __name__ == "__main__":
    raise SystemExit(main())

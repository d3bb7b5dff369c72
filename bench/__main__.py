"""Run the benchmarks on an instance of their own and write `bench/results/latest.json`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from bench import results
from bench.filling import Filler
from bench.place import Place, running_place
from bench.results import Result
from bench.rows import POLICY, SCHEMA
from bench.work import ingestion

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
    with running_place() as place:
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
        with place.connect() as connection:
            _fill(Filler(connection, SLUG), rows)
        for name, work in WORKS.items():
            if wanted is None or name in wanted:
                _say(f"measuring {name}")
                found += work(place, rows, given.quick)
    results.write(found, quick=given.quick, on=machine)
    print(results.table(found))
    return 1 if any(result.errors for result in found) else 0


def _fill(filler: Filler, rows: int) -> None:
    began = time.monotonic()
    waiting = rows // 10
    filler.add(rows - waiting)
    filler.add(waiting, state="waiting", tenths_reviewed=10)
    _say(f"stored {rows:,} predictions in {time.monotonic() - began:.0f} s")


def _target(place: Place) -> ingestion.Target:
    return ingestion.Target(place.port, f"/api/v1/projects/{SLUG}/predictions/", place.headers())


def _batches(place: Place, rows: int, quick: bool) -> list[Result]:
    return ingestion.measure_batches(place, _target(place), rows, quick=quick)


def _singles(place: Place, rows: int, quick: bool) -> list[Result]:
    return ingestion.measure_singles(place, _target(place), rows, quick=quick)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


WORKS: dict[str, Callable[[Place, int, bool], list[Result]]] = {
    "ingest_batch": _batches,
    "ingest_single": _singles,
}

if __name__ == "__main__":
    raise SystemExit(main())

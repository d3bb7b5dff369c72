"""Run the benchmarks on an instance of their own and write `bench/results/latest.json`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import results
from bench.filling import Filler
from bench.place import Place, running_place
from bench.results import Failure, Report, Result
from bench.rows import POLICY, SCHEMA
from bench.work import growth, ingestion, memory, newcomer, publishing, reading, review
from bench.work.growth import Growth

ROWS, QUICK_ROWS = 10_000_000, 60_000
SLUG = "bench"
_BEGAN = time.monotonic()


@dataclass(frozen=True)
class Run:
    """What every work needs."""

    place: Place
    filler: Filler
    folder: Path
    rows: int
    quick: bool


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument(
        "--rows", type=int, help=f"stored predictions (default {ROWS:,}, quick {QUICK_ROWS:,})"
    )
    parser.add_argument("--only", help="names of works, with commas between them")
    given = parser.parse_args()
    known = [*WORKS, *APART]
    wanted = [MEASURED_WITH.get(name, name) for name in given.only.split(",")] if given.only else known
    if unknown := set(wanted) - set(known):
        parser.error(f"no such work: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    rows = given.rows if given.rows is not None else QUICK_ROWS if given.quick else ROWS
    left_out = LEFT_OUT if given.quick and not given.only else {}
    wanted = [name for name in wanted if name not in left_out]
    report = Report(quick=given.quick, rows=rows, machine=results.machine(), left_out=dict(left_out))
    if any(name in WORKS for name in wanted):
        _measure(report, "instance", lambda: _measure_in_place(report, wanted))
    for name, work in APART.items():
        if name in wanted:
            _measure(report, name, lambda work=work: report.results.extend(work(report.quick)))
    print(results.table(report.results))
    if report.growth:
        print(f"\n{results.growth_table(report.growth)}")
    for name, reason in report.left_out.items():
        print(f"left out {name}: {reason}")
    for failure in report.failures:
        print(f"FAILED {failure.name}: {failure.error}")
    return 0 if report.is_clean else 1


def _measure_in_place(report: Report, wanted: list[str]) -> None:
    """Every work that needs the filled instance."""
    with ExitStack() as stack:
        place = stack.enter_context(running_place())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        connection = stack.enter_context(place.connect())
        _make_project(place)
        run = Run(place, Filler(connection, SLUG), folder, report.rows, report.quick)
        _fill(report, run, with_growth="growth" in wanted)
        for name, work in WORKS.items():
            if name in wanted and work is not None:
                _measure(report, name, lambda work=work: report.results.extend(work(run)))


def _fill(report: Report, run: Run, *, with_growth: bool) -> None:
    """Store the predictions, and measure each operation on the way up where growth is asked for."""
    grown = Growth(run.place, SLUG, quick=run.quick) if with_growth else None
    report.growth = grown.figures if grown else {}
    stored, empty = 0, run.place.database_bytes()
    for step in growth.steps(run.rows) if grown else [run.rows]:
        began = time.monotonic()
        waiting = (step - stored) // 10
        run.filler.add(step - stored - waiting)
        run.filler.add(waiting, state="waiting", tenths_reviewed=10)
        _say(f"stored {step:,} predictions, the last {step - stored:,} in {time.monotonic() - began:.0f} s")
        if not stored:
            report.bytes_per_prediction = (run.place.database_bytes() - empty) / step
        stored = step
        run.place.put_to_rest()
        if grown:
            _measure(report, f"growth at {step:,}", lambda step=step: grown.measure(step))


def _measure(report: Report, name: str, work: Callable[[], object]) -> None:
    """One work: its results are printed and written when it ends; when it fails, its name and the others go on."""
    _say(f"measuring {name}")
    began, known = time.monotonic(), len(report.results)
    try:
        work()
    except Exception as error:
        traceback.print_exc()
        report.failures.append(Failure(name, f"{type(error).__name__}: {error}"))
    report.took_s[name] = round(time.monotonic() - began, 1)
    report.lasted_s = round(time.monotonic() - _BEGAN, 1)
    report.write()
    if name in WORKS or name in APART:
        _say(results.table(report.results[known:]))
    _say(f"{name} took {report.took_s[name]:.0f} s")


def _make_project(place: Place) -> None:
    body = {
        "slug": SLUG,
        "name": "Benchmark",
        "task_type": "classification",
        "label_schema": SCHEMA,
        "policy": POLICY,
    }
    place.call("POST", "/projects/", body)


def _target(run: Run) -> ingestion.Target:
    return ingestion.Target(run.place.port, f"/api/v1/projects/{SLUG}/predictions/", run.place.headers())


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# Works on the filled instance, in this order. Growth is measured while it is being filled.
WORKS: dict[str, Callable[[Run], list[Result]] | None] = {
    "growth": None,
    "ingest_batch": lambda r: ingestion.measure_batches(r.place, _target(r), r.rows, quick=r.quick),
    "ingest_single": lambda r: ingestion.measure_singles(r.place, _target(r), r.rows, quick=r.quick),
    "claim_decide": lambda r: review.measure_decisions(
        r.place, SLUG, r.filler, r.rows, r.folder, quick=r.quick
    ),
    "queue_page": lambda r: reading.measure_task_page(r.place, SLUG, r.rows, quick=r.quick),
    "trust_page": lambda r: reading.measure_trust_page(r.place, SLUG, r.rows, quick=r.quick),
    "outcomes_feed": lambda r: reading.measure_feed(r.place, SLUG, r.filler, r.rows, quick=r.quick),
    "publish": lambda r: publishing.measure(r.place, r.rows, r.folder, quick=r.quick),
}
# Works with instances of their own.
APART: dict[str, Callable[[bool], list[Result]]] = {"memory": memory.measure, "newcomer": newcomer.measure}
# What a quick run leaves out unless it is asked for, and why.
LEFT_OUT = {
    "growth": "says nothing without sizes that differ a thousandfold",
    "memory": "comes to rest after many thousand requests; the suite has a short version",
    "newcomer": "installs every package, which alone takes most of a quick run's time",
}
# Figures that another work measures too.
MEASURED_WITH = {
    "ingest_batch_3": "ingest_batch",
    "claim_behind": "claim_decide",
    "publish_100": "publish",
    "publish_10k": "publish",
    "trust_page_cpu": "trust_page",
}

if __name__ == "__main__":
    raise SystemExit(main())

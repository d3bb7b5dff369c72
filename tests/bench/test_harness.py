"""The benchmark's own parts: a work that fails, an open loop that falls behind, and the tables of the documents."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from bench import __main__ as program
from bench import results, table
from bench.load import Step, run_load
from bench.results import Report, Result

pytestmark = pytest.mark.slow


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """A report that writes its file into the test's folder."""
    monkeypatch.setattr(Report.write, "__defaults__", (tmp_path / "latest.json",))
    return Report(quick=True, rows=1_000, machine=results.machine())


def written(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "latest.json").read_text())
    return found


def test_a_work_that_fails_is_named_and_the_next_one_runs(
    report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise RuntimeError("the server is gone")

    program._measure(report, "ingest_batch", broken)
    assert written(tmp_path)["failures"] == [
        {"name": "ingest_batch", "error": "RuntimeError: the server is gone"}
    ]
    program._measure(
        report, "trust_page", lambda: report.results.append(Result("trust_page", 12.0, "ms p95"))
    )

    found = written(tmp_path)
    assert [result["name"] for result in found["results"]] == ["trust_page"]
    assert found["quick"] is True
    assert not report.is_clean
    shown = capsys.readouterr().err
    assert "the server is gone" in shown
    assert "trust_page" in shown


def test_refused_requests_are_no_success(report: Report) -> None:
    report.results.append(Result("trust_page", 12.0, "ms p95"))
    assert report.is_clean
    report.results.append(Result("queue_page", 12.0, "ms p95", errors=1))
    assert not report.is_clean


def slow(seconds: float) -> Step:
    """A server that takes its time."""

    def step(_number: int) -> bool:
        time.sleep(seconds)
        return True

    return step


def test_waiting_for_ones_turn_counts_in_an_open_loop() -> None:
    """One connection, a request due each 50 ms that takes 100 ms: the last ones have waited for those before them."""
    samples = run_load(slow, [0.1], connections=1, seconds=1.0, rate=20)
    assert (len(samples.seconds), samples.errors) == (20, 0)
    assert max(samples.seconds) > 0.9
    closed = run_load(slow, [0.1], connections=1, seconds=0.5)
    assert len(closed.seconds) <= 6


def test_what_cannot_be_sent_in_time_is_an_error() -> None:
    samples = run_load(slow, [6.0], connections=1, seconds=1.0, rate=10)
    assert samples.errors > 0
    assert len(samples.seconds) + samples.errors == 10


REPORT: dict[str, Any] = {
    "quick": False,
    "rows": 10_000_000,
    "machine": {**results.machine(), "cores": 2},
    "results": [
        {
            **vars(Result("ingest_single", 2_345.6, "rows/s", 3_000.0, 0.78, rows_before=10_000_000)),
            "cpu_seconds_per_1k": {"client": 9.0, "server": 0.6, "database": 0.4},
            "p50_ms": 2.5,
            "p95_ms": 3.5,
            "p99_ms": 4.5,
        }
    ],
    "growth": {
        "single": {
            "10000": {"p50_ms": 2.0, "p99_ms": 4.0},
            "10000000": {"p50_ms": 2.4, "p99_ms": 6.0},
        }
    },
    "failures": [{"name": "publish", "error": "RuntimeError: no version"}],
    "left_out": {},
    "took_s": {},
    "lasted_s": 1_500.0,
    "bytes_per_prediction": 612.3,
}


def test_the_documents_have_a_place_for_each_table_and_say_what_was_found() -> None:
    texts = {
        name: table.filled((table.DOCS / name).read_text(), REPORT, tables)
        for name, tables in table.TABLES.items()
    }
    performance, scaling = texts["performance.md"], texts["scaling.md"]
    assert "| `ingest_single` | 2,346 rows/s | 3,000 | 0.78 | 2.5 / 3.5 / 4.5 |" in performance
    assert "| single | 2 / 4 | 2.4 / 6 | 1.20 times | 1.50 times |" in performance
    assert "publish failed: RuntimeError: no version" in performance
    assert "p50 2.5 ms, 1 ms CPU" in performance
    # 1,000 / (0.6 + 0.4) a second and core, times 2 cores, 0.7 and the seconds of a day
    assert "| predictions, one a request | 0.6 ms | 0.4 ms | 1,000 | 121 million |" in scaling
    assert "612 bytes" in scaling


def test_writing_a_table_again_changes_nothing() -> None:
    tables = table.TABLES["scaling.md"]
    once = table.filled((table.DOCS / "scaling.md").read_text(), REPORT, tables)
    assert table.filled(once, REPORT, tables) == once


def test_a_place_that_is_missing_is_told() -> None:
    with pytest.raises(ValueError, match="capacity"):
        table.filled("no place here", REPORT, table.TABLES["scaling.md"])


def test_every_figure_that_has_a_goal_is_measured() -> None:
    """The names of the contract are works, or come with one."""
    names = {*program.WORKS, *program.APART, *program.MEASURED_WITH}
    contract = {
        "ingest_batch",
        "ingest_batch_3",
        "ingest_single",
        "claim_decide",
        "claim_behind",
        "queue_page",
    }
    contract |= {"trust_page", "publish_100", "publish_10k", "outcomes_feed", "newcomer"}
    assert contract <= names
    assert contract <= set(table.GOALS)

"""What a run says, and when it counts as recovered."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.checker import Findings
from tests.chaos.histories import Histories, History
from tests.chaos.recovery import KINDS, NotRecoveredError, wait_until_recovered
from tests.chaos.report import Recovery, Report, count_acknowledged


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    made = History(tmp_path, "rita")
    yield made
    made.close()


def good() -> Report:
    recoveries = [Recovery("kill web", {"feed": 1.0, "review": 2.5}), Recovery("kill web", {"feed": 0.5})]
    return Report(seed=3, recoveries=recoveries, acknowledged={"predictions": 5, "decisions": 2}, ledger="ok")


def test_the_report_has_what_the_contract_names(tmp_path: Path) -> None:
    good().write(tmp_path / "results" / "chaos.json")
    said = json.loads((tmp_path / "results" / "chaos.json").read_text())
    assert said["seed"] == 3
    assert said["faults"] == {"kill web": 2}
    assert said["acknowledged"] == {"predictions": 5, "decisions": 2}
    assert (said["lost"], said["doubled"], said["held_twice"], said["slowest_recovery_s"]) == (0, 0, 0, 2.5)
    assert said["holds"] is True
    assert "kill web" in good().as_text()


@pytest.mark.parametrize("kind", ["lost", "doubled", "held_twice", "feed", "other", "ledger", "late"])
def test_a_run_fails_for_one_reason(kind: str) -> None:
    report = good()
    if kind == "ledger":
        report.ledger = "1 of the ledger's promises are broken."
    elif kind == "late":
        report.recoveries[0].seconds["feed"] = 10.2
    else:
        report.findings = Findings(**{kind: ["a sentence"]})
    assert not report.holds
    assert "THE RUN FAILED" in report.as_text()


def test_recovered_is_what_began_after_the_fault_in_every_kind(history: History, tmp_path: Path) -> None:
    histories, since = Histories(tmp_path), time.time()
    for op in KINDS:
        history.note(op, sent=since - 1, acked=since + 1)  # was under way when it struck
    history.note("publish", sent=since + 1, acked=since + 2, state="nothing new")
    with pytest.raises(NotRecoveredError, match=r"feed, ingestion, publishing, review"):
        wait_until_recovered(histories, since, give_up_s=0)
    for op in ("predict", "decide", "read"):
        history.note(op, sent=since, acked=since + 3)
    with pytest.raises(NotRecoveredError, match=r": publishing$"):
        wait_until_recovered(histories, since - 1e-6, give_up_s=0)
    (tmp_path / "half.jsonl").write_text('{"op": "publ')  # a driver is writing
    history.note("publish", sent=since, acked=since + 4, state="done")
    for op in ("predict", "decide", "read"):
        history.note(op, sent=since, acked=since + 3)
    found = wait_until_recovered(histories, since - 1e-6, give_up_s=60)
    assert {kind: round(seconds) for kind, seconds in found.items()} == {
        "ingestion": 3,
        "review": 3,
        "feed": 3,
        "publishing": 4,
    }


def test_what_counts_as_acknowledged(history: History, tmp_path: Path) -> None:
    histories = Histories(tmp_path)
    for status in ("created", "duplicate"):
        history.note("predict", sent=1, acked=2, status=status, item="a")
    for status in (201, 200, 409):
        history.note("decide", sent=1, acked=2, status=status)
    history.note("publish", sent=1, acked=2, publication=None)
    histories.read_on()
    counted = count_acknowledged(histories)
    assert (counted["predictions"], counted["decisions"], counted["publications"]) == (1, 2, 0)

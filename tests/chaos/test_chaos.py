"""A short fault run, and three protocols that are broken on purpose: the harness notices each."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.chaos.checker import find_late_answers
from tests.chaos.control import Control
from tests.chaos.faults import CORE, FAULTS, schedule
from tests.chaos.recovery import wait_until_recovered
from tests.chaos.run import Run, instance_under_fire, load_on, run
from tests.stack.instance import Instance, wait_for

pytestmark = pytest.mark.slow

SEED = 20_260_101
MOST_STRIKES = 40

Place = tuple[Instance, Control, Path]


def test_twelve_faults() -> None:
    """Times depend on the machine: how fast it recovers is judged by `make chaos`, that it does by this test."""
    report = run(schedule(CORE, random.Random(SEED)), SEED)
    assert report.findings.all == [], report.as_text()
    assert report.ledger == "ok", report.as_text()
    assert len(report.as_json()["faults"]) == CORE
    assert min(report.acknowledged.values()) > 0, report.acknowledged


def test_a_schedule_is_its_seed_and_has_every_kind() -> None:
    assert schedule(50, random.Random(1)) == schedule(50, random.Random(1)) != schedule(50, random.Random(2))
    assert set(schedule(CORE, random.Random(3))) == set(list(FAULTS)[:CORE])
    assert set(schedule(len(FAULTS), random.Random(3))) == set(FAULTS)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """One instance for all broken protocols; each has a project of its own."""
    with instance_under_fire() as found:
        yield found


def test_without_the_check_of_tokens_it_fails(place: Place) -> None:
    """Leases run out all the time; whoever is late decides what somebody else has got meanwhile."""
    with load_on(*place, slug="tokens", seed=SEED) as load:
        load.control.say(broken=["token"], hesitate=0.5)
        wait_until_recovered(load.histories, time.time())
        for _time in range(MOST_STRIKES):
            load.strike("lease clock jumps")
            if find_late_answers(load.histories.lines):
                break
        report = load.finish()
    assert report.findings.held_twice, report.as_text()


def test_with_publishing_by_cursor_it_fails(place: Place) -> None:
    """A decision that commits late is behind the cursor, and never published."""
    with load_on(*place, slug="cursor", seed=SEED) as load:
        load.control.say(broken=["rows"], late=0.3, late_s=2.0)
        with load.instance.database() as database:
            database.autocommit = True
            wait_for(lambda: _count_behind_the_cursor(database) >= 2, 120, "decisions that committed late")
        report = load.finish(drain_s=25)
    assert any("is in no dataset version, it still waits" in lost for lost in report.findings.lost), (
        report.as_text()
    )


def test_without_the_sweep_it_fails(place: Place) -> None:
    """Bells that are lost with the broker are never replaced."""
    with load_on(*place, slug="sweep", seed=SEED) as load:
        load.control.say(broken=["sweep"])
        _wait_for_publications(load, 1)
        for _time in range(MOST_STRIKES):
            load.strike("pause worker, lose its bells", give_up_s=10)
            if load.report.findings.other:
                break
        report = load.report
    assert report.findings.other == ["pause worker, lose its bells: no answer for 10 s: publishing"]
    assert not report.holds


def _count_behind_the_cursor(database: psycopg.Connection) -> int:
    """Rows that wait, unclaimed, with a smaller number than one that is published."""
    (found,) = database.execute("""
        select count(*) from labeling_waitingdecision waiting
        join labeling_dataset dataset on dataset.id = waiting.dataset_id
        join labeling_project project on project.id = dataset.project_id
        where project.slug = 'cursor' and waiting.publication_id is null and not waiting.removes
        and waiting.id < (select max(id) from labeling_datasetentry entry where entry.dataset_id = dataset.id)
    """).fetchone()
    return int(found)


def _wait_for_publications(load: Run, count: int) -> None:
    def enough() -> bool:
        load.histories.read_on()
        return sum(line["state"] == "done" for line in load.histories.of("publish")) >= count

    wait_for(enough, 60, f"{count} publications")

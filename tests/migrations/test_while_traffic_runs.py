"""A migration of the safe kinds runs beside traffic: nobody is refused and nothing is lost."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from labeling.ledger.checks import check_ledger
from labeling.trust.services import fold_deltas
from tests.world import Beside, World, a_row

BEFORE, AFTER = "0014_checks", "0016_ledger_since"


@pytest.mark.slow
def test_new_tables_and_concurrent_indexes_stop_nobody(live_world: World) -> None:
    otto, rita = live_world.api("otto"), live_world.api("rita")
    finished = threading.Event()
    sent: list[str] = []
    decided: list[int] = []

    def send() -> None:
        while not finished.is_set():
            row = a_row(confidence=0.99 if len(sent) % 2 else 0.8)
            otto.predict(row).expect(201)
            sent.append(row["id"])

    def review() -> None:
        while not finished.is_set():
            claimed = rita.claim(1)
            if claimed:
                decided.append(rita.decide(claimed[0], "confirmed").expect(201)["decision"])

    work: list[Any] = [Beside(send), Beside(review)]
    try:
        with connection.cursor() as cursor:
            cursor.execute("select count(*) from labeling_ledgerrun")
        for state in (BEFORE, AFTER, BEFORE, AFTER):
            call_command("migrate", "labeling", state, verbosity=0)
        call_command("migrate", verbosity=0)
    finally:
        finished.set()
        for one in work:
            one.end()
    assert len(sent) > 5
    assert decided
    otto.outcomes()
    fold_deltas()
    assert [finding for finding in check_ledger() if finding.wrong] == []

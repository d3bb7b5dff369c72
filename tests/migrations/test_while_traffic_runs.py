"""A migration of the safe kinds runs beside traffic: nobody is refused and nothing is lost."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader

from labeling.ledger.checks import check_ledger
from labeling.trust.services import fold_deltas
from tests.world import Beside, World, a_row

MOST_ROUNDS = 200


class Safe(migrations.Migration):
    """One operation of each safe kind of docs/migrations.md, on tables that the traffic writes."""

    atomic = False
    operations = [
        migrations.CreateModel(
            "Draft",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("project", models.ForeignKey("labeling.Project", on_delete=models.PROTECT)),
            ],
        ),
        migrations.AddField("decision", "draft", models.TextField(null=True)),
        AddIndexConcurrently("itemkey", models.Index(fields=["route"], name="draft_of_itemkey")),
        migrations.RunSQL(
            "alter table labeling_decision add constraint draft_fits check (draft is null) not valid",
            "alter table labeling_decision drop constraint draft_fits",
        ),
        migrations.RunSQL(
            "alter table labeling_decision validate constraint draft_fits", migrations.RunSQL.noop
        ),
    ]


def run_forwards_and_backwards() -> None:
    before = MigrationLoader(connection).project_state()
    migration = Safe("safe", "labeling")
    with connection.schema_editor(atomic=False) as editor:
        migration.apply(before.clone(), editor)
        migration.unapply(before.clone(), editor)


@pytest.mark.slow
def test_the_safe_kinds_stop_nobody(live_world: World) -> None:
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
        for _ in range(MOST_ROUNDS):
            run_forwards_and_backwards()
            if len(sent) > 20 and len(decided) > 2:
                break
    finally:
        finished.set()
        for one in work:
            one.end()
    assert len(sent) > 20
    assert len(decided) > 2
    otto.outcomes()
    fold_deltas()
    assert [finding for finding in check_ledger() if finding.wrong] == []

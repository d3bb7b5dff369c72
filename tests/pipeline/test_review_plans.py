"""What claiming, deciding and reading the feed ask for on filled tables: indexes, and few statements."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labeling.bulk import Prepared
from labeling.decisions import outcomes
from labeling.ids import first_id_at
from labeling.ingestion.models import ModelVersion
from labeling.ingestion.partitions import TABLES, list_partitions
from labeling.pipeline import at_once, holding, recording
from labeling.review import claiming, given
from labeling.review.models import QueueMark, ReviewQueue
from labeling.review.services import claim_statement
from tests.world import World, a_row

ROWS = 20_000
_FILL = """
create temporary table filled on commit drop as
select %(base)s::bigint + n as id, n from generate_series(1, %(rows)s) n;
insert into labeling_item (id, project_id, key, input) select id, %(project)s, 'k' || n, '{"text":"x"}' from filled;
insert into labeling_prediction (id, project_id, item_id, model_version_id, output, confidence, label, route, reason,
                                 policy_number, period_id, audit_probability, audited)
select id, %(project)s, id, %(version)s, '{"label":"a"}', 0.8, 'a', case when n %% 2 = 0 then 'review' else 'auto' end,
       'threshold', 1, 1, 0, false from filled;
insert into labeling_reviewtask (id, project_id, queue_id, kind, purpose, state, item_id, prediction_id, model_version_id,
                                 confidence, label, slot, priority, position)
select id, %(project)s, %(queue)s, 'review', 'review', case when n %% 4 = 0 then 'waiting' else 'decided' end, id, id,
       %(version)s, 0.8, 'a', 1, 0, id from filled where n %% 2 = 0;
insert into labeling_acceptedlabel (item_id, project_id, revision) select id, %(project)s, 0 from filled where n %% 4 = 2;
insert into labeling_outcomebatch (project_id, of_predictions, entries, size, first_number)
select %(project)s, true, array[id], 1, n from filled;
insert into labeling_outcome (id, project_id, item_id, prediction_id, origin, revision)
select id, %(project)s, id, id, 'human', 1 from filled;
analyze labeling_item; analyze labeling_prediction; analyze labeling_reviewtask; analyze labeling_acceptedlabel;
analyze labeling_outcomebatch; analyze labeling_outcome
"""


@pytest.fixture
def values(world: World) -> dict[str, Any]:
    """Values for every statement, about a project whose tables are filled."""
    project = world.letters
    queue = ReviewQueue.objects.get(project=project, slug="default")
    QueueMark.objects.get_or_create(queue=queue, priority=0)
    version = ModelVersion.objects.create(project=project, name="reader", version="1")
    base = first_id_at(timezone.now())
    filling = {
        "base": base,
        "rows": ROWS,
        "project": project.pk,
        "queue": queue.pk,
        "version": version.pk,
    }
    with connection.cursor() as cursor:
        cursor.execute(_FILL, filling)
    now = timezone.now()
    task = base + 4
    return {
        "project": project.pk,
        "slug": project.slug,
        "user": world.rita.actor.user_id,
        "now": now,
        "expires": now + timedelta(minutes=10),
        "key": None,
        "is_admin": False,
        "task": task,
        "item": task,
        "prediction": task,
        "token": str(uuid.uuid4()),
        "after": 5_000,
        "limit": 1_000,
        "purpose": "review",
        "verdict": "confirmed",
        "output": None,
        "agreed": True,
        "note": "",
        "seconds": 1.0,
        "claim_token": uuid.uuid4(),
        "request_hash": uuid.uuid4(),
        "supersedes": None,
        "guidelines": 0,
        "by": world.rita.actor.user_id,
        "at": now,
        "label": None,
        "origin": "human",
        "revision": 1,
        "is_work": True,
        "claimed_at": now,
        "delta": "[]",
    }


def scanned_whole(statement: str | Prepared, values: dict[str, Any]) -> set[str]:
    """Tables with many rows that a statement would read from end to end."""
    with connection.cursor() as cursor:
        cursor.execute("select relname from pg_class where reltuples > 1000")
        big = {row[0] for row in cursor.fetchall()}
    steps = _plan(statement, values)
    return {step["Relation Name"] for step in steps if step["Node Type"] == "Seq Scan"} & big


def _plan(statement: str | Prepared, values: dict[str, Any]) -> list[dict[str, Any]]:
    text = statement.statement if isinstance(statement, Prepared) else statement
    with connection.cursor() as cursor:
        cursor.execute(f"explain (format json) {text}", values)
        (plan,) = cursor.fetchone()
    return _steps((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])


def _steps(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(step for below in plan.get("Plans", ()) for step in _steps(below))]


@pytest.mark.slow
def test_statements_find_their_rows_by_index(values: dict[str, Any]) -> None:
    queue = {"queue": ReviewQueue.objects.get(project=values["project"], slug="default").pk}
    written = recording.statement_of(finishes=True, applies=True, serves=True, offers=True)
    assert scanned_whole("select * from labeling_reviewtask", values) == {"labeling_reviewtask"}
    assert scanned_whole(claim_statement(1), {**values, **queue}) == set()
    assert scanned_whole(claim_statement(50), {**values, **queue}) == set()
    assert scanned_whole(claiming.OPEN, {**values, "queue": "default"}) == set()
    assert scanned_whole(holding.HOLD, values) == set()
    assert scanned_whole(given.READ, values) == set()
    assert scanned_whole(written, values) == set()
    at_once_too = {**values, **queue, "schema": 1, "policy": 1}
    for and_next in (True, False):
        assert scanned_whole(at_once.statement_of(and_next=and_next), at_once_too) == set()
    assert scanned_whole(outcomes.READ, values) == set()
    for table in TABLES:  # what the functions ask that read one row of these
        assert scanned_whole(f"select * from {table} where id = %(item)s", values) == set()


def test_claiming_and_deciding_do_not_grow_with_the_weeks(values: dict[str, Any]) -> None:
    """No partition is part of a statement: each would be made ready for every execution, and there is one more every week."""
    queue = ReviewQueue.objects.get(project=values["project"], slug="default").pk
    partitions = set(list_partitions())
    values |= {"queue": queue, "schema": 1, "policy": 1}
    whole = {step.get("Relation Name") for step in _plan("select * from labeling_item", values)}
    assert whole & partitions
    for statement in (claim_statement(1), holding.HOLD, given.READ, at_once.statement_of(and_next=True)):
        read = {step.get("Relation Name") for step in _plan(statement, values)}
        assert "labeling_reviewtask" in read
        assert read & partitions == set()


def test_one_decision_and_one_claim_cost_little(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision is one statement, a claim two; a decision about what was claimed elsewhere reads it first."""
    world.api("otto").predict([a_row() for _ in range(4)]).expect(200)
    rita = world.api("rita")
    task = rita.claim_one()
    rita.decide(task, "confirmed").expect(201)
    with CaptureQueriesContext(connection) as claiming_one:
        task = rita.claim_one()
    with CaptureQueriesContext(connection) as deciding:
        rita.decide(task, "confirmed").expect(201)
    assert len(claiming_one) == 2
    assert len(deciding) == 1
    task = rita.claim_one()
    monkeypatch.setattr(at_once, "recall", lambda _token: None)
    with CaptureQueriesContext(connection) as deciding:
        rita.decide(task, "confirmed").expect(201)
    assert len(deciding) == 2

"""The statements of ingestion read what they need through indexes, on tables that hold something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.world import Api, World, a_row

ROWS = 20_000
_FILL = """
insert into labeling_itemkey (key_hash, project_id, item_id, input_hash, model_version_id, content_hash, route, policy_number)
select gen_random_uuid(), %(project)s, n, gen_random_uuid(), 1, gen_random_uuid(), 'auto', 1 from generate_series(1, %(rows)s) n;
insert into labeling_predictionkey (prediction_id, item_id, model_version_id, content_hash, route, policy_number)
select n, n, 1, gen_random_uuid(), 'auto', 1 from generate_series(1, %(rows)s) n;
insert into labeling_project (slug, name, task_type, time_zone, simulation, schema_number, guidelines_number, policy_number,
                              routing_epoch, lottery_secret, publish_every_seconds, publish_after_decisions, notice)
select 'filler-' || n, 'x', 'text', 'UTC', false, 1, 0, 0, 1, '', 900, 1000, '' from generate_series(1, 2000) n;
analyze labeling_itemkey, labeling_predictionkey, labeling_project;
"""


@pytest.fixture
def otto(world: World) -> Api:
    api = world.api("otto")
    api.predict([a_row(confidence=c) for c in (0.99, 0.8, 0.1)]).expect(200)  # what is remembered is
    with connection.cursor() as cursor:
        cursor.execute(_FILL, {"project": world.letters.pk, "rows": ROWS})
    return api


def steps(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(step for part in plan.get("Plans", []) for step in steps(part))]


def plans_of(work: Callable[[], Any]) -> list[list[dict[str, Any]]]:
    """The steps of the plan of each statement that a request executes."""
    with CaptureQueriesContext(connection) as queries:
        work()
    plans = []
    with connection.cursor() as cursor:
        for query in queries:
            sql = query["sql"]
            if sql.lstrip().lower().startswith(("select", "with", "insert")):
                kind = "generic_plan, " if "$1" in sql else ""  # prepared: its values are not part of it
                cursor.execute(f"explain ({kind}format json) " + sql.replace("%", "%%"), ())
                plans.append(steps(cursor.fetchone()[0][0]["Plan"]))
    return plans


def assert_through_indexes(plans: list[list[dict[str, Any]]], *tables: str) -> None:
    """Each of these filled tables is read, and only through indexes."""
    for table in tables:
        read = [step["Node Type"] for plan in plans for step in plan if step.get("Relation Name") == table]
        assert [kind for kind in read if "Scan" in kind], f"{table} is not read"
        assert "Seq Scan" not in read, table


def test_new_rows(otto: Api) -> None:
    rows = [a_row(confidence=(0.99, 0.8, 0.1)[n % 3]) for n in range(300)]
    plans = plans_of(lambda: otto.predict(rows).expect(200))
    assert_through_indexes(plans, "labeling_project")
    assert "labeling_itemkey" not in {step.get("Relation Name") for plan in plans for step in plan}


def test_new_rows_after_some_that_were_known(otto: Api) -> None:
    known = a_row()
    otto.predict([known]).expect(200)
    otto.predict([known]).expect(200)
    plans = plans_of(lambda: otto.predict([a_row() for _ in range(300)]).expect(200))
    assert_through_indexes(plans, "labeling_project", "labeling_itemkey")


@pytest.mark.parametrize("confidence", [0.99, 0.8, 0.1])
def test_a_single_new_row(otto: Api, confidence: float) -> None:
    plans = plans_of(lambda: otto.predict(a_row(confidence=confidence)).expect(201))
    assert_through_indexes(plans, "labeling_project")


def test_known_rows(otto: Api) -> None:
    rows = [a_row() for _ in range(100)]
    otto.predict(rows).expect(200)
    otto.predict(rows).expect(200)
    plans = plans_of(lambda: otto.predict(rows).expect(200))
    assert_through_indexes(plans, "labeling_project", "labeling_itemkey", "labeling_predictionkey")

"""A search reads little of a big table, says how far it has looked, and goes on from there."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.history.queries import list_events
from labeling.ids import moment_of
from labeling.ingestion.models import ModelVersion, Prediction
from labeling.pipeline import search
from labeling.pipeline.items import get_item_story
from labeling.pipeline.search import list_predictions
from labeling.projects.models import Project
from labeling.routing.models import PolicyPeriod
from tests.world import World, a_row

FILLED = 30_000
"""Predictions of another day, a tenth of them in another project."""

# Ids of the last hours before now; inputs of about 60 bytes.
_FILL = """
with place as (select {first} + n * 1024 as id, case when n % 10 = 0 then {other} else {project} end as project, n
               from generate_series(1, {count}) n),
item as (insert into labeling_item (id, project_id, key, input)
         select id, project, 'filled-' || n, json_build_object('text', 'Letter number ' || n) from place)
insert into labeling_prediction (id, project_id, item_id, model_version_id, output, confidence, label, segment, route,
                                 reason, policy_number, period_id, audit_probability, audited)
select id, project, id, {version}, '{{"label": "a"}}', 0.8, 'a', case when n % 3 = 0 then 'Basel' else 'Bern' end,
       (array['auto', 'review', 'fallback', 'settled'])[1 + n % 4], 'medium', 1, {period}, 0, false
from place
"""


@pytest.fixture
def filled(world: World) -> Project:
    """A big project; the newest prediction is really one of it, so that ids are today's."""
    world.api("otto").predict(a_row(id="newest")).expect(201)
    newest = Prediction.objects.get()
    other = world.make_project("others")
    with connection.cursor() as cursor:
        cursor.execute(
            _FILL.format(
                first=newest.pk - (FILLED + 10) * 1024,
                count=FILLED,
                project=world.letters.pk,
                other=other.pk,
                version=ModelVersion.objects.get().pk,
                period=PolicyPeriod.objects.filter(project=world.letters).latest("pk").pk,
            )
        )
        cursor.execute("analyze labeling_prediction, labeling_item")
    return world.letters


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in nodes(child))]


def explained(work: Any) -> list[dict[str, Any]]:
    """The nodes of the plans of every statement in which predictions or items are read, as they were carried out."""
    with CaptureQueriesContext(connection) as queries:
        work()
    found = []
    with connection.cursor() as cursor:
        for query in queries:
            if "labeling_prediction" in query["sql"] or "labeling_item " in query["sql"]:
                cursor.execute("explain (analyze, format json) " + query["sql"])
                (plan,) = cursor.fetchone()
                found += nodes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
    return found


def rows_read(plan: list[dict[str, Any]], table: str) -> int:
    return sum(
        round(node["Actual Rows"] * node["Actual Loops"]) + node.get("Rows Removed by Filter", 0)
        for node in plan
        if node.get("Relation Name", "").startswith(table)
    )


SEARCHES = [
    ({}, 60),
    ({"route": "auto"}, 60),
    ({"id": "filled-77"}, 60),
    ({"from": "2025-01-01", "to": "2025-01-02"}, 1),
    ({"segment": "Nowhere"}, search._MOST_SCANNED * 4),
    ({"verdict": "confirmed"}, search._MOST_SCANNED * 4),
    ({"label": "b", "model_version": "7"}, search._MOST_SCANNED * 4),
    ({"q": "no such thing"}, search._MOST_READ * 4),
]


@pytest.mark.slow
def test_a_search_reads_no_more_than_it_may(filled: Project, subtests: pytest.Subtests) -> None:
    for filters, most in SEARCHES:
        with subtests.test(str(filters)):
            plan = explained(lambda f=filters: list_predictions(filled, filters=f, before=None, limit=50))  # type: ignore[misc]
            scans = [node for node in plan if node["Node Type"] == "Seq Scan"]
            assert rows_read(scans, "labeling_prediction") == rows_read(scans, "labeling_item_") == 0
            assert rows_read(plan, "labeling_item_") <= search._MOST_SCANNED * 2
            assert rows_read(plan, "labeling_prediction") <= most * (4 if most == 60 else 1)


@pytest.mark.slow
def test_it_says_how_far_it_has_looked_and_goes_on(filled: Project) -> None:
    page = list_predictions(filled, filters={"q": "number 42"}, before=None, limit=5)
    seen = 0
    found: list[str] = []
    while True:
        assert page.looked_at <= search._MOST_READ
        assert page.back_to is not None
        seen += 1
        found += [row["id"] for row in page.rows]
        if page.next_before is None:
            break
        if len(page.rows) < 5:
            assert page.looked_at == search._MOST_READ
        page = list_predictions(filled, filters={"q": "number 42"}, before=page.next_before, limit=5)
    assert seen > FILLED * 0.9 // search._MOST_READ
    assert len(found) == len(set(found)) == sum(str(n)[:2] == "42" for n in range(FILLED + 1) if n % 10)


def test_a_search_of_texts_is_bounded_in_bytes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs can be megabytes: a page stops when it has read enough, and passes over what is too long by itself."""
    rows = [
        a_row(id=f"i-{n}", input={"text": random.Random(n).randbytes(900 if n == 1 else 30).hex() + "needle"})
        for n in range(5)
    ]
    world.api("otto").predict(rows).expect(200)
    with connection.cursor() as cursor:
        cursor.execute("select pg_column_size(input) from labeling_item order by id")
        sizes = [row[0] for row in cursor.fetchall()]
    monkeypatch.setattr(search, "_MOST_BYTES", sizes[0] * 2 - 1)
    assert sizes[1] > sizes[0] * 2, "the long one is longer, also as it is stored"
    found, before, pages = [], None, 0
    while True:
        page = list_predictions(world.letters, filters={"q": "needle"}, before=before, limit=50)
        found += [row["id"] for row in page.rows]
        pages += 1
        before = page.next_before
        if before is None:
            break
    assert found == ["i-4", "i-3", "i-2", "i-0"]
    assert pages >= 4


def test_days_are_those_of_the_project(world: World) -> None:
    project = world.make_project("kyoto", time_zone="Asia/Tokyo")
    world.api("otto", at=project).predict(a_row()).expect(201)
    arrived = moment_of(Prediction.objects.get().pk)
    with connection.cursor() as cursor:
        cursor.execute("select (%s at time zone 'Asia/Tokyo')::date", [arrived])
        day = cursor.fetchone()[0]
    for text, count in ((day.isoformat(), 1), (day.replace(year=day.year + 1).isoformat(), 0)):
        filters = {"from": text, "to": text}
        assert len(list_predictions(project, filters=filters, before=None, limit=9).rows) == count


def test_the_story_tells_it_all(world: World) -> None:
    otto, rita, rolf = world.api("otto"), world.api("rita"), world.api("rolf")
    otto.predict(a_row(id="x")).expect(201)
    rolf.on_task(rolf.claim_one(), "skip", reason="too dark").expect(204)
    decision = rita.decide(rita.claim_one(), "corrected", {"label": "b"}, note="look").expect(201)["decision"]
    rita.undo(decision, reason="slip").expect(200)
    rita.decide(rita.claim_one(), "confirmed").expect(201)
    rita.claim()
    story = get_item_story(world.letters, "x")
    (prediction,) = story["predictions"]
    assert prediction["in_force"]["high"] == 0.95
    assert prediction["in_force"]["reason"]
    (task,) = story["tasks"]
    assert (task["state"], task["queue"], task["claimed_by"]) == ("decided", "default", None)
    assert [(skip["by"], skip["reason"]) for skip in task["skipped"]] == [("rolf", "too dark")]
    assert "purpose" not in task, "whoever reads this may still meet a blind check"
    first, second = story["decisions"]
    assert (first["undone_by"], first["undone_because"]) == ("rita", "slip")
    assert second["undone_at"] is None
    assert [(outcome["revision"], outcome["output"]) for outcome in story["outcomes"]][-1][1] == {
        "label": "a"
    }
    assert [outcome["revision"] for outcome in story["outcomes"]] == sorted(
        {outcome["revision"] for outcome in story["outcomes"]}
    )


def test_an_automatic_outcome_is_the_first(world: World) -> None:
    world.api("otto").predict(a_row(id="x", confidence=0.99)).expect(201)
    (outcome,) = get_item_story(world.letters, "x")["outcomes"]
    assert (outcome["revision"], outcome["origin"], outcome["output"]) == (1, "auto", {"label": "a"})


def test_history_walks_its_index(world: World) -> None:
    """Pages by key, whatever the filter; nothing is counted."""
    for number in range(120):
        world.api("otto").patch("/projects/letters/", {"name": f"Name {number}"}).expect(200)
    project = world.letters
    everything = [event.pk for event in list_events(project.pk, filters={})]
    assert everything == sorted(everything, reverse=True)
    assert len(everything) > 120
    walked: list[int] = []
    while part := [
        e.pk for e in list_events(project.pk, filters={}, before=walked[-1] if walked else None)[:50]
    ]:
        walked += part
    assert walked == everything
    assert len(list_events(project.pk, filters={"kind": "project"})) == 121
    assert len(list_events(project.pk, filters={"kind": "project.changed", "who": "otto"})) == 120
    assert not list_events(project.pk, filters={"who": "rita"})
    assert not list_events(project.pk, filters={"from": "2100-01-01"})
    assert not list_events(project.pk, filters={"to": "2025-01-01"})

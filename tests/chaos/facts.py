"""What the instance has when all is over, read with statements of our own and, for files and feed, over the API."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg


@dataclass
class Facts:
    """Everything of one project that the checker compares. Lists where there should be exactly one."""

    predictions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    decisions: dict[int, dict[str, Any]] = field(default_factory=dict)
    ledger: dict[int, int] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    records: dict[str, list[Any]] = field(default_factory=dict)
    feed: list[list[Any]] = field(default_factory=list)
    open_tasks: int = 0
    complaints: list[str] = field(default_factory=list)


_PREDICTIONS = """
    select item.key, prediction.id, prediction.route
    from labeling_prediction prediction join labeling_item item on item.id = prediction.item_id
    where prediction.project_id = %s
"""

_DECISIONS = """
    select decision.id, decision.task_id, decision.claim_token::text, decision.verdict, decision.output::text, item.key,
           users.username, withdrawal.id is not null,
           decision.purpose not in ('sentinel', 'second_review')
           and not (decision.purpose = 'audit' and not decision.agreed and exists (
               select from labeling_reviewtask third
               where third.item_id = decision.item_id and third.purpose = 'adjudication' and third.state <> 'cancelled'))
    from labeling_decision decision
    join labeling_item item on item.id = decision.item_id
    join auth_user users on users.id = decision.decided_by_id
    left join labeling_withdrawal withdrawal on withdrawal.decision_id = decision.id
    where decision.project_id = %s order by decision.id
"""

_LEDGER = """
    select entry.decision_id, count(*) from labeling_datasetentry entry
    join labeling_dataset dataset on dataset.id = entry.dataset_id
    where dataset.project_id = %s and not entry.removes group by 1
"""

_WAITING = """
    select waiting.decision_id from labeling_waitingdecision waiting
    join labeling_dataset dataset on dataset.id = waiting.dataset_id
    where dataset.project_id = %s and not waiting.removes
"""

_OPEN_TASKS = (
    "select count(*) from labeling_reviewtask where project_id = %s and state in ('waiting', 'claimed')"
)


def read_facts(database: psycopg.Connection, http: httpx.Client, slug: str) -> Facts:
    """All facts of a project; nobody works on it any more."""
    facts = Facts()
    (project,) = database.execute("select id from labeling_project where slug = %s", [slug]).fetchone()
    for key, prediction, route in database.execute(_PREDICTIONS, [project]):
        facts.predictions.setdefault(key, []).append({"prediction": prediction, "route": route})
    for decision, task, token, verdict, output, item, who, withdrawn, counts in database.execute(
        _DECISIONS, [project]
    ):
        facts.decisions[decision] = {
            "task": task,
            "token": token,
            "verdict": verdict,
            "output": json.loads(output) if output else None,
            "item": item,
            "who": who,
            "withdrawn": withdrawn,
            "counts": counts,  # not an opinion that another person's answer settles
        }
    facts.ledger = dict(database.execute(_LEDGER, [project]).fetchall())
    facts.waiting = {row[0] for row in database.execute(_WAITING, [project])}
    (facts.open_tasks,) = database.execute(_OPEN_TASKS, [project]).fetchone()
    facts.feed = list(_feed(http, slug))
    _read_dataset(http, slug, facts)
    return facts


def _feed(http: httpx.Client, slug: str) -> Any:
    after = 0
    while True:
        found = (
            http.get(f"/projects/{slug}/outcomes/", params={"after": after, "limit": 1000})
            .raise_for_status()
            .json()
        )
        if not found["results"]:
            return
        for entry in found["results"]:
            yield [entry["cursor"], entry["id"], entry["revision"], entry["output"]]
        after = found["results"][-1]["cursor"]


def _read_dataset(http: httpx.Client, slug: str, facts: Facts) -> None:
    latest = f"/projects/{slug}/datasets/main/versions/latest/"
    records = http.get(f"{latest}records/", params={"format": "jsonl"})
    if records.status_code == 404:
        return
    for line in records.raise_for_status().text.splitlines():
        record = json.loads(line)
        facts.records.setdefault(record["record_id"], []).append(record["label"])
    verified = http.post(f"{latest}verify/", json={"full": True}).raise_for_status().json()
    facts.complaints += [f"dataset: {problem}" for problem in verified["problems"]]

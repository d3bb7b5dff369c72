"""A small project in which everything has happened once: all routes, all verdicts, an undo, a publication."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from labeling.decisions.outcomes import number_all_outcomes
from labeling.history.actor import Actor
from labeling.ingestion.decoding import decode_array
from labeling.ingestion.partitions import ensure_partitions
from labeling.pipeline.accepting import accept_predictions
from labeling.pipeline.deciding import decide, undo_decision
from labeling.pipeline.overflowing import keep_within_limits
from labeling.pipeline.placing import Accepted, Door
from labeling.pipeline.projects import create_project
from labeling.projects.models import Membership, Project, Role
from labeling.review.claims import Claim
from labeling.review.models import ReviewQueue
from labeling.review.services import claim_next
from labeling.routing.queries import load_rules
from labeling.routing.services import publish_policy
from labeling.trust.services import fold_deltas

POLICY = {"audit_rate": 0.5, "sentinel_rate": 0, "high": 0.9, "low": 0.5}
OVERFLOWING = {
    **POLICY,
    "fallback": {"mode": "constant", "output": {"label": "c"}},
    "overflow": {"mode": "fallback", "after_seconds": 60},
}


@dataclass
class LedgerWorld:
    """One project and two people. What is done goes through the pipeline, as it does for the API."""

    project: Project
    rita: Actor
    otto: Actor
    answers: dict[str, Accepted] = field(default_factory=dict)

    def accept(self, *rows: dict[str, Any]) -> None:
        """Predictions come in."""
        body = [
            {"input": {"text": "t"}, "prediction": {"label": "a"}, "confidence": 0.7, "model": "m", **row}
            for row in rows
        ]
        queue = ReviewQueue.objects.get(project=self.project, slug="default")
        door = Door(load_rules(self.project.pk), queue.pk, None)
        for answer in accept_predictions(door=door, rows=list(decode_array(json.dumps(body).encode()))):
            assert answer.status == "created", answer
            self.answers[str(answer.id)] = answer

    def claim(self, count: int = 1, queue: str = "default", by: Actor | None = None) -> list[Claim]:
        """Tasks for a person."""
        found = ReviewQueue.objects.get(project=self.project, slug=queue)
        return claim_next(queue=found, by=by or self.rita, count=count, lease=timedelta(minutes=10))

    def decide(self, claim: Claim, verdict: str | None = None, by: Actor | None = None, **more: Any) -> int:
        """The person decides; by default labels what has no suggestion and confirms what has one."""
        if verdict is None:
            verdict = "confirmed" if claim.task.kind == "review" else "labelled"
        if verdict in ("labelled", "corrected"):
            more.setdefault("output", {"label": "a" if verdict == "labelled" else "b"})
        made = decide(
            task_id=claim.task.pk, token=str(claim.token), verdict=verdict, by=by or self.rita, **more
        )
        return int(made.body["decision"])


@pytest.fixture
def empty_world(db: None) -> LedgerWorld:
    """The project before anything has happened."""
    ensure_partitions()
    users = get_user_model().objects
    people = [users.create_user(name, password=None) for name in ("rita", "otto")]
    rita, otto = (
        Actor(user_id=user.pk, username=user.get_username(), is_admin=user is people[1]) for user in people
    )
    project = create_project(
        slug="letters",
        name="Letters",
        task_type="classification",
        label_schema={"labels": ["a", "b", "c"]},
        policy=POLICY,
        by=otto,
    )
    Membership.objects.create(project=project, user_id=rita.user_id, role=Role.REVIEWER)
    return LedgerWorld(project, rita, otto)


@pytest.fixture
def world(empty_world: LedgerWorld) -> LedgerWorld:
    """Everything once: routes, audits, verdicts, an escalation, an undo, a further and a settled prediction,
    a review that the fallback answers, open tasks."""
    world = empty_world
    world.accept(*[{"id": f"auto-{n}", "confidence": 0.95} for n in range(12)])
    world.accept(*[{"id": f"review-{n}"} for n in range(8)])
    world.accept(*[{"id": f"low-{n}", "confidence": 0.2} for n in range(3)])
    claims = [claim for claim in world.claim(50) if claim.task.purpose == "review"]
    for claim in claims[:3]:
        world.decide(claim)
    world.decide(claims[3], "corrected")
    world.decide(claims[4], "rejected")
    undo_decision(decision_id=world.decide(claims[5]), by=world.rita)
    world.decide(claims[6], "escalated")
    (escalated,) = world.claim(queue="leads", by=world.otto)
    world.decide(escalated, "corrected", by=world.otto)
    world.accept({"id": "review-0", "model_version": "2"}, {"id": "review-7", "model_version": "2"})
    world.accept({"id": "auto-0", "model_version": "2", "confidence": 0.99})
    publish_policy(project=world.project, body=OVERFLOWING, by=world.otto)
    world.accept({"id": "overdue"})
    assert keep_within_limits(timezone.now() + timedelta(hours=1)) == 1
    number_all_outcomes()
    fold_deltas()
    return world


Break = Callable[..., None]


@pytest.fixture
def break_by(db: None) -> Break:
    """Runs a statement that the database would refuse: the guards of its table are off for that moment."""

    def run(table: str, statement: str, *values: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("set constraints all immediate")
            cursor.execute(f"alter table {table} disable trigger user")
            cursor.execute(statement, values)
            assert cursor.rowcount > 0, "the statement broke nothing"
            cursor.execute("set constraints all immediate")
            cursor.execute(f"alter table {table} enable trigger user")

    return run

"""A random walk through the whole pipeline beside a small model of it: whatever the order, both tell the same story."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from labeling.datasets.models import Dataset, DatasetEntry
from labeling.datasets.services import publish
from labeling.decisions.models import Decision
from labeling.ledger.checks import check_ledger
from labeling.review.models import ReviewTask, TaskState
from labeling.review.services import release_expired
from labeling.trust.services import fold_deltas
from tests.world import Api, World, a_row

KEYS = ["i1", "i2", "i3", "i4"]
PEOPLE = ["rita", "rolf"]
people = st.sampled_from(PEOPLE)


@dataclass
class Known:
    """What the model knows of an item. `label`: what a person has said, `...` when nobody has."""

    label: Any = ...
    served: Any = ...
    holder: str | None = None
    task: dict[str, Any] | None = None
    decision: int | None = None
    decided_by: str | None = None
    published: bool = False
    versions: set[str] = field(default_factory=set)


class Walk(RuleBasedStateMachine):
    """Rita and Rolf review what Otto sends. Each example lives in a transaction that is rolled back."""

    @initialize()
    def begin(self) -> None:
        self.atomic = transaction.atomic()
        self.atomic._from_testcase = True
        self.atomic.__enter__()
        self.world = World()
        self.otto = self.world.api("otto")
        self.apis: dict[str, Api] = {name: self.world.api(name) for name in PEOPLE}
        self.items: dict[str, Known] = {}

    def teardown(self) -> None:
        if hasattr(self, "atomic"):
            transaction.set_rollback(True)
            self.atomic.__exit__(None, None, None)

    # --- What can happen ---------------------------------------------------------------------------------------

    @rule(key=st.sampled_from(KEYS), version=st.sampled_from("12"), confidence=st.sampled_from([0.8, 0.99]))
    def predict(self, key: str, version: str, confidence: float) -> None:
        row = a_row(id=key, model_version=version, confidence=confidence)
        reply = self.otto.predict(row)
        known = self.items.get(key)
        if known is not None and version in known.versions:
            assert reply.status in (200, 409)
            return
        answer = reply.expect(201)
        known = self.items.setdefault(key, Known())
        known.versions.add(version)
        if known.label not in (..., None):
            assert (answer["route"], answer["output"]) == ("settled", known.label)
        elif confidence == 0.99:
            assert (answer["route"], answer["output"]) == ("auto", {"label": "a"})
            known.served = {"label": "a"}
        else:
            assert (answer["route"], answer["status"]) == ("review", "pending")

    @rule(name=people)
    def claim(self, name: str) -> None:
        free = {task.pk for task in ReviewTask.objects.filter(state=TaskState.WAITING)}
        claimed = self.apis[name].claim(1)
        assert bool(claimed) == bool(free), "nobody sees nothing while a task is free"
        for task in claimed:
            known = self.items[task["item"]["id"]]
            assert known.holder is None
            known.holder, known.task = name, task

    @precondition(lambda self: any(known.holder for known in self.items.values()))
    @rule(data=st.data(), verdict=st.sampled_from(["confirmed", "corrected", "rejected"]))
    def decide(self, data: st.DataObject, verdict: str) -> None:
        _, known = self.pick(data, lambda known: known.holder is not None)
        output = {"output": {"label": "b"}} if verdict == "corrected" else {}
        api = self.apis[str(known.holder)]
        answer = api.decide(known.task or {}, verdict, **output).expect(201)
        assert api.decide(known.task or {}, verdict, **output).expect(200) == answer
        known.label = known.served = answer["output"]
        known.decision, known.decided_by, known.published = answer["decision"], known.holder, False
        known.holder = known.task = None

    @precondition(lambda self: any(known.holder for known in self.items.values()))
    @rule(data=st.data(), verb=st.sampled_from(["release", "skip", "expire", "intrude"]))
    def lose(self, data: st.DataObject, verb: str) -> None:
        _, known = self.pick(data, lambda known: known.holder is not None)
        task, holder = known.task or {}, str(known.holder)
        if verb == "intrude":
            other = next(name for name in PEOPLE if name != holder)
            self.apis[other].decide(task, "confirmed").expect_problem(409, "claim_lost")
            return
        if verb == "expire":
            past = timezone.now() - timedelta(minutes=1)
            ReviewTask.objects.filter(pk=task["task"]).update(lease_expires_at=past)
            assert release_expired() == 1
        else:
            self.apis[holder].on_task(task, verb).expect(204)
        self.apis[holder].decide(task, "confirmed").expect_problem(409, "claim_lost")
        known.holder = known.task = None

    @precondition(lambda self: any(known.decision for known in self.items.values()))
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        _, known = self.pick(data, lambda known: known.decision is not None)
        reply = self.apis[str(known.decided_by)].undo(known.decision or 0)
        if known.published:
            reply.expect_problem(409, "already_published")
        else:
            reply.expect(200)
            known.label, known.decision = ..., None

    @rule()
    def publish(self) -> None:
        waiting = [known for known in self.items.values() if known.decision and not known.published]
        made = publish(Dataset.objects.get(project=self.world.letters).pk)
        if any(known.label is not None for known in waiting):
            assert made is not None
        for known in waiting:
            known.published = DatasetEntry.objects.filter(decision_id=known.decision).exists()

    def pick(self, data: st.DataObject, fits: Any) -> tuple[str, Known]:
        keys = sorted(key for key, known in self.items.items() if fits(known))
        key = data.draw(st.sampled_from(keys))
        return key, self.items[key]

    # --- What must always be so --------------------------------------------------------------------------------

    @invariant()
    def the_stories_agree(self) -> None:
        for key, known in getattr(self, "items", {}).items():
            story = self.otto.story(key)
            label = story["accepted_label"]
            if known.label is not ...:
                assert label is not None
                assert (label["output"], label["decision"]) == (known.label, known.decision)
            elif known.served is ...:
                assert label is None or label["decision"] is None
            assert len(story["predictions"]) == len(known.versions)

    @invariant()
    def the_feed_is_dense(self) -> None:
        if hasattr(self, "otto"):
            entries = self.otto.outcomes()
            assert [entry["cursor"] for entry in entries] == list(range(1, len(entries) + 1))

    @invariant()
    def tasks_are_held_by_one(self) -> None:
        if hasattr(self, "items"):
            held = ReviewTask.objects.filter(state=TaskState.CLAIMED).values_list(
                "pk", "claimed_by__username"
            )
            assert dict(held) == {
                known.task["task"]: known.holder for known in self.items.values() if known.task
            }

    @invariant()
    def decisions_are_never_doubled(self) -> None:
        if hasattr(self, "items"):
            standing = Decision.objects.filter(withdrawal=None).values_list("task_id", flat=True)
            assert len(standing) == len(set(standing))

    @invariant()
    def the_ledger_is_green(self) -> None:
        if hasattr(self, "items"):
            fold_deltas()
            assert [finding for finding in check_ledger() if finding.wrong] == []


@pytest.mark.slow
@pytest.mark.django_db
def test_a_random_walk_tells_one_story() -> None:
    run_state_machine_as_test(
        Walk,
        settings=settings(
            derandomize=True,
            max_examples=8,
            stateful_step_count=20,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

"""Two things at once, again and again, in real connections: whatever came of them, one order of the two explains it.

The model is a task as one person at a time would meet it. Each step runs two operations at the same moment; their answers
and the state they leave must be what the model says of the first and then the second, or of the second and then the first.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from labeling.datasets.models import Dataset, DatasetEntry
from labeling.datasets.services import publish
from labeling.decisions.models import Decision
from labeling.ledger.checks import check_ledger
from labeling.review.models import ReviewTask
from labeling.review.services import release_expired
from labeling.trust.services import fold_deltas
from tests.world import World, a_row, in_threads

PEOPLE = ("rita", "rolf", "lea")
NOBODY = "00000000-0000-4000-8000-000000000000"
_slugs = itertools.count(1)
_notes = itertools.count(1)


@dataclass
class Said:
    """A decision as the model knows it. `note` names it before it has a number."""

    note: str
    by: str
    label: str
    published: bool = False
    withdrawn: bool = False


@dataclass
class Task:
    """What one item's task is to everybody. `hold` names the claim; tokens are what each person was last given."""

    state: str = "waiting"
    holder: str | None = None
    hold: str | None = None
    decisions: list[Said] = field(default_factory=list)
    claims: dict[str, str] = field(default_factory=dict)

    @property
    def standing(self) -> list[Said]:
        return [said for said in self.decisions if not said.withdrawn]

    def free(self) -> None:
        self.state, self.holder, self.hold = ("decided" if self.standing else "waiting"), None, None

    def seen(self) -> tuple[Any, ...]:
        """What can be seen from outside."""
        label = self.standing[-1].label if self.standing else None
        return self.state, self.holder, label, [said.note for said in self.standing]


@dataclass(frozen=True)
class Step:
    """An operation; `name` makes what it leaves recognisable."""

    verb: str
    who: str
    item: int
    name: str


def expect(tasks: list[Task], step: Step) -> int:
    """Do the step in the model; the status the API is to answer."""
    task = tasks[step.item]
    if step.verb == "publish":
        for said in (said for one in tasks for said in one.standing):
            said.published = True
        return 0
    if step.verb == "expire":
        if task.state == "claimed":
            task.free()
        return 0
    return {"claim": _claim, "decide": _decide, "release": _release, "undo": _undo, "reopen": _reopen}[
        step.verb
    ](task, step)


def _hold(task: Task, step: Step) -> int:
    task.state, task.holder, task.hold = "claimed", step.who, step.name
    task.claims[step.who] = step.name
    return 200


def _claim(task: Task, step: Step) -> int:
    free = task.state == "waiting" or (task.state == "claimed" and task.holder == step.who)
    return _hold(task, step) if free else 204


def _holds(task: Task, step: Step) -> bool:
    return task.holder == step.who and task.hold == task.claims.get(step.who)


def _decide(task: Task, step: Step) -> int:
    if not _holds(task, step):
        return 409
    task.decisions.append(Said(step.name, step.who, "bc"[int(step.name) % 2]))
    task.free()
    return 201


def _release(task: Task, step: Step) -> int:
    if not _holds(task, step):
        return 409
    task.free()
    return 204


def _undo(task: Task, step: Step) -> int:
    mine = [said for said in task.decisions if said.by == step.who]
    if not mine:
        return 404
    if mine[-1].withdrawn:
        return 200
    if mine[-1] is not task.standing[-1] or mine[-1].published:
        return 409
    if task.state == "claimed" and task.holder != step.who:
        return 409
    mine[-1].withdrawn = True
    task.free()
    return 200


def _reopen(task: Task, step: Step) -> int:
    if not task.standing:
        return 409
    if step.who != "lea" and task.standing[-1].by != step.who:
        return 403
    return 409 if task.holder not in (None, step.who) else _hold(task, step)


class TwoAtOnce(RuleBasedStateMachine):
    """Two items in a project of their own for each example; what is written stays until the test ends."""

    world: World

    @initialize()
    def begin(self) -> None:
        self.project = self.world.make_project(f"p{next(_slugs)}")
        self.otto = self.world.api("otto", at=self.project)
        self.apis = {name: self.world.api(name, at=self.project) for name in PEOPLE}
        self.otto.predict([a_row(id="0"), a_row(id="1")]).expect(200)
        self.ids = list(
            ReviewTask.objects.filter(project=self.project).order_by("pk").values_list("pk", flat=True)
        )
        self.tasks = [Task(), Task()]
        self.tokens: dict[tuple[int, str], str] = {}

    @rule(
        verbs=st.tuples(*[st.sampled_from(["claim", "claim", "decide", "decide", "release", "undo", "reopen", "expire", "publish"])] * 2),
        who=st.tuples(*[st.sampled_from(PEOPLE)] * 2),
        item=st.tuples(*[st.integers(0, 1)] * 2),
    )  # fmt: skip
    def together(self, verbs: tuple[str, ...], who: tuple[str, ...], item: tuple[int, ...]) -> None:
        steps = [Step(*three, str(next(_notes))) for three in zip(verbs, who, item, strict=True)]
        # What a person holds is read before both begin: neither knows what the other is about to be given.
        work = [partial(self._do, step, self._before(step)) for step in steps]
        replies = in_threads(work)
        for step, (_, token) in zip(steps, replies, strict=True):
            if token:
                self.tokens[step.item, step.who] = token
        statuses, seen = [status for status, _ in replies], self._seen()
        stories = [self._tell(order, steps) for order in ((0, 1), (1, 0))]
        fitting = [
            tasks for told, tasks in stories if (told, [task.seen() for task in tasks]) == (statuses, seen)
        ]
        assert fitting, f"{steps} answered {statuses} and left {seen}; the orders say {stories}"
        self.tasks = fitting[0]
        published = set(
            Decision.objects.filter(
                project=self.project, pk__in=DatasetEntry.objects.values("decision_id")
            ).values_list("note", flat=True)
        )
        for said in (said for task in self.tasks for said in task.standing):
            said.published = said.note in published

    def teardown(self) -> None:
        if not hasattr(self, "tasks"):
            return
        entries = self.otto.outcomes()
        assert [entry["cursor"] for entry in entries] == list(range(1, len(entries) + 1))
        for key in "01":
            revisions = [entry["revision"] for entry in entries if entry["id"] == key]
            assert revisions == list(range(1, len(revisions) + 1))
        fold_deltas()
        assert [finding for finding in check_ledger() if finding.wrong] == []

    def _before(self, step: Step) -> tuple[str, int]:
        """The token this person was last given, and the decision this person made last."""
        last = (
            Decision.objects.filter(task_id=self.ids[step.item], decided_by__username=step.who)
            .order_by("-pk")
            .values_list("pk", flat=True)
            .first()
        )
        return self.tokens.get((step.item, step.who), NOBODY), last or 0

    def _do(self, step: Step, before: tuple[str, int]) -> tuple[int, str | None]:
        """Status (0 where no status is told) and the token that was given, if any."""
        api, task, (token, decision) = self.apis[step.who], self.ids[step.item], before
        if step.verb == "publish":
            publish(Dataset.objects.get(project=self.project).pk)
            return 0, None
        if step.verb == "expire":
            past = timezone.now() - timedelta(minutes=1)
            ReviewTask.objects.filter(pk=task, state="claimed").update(lease_expires_at=past)
            release_expired()
            while ReviewTask.objects.filter(pk=task, state="claimed", lease_expires_at=past).exists():
                release_expired()  # a sweep passes over what somebody else has locked, and comes again
            return 0, None
        if step.verb == "claim":
            given = api.claim(1, task=task)
            return (200, given[0]["token"]) if given else (204, None)
        if step.verb == "reopen":
            reply = api.post(f"/tasks/{task}/reopen/", {})
            return reply.status, reply.body["token"] if reply.status == 200 else None
        if step.verb == "undo":
            return api.undo(decision).status, None
        held = {"task": task, "token": token}
        if step.verb == "release":
            return api.on_task(held, "release").status, None
        label = {"label": "bc"[int(step.name) % 2]}
        return api.decide(held, "corrected", label, note=step.name).status, None

    def _tell(self, order: tuple[int, int], steps: list[Step]) -> tuple[list[int], list[Task]]:
        """What the model answers and becomes when the steps come in this order."""
        tasks, statuses = copy.deepcopy(self.tasks), [0, 0]
        held = copy.deepcopy([task.claims for task in self.tasks])
        undone = [self._last_of(step) for step in steps]
        for index in order:
            step = steps[index]
            if step.verb in ("decide", "release"):  # with the token of before, whatever came since
                now = tasks[step.item].claims
                tasks[step.item].claims = held[step.item]
                statuses[index] = expect(tasks, step)
                tasks[step.item].claims = now
            elif step.verb == "undo" and undone[index] is None:
                statuses[index] = 404
            elif step.verb == "undo" and self._newer(tasks[step.item], step, undone[index]):
                statuses[index] = 409
            else:
                statuses[index] = expect(tasks, step)
        return statuses, tasks

    def _last_of(self, step: Step) -> str | None:
        mine = [said.note for said in self.tasks[step.item].decisions if said.by == step.who]
        return mine[-1] if mine else None

    def _newer(self, task: Task, step: Step, note: str | None) -> bool:
        """Whether the same person has decided once more meanwhile: the undo is of the decision before."""
        mine = [said for said in task.decisions if said.by == step.who]
        asked = next(said for said in mine if said.note == note)
        return mine[-1].note != note and not asked.withdrawn

    def _seen(self) -> list[tuple[Any, ...]]:
        found = []
        for number, task_id in enumerate(self.ids):
            task = ReviewTask.objects.select_related("claimed_by").get(pk=task_id)
            standing = Decision.objects.filter(task_id=task_id, withdrawal=None).order_by("pk")
            story = self.otto.story(str(number))["accepted_label"]
            label = story["output"]["label"] if story and story["decision"] else None
            holder = task.claimed_by.username if task.claimed_by else None
            found.append((task.state, holder, label, [decision.note for decision in standing]))
        return found


@pytest.mark.slow
def test_one_order_of_the_two_explains_what_came_of_them(live_world: World) -> None:
    machine = type("Machine", (TwoAtOnce,), {"world": live_world})
    run_state_machine_as_test(
        machine,
        settings=settings(
            derandomize=True,
            max_examples=7,
            stateful_step_count=14,
            deadline=None,
            phases=[Phase.generate],  # threads make shrinking slow and its result a matter of luck
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

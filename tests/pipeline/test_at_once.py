"""A decision in one statement: the same as the longer way in all it leaves, and closed to whatever has changed since the claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from labeling.datasets.models import Dataset, WaitingDecision
from labeling.decisions.models import AcceptedLabel, Decision, Outcome
from labeling.ledger.checks import check_ledger
from labeling.pipeline import at_once, deciding
from labeling.pipeline.people import remove_member, set_member
from labeling.pipeline.policies import publish_policy
from labeling.pipeline.projects import change_project
from labeling.pipeline.sentinels import add_sentinels
from labeling.projects.models import ApiKey, Project, Role
from labeling.projects.services import revoke_api_key
from labeling.review import given
from labeling.review.models import Exclusion, Purpose, ReviewQueue, ReviewTask
from labeling.review.tasks import LEADS_QUEUE
from labeling.trust.models import COUNTERS, REVIEWER_COUNTERS, ReviewerDay, TrustDay
from labeling.trust.services import fold_deltas
from tests.pipeline.test_sentinels import row
from tests.world import Api, Beside, World, a_row, in_threads, somebody_waits, uncommitted, wait_until


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many decisions were made at once, and how many the longer way."""
    counted: Counter[str] = Counter()

    def count(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **values: Any) -> Any:
            made = work(*args, **values)
            counted.update([name] * (made is not None))
            return made

        return counting

    monkeypatch.setattr(deciding, "decide_at_once", count("at once", at_once.decide_at_once))
    monkeypatch.setattr(deciding, "_decide", count("longer", deciding._decide))
    return counted


WAYS = ("remembered", "read", "longer")


def take(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on: what this process remembers, what it reads as if it had given out nothing, or the longer way for all."""
    if way != "remembered":
        monkeypatch.setattr(at_once, "recall", lambda _token: None)
    if way == "longer":
        monkeypatch.setattr(at_once, "read_given", lambda **_values: None)


def left(project: Project) -> dict[str, Any]:
    """Everything that decisions about a project leave, without ids and times."""
    fold_deltas()
    of = {"project_id": project.pk}

    def rows(manager: Any, *names: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in manager.order_by("pk").values_list(*names)]

    decisions = rows(
        Decision.objects.filter(**of),
        *("purpose", "verdict", "output", "agreed", "note", "seconds", "supersedes_id", "guidelines_number"),
        *("decided_by_id", "request_hash"),
    )
    days = TrustDay.objects.filter(**of)
    people = ReviewerDay.objects.filter(**of)
    return {
        "decisions": decisions,
        "labels": rows(AcceptedLabel.objects.filter(**of), "output", "origin", "revision"),
        "whose": [label.decision_id is not None for label in AcceptedLabel.objects.filter(**of)],
        "outcomes": rows(Outcome.objects.filter(**of), "output", "origin", "verdict", "revision"),
        "waiting": WaitingDecision.objects.filter(dataset__project=project, removes=False).count(),
        "tasks": Counter(ReviewTask.objects.filter(**of).values_list("purpose", "state", "reopened")),
        "holders": Counter(ReviewTask.objects.filter(**of).values_list("claimed_by__username", flat=True)),
        "barred": Exclusion.objects.filter(task__project=project).count(),
        "counts": {name: sum(days.values_list(name, flat=True)) for name in COUNTERS},
        "people": {name: sum(people.values_list(name, flat=True)) for name in REVIEWER_COUNTERS},
    }


def is_sound() -> bool:
    return not [finding for finding in check_ledger() if finding.wrong]


# --- the same, whichever way -------------------------------------------------------------------------------------------

QUIET = {"audit_rate": 0, "sentinel_rate": 0}
Work = Callable[[Api], None]


def confirm(rita: Api) -> None:
    for task in rita.claim(3):
        rita.decide(task, "confirmed", seconds=2.5, note="seen").expect(201)


def confirm_and_go_on(rita: Api) -> None:
    task = rita.claim_one()
    while task:
        task = rita.decide(task, "confirmed", next=True).expect(201)["next"]


def label(rita: Api) -> None:
    for task in rita.claim(3):
        rita.decide(task, "labelled", {"label": "b"}).expect(201)


def correct(rita: Api) -> None:
    for task in rita.claim(3):
        rita.decide(task, "corrected", {"label": "b"}, next=True).expect(201)


def correct_and_undo(rita: Api) -> None:
    task = rita.claim_one()
    made = rita.decide(task, "corrected", {"label": "b"}).expect(201)
    rita.undo(made["decision"]).expect(200)
    rita.decide(rita.claim_one(task=task["task"]), "confirmed").expect(201)


def reject_and_escalate(rita: Api) -> None:
    one, other, third = rita.claim(3)
    rita.decide(one, "rejected").expect(201)
    rita.decide(other, "escalated", next=True).expect(201)
    rita.decide(third, "confirmed").expect(201)


def send_twice(rita: Api) -> None:
    task = rita.claim_one()
    first = rita.decide(task, "confirmed", next=True).expect(201)
    assert rita.decide(task, "confirmed", next=True).expect(200) == first
    rita.decide(task, "corrected", {"label": "b"}).expect_problem(409, "claim_lost")


@pytest.mark.parametrize(
    ("work", "policy", "expected"),
    [
        pytest.param(confirm, QUIET, {"at once": 3}, id="confirmed"),
        pytest.param(confirm_and_go_on, QUIET, {"at once": 5}, id="and the next one"),
        pytest.param(correct, QUIET, {"at once": 3}, id="corrected"),
        pytest.param(
            correct, {"sentinel_rate": 0, "autonomy": "suggest"}, {"at once": 3}, id="no candidate yet"
        ),
        pytest.param(correct_and_undo, QUIET, {"at once": 1, "longer": 1}, id="undone"),
        pytest.param(reject_and_escalate, QUIET, {"at once": 1, "longer": 2}, id="no label"),
        pytest.param(send_twice, QUIET, {"at once": 1}, id="sent twice"),
        pytest.param(confirm, {**QUIET, "second_review_rate": 1}, {"longer": 3}, id="drawn again"),
        pytest.param(
            label, {**QUIET, "fallback": {"mode": "manual"}, "low": 0.9}, {"longer": 3}, id="labelled anew"
        ),
    ],
)
def test_it_leaves_what_the_longer_way_leaves(
    world: World,
    ways: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
    work: Work,
    policy: dict[str, Any],
    expected: dict[str, int],
) -> None:
    found, gone = {}, {}
    for way in WAYS:
        project = world.make_project(way, policy=policy)
        rows = [a_row(id=f"x{number}", confidence=0.8) for number in range(5)]
        world.api("otto", at=project).predict(rows).expect(200)
        take(way, monkeypatch)
        ways.clear()
        work(world.api("rita", at=project))
        found[way], gone[way] = left(project), dict(ways)
    assert gone == {"remembered": expected, "read": expected, "longer": {"longer": sum(expected.values())}}
    assert found["remembered"] == found["read"] == found["longer"]
    assert found["longer"]["decisions"]
    assert is_sound()


@pytest.mark.parametrize("task_type", ["classification", "multilabel", "text", "fields", "spans", "boxes"])
def test_only_what_is_small_is_remembered_and_the_rest_is_read(
    world: World, ways: Counter[str], task_type: str
) -> None:
    project = world.make_project("kinds", task_type, policy=QUIET)
    outputs = {
        "classification": {"label": "a"},
        "multilabel": {"labels": ["a"]},
        "text": {"text": "Dear"},
        "fields": {"fields": {}},
        "spans": {"spans": []},
        "boxes": {"boxes": []},
    }
    row = a_row(prediction=outputs[task_type], confidence=0.8)
    world.api("otto", at=project).predict(row).expect(201)
    rita = world.api("rita", at=project)
    task = rita.claim_one()
    assert (task["token"] in given._given) == (task_type in ("classification", "multilabel"))
    rita.decide(task, "confirmed").expect(201)
    assert ways == {"at once": 1}
    assert is_sound()


def test_spans_are_checked_by_the_text_they_are_of(world: World, ways: Counter[str]) -> None:
    project = world.make_project("spans", "spans", policy=QUIET, label_schema={"labels": ["name"]})
    row = a_row(input={"text": "Dear Ada"}, prediction={"spans": []}, confidence=0.8)
    world.api("otto", at=project).predict(row).expect(201)
    rita = world.api("rita", at=project)
    task = rita.claim_one()
    beyond = {"spans": [{"start": 5, "end": 9, "label": "name"}]}
    rita.decide(task, "corrected", beyond).expect_problem(422)
    assert not ways
    rita.decide(task, "corrected", {"spans": [{"start": 5, "end": 8, "label": "name"}]}).expect(201)
    assert ways == {"at once": 1}


def test_test_items_go_the_way_of_work_and_leave_what_they_left(
    world: World, ways: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, gone = {}, {}
    for way in WAYS:
        project = world.make_project(way, policy={"audit_rate": 0, "sentinel_rate": 0.1})
        otto, rita = world.api("otto", at=project), world.api("rita", at=project)
        otto.predict([row("abc"[n % 3]) for n in range(30)]).expect(200)
        for task in rita.claim(30):
            rita.decide(task, "confirmed").expect(201)
        otto.predict([row("abc"[n % 3]) for n in range(20)]).expect(200)
        assert add_sentinels(project.pk) > 0
        take(way, monkeypatch)
        rolf = world.api("rolf", at=project)
        by_test: dict[bool, set[tuple[str, ...]]] = {True: set(), False: set()}
        tests = set(
            ReviewTask.objects.filter(project=project, purpose=Purpose.SENTINEL).values_list("pk", flat=True)
        )
        task = rolf.claim_one()
        while task:
            ways.clear()
            number = task["task"]
            task = rolf.decide(task, "confirmed", next=True).expect(201)["next"]
            by_test[number in tests].add(tuple(sorted(ways)))
        found[way], gone[way] = left(project), by_test
    all_at_once = {True: {("at once",)}, False: {("at once",)}}
    assert gone == {
        "remembered": all_at_once,
        "read": all_at_once,
        "longer": {True: {("longer",)}, False: {("longer",)}},
    }
    # The longer way makes an empty row for the item of a test that nobody had decided about: there is none such here.
    for way in WAYS:
        assert found[way]["people"]["sentinels"] + found[way]["people"]["gold"] > 0
        for name in ("labels", "outcomes", "waiting", "tasks", "holders", "barred"):
            assert found[way][name] == found["longer"][name], (way, name)
    assert is_sound()


def test_the_first_label_of_a_project_makes_its_dataset_and_the_next_goes_at_once(
    world: World, ways: Counter[str]
) -> None:
    world.api("otto").predict([a_row(), a_row()]).expect(200)
    rita = world.api("rita")
    Dataset.objects.all().delete()
    for task in rita.claim(2):
        rita.decide(task, "confirmed").expect(201)
    assert ways == {"at once": 1, "longer": 1}
    assert WaitingDecision.objects.count() == 2
    assert is_sound()


# --- what has changed since the claim ---------------------------------------------------------------------------------


def _policy(world: World, project: Project) -> None:
    publish_policy(
        project=project, body={"audit_rate": 0, "sentinel_rate": 0, "high": 0.97}, by=world.otto.actor
    )


def _schema(world: World, project: Project) -> None:
    change_project(project=project, by=world.otto.actor, label_schema={"labels": [*"abcd"]})


def _guidelines(world: World, project: Project) -> None:
    change_project(project=project, by=world.otto.actor, guidelines="Look twice.")


def _other_queue(_world: World, project: Project) -> None:
    other = ReviewQueue.objects.create(project=project, slug="other", name="Other")
    ReviewTask.objects.filter(project=project).update(queue=other)


@pytest.mark.parametrize("change", [_policy, _schema, _guidelines, _other_queue])
def test_what_was_read_with_the_claim_and_is_not_so_any_more_is_read_again(
    world: World, ways: Counter[str], change: Callable[[World, Project], None]
) -> None:
    project = world.make_project("changing", policy=QUIET)
    world.api("otto", at=project).predict([a_row(), a_row()]).expect(200)
    rita = world.api("rita", at=project)
    task, same = rita.claim(2)
    rita.decide(same, "confirmed").expect(201)
    assert ways == {"at once": 1}
    change(world, project)
    rita.decide(task, "confirmed").expect(201)
    assert ways == {"at once": 1, "longer": 1}
    project.refresh_from_db()
    last = Decision.objects.latest("pk")
    assert last.guidelines_number == project.guidelines_number
    assert WaitingDecision.objects.filter(decision=last).count() == 1
    assert is_sound()


def _viewer(world: World, project: Project, _task: dict[str, Any]) -> tuple[int, str]:
    project.memberships.filter(user=world.rita.user).update(role=Role.VIEWER)
    return 403, "role_missing"


def _gone(world: World, project: Project, _task: dict[str, Any]) -> tuple[int, str]:
    project.memberships.filter(user=world.rita.user).delete()
    return 404, "not_found"


def _taken_back(world: World, project: Project, task: dict[str, Any]) -> tuple[int, str]:
    world.api("lea", at=project).post(f"/tasks/{task['task']}/take-back/", {}).expect(200)
    return 409, "claim_lost"


def _released(world: World, project: Project, task: dict[str, Any]) -> tuple[int, str]:
    world.api("rita", at=project).on_task(task, "release").expect(204)
    return 409, "claim_lost"


def _held_by_another(world: World, project: Project, task: dict[str, Any]) -> tuple[int, str]:
    world.api("rita", at=project).on_task(task, "release").expect(204)
    world.api("rolf", at=project).claim_one(task=task["task"])
    return 409, "claim_lost"


def _renewed(world: World, project: Project, task: dict[str, Any]) -> tuple[int, str]:
    world.api("rita", at=project).claim_one(task=task["task"])
    return 409, "claim_lost"


def _with_the_leads(_world: World, project: Project, task: dict[str, Any]) -> tuple[int, str]:
    leads = ReviewQueue.objects.get(project=project, slug=LEADS_QUEUE)
    ReviewTask.objects.filter(pk=task["task"]).update(queue=leads)
    return 403, "role_missing"


@pytest.mark.parametrize(
    "change", [_viewer, _gone, _taken_back, _released, _held_by_another, _renewed, _with_the_leads]
)
def test_who_may_not_any_more_is_told_so_and_nothing_is_written(
    world: World, ways: Counter[str], change: Callable[..., tuple[int, str]]
) -> None:
    project = world.make_project("changing", policy=QUIET)
    world.api("otto", at=project).predict([a_row(), a_row()]).expect(200)
    rita = world.api("rita", at=project)
    task = rita.claim_one()
    status, code = change(world, project, task)
    before = left(project)
    rita.decide(task, "confirmed", next=True).expect_problem(status, code)
    assert left(project) == before
    assert not ways
    assert not Decision.objects.exists()


def test_a_key_that_was_revoked_decides_nothing(world: World, ways: Counter[str]) -> None:
    world.api("otto").predict(a_row()).expect(201)
    rita = world.api("rita")
    task = rita.claim_one()
    revoke_api_key(key=ApiKey.objects.get(name="rita's"), by=world.ada.actor)
    rita.decide(task, "confirmed").expect(401)
    assert not ways


@pytest.mark.parametrize("scope", ["review", "ingest"])
def test_another_key_of_the_same_person_may_what_its_scopes_say(
    world: World, ways: Counter[str], scope: str
) -> None:
    world.api("otto").predict(a_row()).expect(201)
    task = world.api("rita").claim_one()
    reply = world.api("rita", scope).decide(task, "confirmed")
    assert (reply.status, dict(ways)) == ((201, {"at once": 1}) if scope == "review" else (403, {}))


def test_a_token_is_its_holders_own(world: World, ways: Counter[str]) -> None:
    world.api("otto").predict([a_row(), a_row()]).expect(200)
    one, other = world.api("rita").claim(2)
    world.api("rolf").decide(one, "confirmed").expect_problem(409, "claim_lost")
    mixed = {**other, "token": one["token"]}
    world.api("rita").decide(mixed, "confirmed").expect_problem(409, "claim_lost")
    assert not ways


def test_an_administrator_without_a_role_decides(world: World, ways: Counter[str]) -> None:
    world.api("otto").predict(a_row()).expect(201)
    ada = world.api("ada")
    ada.decide(ada.claim_one(), "confirmed").expect(201)
    assert ways == {"at once": 1}


def test_a_wrong_answer_is_refused_as_ever_and_the_task_stays_held(world: World, ways: Counter[str]) -> None:
    world.api("otto").predict(a_row()).expect(201)
    rita = world.api("rita")
    task = rita.claim_one()
    rita.decide(task, "corrected", {"label": "zebra"}).expect(422)
    rita.decide(task, "corrected", {"label": "a"}).expect_problem(422, "output_same")
    rita.decide(task, "corrected", {"label": "b"}).expect(201)
    assert ways == {"at once": 1}


def test_an_item_that_has_a_label_by_now_goes_the_longer_way(world: World, ways: Counter[str]) -> None:
    """As after an undo: what was said before is read under the lock."""
    world.api("otto").predict(a_row()).expect(201)
    rita = world.api("rita")
    task = rita.claim_one()
    AcceptedLabel.objects.create(item_id=ReviewTask.objects.get().item_id, project_id=world.letters.pk)
    rita.decide(task, "confirmed").expect(201)
    assert ways == {"longer": 1}
    assert AcceptedLabel.objects.get().revision == 1
    assert is_sound()


def test_a_correction_is_made_the_longer_way(world: World, ways: Counter[str]) -> None:
    world.api("otto").predict(a_row()).expect(201)
    rita = world.api("rita")
    task = rita.claim_one()
    first = rita.decide(task, "confirmed").expect(201)
    again = rita.post(f"/tasks/{task['task']}/reopen/", {}).expect(200)
    rita.decide(again, "corrected", {"label": "b"}).expect(201)
    assert ways == {"at once": 1, "longer": 1}
    assert Decision.objects.latest("pk").supersedes_id == first["decision"]


# --- what is remembered -----------------------------------------------------------------------------------------------


def test_the_oldest_give_way_and_nothing_large_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given, "_given", {})
    monkeypatch.setattr(given, "MOST", 3)
    rows = [a_row(explanation={"why": "x" * 1_000}, input={"text": "y" * 1_000}) for _ in range(5)]
    world.api("otto").predict(rows).expect(200)
    claimed = world.api("rita").claim(5)
    assert list(given._given) == [task["token"] for task in claimed[2:]]
    kept = given.recall(claimed[4]["token"])
    assert kept is not None
    assert (kept.prediction.details, kept.item_key) == (None, claimed[4]["item"]["id"])
    assert given.recall(claimed[4]["token"]) is None, "it is given out once"


# --- at the same moment -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_one_request_in_two_processes_at_once_is_one_decision(
    live_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both remember the claim, as two processes do that had each shown it."""
    monkeypatch.setattr(at_once, "recall", given._given.get)
    live_world.api("otto").predict([a_row() for _ in range(8)]).expect(200)
    rita = live_world.api("rita")
    for task in rita.claim(8):
        replies = in_threads([partial(rita.decide, task, "confirmed")] * 3)
        assert sorted(reply.status for reply in replies) == [200, 200, 201]
        assert all(reply.body == replies[0].body for reply in replies)
    assert Decision.objects.count() == Outcome.objects.count() == 8
    assert is_sound()


@pytest.mark.slow
def test_it_waits_for_who_takes_the_task_back_and_then_finds_the_gate_closed(live_world: World) -> None:
    live_world.api("otto").predict([a_row(), a_row()]).expect(200)
    rita, lea = live_world.api("rita"), live_world.api("lea")
    task = rita.claim_one()
    replies: list[Any] = []
    with uncommitted(lambda: lea.post(f"/tasks/{task['task']}/take-back/", {}).expect(200)):
        late = Beside(lambda: replies.append(rita.decide(task, "confirmed", next=True)))
        wait_until(somebody_waits)
    late.end()
    assert replies[0].expect_problem(409, "claim_lost")["taken_by"] == "lea"
    assert not Decision.objects.exists()
    assert not ReviewTask.objects.filter(claimed_by__username="rita").exists()


@pytest.mark.slow
def test_it_waits_for_whoever_labels_the_item_and_then_sees_what_they_said(live_world: World) -> None:
    live_world.api("otto").predict(a_row()).expect(201)
    rita = live_world.api("rita")
    task = rita.claim_one()
    item = ReviewTask.objects.get().item_id
    replies: list[Any] = []
    with uncommitted(
        lambda: AcceptedLabel.objects.create(
            item_id=item,
            project_id=live_world.letters.pk,
            output={"label": "c"},
            origin="fallback",
            revision=1,
        )
    ):
        late = Beside(lambda: replies.append(rita.decide(task, "confirmed")))
        wait_until(somebody_waits)
    late.end()
    replies[0].expect(201)
    label = AcceptedLabel.objects.get()
    assert (label.output, label.origin, label.revision) == ({"label": "a"}, "human", 2)


@pytest.mark.slow
@pytest.mark.parametrize("change", ["role", "membership"])
def test_a_role_that_is_taken_at_the_same_moment_comes_before_or_after(
    live_world: World, change: str
) -> None:
    """One order of the two explains what came of them."""
    live_world.api("otto").predict([a_row() for _ in range(6)]).expect(200)
    rita = live_world.api("rita")
    by = live_world.otto.actor
    for number in range(3):
        task = rita.claim_one()
        if change == "role":
            take = partial(set_member, project=live_world.letters, username="rita", role=Role.VIEWER, by=by)
        else:
            take = partial(remove_member, project=live_world.letters, username="rita", by=by)
        reply, _ = in_threads([partial(rita.decide, task, "confirmed"), take])
        state = ReviewTask.objects.get(pk=task["task"]).state
        assert (reply.status == 201, state) in {(True, "decided"), (False, "waiting")}, number
        set_member(project=live_world.letters, username="rita", role=Role.REVIEWER, by=by)
    assert not ReviewTask.objects.filter(state="claimed").exists()
    assert is_sound()

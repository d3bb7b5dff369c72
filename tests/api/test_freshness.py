"""A request that starts after a change was answered never uses what was before: policy, label schema, keys, people, stops.

What may be remembered is a door (key and project with the rules in force); each test first makes it be remembered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from labeling.api import doors
from labeling.decisions.models import Decision
from labeling.projects.models import ApiKey, Membership
from labeling.trust.models import TrustDelta
from tests.api.second_process import SecondProcess, second_process
from tests.world import QUIET, Api, World, a_row, in_threads


@pytest.fixture
def otto(world: World) -> Api:
    return world.api("otto")


STRICT = {**QUIET, "high": 0.99}


def route_of(api: Api, **changes: Any) -> tuple[str, int]:
    answer = api.predict(a_row(**{"confidence": 0.96, **changes})).expect(201)
    return answer["route"], answer["policy_version"]


def test_a_new_policy(otto: Api) -> None:
    assert route_of(otto) == ("auto", 1)
    otto.put(otto.below("policy/"), STRICT).expect(200)
    assert route_of(otto) == ("review", 2)
    otto.put(otto.below("policy/"), QUIET).expect(200)
    assert route_of(otto) == ("auto", 3)


@pytest.mark.parametrize("form", ["array", "lines"])
def test_a_new_policy_in_batches(otto: Api, form: str) -> None:
    send = otto.predict_lines if form == "lines" else lambda row: otto.predict([row])
    for route, policy in (("auto", QUIET), ("review", STRICT), ("auto", QUIET)):
        otto.put(otto.below("policy/"), policy).expect(200)
        (line,) = send(a_row(confidence=0.96)).expect(200)["results"]
        assert line["route"] == route


def test_a_label_that_was_added(otto: Api) -> None:
    row = a_row(prediction={"label": "d"})
    otto.predict(row).expect_problem(422)
    otto.patch("/projects/letters/", {"label_schema": {"labels": ["a", "b", "c", "d"]}}).expect(200)
    otto.predict(row).expect(201)
    otto.predict(a_row(prediction={"label": "e"})).expect_problem(422)


def test_a_label_that_was_added_in_a_batch_of_nothing_else(otto: Api) -> None:
    row = a_row(prediction={"label": "d"})
    assert otto.predict([row]).expect(200)["invalid"] == 1
    otto.patch("/projects/letters/", {"label_schema": {"labels": ["a", "b", "c", "d"]}}).expect(200)
    assert otto.predict([row]).expect(200)["created"] == 1


def test_a_revoked_key(world: World, otto: Api) -> None:
    key = world.make_key("otto", "ingest", project=world.letters)
    api = Api(key, world.letters)
    api.predict(a_row()).expect(201)
    api.predict([a_row()]).expect(200)
    otto.delete(f"/keys/{ApiKey.objects.get(prefix=key[:12]).pk}/").expect(204)
    api.predict(a_row()).expect_problem(401, "key_invalid")
    api.predict([a_row()]).expect_problem(401, "key_invalid")
    api.get(api.below("")).expect_problem(401, "key_invalid")


def test_who_lost_the_role(world: World, otto: Api) -> None:
    lea = world.api("lea", "ingest")
    lea.predict(a_row()).expect(201)
    otto.post(otto.below("members/"), {"username": "lea", "role": "viewer"}).expect(201)
    lea.predict(a_row()).expect_problem(403, "role_missing")
    otto.delete(otto.below("members/lea/")).expect(204)
    lea.predict(a_row()).expect_problem(404)
    otto.post(otto.below("members/"), {"username": "lea", "role": "lead"}).expect(201)
    lea.predict(a_row()).expect(201)


def test_who_left_the_house(world: World, otto: Api) -> None:
    lea = world.api("lea", "ingest")
    lea.predict(a_row()).expect(201)
    world.lea.user.is_active = False
    world.lea.user.save()
    lea.predict(a_row()).expect_problem(401, "key_invalid")


@pytest.mark.parametrize("loss", ["key", "role", "account"])
def test_a_reviewer_who_may_not_any_more(world: World, otto: Api, loss: str) -> None:
    """Claims and decisions remember whose a key is; the statement that begins them asks again."""
    otto.predict([a_row() for _ in range(3)]).expect(200)
    rita = world.api("rita")
    rita.decide(rita.claim_one(), "confirmed").expect(201)
    task = rita.claim_one()
    if loss == "key":
        ApiKey.objects.filter(member=world.rita.user).update(
            revoked_at=timezone.now(), revoked_by=world.otto.user
        )
    elif loss == "role":
        Membership.objects.filter(user=world.rita.user).delete()
    else:
        get_user_model().objects.filter(pk=world.rita.user.pk).update(is_active=False)
    status = 404 if loss == "role" else 401
    rita.post("/projects/letters/tasks/claim/", {}).expect_problem(status)
    rita.decide(task, "confirmed").expect_problem(status)
    assert Decision.objects.count() == 1


def test_an_administrator_who_is_none_any_more(world: World, otto: Api) -> None:
    otto.predict(a_row()).expect(201)
    ada = world.api("ada")
    ada.claim_one()
    get_user_model().objects.filter(username="ada").update(is_superuser=False)
    ada.post("/projects/letters/tasks/claim/", {}).expect_problem(404)


def test_a_time_zone(world: World) -> None:
    """Two zones in which it is never the same day."""
    west, east = "Pacific/Pago_Pago", "Pacific/Kiritimati"
    api = world.api(at=world.make_project("islands", time_zone=west))
    api.predict(a_row(confidence=2)).expect_problem(422)
    api.patch(api.below(""), {"time_zone": east}).expect(200)
    api.predict(a_row()).expect(201)
    (entry,) = TrustDelta.objects.get().payload
    assert entry["day"] == datetime.now(ZoneInfo(east)).date().isoformat()


def test_doors_are_remembered_and_not_for_ever(
    world: World, otto: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "_MOST", 3)
    for number in range(6):
        api = world.api("otto", at=world.make_project(f"p{number}"))
        api.predict(a_row()).expect(201)
        assert 1 <= len(doors._remembered) <= 3


# --- Two processes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def other(live_world: World) -> Iterator[SecondProcess]:
    with second_process(connection.settings_dict["NAME"]) as process:
        yield process


@pytest.mark.slow
def test_another_process_is_never_behind(live_world: World, other: SecondProcess) -> None:
    """It remembers its door, the change is made here, and its next answer knows."""
    otto = live_world.api("otto")
    there = other.api(otto)
    assert route_of(there) == ("auto", 1)
    for version in range(2, 6):
        otto.put(otto.below("policy/"), STRICT if version % 2 == 0 else QUIET).expect(200)
        assert route_of(there) == ("review" if version % 2 == 0 else "auto", version)
        assert route_of(otto) == route_of(there)

    row = a_row(prediction={"label": "d"})
    there.predict(row).expect_problem(422)
    otto.patch("/projects/letters/", {"label_schema": {"labels": ["a", "b", "c", "d"]}}).expect(200)
    there.predict(row).expect(201)
    assert otto.predict(row).expect(200)["created"] is False

    lea = other.api(live_world.api("lea", "ingest"))
    lea.predict(a_row()).expect(201)
    otto.delete(otto.below("members/lea/")).expect(204)
    lea.predict(a_row()).expect_problem(404)
    otto.post(otto.below("members/"), {"username": "lea", "role": "lead"}).expect(201)
    lea.predict(a_row()).expect(201)
    key = ApiKey.objects.get(prefix=str(lea.key)[:12])
    live_world.api("ada").delete(f"/keys/{key.pk}/").expect(204)
    lea.predict(a_row()).expect_problem(401)
    lea.predict([a_row()]).expect_problem(401)


@pytest.mark.slow
def test_among_many_threads_no_answer_is_older_than_the_last_policy_answered(live_world: World) -> None:
    """One publishes policies, the others send; each knows the last version whose PUT was answered when it began."""
    otto = live_world.api("otto")
    answered = [1]
    over = threading.Event()

    def publish() -> None:
        for version in range(2, 14):
            number = otto.put(otto.below("policy/"), STRICT if version % 2 == 0 else QUIET).expect(200)[
                "number"
            ]
            answered.append(number)
        over.set()

    def send(form: str) -> int:
        times = 0
        while not over.is_set() or times == 0:
            known = answered[-1]
            row = a_row(confidence=0.96)
            if form == "single":
                answer = otto.predict(row)
                if answer.status == 429:  # the rules change faster than they can be read: nothing was stored
                    assert answer.expect_problem(429)["code"] == "rules_changing"
                    assert int(answer.headers["Retry-After"]) > 0
                    continue
                version, route = answer.expect(201)["policy_version"], answer.body["route"]
            else:
                reply = otto.predict([row])
                if reply.status == 429:
                    continue
                route = reply.expect(200)["results"][0]["route"]
                version = otto.story(row["id"])["predictions"][0]["policy_version"]
            assert version >= known
            assert route == ("review" if version % 2 == 0 else "auto")
            times += 1
        return times

    work: list[Callable[[], Any]] = [
        publish,
        *[partial(send, form) for form in ("single", "single", "array", "array")],
    ]
    _, *times = in_threads(work)
    assert all(times)


@pytest.mark.slow
def test_after_a_revocation_was_answered_nobody_gets_in(live_world: World) -> None:
    ada = live_world.api("ada")
    key = live_world.make_key("otto", "ingest")
    api = Api(key, live_world.letters)
    number = ApiKey.objects.get(prefix=key[:12]).pk
    revoked = threading.Event()
    sent = threading.Semaphore(0)

    def revoke() -> None:
        for _ in range(10):
            sent.acquire(timeout=60)
        ada.delete(f"/keys/{number}/").expect(204)
        revoked.set()

    def send(form: str) -> int:
        refused = 0
        while refused < 3:
            was_revoked = revoked.is_set()
            status = api.predict(a_row() if form == "single" else [a_row()]).status
            sent.release()
            assert status in (200, 201, 401)
            assert status == 401 or not was_revoked
            refused += status == 401
        return refused

    assert in_threads([revoke, *[partial(send, form) for form in ("single", "array") * 2]])[1:] == [3] * 4

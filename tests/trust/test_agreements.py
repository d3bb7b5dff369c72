"""Agreement of people who answered the same item without seeing each other's answer."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from labeling.projects.models import Project
from labeling.trust import agreements
from labeling.trust.agreements import (
    LEAST_SHARED,
    Agreements,
    PersonAgreement,
    Twice,
    agreements_of,
    only_of,
    read_agreements,
)
from labeling.trust.readers import agreements_for
from labeling.trust.services import fold_deltas
from tests.world import World, a_row


def said(label: str | None) -> str | None:
    return None if label is None else json.dumps({"label": label})


def twice(first: str, second: str, *answers: tuple[str | None, str | None]) -> list[Twice]:
    return [Twice("Review", first, second, said(one), said(two)) for one, two in answers]


def test_a_pair_counts_from_fifty_items_whoever_was_first() -> None:
    some = twice("ann", "bob", *[("a", "a")] * 30, *[("a", "b")] * 5)
    others = twice("bob", "ann", *[("b", "b")] * (LEAST_SHARED - 36))
    assert agreements_of(some + others).pairs == []
    (pair,) = agreements_of(some + others + twice("bob", "ann", ("b", "b"))).pairs
    assert (pair.people, pair.items, pair.agreed) == (("ann", "bob"), 50, 45)
    # 30 a-a, 5 a-b, 15 b-b: observed 0.9, expected 0.7 * 0.6 + 0.3 * 0.4 = 0.54
    assert pair.kappa == pytest.approx((0.9 - 0.54) / (1 - 0.54))


def test_of_a_person_with_all_others_together() -> None:
    some = twice("ann", "bob", *[("a", "a")] * 30, *[("b", "a")] * 4)
    others = twice("cat", "ann", *[("b", "b")] * 16)
    found = agreements_of(some + others)
    assert found.pairs == [], "fewer than fifty with either"
    assert [(one.person, one.items, one.agreed) for one in found.people] == [("ann", 50, 46)]
    # ann 30 a and 20 b, the others 34 a and 16 b: observed 0.92, expected 0.6 * 0.68 + 0.4 * 0.32
    assert found.people[0].kappa == pytest.approx((0.92 - 0.536) / (1 - 0.536))
    assert only_of(found, "ann") == Agreements([], [], found.people)
    assert only_of(found, "bob") == Agreements([], [], [])


def test_alpha_of_a_queue() -> None:
    (queue,) = agreements_of(twice("ann", "bob", *[("a", "a")] * 8, ("a", "b"), (None, None))).queues
    assert (queue.queue, queue.items, queue.agreed) == ("Review", 10, 9)
    # 20 values: 17 a, 1 b, 2 none; observed disagreement 2/20, expected (400 - 289 - 1 - 4) / (20 * 19)
    assert queue.alpha == pytest.approx(1 - (2 / 20) / (106 / 380))
    assert queue.is_flagged


def test_who_always_says_the_same_says_nothing_about_reliability() -> None:
    (queue,) = agreements_of(twice("ann", "bob", *[("a", "a")] * 60)).queues
    assert (queue.alpha, queue.is_flagged) == (None, False)


def test_sets_have_no_order() -> None:
    one, two = json.dumps({"labels": ["x", "y"]}), json.dumps({"labels": ["y", "x"]})
    (queue,) = agreements_of([Twice("Review", "ann", "bob", one, two)] * 3).queues
    assert queue.agreed == 3


@pytest.mark.django_db
def test_leads_read_it_and_reviewers_do_not(world: World) -> None:
    policy = {"audit_rate": 0, "sentinel_rate": 0, "second_review_rate": 1.0}
    project: Project = world.make_project("double", policy=policy)
    otto, rita, rolf = (world.api(who, at=project) for who in ("otto", "rita", "rolf"))
    otto.predict([a_row(prediction={"label": "ab"[n % 2]}) for n in range(6)]).expect(200)
    for task in rita.claim(6):
        rita.decide(task, "confirmed").expect(201)
    for number, task in enumerate(rolf.claim(6)):
        assert task["prediction"] is None
        rolf.decide(task, "labelled", {"label": "c" if number == 0 else "ab"[number % 2]}).expect(201)
    fold_deltas()
    (queue,) = read_agreements(project.pk, now=timezone.now()).queues
    assert (queue.items, queue.agreed) == (6, 5)

    path = "/projects/double/trust/?reviewer=rita"
    assert world.browser("rita", at=project).get(path).expect(200)["agreement"] is None, "fewer than fifty"
    told = (
        world.browser("lea", at=project).get("/projects/double/trust/?by=reviewer").expect(200)["agreement"]
    )
    assert told["queues"][0]["krippendorff_alpha"] == pytest.approx(queue.alpha)
    assert (told["queues"][0]["items"], told["queues"][0]["agreed"], told["pairs"]) == (6, 5, [])
    assert world.browser("lea", at=project).get("/projects/double/trust/").expect(200)["agreement"] is None

    pages = {}
    for who, reviewer in (("lea", ""), ("rita", "rita")):
        client = Client()
        client.force_login(world.person(who).user)
        pages[who] = client.get(f"/projects/double/trust/?by=reviewer&reviewer={reviewer}").content.decode()
    assert "Krippendorff" in pages["lea"]
    assert "Krippendorff" not in pages["rita"]


@pytest.mark.django_db
def test_a_reviewer_reads_his_own_figure_of_yesterday_and_names_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreements, "LEAST_SHARED", 3)
    project: Project = world.make_project(
        "own", policy={"audit_rate": 0, "sentinel_rate": 0, "second_review_rate": 1.0}
    )
    otto, rita, rolf = (world.api(who, at=project) for who in ("otto", "rita", "rolf"))
    otto.predict([a_row(prediction={"label": "ab"[n % 2]}) for n in range(4)]).expect(200)
    for task in rita.claim(4):
        rita.decide(task, "confirmed").expect(201)
    for number, task in enumerate(rolf.claim(4)):
        rolf.decide(task, "labelled", {"label": "ab"[number % 2]}).expect(201)
    fold_deltas()

    def figures(who: str, day: datetime) -> object:
        return agreements_for(world.person(who).actor, project, "rita", now=day)

    assert figures("rita", timezone.now()) is None, "what was answered today is not told today"
    tomorrow = timezone.now() + timedelta(days=1)
    own = figures("rita", tomorrow)
    assert own == Agreements([], [], [PersonAgreement("rita", 4, 4, 1.0)])
    assert figures("lea", timezone.now()).pairs, "leads read all of it at once"  # type: ignore[attr-defined]

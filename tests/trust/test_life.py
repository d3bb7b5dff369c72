"""A short life through the real API: made-up traffic climbs, a degraded stretch steps back, clean traffic climbs again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx
import pytest
from django.test import Client

from labeling.pipeline.sentinels import add_sentinels
from labeling.projects.models import Project
from labeling.replay.client import Api, Patience
from labeling.replay.mapping import truth_of
from labeling.replay.projects import make_member_key
from labeling.replay.reviewers import Board, Reviewer, Work
from labeling.trust.looking import look_at_project
from labeling.trust.models import AutonomyEvent
from tests.trust.life import HABITS, Life, begin, labels_of, promises_of_a_life
from tests.world import World

ALPHA = 0.1
SLUG = "short-life"
LABELS = ("a", "b", "c")


def made_up_rows(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """A good model: of what it is surest of, 0.5 % is wrong, of the rest up to a third."""
    rng = Random(seed)
    rows = []
    for number in range(count):
        doubt = rng.random() ** 4 / 2
        truth = rng.choice(LABELS)
        is_wrong = rng.random() < 0.005 + 0.6 * doubt
        said = rng.choice([label for label in LABELS if label != truth]) if is_wrong else truth
        rows.append(
            {
                "id": f"row-{number}",
                "task_type": "classification",
                "input": {"text": f"row {number}"},
                "prediction": {"label": said},
                "confidence": round(0.99 - doubt, 4),
                "truth": {"label": truth, "source": "made up"},
                "model": "made-up",
            }
        )
    return rows


@dataclass
class OneAfterTheOther:
    """People without threads; the controller and the test items have their turn after each batch."""

    owner: Api
    project: Project
    reviewers: list[Reviewer]
    at_rest: bool = False

    def keep_up(self) -> None:
        if not self.at_rest:
            add_sentinels(self.project.pk)
            while any(reviewer.work_once() for reviewer in self.reviewers):
                pass
        look_at_project(self.project.pk)

    def finish(self) -> None:
        self.keep_up()


def in_process() -> httpx.MockTransport:
    """HTTP that Django's test client answers: no server, and one transaction."""
    client = Client()

    def answer(request: httpx.Request) -> httpx.Response:
        reply = client.generic(
            request.method,
            request.url.raw_path.decode(),
            request.content,
            content_type="application/json",
            headers={"Authorization": request.headers["Authorization"], "Accept": "application/json"},
        )
        return httpx.Response(
            reply.status_code, content=reply.content, headers={"Content-Type": "application/json"}
        )

    return httpx.MockTransport(answer)


@pytest.fixture
def life(world: World) -> Iterator[Life]:
    patience = Patience(1.0)
    with ExitStack() as stack:

        def connect(key: str) -> Api:
            return stack.enter_context(Api("http://testserver", key, patience, transport=in_process()))

        rows = made_up_rows(4_000)
        truths = {row["id"]: truth_of(row) for row in rows}
        owner = connect(world.make_key("ada"))
        begin(owner, SLUG, labels_of(truths), {"alpha": ALPHA, "sentinel_rate": 0.05})
        work = Work(SLUG, "classification", LABELS, truths, HABITS, seed=1, claim_count=50)
        reviewers = [
            Reviewer(
                name, connect(make_member_key(owner, SLUG, name, "reviewer")[1]), work, Board(), patience
            )
            for name in ("first", "second", "third")
        ]
        project = Project.objects.get(slug=SLUG)
        yield Life(owner, SLUG, ALPHA, rows, OneAfterTheOther(owner, project, reviewers))


@pytest.mark.slow
@pytest.mark.django_db
def test_it_is_earned_lost_and_earned_again(life: Life) -> None:
    """Also its own control: a controller that never stepped back, or one that climbed on the degraded stretch, breaks a promise."""
    clean = life.live("clean", 1_000)
    bad = life.live("degraded", 800, degrade=0.4, until=lambda s: s.step_back_at is not None)
    life.people.at_rest = True  # no label of the cool-down counts, so nobody need give one
    life.live("cool-down", 1_000)
    life.people.at_rest, life.priority = False, 1
    again = life.live("clean again", 900)

    assert [promise.what for promise in promises_of_a_life(clean, bad, again) if not promise.held] == []
    assert clean.share >= 0.5
    assert clean.automatic > 100
    assert again.automatic > 50
    assert bad.error > ALPHA, "the degraded stretch would have deserved no trust"
    kinds = list(AutonomyEvent.objects.order_by("pk").values_list("kind", flat=True))
    assert [kind for kind in kinds if kind in ("up", "alarm", "cool_down_over")][:1] == ["up"]
    assert kinds.count("alarm") == 1
    assert kinds.index("alarm") < kinds.index("cool_down_over") < len(kinds) - 1 - kinds[::-1].index("up")

"""A key's limits: counted by the broker for all processes together, and let go while the broker is away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from labeling.api import limits
from labeling.history.models import HistoryEvent
from labeling.ingestion.models import Prediction
from labeling.projects.models import ApiKey
from tests.api.second_process import SecondProcess, second_process
from tests.world import Api, Reply, World, a_row


@pytest.fixture(autouse=True)
def counting(broker: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A broker for this test alone, which this process asks however slow the machine is."""
    settings.REDIS_URL = broker
    monkeypatch.setattr(limits, "PATIENCE_S", 30.0)
    limits._counter.cache_clear()
    yield
    limits._counter.cache_clear()


def limited(world: World, **given: Any) -> Api:
    """A key for `letters` with these limits, as somebody makes one."""
    body = {"name": "limited", "scopes": ["ingest", "manage"], "project": "letters", **given}
    assert world.letters
    return Api(world.api("otto").post("/keys/", body).expect(201)["key"], world.letters)


def assert_limited(reply: Reply, least: int = 1, most: int = 1) -> None:
    problem = reply.expect_problem(429, "rate_limited")
    assert least <= int(reply.headers["Retry-After"]) <= most
    assert problem["retry_after"] == int(reply.headers["Retry-After"])


def test_rows_of_every_form_count_together(world: World) -> None:
    """A batch above a second's worth is taken whole, and what follows waits until it is paid for."""
    api = limited(world, rows_per_second=1)
    assert api.predict([a_row() for _ in range(300)]).expect(200)["created"] == 300
    assert_limited(api.predict(a_row()), 200, 300)
    assert_limited(api.predict([a_row(), a_row()]), 200, 300)
    assert_limited(api.predict_lines(a_row()), 200, 300)
    assert Prediction.objects.count() == 300
    world.api("otto").predict(a_row()).expect(201)  # another key has nothing to do with it


def test_rows_that_are_not_stored_count_too(world: World) -> None:
    api = limited(world, rows_per_second=1)
    assert api.predict([a_row(confidence=7) for _ in range(300)]).expect(200)["invalid"] == 300
    assert_limited(api.predict(a_row()), 200, 300)


@pytest.mark.parametrize("path", ["projects/letters/predictions/", "projects/letters/"])
def test_requests_count_on_every_path(world: World, path: str) -> None:
    api = limited(world, requests_per_second=1)
    send = (lambda: api.predict(a_row())) if path.endswith("predictions/") else lambda: api.get(f"/{path}")
    assert send().status in (200, 201)
    assert_limited(next(reply for reply in (send() for _ in range(100)) if reply.status == 429))


def test_a_second_worth_may_come_at_once(world: World) -> None:
    api = limited(world, rows_per_second=100_000)
    for _ in range(20):
        api.predict([a_row(), a_row()]).expect(200)


def test_limits_are_told(world: World) -> None:
    limited(world, requests_per_second=5, rows_per_second=2_000)
    (shown,) = [k for k in world.api("otto").get("/keys/").expect(200)["results"] if k["name"] == "limited"]
    assert (shown["requests_per_second"], shown["rows_per_second"]) == (5, 2_000)
    details = HistoryEvent.objects.filter(action="key.created").latest("pk").details
    assert (details["requests_per_second"], details["rows_per_second"]) == (5, 2_000)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "many", 1_000_001])
@pytest.mark.parametrize("limit", ["requests_per_second", "rows_per_second"])
def test_wrong_limits(world: World, limit: str, wrong: Any) -> None:
    body = {"name": "k", "scopes": ["ingest"], "project": world.letters.slug, limit: wrong}
    problem = world.api("otto").post("/keys/", body).expect_problem(422)
    assert [error["pointer"] for error in problem["errors"]] == [f"/{limit}"]


def test_keys_have_no_limit_unless_one_is_given(world: World) -> None:
    world.api("otto").predict(a_row()).expect(201)
    assert [limits.allowance_of(key) for key in ApiKey.objects.all()] == [None] * ApiKey.objects.count()
    limited(world, rows_per_second=3)
    assert limits.allowance_of(ApiKey.objects.get(name="limited")) is not None


@pytest.fixture
def no_broker(counting: None, settings: Any, tmp_path: Path) -> None:
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock?db=0"
    limits._counter.cache_clear()


@pytest.mark.usefixtures("no_broker")
def test_without_the_broker_nothing_is_limited(world: World, caplog: pytest.LogCaptureFixture) -> None:
    api = limited(world, rows_per_second=1, requests_per_second=1)
    for _ in range(3):
        assert api.predict([a_row() for _ in range(50)]).expect(200)["created"] == 50
    assert "limits of keys are not applied" in caplog.text


@pytest.fixture
def other(live_world: World) -> Iterator[SecondProcess]:
    with second_process(connection.settings_dict["NAME"]) as process:
        yield process


@pytest.mark.slow
def test_processes_count_together(live_world: World, other: SecondProcess) -> None:
    here = limited(live_world, rows_per_second=1)
    there = other.api(here)
    assert here.predict([a_row() for _ in range(300)]).expect(200)["created"] == 300
    replies = (there.predict(a_row()) for _ in range(20))  # it has little patience with a slow broker
    assert_limited(next(reply for reply in replies if reply.status == 429), 200, 320)

"""A storage that takes nothing more, under a real worker: publishing stops and says so, deciding goes on, and it mends itself."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import psutil
import pytest
from celery import Celery

from reviewapp.broker import celery_broker_url
from tests.stack.instance import BACK_WITHIN_S, Instance, wait_for

pytestmark = pytest.mark.slow

VERSIONS = "/projects/p/datasets/main/versions/"
FIRST_BYTES_ONLY = 512


@pytest.fixture
def http(running: Instance) -> Iterator[httpx.Client]:
    key = json.loads(running.home.credentials.read_text())["api_key"]
    with httpx.Client(
        base_url=f"http://127.0.0.1:{running.port}/api/v1",
        headers={"Authorization": f"Bearer {key}"},
        timeout=30,
        trust_env=False,
    ) as client:
        yield client


def test_publishing_waits_for_room_and_deciding_does_not(running: Instance, http: httpx.Client) -> None:
    project = {
        "slug": "p",
        "name": "P",
        "task_type": "classification",
        "label_schema": {"labels": ["a", "b"]},
        "policy": {"audit_rate": 0, "sentinel_rate": 0},
    }
    http.post("/projects/", json=project).raise_for_status()
    _decide(http, "before")
    http.post(VERSIONS, json={}).raise_for_status()
    wait_for(lambda: _records(http) == {"before"}, BACK_WITHIN_S, "the first version")

    with _small_files_only(running):
        _decide(http, "meanwhile")
        publication = http.post(VERSIONS, json={}).raise_for_status().json()["publication"]
        alert = _open_alert(running, http)
        assert alert["project"] == "p"
        assert "decisions wait" in alert["detail"]
        _decide(http, "and another")
        assert _publication(http, publication)["state"] == "open"
        assert _records(http) == {"before"}

    # Nobody asks again: what has room again is found by the sweep.
    wait_for(
        lambda: _records(http) == {"before", "meanwhile"}, BACK_WITHIN_S, "what waited is in the next version"
    )
    assert _publication(http, publication)["state"] == "done"
    wait_for(lambda: _watched(running, http) == [], BACK_WITHIN_S, "the alert is closed")
    http.post(VERSIONS, json={}).raise_for_status()
    wait_for(
        lambda: _records(http) == {"before", "meanwhile", "and another"}, BACK_WITHIN_S, "the last decision"
    )


@contextmanager
def _small_files_only(running: Instance) -> Iterator[None]:
    """The kernel refuses the worker every byte beyond the first few of a file, as a full disk would."""
    _limit_files(running, FIRST_BYTES_ONLY)
    try:
        yield
    finally:
        _limit_files(running, resource.RLIM_INFINITY)


def _limit_files(running: Instance, size: int) -> None:
    for pid in (running.pid("worker"), *running.children("worker")):
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            _soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


def _decide(http: httpx.Client, item: str) -> None:
    row = {"id": item, "input": {}, "prediction": {"label": "a"}, "confidence": 0.8, "model": "m"}
    http.post("/projects/p/predictions/", json=row).raise_for_status()
    (task,) = http.post("/projects/p/tasks/claim/", json={"count": 1}).raise_for_status().json()["tasks"]
    assert task["item"]["id"] == item
    answer = http.post(
        f"/tasks/{task['task']}/decision/", json={"token": task["token"], "verdict": "confirmed"}
    )
    assert answer.status_code == 201


def _records(http: httpx.Client) -> set[str]:
    found = http.get(f"{VERSIONS}latest/records/", params={"format": "jsonl"})
    if found.status_code == 404:
        return set()
    return {json.loads(line)["record_id"] for line in found.raise_for_status().text.splitlines()}


def _publication(http: httpx.Client, number: int) -> Any:
    return http.get(f"/projects/p/datasets/main/publications/{number}/").raise_for_status().json()


def _open_alert(running: Instance, http: httpx.Client) -> Any:
    found: list[Any] = []

    def is_there() -> bool:
        found[:] = _watched(running, http)
        return bool(found)

    wait_for(is_there, BACK_WITHIN_S, "an alert")
    (alert,) = found
    return alert


def _watched(running: Instance, http: httpx.Client) -> list[Any]:
    """The open alerts about publishing, after the watch was rung for; it comes by itself every half minute."""
    services = running.home.recorded_services()
    with Celery(broker=celery_broker_url(services.redis_url)) as bell:
        bell.send_task("labeling.tasks.watch_over_all")
    return list(http.get("/alerts/", params={"kind": "publish_failing"}).raise_for_status().json()["results"])

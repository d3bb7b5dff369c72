"""The restore drill: a backup under traffic, restored into another home and beside a storage that has gone on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from labeling.backup.restoring import open_backup
from labeling.replay.credentials import read_credentials
from tests.chaos.facts import read_facts
from tests.chaos.run import Run, instance_under_fire, load_on
from tests.stack.instance import PROJECT, Instance, clean_environment, wait_for

pytestmark = pytest.mark.slow

MAIN = "/projects/drill/datasets/main/versions/"


def manage(instance: Instance, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = {"REVIEWAPP_HOME": str(instance.home.path), "REVIEWAPP_PORT": str(instance.port)}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=clean_environment(**settings),
        capture_output=True,
        text=True,
        check=False,
    )


def succeed(instance: Instance, *arguments: str) -> str:
    outcome = manage(instance, *arguments)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout


def refuse(instance: Instance, *arguments: str) -> str:
    outcome = manage(instance, *arguments)
    assert outcome.returncode == 1, outcome.stdout
    assert outcome.stderr.count("\n") == 1, "one sentence"
    return outcome.stderr


def connect(instance: Instance) -> httpx.Client:
    credentials = read_credentials(instance.home.credentials)
    return httpx.Client(
        base_url=f"{credentials.url}/api/v1",
        headers={"Authorization": f"Bearer {credentials.api_key}"},
        timeout=60,
        trust_env=False,
    )


def versions(http: httpx.Client) -> dict[int, str]:
    found: list[dict[str, Any]] = http.get(MAIN, params={"limit": 100}).raise_for_status().json()["results"]
    return {version["number"]: version["digest"] for version in found}


def published(load: Run) -> int:
    load.histories.read_on()
    return sum(line["state"] == "done" for line in load.histories.of("publish"))


@pytest.fixture
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Instance]]:
    made: list[Instance] = []
    yield made
    for instance in made:
        instance.clean_up()


def test_the_restore_drill(beside: list[Instance]) -> None:
    with instance_under_fire() as (instance, control, folder):
        kept = folder / "backup"
        with load_on(instance, control, folder, slug="drill", seed=1) as load:
            wait_for(lambda: published(load) >= 2, 60, "two versions")
            began = time.time()
            succeed(instance, "backup", str(kept))
            wait_for(lambda: published(load) >= 4, 60, "more versions after the backup")
            report = load.finish()
            assert report.holds, report.as_text()
        backup = json.loads((kept / "backup.json").read_text())
        (dataset,) = backup["datasets"]
        with connect(instance) as http:
            gone_on = versions(http)
        assert 2 <= dataset["head"] < max(gone_on)

        # 1. In a home that has never been started.
        other = Instance(folder / "other")
        beside.append(other)
        open_backup(kept)  # what --check does
        succeed(other, "restore", str(kept))
        other.start()
        assert "is whole" in succeed(other, "verify_ledger")
        with connect(other) as http, other.database() as database:
            # What waited at the time of the backup may have become a version here by itself.
            there = {n: digest for n, digest in versions(http).items() if n <= dataset["head"]}
            assert there == {n: digest for n, digest in gone_on.items() if n <= dataset["head"]}
            facts = read_facts(database, http, "drill")
        assert facts.complaints == []
        acknowledged = {
            line["item"]
            for line in load.histories.of("predict")
            if line["status"] == "created" and line["acked"] < began
        }
        assert acknowledged
        assert acknowledged <= facts.predictions.keys()
        other.stop()

        # 2. Over an instance that has gone on: not by accident, and nothing of its storage goes.
        storage = instance.home.path / "storage"
        before = {path: path.read_bytes() for path in storage.rglob("*.parquet")}
        manifests = {path.read_bytes() for path in storage.rglob("versions/*.json")}
        assert "--replace" in refuse(instance, "restore", str(kept))
        said = succeed(instance, "restore", str(kept), "--replace")
        assert f"versions {dataset['head'] + 1} to {max(gone_on)} of drill/main" in said
        wait_for(lambda: instance.answers("/readyz"), 60, "the product goes on by itself")
        control.say(phase="load", clock=0)
        with load_on(instance, control, folder, slug="drill", seed=2, again=True) as load:
            wait_for(
                lambda: published(load) >= len(gone_on) - dataset["head"] + 1,
                90,
                "versions with the same numbers",
            )
            assert load.finish().ledger == "ok"
        with connect(instance) as http:
            now = versions(http)
            verified = http.post(f"{MAIN}latest/verify/", json={"full": True}).raise_for_status().json()
        assert max(now) > max(gone_on)
        assert all(now[n] == gone_on[n] for n in gone_on if n <= dataset["head"])
        # The next one may have the same rows, those that waited at the time of the backup. The last one has not.
        assert now[max(gone_on)] != gone_on[max(gone_on)]
        assert {path: path.read_bytes() for path in before} == before
        assert manifests <= {path.read_bytes() for path in storage.rglob("versions/*.json")}
        assert verified["ok"], verified

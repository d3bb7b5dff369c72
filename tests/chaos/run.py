"""One run from start to end: an instance, load on it, faults one after the other, drain, check."""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from labeling.replay.credentials import read_credentials
from tests.chaos.checker import check
from tests.chaos.control import AS_USUAL, DRAIN, INJECTED, STOP, Control
from tests.chaos.facts import read_facts
from tests.chaos.faults import Target, strike
from tests.chaos.histories import Histories
from tests.chaos.recovery import NotRecoveredError, wait_until_recovered
from tests.chaos.report import Recovery, Report, count_acknowledged
from tests.stack import prepared
from tests.stack.instance import PROJECT, Instance, clean_environment

POSTERS, REVIEWERS, READERS = 2, 4, 2
POLICY = {
    "high": 0.9,
    "low": 0.5,
    "audit_rate": 0.1,
    "sentinel_rate": 0,
    "second_review_rate": 0,
    "lease_seconds": 30,
}
DRAIN_S = 60.0
A_DAY = 24 * 3600.0


@contextmanager
def instance_under_fire() -> Iterator[tuple[Instance, Control, Path]]:
    """A running instance whose processes carry the injected changes; its control file; a folder for the run."""
    folder = Path(tempfile.gettempdir()) / f"reviewapp-chaos-{secrets.token_hex(6)}"
    folder.mkdir(mode=0o711)
    instance = Instance(folder / "home")
    control = Control(folder / "control.json")
    control.say()
    prepared.lay(instance.home)
    try:
        instance.start(**control.environment)
        yield instance, control, folder
    finally:
        instance.clean_up()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Run:
    """Load on one project of an instance."""

    instance: Instance
    control: Control
    folder: Path
    slug: str
    seed: int
    report: Report
    target: Target
    histories: Histories
    drivers: list[subprocess.Popen[bytes]]
    http: httpx.Client

    def strike(self, kind: str, *, give_up_s: float = 60.0) -> None:
        """One fault, and the wait until all goes on. A fault that is not recovered from is a finding."""
        self.histories.read_on()
        since = strike(kind, self.target)
        try:
            self.report.recoveries.append(
                Recovery(kind, wait_until_recovered(self.histories, since, give_up_s))
            )
        except NotRecoveredError as error:
            self.report.findings.other.append(f"{kind}: {error}")
            self.report.recoveries.append(Recovery(kind, {"nothing": give_up_s}))

    def finish(self, *, drain_s: float = DRAIN_S) -> Report:
        """Let everything come to rest, and check."""
        self._drain(drain_s)
        self.histories.read_on()
        with self.instance.database() as database:
            facts = read_facts(database, self.http, self.slug)
        found = check(self.histories.lines, facts, self.target.clock)
        found.other = self.report.findings.other + found.other
        self.report.findings = found
        self.report.acknowledged = count_acknowledged(self.histories)
        self.report.ledger = self._verify_ledger()
        self.report.started_s = self.target.started_s
        return self.report

    def _drain(self, drain_s: float) -> None:
        """No new rows, all leases at their end, reviewers until nothing waits, then publisher and reader."""
        self.control.say(phase=DRAIN)
        self.target.set_clock(A_DAY)
        deadline = time.monotonic() + drain_s
        posting, reviewing, following = self.drivers
        for driver in (posting, reviewing):
            self._wait(driver, deadline)
        drained_at = time.time()
        while time.monotonic() < deadline and not self._nothing_new_since(drained_at):
            time.sleep(0.1)
        self.control.say(phase=STOP)
        self._wait(following, time.monotonic() + 30)

    def _nothing_new_since(self, moment: float) -> bool:
        return any(
            line["op"] == "publish" and line["state"] == "nothing new" and line["sent"] > moment
            for line in self.histories.read_on()
        )

    def _wait(self, driver: subprocess.Popen[bytes], deadline: float) -> None:
        try:
            code = driver.wait(max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            driver.kill()
            self.report.findings.other.append("a driver did not come to an end")
            return
        if code:
            self.report.findings.other.append("a driver failed, see its output")

    def _verify_ledger(self) -> str:
        settings = {"REVIEWAPP_HOME": str(self.instance.home.path), "REVIEWAPP_PORT": str(self.instance.port)}
        found = subprocess.run(
            [sys.executable, "manage.py", "verify_ledger"],
            cwd=PROJECT,
            env=clean_environment(**settings),
            capture_output=True,
            text=True,
            check=False,
        )
        return "ok" if found.returncode == 0 else (found.stdout + found.stderr).strip()


@contextmanager
def load_on(
    instance: Instance, control: Control, folder: Path, *, slug: str, seed: int, again: bool = False
) -> Iterator[Run]:
    """A project with clients at work; they end with the block. `again` is for a project that is there already."""
    credentials = read_credentials(instance.home.credentials)
    notes = folder / f"histories-{slug}-{seed}"
    notes.mkdir()
    drivers: list[subprocess.Popen[bytes]] = []
    with httpx.Client(
        base_url=f"{credentials.url}/api/v1",
        headers={"Authorization": f"Bearer {credentials.api_key}"},
        timeout=60,
        trust_env=False,
    ) as http:
        if not again:
            _make_project(http, slug)
        keys = _make_keys(http, slug)
        control.say(**AS_USUAL)
        groups = (
            [("post", f"poster{n}-{seed}", credentials.api_key) for n in range(1, POSTERS + 1)],
            [("review", who, key) for who, key in keys.items()],
            [
                ("publish", "publisher", credentials.api_key),
                *(("read", f"reader{n}", credentials.api_key) for n in range(1, READERS + 1)),
            ],
        )
        try:
            for number, group in enumerate(groups):
                orders = {
                    "url": credentials.url,
                    "project": slug,
                    "seed": seed,
                    "histories": str(notes),
                    "control": str(control.path),
                    "clients": [{"work": work, "who": who, "key": key} for work, who, key in group],
                }
                path = notes / f"orders-{number}.json"
                path.write_text(json.dumps(orders), encoding="utf-8")
                drivers.append(_start_driver(path))
            target = Target(instance, control, random.Random(seed))
            yield Run(
                instance, control, folder, slug, seed, Report(seed), target, Histories(notes), drivers, http
            )
        finally:
            for driver in drivers:
                driver.kill()
                driver.wait()


def _start_driver(orders: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.drivers", str(orders)],
        cwd=PROJECT,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
    )


def _make_project(http: httpx.Client, slug: str) -> None:
    body = {"slug": slug, "name": slug, "task_type": "classification", "policy": POLICY}
    _post(http, "/projects/", {**body, "label_schema": {"labels": ["a", "b", "c"]}})


def _make_keys(http: httpx.Client, slug: str) -> dict[str, str]:
    """A key for each reviewer, who becomes a member."""
    keys = {}
    for number in range(1, REVIEWERS + 1):
        who = f"{slug}-reviewer{number}"
        _post(http, f"/projects/{slug}/members/", {"username": who, "role": "reviewer"})
        wanted = {"name": who, "scopes": ["review"], "project": slug, "member": who}
        keys[who] = _post(http, "/keys/", wanted)["key"]
    return keys


def _post(http: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    return http.post(path, json=body).raise_for_status().json()


def run(
    kinds: Sequence[str],
    seed: int,
    *,
    most_s: float = float("inf"),
    tell: Callable[[str], None] = lambda _text: None,
) -> Report:
    """A whole run on an instance of its own; no fault begins after `most_s` seconds."""
    began = time.monotonic()
    with (
        instance_under_fire() as (instance, control, folder),
        load_on(instance, control, folder, slug="chaos", seed=seed) as load,
    ):
        tell(f"The instance runs after {time.monotonic() - began:.1f} s")
        wait_until_recovered(load.histories, time.time())
        for number, kind in enumerate(kinds, 1):
            if time.monotonic() - began > most_s:
                break
            time.sleep(load.target.dice.uniform(0.2, 1.0))
            load.strike(kind)
            seconds, work = load.report.recoveries[-1].slowest
            tell(f"{number:>4} {kind:<32} {work} after {seconds:.1f} s")
        report = load.finish()
        if kept := os.environ.get("CHAOS_KEEP"):
            shutil.copytree(
                folder, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock", "postgres")
            )
    report.seconds = time.monotonic() - began
    return report


__all__ = ["INJECTED", "Run", "instance_under_fire", "load_on", "run"]

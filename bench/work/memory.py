"""Memory: the whole stack when nobody asks anything, and its web workers through two hundred thousand requests."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.load import Samples, Step, run_load
from bench.place import Headers, Place, running_place
from bench.results import Result
from bench.rows import POLICY, SCHEMA, make_row
from bench.wire import Wire, request
from bench.work.reading import sign_in
from tests.stack.memory import stack_mb, web_workers_mb

SLUG = "memory"
REQUESTS, QUICK_REQUESTS = 200_000, 2_000
# Until each thread and connection has met what it keeps for good (statements it has prepared, the largest answer it has read).
WARM_UP = 0.4
_IDLE_AFTER_S = 8.0


def measure(quick: bool) -> list[Result]:
    """`memory_idle`, `memory_web_worker` and `memory_growth`, on an instance that has just started."""
    most = QUICK_REQUESTS if quick else REQUESTS
    with running_place() as place:
        time.sleep(2.0 if quick else _IDLE_AFTER_S)
        idle = stack_mb(place.instance)
        place.call("POST", "/projects/", project())
        mixed = [place.port, SLUG, place.headers(), sign_in(place)]
        load(mixed, int(most * WARM_UP))
        before = web_workers_mb(place.instance)
        with _watching(place) as highest:
            samples = load(mixed, most)
        after = web_workers_mb(place.instance)
    parts = ", ".join(f"{name} {size:.0f}" for name, size in sorted(idle.items(), key=lambda part: -part[1]))
    return [
        Result(
            "memory_idle", sum(idle.values()), "MB", note=f"PSS without PostgreSQL's shared buffers: {parts}"
        ),
        Result("memory_web_worker", max(highest), "MB", note="the largest web worker under load, PSS"),
        Result(
            "memory_growth",
            max(after) - max(before),
            "MB",
            errors=samples.errors,
            note=f"of the largest web worker over {len(samples.seconds):,} mixed requests, after {int(most * WARM_UP):,}",
        ),
    ]


def load(mixed: list[object], count: int) -> Samples:
    """`count` requests of every kind over eight connections, as fast as they are answered."""
    return run_load(mix, [*mixed, count], connections=8, seconds=3_600.0)


def mix(port: int, slug: str, headers: Headers, cookies: str, count: int) -> Step:
    """Mostly single predictions; pages, batches, the feed, the rates, claims with their decision, and refused ones between."""
    rng = random.Random(random.SystemRandom().random())
    wire = Wire(port)
    api, signed_in = f"/api/v1/projects/{slug}", {"Cookie": cookies}
    others = {
        0: lambda: request("GET", f"/projects/{slug}/review/default/", headers=signed_in),
        1: lambda: request("GET", f"{api}/outcomes/?limit=200", headers=headers),
        2: lambda: request("GET", f"/projects/{slug}/", headers=signed_in),
        3: lambda: request("GET", f"{api}/predictions/?q=near", headers=headers),
        4: lambda: request(
            "POST", f"{api}/predictions/", [make_row(rng) for _ in range(200)], headers=headers
        ),
        5: lambda: request("POST", f"{api}/predictions/", {"id": ""}, headers=headers),
        6: lambda: request("GET", f"/projects/{slug}/trust/", headers=signed_in),
    }

    def step(number: int) -> bool | None:
        if number >= count:
            return None
        kind = number % 100
        if kind == 10:
            return _decide_one(wire, api, headers)
        make = others.get(
            kind, lambda: request("POST", f"{api}/predictions/", make_row(rng), headers=headers)
        )
        status, _ = wire.ask(make())
        return status == 422 if kind == 5 else status < 300

    return step


def _decide_one(wire: Wire, api: str, headers: Headers) -> bool:
    status, answer = wire.ask(request("POST", f"{api}/tasks/claim/", {"count": 1}, headers=headers))
    for task in json.loads(answer)["tasks"] if status == 200 else ():
        verdict = {"verdict": "labelled", "output": {"label": "ok"}}
        if task["kind"] == "review":
            verdict = {"verdict": "confirmed"}
        body = {"token": task["token"], **verdict}
        status, _ = wire.ask(
            request("POST", f"/api/v1/tasks/{task['task']}/decision/", body, headers=headers)
        )
    return status < 300


def project() -> dict[str, object]:
    names = {"slug": SLUG, "name": "Memory", "task_type": "classification"}
    return {**names, "label_schema": SCHEMA, "policy": POLICY}


@contextmanager
def _watching(place: Place) -> Iterator[list[float]]:
    """The largest web worker, looked at every second."""
    highest = [0.0]
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(1.0):
            highest[0] = max(highest[0], *web_workers_mb(place.instance))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield highest
    finally:
        ended.set()
        thread.join()
        highest[0] = max(highest[0], *web_workers_mb(place.instance))

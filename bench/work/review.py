"""Reviewing over the API: decide and get the next one in the answer, beside the same statements in bare psycopg."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from bench.filling import Filler
from bench.load import Samples, Step, run_load
from bench.place import Place, settle
from bench.recording import read_recorded, record_decisions
from bench.results import Result
from bench.wire import Wire, request

REVIEWERS, QUICK_REVIEWERS = 50, 10
CLOSED_LOOP = 8
OFFERED = 500


def make_reviewers(place: Place, slug: str, count: int = REVIEWERS) -> list[str]:
    """A key each for people who review."""
    keys = []
    for number in range(count):
        username = f"reviewer-{number}"
        place.call("POST", f"/projects/{slug}/members/", {"username": username, "role": "reviewer"})
        body = {"name": username, "scopes": ["review"], "project": slug, "member": username}
        keys.append(place.call("POST", "/keys/", body)["key"])
    return keys


def decide_and_take(port: int, slug: str, keys: list[str], first: list[Any]) -> Step:
    """Confirm what this connection holds and get the next in the answer; each connection is one reviewer.

    `first` is a counter shared by the connections of a process, so that each takes a key of its own.
    """
    key = keys[len(first) % len(keys)]
    first.append(key)
    wire = Wire(port)
    headers = {"Authorization": f"Bearer {key}"}
    claim = request("POST", f"/api/v1/projects/{slug}/tasks/claim/", {"count": 1}, headers=headers)

    def take() -> Any:
        status, answer = wire.ask(claim)
        tasks = json.loads(answer)["tasks"] if status == 200 else []
        return tasks[0] if tasks else None

    held = take()

    def step(_number: int) -> bool:
        nonlocal held
        if held is None:
            held = take()
            return held is not None
        body = {"token": held["token"], "verdict": "confirmed", "next": True}
        if held["kind"] != "review":
            body |= {"verdict": "labelled", "output": {"label": "ok"}}
        status, answer = wire.ask(
            request("POST", f"/api/v1/tasks/{held['task']}/decision/", body, headers=headers)
        )
        held = json.loads(answer)["next"] if status == 201 else None
        return held is not None

    return step


def replay_statements(url: str, path: Path, turns: list[Any]) -> Step:
    """The recorded statements of one decision, the last of which claims the next task; in a transaction if they are several."""
    mine = len(turns)
    turns.append(None)
    decisions = read_recorded(path)[mine::CLOSED_LOOP]
    connection = psycopg.connect(url, autocommit=True)

    def step(_number: int) -> bool | None:
        if not decisions:
            return None
        statements = decisions.pop()
        whole = connection.transaction() if len(statements) > 1 else nullcontext()
        with whole, psycopg.RawCursor(connection) as cursor:
            for statement, values in statements:
                cursor.execute(statement, values, prepare=values is not None)
            return len(cursor.fetchall()) == 1

    return step


def measure_decisions(
    place: Place, slug: str, filler: Filler, rows_before: int, folder: Path, *, quick: bool
) -> list[Result]:
    """`claim_decide` and `claim_behind`."""
    rounds, seconds, offered_s, behind = (1, 2.0, 3.0, 3_000) if quick else (4, 10.0, 30.0, 200_000)
    _add_waiting(filler, rows_before, 40_000 if quick else 400_000)
    keys = make_reviewers(place, slug, QUICK_REVIEWERS if quick else REVIEWERS)
    maxima: list[Samples] = []
    floors: list[Samples] = []
    server = database = 0.0
    for turn in range(rounds):
        path = folder / f"recorded-{turn}"
        record_decisions(place, slug, path, count=600 if quick else 9_000, people=CLOSED_LOOP)
        floors.append(
            run_load(
                replay_statements,
                [place.database_url, path, []],
                connections=CLOSED_LOOP,
                seconds=seconds,
            )
        )
        _put_away_what_is_held(place)
        before = place.spent()
        maxima.append(
            run_load(decide_and_take, [place.port, slug, keys, []], connections=CLOSED_LOOP, seconds=seconds)
        )
        used = place.spent() - before
        server, database = server + used.server, database + used.database
    settle()
    offered = run_load(
        decide_and_take, [place.port, slug, keys, []], connections=REVIEWERS, seconds=offered_s, rate=OFFERED
    )
    value, floor = median(s.rate for s in maxima), median(s.rate for s in floors)
    thousands = sum(len(s.seconds) for s in maxima) / 1_000
    found = Result(
        "claim_decide",
        value,
        "decisions/s",
        floor,
        value / floor,
        {
            "client": sum(s.cpu for s in maxima) / thousands,
            "server": server / thousands,
            "database": database / thousands,
        },
        rows_before=rows_before,
        errors=offered.errors + sum(s.errors for s in (*maxima, *floors)),
        note=f"value: maximum with {CLOSED_LOOP} connections; milliseconds: {OFFERED}/s offered over {REVIEWERS} connections",
    ).timed(offered)
    return [found, _behind(place, slug, filler, keys, rows_before, behind, offered_s)]


def _add_waiting(filler: Filler, rows_before: int, needed: int) -> None:
    """As many as will be decided, claimed for the floor, or decided behind the snapshot; a tenth of what is stored waits already."""
    if rows_before // 10 < needed:
        filler.add(needed, state="waiting", tenths_reviewed=10)


def _put_away_what_is_held(place: Place) -> None:
    """The floor leaves many more tasks in one person's hands than a person ever holds, and every page looks at those."""
    with place.connect() as connection:
        connection.execute(
            "update labeling_reviewtask set state = 'decided', claimed_by_id = null, claim_token = null, claimed_at = null,"
            " lease_expires_at = null where state = 'claimed'"
        )


def _behind(
    place: Place, slug: str, filler: Filler, keys: list[str], rows_before: int, behind: int, seconds: float
) -> Result:
    """The same while a snapshot is open that still sees many tasks at the head waiting, which are decided since."""
    with place.connect() as snapshot, place.connect() as other:
        snapshot.execute(
            "set idle_in_transaction_session_timeout = 0"
        )  # longer than the product's own may last
        snapshot.execute("begin isolation level repeatable read")
        snapshot.execute("select count(*) from labeling_queuemark")
        other.execute(
            "update labeling_reviewtask set state = 'decided' where id in (select id from labeling_reviewtask"
            " where queue_id = %s and state = 'waiting' order by priority desc, position limit %s)",
            [filler.queue_id, behind],
        )
        settle(6 if behind < 100_000 else 12)  # the sweep passes
        samples = run_load(
            decide_and_take,
            [place.port, slug, keys, []],
            connections=REVIEWERS,
            seconds=seconds,
            rate=OFFERED,
        )
        snapshot.execute("rollback")
    return Result(
        "claim_behind",
        samples.percentile_ms(99),
        "ms p99",
        None,
        None,
        {},
        rows_before=rows_before,
        errors=samples.errors,
        note=f"{OFFERED}/s offered behind {behind:,} tasks decided while a snapshot is open",
    ).timed(samples)

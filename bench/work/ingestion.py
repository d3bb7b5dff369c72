"""Ingestion: batches beside COPY, single rows beside the smallest Django view."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import msgspec
import psycopg

from bench.floor import SINGLE_TABLE
from bench.load import Samples, Step, run_load
from bench.place import Headers, Place, settle
from bench.results import Result
from bench.rows import make_row
from bench.wire import Wire, request

ROWS_PER_REQUEST = 1_000
OFFERED = 600  # 50 million a day
_COPY_TABLE = """
create table if not exists bench_copy (
    id bigint primary key generated always as identity, project_id bigint not null, key text not null, input json not null,
    output json not null, confidence float8 not null, label text, segment text, received_at timestamptz not null default now()
);
create index if not exists bench_copy_by_key on bench_copy (key);
create index if not exists bench_copy_by_project on bench_copy (project_id, id);
"""
_COPY = "copy bench_copy (project_id, key, input, output, confidence, label, segment) from stdin"


class _Answer(msgspec.Struct):
    """What is read of the answer to a batch. One client waits for the server and the server for it: what it does counts."""

    created: int


_read_answer = msgspec.json.Decoder(_Answer).decode


@dataclass(frozen=True)
class Target:
    """Where the load process sends predictions."""

    port: int
    path: str
    headers: Headers


def send_batches(target: Target, seed: int, bodies: int) -> Step:
    """Batches made before the clock runs; every one is new."""
    rng = random.Random(f"{seed}-{random.SystemRandom().random()}")
    requests = [
        request("POST", target.path, [make_row(rng) for _ in range(ROWS_PER_REQUEST)], headers=target.headers)
        for _ in range(bodies)
    ]
    wire = Wire(target.port)

    def step(_number: int) -> bool | None:
        if not requests:
            return None
        status, answer = wire.ask(requests.pop())
        return status == 200 and _read_answer(answer).created == ROWS_PER_REQUEST

    return step


def send_singles(target: Target, seed: int) -> Step:
    """One new row a request; making it costs the client, not the clock's server."""
    rng = random.Random(f"{seed}-{random.SystemRandom().random()}")
    wire = Wire(target.port)

    def step(_number: int) -> bool:
        row = make_row(rng)
        headers = {**target.headers, "X-Key": row["id"]}
        return wire.ask(request("POST", target.path, row, headers=headers))[0] == 201

    return step


def measure_batches(place: Place, target: Target, rows_before: int, *, quick: bool) -> list[Result]:
    """`ingest_batch` and `ingest_batch_3`: rounds of both alternate with rounds of the floor."""
    rounds, bodies = (2, 5) if quick else (7, 30)
    floors: list[float] = []
    one: list[Samples] = []
    three: list[Samples] = []
    spent = {1: [0.0, 0.0], 3: [0.0, 0.0]}
    with place.connect() as connection:
        connection.execute(_COPY_TABLE)
        for turn in range(rounds):
            floors.append(_copy_floor(connection, bodies, turn))
            for clients, results in ((1, one), (3, three)):
                before = place.spent()
                results.append(
                    run_load(send_batches, [target, turn, bodies], connections=clients, seconds=60)
                )
                used = place.spent() - before
                spent[clients][0] += used.server
                spent[clients][1] += used.database
                settle(0.5)
        connection.execute("drop table bench_copy")
    floor = median(floors)
    return [
        _batch_result(name, results, floor, spent[clients], rows_before)
        for name, clients, results in (("ingest_batch", 1, one), ("ingest_batch_3", 3, three))
    ]


def _batch_result(
    name: str, rounds: list[Samples], floor: float, spent: list[float], rows_before: int
) -> Result:
    value = median(samples.rate * ROWS_PER_REQUEST for samples in rounds)
    whole = Samples(seconds=[s for samples in rounds for s in samples.seconds])
    thousands = len(whole.seconds) * ROWS_PER_REQUEST / 1_000
    return Result(
        name,
        value,
        "rows/s",
        floor,
        value / floor,
        {
            "client": sum(samples.cpu for samples in rounds) / thousands,
            "server": spent[0] / thousands,
            "database": spent[1] / thousands,
        },
        rows_before=rows_before,
        errors=sum(samples.errors for samples in rounds),
        note="floor: COPY of the same rows into one table with its key and two indexes, one connection",
    ).timed(whole)


def _copy_floor(connection: psycopg.Connection[Any], batches: int, seed: int) -> float:
    """Rows a second of COPY, a transaction for each batch."""
    rng = random.Random(f"floor {seed}")
    prepared = [
        [
            (
                1,
                row["id"],
                json.dumps(row["input"]),
                json.dumps(row["prediction"]),
                row["confidence"],
                row["prediction"]["label"],
                row["segment"],
            )
            for row in (make_row(rng) for _ in range(ROWS_PER_REQUEST))
        ]
        for _ in range(batches)
    ]
    began = time.perf_counter()
    for batch in prepared:
        with connection.transaction(), connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for row in batch:
                copy.write_row(row)
    return batches * ROWS_PER_REQUEST / (time.perf_counter() - began)


def measure_singles(place: Place, target: Target, rows_before: int, *, quick: bool) -> list[Result]:
    """`ingest_single`: the maximum beside the floor's, then the latency at the offered rate."""
    rounds, seconds, offered_s = (1, 2.0, 3.0) if quick else (5, 8.0, 60.0)
    floor_target = Target(place.floor_port, "/insert", {})
    maxima: list[Samples] = []
    floors: list[Samples] = []
    server = database = 0.0
    with place.connect() as connection:
        connection.execute(SINGLE_TABLE)
        for turn in range(rounds):
            floors.append(run_load(send_singles, [floor_target, turn], connections=8, seconds=seconds))
            before = place.spent()
            maxima.append(run_load(send_singles, [target, turn], connections=8, seconds=seconds))
            used = place.spent() - before
            server, database = server + used.server, database + used.database
        connection.execute("drop table bench_single")
    settle()
    offered = run_load(send_singles, [target, 99], connections=16, seconds=offered_s, rate=OFFERED)
    value, floor = median(s.rate for s in maxima), median(s.rate for s in floors)
    thousands = sum(len(s.seconds) for s in maxima) / 1_000
    return [
        Result(
            "ingest_single",
            value,
            "rows/s",
            floor,
            value / floor,
            {
                "client": sum(s.cpu for s in maxima) / thousands,
                "server": server / thousands,
                "database": database / thousands,
            },
            rows_before=rows_before,
            errors=offered.errors + sum(s.errors for s in (*maxima, *floors)),
            note=f"value: maximum with 8 connections; milliseconds: {OFFERED}/s offered for {offered_s:.0f} s",
        ).timed(offered)
    ]

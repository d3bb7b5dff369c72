"""Publishing: decisions into a dataset that holds nothing and one that holds millions, beside writing the same rows plainly."""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
import pyarrow as pa
from pyarrow import parquet

from bench.filling import Filler
from bench.place import Place, Spent
from bench.results import Result
from bench.rows import POLICY, SCHEMA

LEDGER_ROWS, QUICK_LEDGER_ROWS = 5_000_000, 20_000
_PIECE = 500_000
_PATIENCE_S = 120.0

_DECIDE = """
with tasks as (
    select id, item_id, prediction_id from labeling_reviewtask
    where project_id = %(project)s and id > %(after)s order by id limit %(count)s),
made as (
    insert into labeling_decision (project_id, task_id, item_id, prediction_id, purpose, verdict, output, agreed, note,
                                   claim_token, request_hash, decided_by_id, guidelines_number)
    select %(project)s, id, item_id, prediction_id, 'review', 'confirmed', '{"label":"ok"}', true, '',
           gen_random_uuid(), gen_random_uuid(), %(user)s, 0 from tasks order by id
    returning id, task_id),
waiting as (insert into labeling_waitingdecision (dataset_id, decision_id) select %(dataset)s, id from made order by id)
select max(task_id), count(*) from made
"""
# Entries of decisions that were published long ago: what a publication probes is the ledger, not the decisions behind it.
_LEDGER = """
insert into labeling_datasetentry (id, dataset_id, decision_id, item_id, version, op, removes, split, row_digest)
select n, %(dataset)s, place, place, 1, 'a', false, 'train', sha256(n::text::bytea)
from (select n, ((%(second)s::bigint + n / 200) << 20) | (n %% 200) as place from generate_series(%(low)s, %(high)s) n) numbered
"""


class Publisher:
    """A project of its own whose decisions are made in SQL and published by the product."""

    def __init__(self, place: Place, slug: str, *, decisions: int, first_piece: int) -> None:
        self._place = place
        self._path = f"/projects/{slug}/datasets/main/versions/"
        place.call(
            "POST",
            "/projects/",
            {
                "slug": slug,
                "name": "Benchmark of publishing",
                "task_type": "classification",
                "label_schema": SCHEMA,
                "policy": POLICY,
            },
        )
        self._connection = place.connect()
        filler = Filler(self._connection, slug, first_piece=first_piece)
        filler.add(decisions, tenths_reviewed=10)
        self._values = {"project": filler.project_id, "after": 0}
        self._values["user"] = self._ask("select min(id) from auth_user where is_superuser")[0]
        self._values["dataset"] = self._ask(
            "select id from labeling_dataset where project_id = %(project)s and slug = 'main'"
        )[0]
        # Published when asked for and at no other time.
        self._connection.execute(
            "update labeling_project set publish_every_seconds = 0 where id = %(project)s", self._values
        )

    def close(self) -> None:
        self._connection.close()

    def publish(self, count: int) -> float:
        """Decide `count` tasks, ask for a publication; seconds from the request until the version exists."""
        self._values["after"], made = self._ask(_DECIDE, count=count)
        if made != count:
            raise RuntimeError(f"only {made} of {count} decisions could be made")
        head = self._head()
        began = time.perf_counter()
        self._place.call("POST", self._path, {})
        while self._head() == head:
            if time.perf_counter() > began + _PATIENCE_S:
                raise RuntimeError(f"no version after {_PATIENCE_S:.0f} s: {self._error()}")
            time.sleep(0.002)
        return time.perf_counter() - began

    def fill_ledger(self, rows: int) -> None:
        """Store `rows` entries of earlier publications."""
        low = self._ask("select coalesce(max(id), 0) + 1 from labeling_datasetentry")[0]
        second = self._ask("select floor(extract(epoch from now()))::bigint - 1735689600 - 500000")[0]
        for start in range(low, low + rows, _PIECE):
            end = min(start + _PIECE, low + rows) - 1
            with self._connection.transaction():
                self._connection.execute("set local synchronous_commit = off")
                self._connection.execute(
                    _LEDGER, {**self._values, "second": second, "low": start, "high": end}
                )
        self._connection.execute(
            "select setval(pg_get_serial_sequence('labeling_waitingdecision', 'id'), %s)", [low + rows]
        )
        self._connection.execute("vacuum (analyze) labeling_datasetentry")

    def plainly(self, folder: Path) -> float:
        """Seconds to write the newest version's rows as one Parquet file and COPY its ledger lines, and no more."""
        connection = self._connection
        path, version = self._ask(
            "select path, hi from labeling_datasetsegment where dataset_id = %(dataset)s order by hi desc limit 1"
        )
        rows = parquet.read_table(self._place.instance.home.path / "storage" / path)
        with connection.cursor() as cursor:
            cursor.execute(
                "select * from labeling_datasetentry where dataset_id = %(dataset)s and version = %(version)s",
                {**self._values, "version": version},
            )
            lines = cursor.fetchall()
        connection.execute("create table bench_ledger (like labeling_datasetentry including all)")
        try:
            began = time.perf_counter()
            _write_parquet(rows, folder / "floor.parquet")
            _copy(connection, lines)
            return time.perf_counter() - began
        finally:
            connection.execute("drop table bench_ledger")

    def _head(self) -> int:
        return int(self._ask("select head from labeling_dataset where id = %(dataset)s")[0])

    def _error(self) -> Any:
        return self._ask(
            "select max(error) from labeling_publication where dataset_id = %(dataset)s and state = 'open'"
        )[0]

    def _ask(self, query: str, **values: Any) -> Any:
        row = self._connection.execute(query, {**self._values, **values}).fetchone()
        assert row is not None, query
        return row


def _write_parquet(rows: pa.Table, path: Path) -> None:
    with path.open("wb") as file:
        parquet.write_table(rows, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())


def _copy(connection: psycopg.Connection[Any], lines: list[Any]) -> None:
    with (
        connection.transaction(),
        connection.cursor() as cursor,
        cursor.copy("copy bench_ledger from stdin") as copy,
    ):
        for line in lines:
            copy.write_row(line)


def measure(place: Place, rows_before: int, folder: Path, *, quick: bool) -> list[Result]:
    """`publish_100` and `publish_10k`: into an empty dataset, then into one with a large ledger."""
    ledger = QUICK_LEDGER_ROWS if quick else LEDGER_ROWS
    rounds = {100: 3 if quick else 15, 10_000: 1 if quick else 5}
    needed = 2 * sum(count * times for count, times in rounds.items()) + 200
    publisher = Publisher(place, "bench-publishing", decisions=needed, first_piece=340)
    seconds: dict[int, dict[int, list[float]]] = {count: {} for count in rounds}
    floors: dict[int, list[float]] = {count: [] for count in rounds}
    spent: dict[int, Spent] = {}
    try:
        publisher.publish(100)  # the first time, processes load what they have not used yet
        for held in (0, ledger):
            if held:
                publisher.fill_ledger(held)
                publisher.publish(100)
            for count, times in rounds.items():
                before = place.spent()
                seconds[count][held] = [publisher.publish(count) for _ in range(times)]
                spent[count] = place.spent() - before
                floors[count].append(publisher.plainly(folder))
    finally:
        publisher.close()
    return [
        _result(name, count, seconds[count], floors[count], spent[count], rounds[count], rows_before)
        for name, count in (("publish_100", 100), ("publish_10k", 10_000))
    ]


def _result(
    name: str,
    count: int,
    seconds: dict[int, list[float]],
    floors: list[float],
    spent: Spent,
    times: int,
    rows_before: int,
) -> Result:
    sizes = {str(held): median(found) * 1_000 for held, found in seconds.items()}
    empty, value = sizes.values()
    held = max(seconds)
    floor = median(floors) * 1_000
    thousands = count * times / 1_000
    return Result(
        name,
        value,
        "ms",
        floor,
        floor / value,
        {"worker": spent.worker / thousands, "database": spent.database / thousands},
        rows_before=rows_before,
        note=f"{count:,} decisions into a dataset of {held:,}, from the request to the version; {value / empty:.2f} times what"
        " an empty one takes; floor: the same rows with pyarrow, and COPY of the ledger's lines",
        sizes=sizes,
    )

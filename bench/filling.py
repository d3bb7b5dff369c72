"""Fill the tables of a project as months of traffic would have, in minutes: in SQL, with random client ids.

What is written is what ingestion and decisions write for the same predictions (items, predictions, keys, tasks, outcomes);
the counts are left out, except where `fill_rollups` makes them.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

PIECE = 250_000
# Pieces that are written side by side; each waits for a processor, none for another.
AT_ONCE = min(4, os.cpu_count() or 1)

_ITEMS = """
create temporary table piece as
select (floor(extract(epoch from now()) - 1735689600)::bigint - %(age)s + n / 200) << 20 | (n %% 200) as id,
       gen_random_uuid() as key_hash, n
from generate_series(1, %(count)s) n
"""
_KEYS = """
insert into labeling_itemkey (key_hash, project_id, item_id, input_hash, model_version_id, content_hash, route, policy_number)
select key_hash, %(project)s, id, gen_random_uuid(), %(model)s, gen_random_uuid(),
       case when n %% 10 < %(reviewed)s then 'review' else 'auto' end, 1 from piece order by key_hash
"""
_INPUTS = """
insert into labeling_item (id, project_id, key, input)
select id, %(project)s, key_hash::text,
       json_build_object('line', n %% 40, 'camera', 'c' || n %% 9, 'text', left(repeat(md5(n::text), 12), 360))
from piece
"""
_PREDICTIONS = """
insert into labeling_prediction (id, project_id, item_id, model_version_id, output, confidence, label, segment, route, reason,
                                 policy_number, period_id, audit_probability, audited)
select id, %(project)s, id, %(model)s, '{"label":"ok"}', case when n %% 10 < %(reviewed)s then 0.7 else 0.97 end, 'ok',
       case when n %% 2 = 0 then 'north' else 'south' end,
       case when n %% 10 < %(reviewed)s then 'review' else 'auto' end, 'threshold', 1, %(period)s, 0, false
from piece
"""
_TASKS = """
insert into labeling_reviewtask (id, project_id, queue_id, kind, purpose, state, item_id, prediction_id, model_version_id,
                                 confidence, segment, label, slot, priority, position)
select id, %(project)s, %(queue)s, 'review', 'review', %(state)s, id, id, %(model)s, 0.7,
       case when n %% 2 = 0 then 'north' else 'south' end, 'ok', 1, 0, id
from piece where n %% 10 < %(reviewed)s
"""
_OUTCOMES = """
insert into labeling_outcomebatch (project_id, of_predictions, entries, size, first_number)
select %(project)s, true, array_agg(id order by id), count(*), %(first)s + 1000 * (row_number() over (order by place) - 1)
from (select id, (row_number() over (order by id) - 1) / 1000 as place from piece where n %% 10 >= %(reviewed)s) numbered
group by place having count(*) = 1000
"""

# Counts as the transactions of 90 days would have left them, for the folder to add up: 3 model versions one after another,
# each for a third of the time; every hour, 12 ranges of confidence, 2 segments and 4 labels. The last entry of an hour is the
# automatic ones, of which one in 50 was checked.
_DELTAS = """
insert into labeling_trustdelta (project_id, payload)
select %(project)s, json_agg(json_build_object(
    'hour', to_char(moment, 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"'), 'day', to_char(moment, 'YYYY-MM-DD'),
    'period', %(period)s::bigint, 'mv', (%(versions)s::bigint[])[1 + age / 30], 'bucket', 18 + 3 * range,
    'segment', (array['north', 'south'])[1 + range %% 2], 'label', (array['ok', 'scratch', 'dent', 'stain'])[1 + range %% 4],
    'total', size, case when range < 7 then 'review' else 'auto' end, size,
    case when range < 7 then 'confirmed' else 'audit_due' end, case when range < 7 then size - size / 20 else size / 50 end,
    case when range < 7 then 'corrected' else 'audit_done' end, case when range < 7 then size / 20 else size / 50 end,
    'truth', (array['ok', 'scratch', 'dent', 'stain'])[1 + range %% 4]))
from (select date_trunc('day', now() at time zone 'UTC') - interval '90 days' + age * interval '1 day' + hour * interval '1 hour'
             as moment, age, hour, range, %(each)s::bigint as size
      from generate_series(0, 89) age, generate_series(0, 23) hour, generate_series(0, 11) range) counted
group by age, hour / 12
"""
_CELLS = 90 * 24 * 12


def fill_rollups(connection: psycopg.Connection[Any], slug: str, decisions: int) -> None:
    """Leave counts of about `decisions` predictions of the last 90 days in a project; the folder adds them up."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select project.id, period.id from labeling_project project join labeling_policyperiod period"
            " on period.project_id = project.id and period.ended_at is null where project.slug = %s",
            [slug],
        )
        found = cursor.fetchone()
        assert found is not None
        project, period = found
        cursor.execute(
            "insert into labeling_modelversion (project_id, name, version)"
            " select %s, 'inspector', version from unnest(array['1', '2', '3']) version"
            " on conflict (project_id, name, version) do update set version = excluded.version returning id",
            [project],
        )
        values = {"project": project, "period": period, "versions": [row[0] for row in cursor.fetchall()]}
        cursor.execute(_DELTAS, {**values, "each": decisions // _CELLS})


class Filler:
    """Adds stored traffic to one project, oldest first. Two fillers of one instance begin at different pieces, so that they
    make different ids."""

    def __init__(self, connection: psycopg.Connection[Any], slug: str, *, first_piece: int = 0) -> None:
        self._connection = connection
        self._values: dict[str, Any] = {"pieces": first_piece}
        with connection.cursor() as cursor:
            cursor.execute("select id from labeling_project where slug = %s", [slug])
            self._values["project"] = self._one(cursor)
            cursor.execute(
                "select id from labeling_reviewqueue where project_id = %(project)s and slug = 'default'",
                self._values,
            )
            self._values["queue"] = self._one(cursor)
            cursor.execute(
                "select id from labeling_policyperiod where project_id = %(project)s and ended_at is null",
                self._values,
            )
            self._values["period"] = self._one(cursor)
            cursor.execute(
                "insert into labeling_modelversion (project_id, name, version) values (%(project)s, 'inspector', '3')"
                " on conflict (project_id, name, version) do update set version = excluded.version returning id",
                self._values,
            )
            self._values["model"] = self._one(cursor)
            cursor.execute(
                "insert into labeling_queuemark (queue_id, priority, low) values (%(queue)s, 0, 0) on conflict do nothing",
                self._values,
            )

    @property
    def project_id(self) -> int:
        return int(self._values["project"])

    @property
    def queue_id(self) -> int:
        return int(self._values["queue"])

    def stored(self) -> int:
        """How many predictions the whole instance stores, as its statistics know it."""
        with self._connection.cursor() as cursor:
            cursor.execute(
                "select coalesce(sum(greatest(reltuples, 0)), 0)::bigint from pg_class"
                " where relname like 'labeling_prediction_w%'"
            )
            return self._one(cursor)

    def add(self, count: int, *, state: str = "decided", tenths_reviewed: int = 2) -> None:
        """Store `count` predictions, of which `tenths_reviewed` in ten have a task in `state`; the others are automatic
        outcomes with their number in the feed. PIECE rows at a time, each older than what comes in now."""
        pieces = []
        for start in range(0, count, PIECE):
            self._values["pieces"] += 1
            values = {
                **self._values,
                "age": _age_of(self._values["pieces"]),
                "count": min(PIECE, count - start),
                "state": state,
                "reviewed": tenths_reviewed,
            }
            pieces.append(values)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self._add_piece, pieces))
        with self._connection.cursor() as cursor:
            for table in ("item", "prediction", "itemkey", "reviewtask", "outcomebatch"):
                cursor.execute(f"vacuum (analyze) labeling_{table}")
        # The sweep has seen nothing of these while it moved the mark, and they are older than what it allows for.
        with self._connection.cursor() as cursor:
            cursor.execute("update labeling_queuemark set low = 0 where queue_id = %(queue)s", self._values)

    def _add_piece(self, values: dict[str, Any]) -> None:
        """One piece over a connection of its own; several go on at once."""
        with (
            psycopg.connect(self._connection.info.dsn) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("set local synchronous_commit = off")
            cursor.execute(_ITEMS, values)
            for statement in (_KEYS, _INPUTS, _PREDICTIONS, _TASKS):
                cursor.execute(statement, values)
            cursor.execute(
                "select last_number from labeling_feedhead where project_id = %(project)s for update", values
            )
            values["first"] = self._one(cursor) + 1
            cursor.execute(_OUTCOMES, values)
            cursor.execute(
                "update labeling_feedhead set last_number = last_number + %(size)s where project_id = %(project)s",
                {**values, "size": 1_000 * cursor.rowcount},
            )
            cursor.execute("drop table piece")

    @staticmethod
    def _one(cursor: psycopg.Cursor[Any]) -> int:
        row = cursor.fetchone()
        assert row is not None
        return int(row[0])


def _age_of(piece: int) -> int:
    """How many seconds ago a piece begins. Each has 200 ids a second of its own; the first is the oldest, all within six days."""
    age = 500_000 - piece * (PIECE // 200 + 10)
    if age < PIECE // 200 + 10:
        raise ValueError("more stored traffic than six days can hold at 200 a second")
    return age

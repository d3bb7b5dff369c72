"""One new row in one SQL statement: guard, key, item, prediction, task, outcome and counts, or nothing."""

from collections.abc import Callable
from functools import cache
from operator import itemgetter
from typing import Any, cast

import msgspec

from labeling.bulk import Prepared, Row
from labeling.ingestion.services import ITEM_COLUMNS, KEY_COLUMNS, PREDICTION_COLUMNS
from labeling.pipeline.placing import GUARD, GUARD_VALUES, Door, Placed
from labeling.review.tasks import TASK_COLUMNS
from labeling.trust.deltas import cell_entry

# Types that PostgreSQL cannot infer from a parameter standing in a select list.
_TYPES = {
    "key_hash": "uuid",
    "input_hash": "uuid",
    "content_hash": "uuid",
    "input": "json",
    "output": "json",
    "details": "json",
    "final_output": "json",
    "confidence": "float8",
    "audit_probability": "float8",
    "audited": "bool",
    "policy_number": "int",
    "slot": "smallint",
    "priority": "smallint",
    "received_at": "timestamptz",
    "occurred_at": "timestamptz",
    "created_at": "timestamptz",
}
# Columns that hold the same in every table of the statement, and the parameter they share: each value is sent once.
_SHARED = {
    "project_id": "project",
    "item_id": "p_item_id",
    "prediction_id": "p_id",
    "model_version_id": "p_model_version_id",
    "confidence": "p_confidence",
    "label": "p_label",
    "segment": "p_segment",
    "route": "p_route",
    "policy_number": "p_policy_number",
    "received_at": "p_received_at",
    "created_at": "p_received_at",
}
_TEXTS = frozenset({"key", "label", "segment", "route", "reason", "kind", "purpose", "state"})


def write_new_row(door: Door, placed: Placed) -> bool | None:
    """True when the row was written, False when its item is known already, None when the rules are out of date."""
    prediction, task = placed.prediction, placed.task
    values = [
        *door.guard_values().values(),
        *prediction.key_values(),
        *prediction.item_values(),
        *prediction.prediction_values(),
        *(task.values() if task else ()),
        msgspec.json.encode([cell_entry(placed.place, placed.counts)]).decode(),
    ]
    statement, take = _ready(with_task=task is not None, with_outcome=placed.output is not None)
    passed, written = cast(Row, statement.fetchone_with(take(values)))
    return bool(written) if passed else None


@cache
def _ready(*, with_task: bool, with_outcome: bool) -> tuple[Prepared, Callable[[list[Any]], Row]]:
    """The statement, and what takes its parameters out of the values of a row in the order that `write_new_row` has them in."""
    parts = [("k", KEY_COLUMNS), ("i", ITEM_COLUMNS), ("p", PREDICTION_COLUMNS)]
    parts += [("t", TASK_COLUMNS)] if with_task else []
    names = [
        *GUARD_VALUES,
        *(_parameter(prefix, column) for prefix, columns in parts for column in columns),
        "delta",
    ]
    statement = statement_of(with_task=with_task, with_outcome=with_outcome)
    return statement, itemgetter(*map(names.index, statement.names))


@cache
def statement_of(*, with_task: bool, with_outcome: bool) -> Prepared:
    """The statement for a row with or without a task, with or without an outcome at once."""
    parts = [
        f"guard as ({GUARD})",
        (
            f"new as (insert into labeling_itemkey ({', '.join(KEY_COLUMNS)})"
            f" select {_parameters('k', KEY_COLUMNS)} from guard on conflict (key_hash) do nothing returning 1)"
        ),
        _insert("labeling_item", "i", ITEM_COLUMNS),
        _insert("labeling_prediction", "p", PREDICTION_COLUMNS),
        (
            "delta as (insert into labeling_trustdelta (project_id, payload)"
            " select %(project)s::bigint, %(delta)s::jsonb from new)"
        ),
    ]
    if with_task:
        parts.append(_insert("labeling_reviewtask", "t", TASK_COLUMNS))
    if with_outcome:
        parts.append(
            "outcome as (insert into labeling_outcomebatch (project_id, of_predictions, entries, size)"
            " select %(project)s::bigint, true, array[%(p_id)s::bigint], 1 from new)"
        )
    return Prepared(
        f"with {', '.join(parts)} select (select count(*) from guard), (select count(*) from new)"
    )


def _insert(table: str, prefix: str, columns: tuple[str, ...]) -> str:
    return f"{prefix}_new as (insert into {table} ({', '.join(columns)}) select {_parameters(prefix, columns)} from new)"


def _parameters(prefix: str, columns: tuple[str, ...]) -> str:
    types = {c: _TYPES.get(c, "text" if c in _TEXTS else "bigint") for c in columns}
    return ", ".join(f"%({_parameter(prefix, c)})s::{types[c]}" for c in columns)


def _parameter(prefix: str, column: str) -> str:
    return _SHARED.get(column, f"{prefix}_{column}")

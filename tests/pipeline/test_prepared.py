"""Statements that run for every request are ones that the driver keeps what it made of."""

from __future__ import annotations

import re

import pytest
from psycopg._queries import MAX_CACHED_STATEMENT_LENGTH, MAX_CACHED_STATEMENT_PARAMS

from labeling.pipeline.holding import HOLD
from labeling.pipeline.recording import statement_of
from labeling.pipeline.single import _statement
from labeling.review.claiming import OPEN
from labeling.review.services import claim_statement


@pytest.mark.parametrize(
    "statement",
    [
        _statement(with_task=True, with_outcome=True),
        _statement(with_task=False, with_outcome=True),
        HOLD,
        statement_of(finishes=True, applies=True, serves=True, offers=True),
        claim_statement(1),
        OPEN,
    ],
    ids=["row with task and outcome", "row", "hold", "decision", "claim", "queue"],
)
def test_the_driver_takes_it_apart_once(statement: str) -> None:
    """Beyond these bounds psycopg looks for the parameters anew each time: a tenth of the work for a single row, by profile."""
    parameters = set(re.findall(r"%\((\w+)\)s", statement))
    assert parameters
    assert len(parameters) <= MAX_CACHED_STATEMENT_PARAMS
    assert len(statement) <= MAX_CACHED_STATEMENT_LENGTH

"""A prediction comes in: fingerprint -> known or new -> route -> task -> outcome -> counts, in one transaction.

`accept_predictions` takes many rows and COPYs what is new; `accept_one` writes a new row with one SQL statement and leaves
everything else to `accept_predictions`. Both write only while the rules they routed with are in force (see GUARD).
"""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import TypeVar

from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone
from psycopg.errors import DeadlockDetected, UniqueViolation

from labeling.decisions.outcomes import add_outcomes
from labeling.ingestion.candidates import Candidate, fingerprint
from labeling.ingestion.decoding import BadRow, Row
from labeling.ingestion.partitions import ensure_partitions, is_missing_partition
from labeling.ingestion.services import (
    KnownItem,
    copy_new_items,
    find_keys,
    get_model_version_ids,
)
from labeling.pipeline.known import LabelledMeanwhileError, settle_known
from labeling.pipeline.placing import (
    GUARD,
    Accepted,
    Door,
    Placed,
    StaleRulesError,
    place,
    place_at,
    take_places,
)
from labeling.pipeline.single import write_new_row
from labeling.review.marks import ensure_marks
from labeling.review.tasks import copy_tasks
from labeling.routing.queries import RoutingRules
from labeling.trust.deltas import Tally, append_delta

MOST_TRIES = 8
T = TypeVar("T")


def accept_one(*, door: Door, row: Row | BadRow) -> Accepted:
    """Accept a single row. Raises StaleRulesError when the door is out of date."""
    checked = _check(door.rules, 0, row)
    if isinstance(checked, Accepted):
        _pass_guard(door)  # under other rules the row might be valid
        return checked
    _resolve_versions(door.rules, [checked])
    placed = place(door, [checked], timezone.now())[0]
    if door.rules.refuses_reviews and placed.needs_a_person:  # unless its item is known
        return _retrying(lambda: _write(door, [checked]))[0]
    written = _retrying(lambda: write_new_row(door, placed))
    if written is None:
        raise StaleRulesError
    return placed.answer() if written else _retrying(lambda: _write(door, [checked]))[0]


def accept_predictions(*, door: Door, rows: Sequence[Row | BadRow]) -> list[Accepted]:
    """Accept rows, each for itself; the answers are in the order of the rows. Raises StaleRulesError."""
    checked = [_check(door.rules, index, row) for index, row in enumerate(rows)]
    candidates = [entry for entry in checked if isinstance(entry, Candidate)]
    answers = [entry for entry in checked if isinstance(entry, Accepted)]
    if candidates:
        _resolve_versions(door.rules, candidates)
        answers += _retrying(lambda: _write(door, candidates))
    else:
        _pass_guard(door)
    answers.sort(key=attrgetter("index"))
    return answers


def _check(rules: RoutingRules, index: int, row: Row | BadRow) -> Candidate | Accepted:
    if isinstance(row, BadRow):
        return Accepted(index, row.id, "invalid", errors=row.errors)
    errors = rules.schema.check(
        row.prediction, pointer="/prediction", item_input=row.input, is_prediction=True
    )
    if errors:
        return Accepted(index, row.id, "invalid", errors=errors)
    return fingerprint(rules.project_id, index, row)


def _resolve_versions(rules: RoutingRules, candidates: Sequence[Candidate]) -> None:
    ids = get_model_version_ids(rules.project_id, ((c.row.model, c.row.model_version) for c in candidates))
    for candidate in candidates:
        candidate.model_version_id = ids[candidate.row.model, candidate.row.model_version]


def _retrying(write: Callable[[], T]) -> T:
    """Run a writer again when another request wrote one of its items first, or a partition is missing, or a person was
    deciding about one of its items."""
    for attempt in range(MOST_TRIES):
        try:
            return write()
        except LabelledMeanwhileError:
            if attempt == MOST_TRIES - 1:
                raise
        except (IntegrityError, OperationalError) as error:
            if is_missing_partition(error):
                ensure_partitions()
            elif not isinstance(error.__cause__, UniqueViolation | DeadlockDetected):
                raise
            if attempt == MOST_TRIES - 1:
                raise
    raise AssertionError("the last try returns or raises")


@transaction.atomic
def _write(door: Door, candidates: Sequence[Candidate]) -> list[Accepted]:
    """1. guard  2. known or new  3. new ones by COPY  4. known ones, in order  5. counts."""
    _pass_guard(door)
    now = timezone.now()
    known, placed, refused, rest = _place_new(door, candidates, now)
    tally = Tally()
    answers = refused
    if placed:
        tasks = [p.task for p in placed if p.task]
        ensure_marks(door.queue_id, {task.priority for task in tasks})

        def answer() -> None:
            for p in placed:
                tally.add(p.place, p.counts)
            answers.extend([p.answer() for p in placed])

        copy_new_items([p.prediction for p in placed], meanwhile=answer)
        copy_tasks(tasks)
        final = [p.prediction.id for p in placed if p.output is not None]
        add_outcomes(door.rules.project_id, ids=final, of_predictions=True)
    if rest:
        known |= {p.prediction.candidate.key_hash: p.prediction.as_known() for p in placed}
        answers += settle_known(door, rest, known, tally, now)
    append_delta(door.rules.project_id, tally.entries())
    return answers


def _place_new(
    door: Door, candidates: Sequence[Candidate], now: datetime
) -> tuple[dict[str, KnownItem], list[Placed], list[Accepted], list[Candidate]]:
    """The items that are known, the rows that make a new item, those refused as too many reviews wait, and those about items
    that are known.

    Of an item's rows the first makes it; the next one is tried only where the one before was refused. Nearly all are new, so
    the first ones are placed while the server looks for them.
    """
    rows_of: dict[str, deque[Candidate]] = {}
    for candidate in candidates:
        rows_of.setdefault(candidate.key_hash, deque()).append(candidate)
    places, made = take_places(door, len(rows_of)), list[Placed]()
    known = find_keys(
        list(rows_of),
        meanwhile=lambda: made.extend(place_at(door, [rows[0] for rows in rows_of.values()], places, now)),
    )
    placed, refused, rest = list[Placed](), list[Accepted](), list[Candidate]()
    for first in made:
        key = first.prediction.candidate.key_hash
        if key not in known:
            taken = _first_taken(door, first, rows_of[key], refused, now)
            placed += [taken] if taken else []
        rest += rows_of[key]
    rest.sort(key=attrgetter("index"))
    return known, placed, refused, rest


def _first_taken(
    door: Door, placed: Placed | None, rows: deque[Candidate], refused: list[Accepted], now: datetime
) -> Placed | None:
    """The first of a new item's rows that is not refused, if any; it and those before it leave `rows`."""
    while placed:
        rows.popleft()
        if not (door.rules.refuses_reviews and placed.needs_a_person):
            return placed
        refused.append(placed.refused())
        placed = place(door, [rows[0]], now)[0] if rows else None
    return None


def _pass_guard(door: Door) -> None:
    with connection.cursor() as cursor:
        cursor.execute(GUARD, door.guard_values())
        if cursor.fetchone() is None:
            raise StaleRulesError

"""A prediction comes in: fingerprint -> known or new -> route -> task -> outcome -> counts, in one transaction.

`accept_predictions` takes many rows and COPYs what is new; `accept_one` writes a new row with one SQL statement and leaves
everything else to `accept_predictions`. Both write only while the rules they routed with are in force (see GUARD).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain, islice
from operator import attrgetter
from typing import TypeVar

from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone
from psycopg.errors import DeadlockDetected, UniqueViolation

from labeling.bulk import PIECE, Prepared, one_trip, pieces_of
from labeling.decisions.outcomes import add_outcomes
from labeling.ingestion.candidates import Candidate, fingerprint, hash_keys
from labeling.ingestion.decoding import BadRow, Row
from labeling.ingestion.partitions import ensure_partitions, is_missing_partition
from labeling.ingestion.services import (
    KnownItem,
    copy_items,
    copy_keys,
    copy_predictions,
    find_keys,
    get_model_version_ids,
    key_row,
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
_GUARD = Prepared(GUARD)

# Projects whose last request held items that are known. Only how rows are tried first depends on it.
_repeating: set[int] = set()


def accept_one(*, door: Door, row: Row | BadRow) -> Accepted:
    """Accept a single row. Raises StaleRulesError when the door is out of date."""
    checked = _check(door.rules, 0, row)
    if isinstance(checked, Accepted):
        _pass_guard(door)  # under other rules the row might be valid
        return checked
    candidates = _candidates(door.rules, [(0, checked)])
    fingerprint(door.rules.project_id, candidates)
    placed = place(door, candidates, timezone.now())[0]
    if door.rules.refuses_reviews and placed.needs_a_person:  # unless its item is known
        return _retrying(lambda: _write(door, candidates))[0]
    written = _retrying(lambda: write_new_row(door, placed))
    if written is None:
        raise StaleRulesError
    return placed.answer() if written else _retrying(lambda: _write(door, candidates))[0]


def accept_predictions(*, door: Door, rows: Sequence[Row | BadRow]) -> list[Accepted]:
    """Accept rows, each for itself; the answers are in the order of the rows. Raises StaleRulesError."""
    valid: list[tuple[int, Row]] = []
    answers: list[Accepted] = []
    for index, row in enumerate(rows):
        checked = _check(door.rules, index, row)
        if isinstance(checked, Accepted):
            answers.append(checked)
        else:
            valid.append((index, checked))
    if valid:
        answers += _write_all(door, _candidates(door.rules, valid))
    else:
        _pass_guard(door)
    answers.sort(key=attrgetter("index"))
    return answers


def _check(rules: RoutingRules, index: int, row: Row | BadRow) -> Row | Accepted:
    if isinstance(row, BadRow):
        return Accepted(index, row.id, "invalid", errors=row.errors)
    errors = rules.schema.check(
        row.prediction, pointer="/prediction", item_input=row.input, is_prediction=True
    )
    return Accepted(index, row.id, "invalid", errors=errors) if errors else row


def _candidates(rules: RoutingRules, rows: Sequence[tuple[int, Row]]) -> list[Candidate]:
    """Rows with the ids of their model versions, not fingerprinted yet."""
    ids = get_model_version_ids(rules.project_id, {(row.model, row.model_version) for _, row in rows})
    return [Candidate(index, row, ids[row.model, row.model_version]) for index, row in rows]


def _write_all(door: Door, candidates: Sequence[Candidate]) -> list[Accepted]:
    """Nearly every row makes a new item, so rows are written as new ones; where that meets a known item nothing has been
    written, and its project's rows are looked up first until a request has none that is known."""

    def write() -> list[Accepted]:
        if not _may_all_be_new(door, candidates):
            fingerprint(door.rules.project_id, candidates)
            return _write(door, candidates)
        try:
            return _write_as_new(door, candidates)
        except IntegrityError:
            _repeating.add(door.rules.project_id)
            raise

    return _retrying(write)


def _may_all_be_new(door: Door, candidates: Sequence[Candidate]) -> bool:
    """Whether to try that. Where reviews are refused, or an id comes twice, what becomes of a row hangs on what is known."""
    rules = door.rules
    if rules.refuses_reviews or rules.project_id in _repeating:
        return False
    return len({candidate.row.id for candidate in candidates}) == len(candidates)


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
def _write_as_new(door: Door, candidates: Sequence[Candidate]) -> list[Accepted]:
    """Write rows that make an item each. IntegrityError, of a UniqueViolation, when one's item is known."""
    now, places = timezone.now(), list[tuple[int, int]]()
    _pass_guard(door, meanwhile=lambda: places.extend(take_places(door, len(candidates))))
    answers: list[Accepted] = []
    items = [(item_id, c.row) for (item_id, _), c in zip(places, candidates, strict=True)]
    tally, final = _copy_new(door, items, now, place_at(door, candidates, places, now), answers)
    with one_trip():
        add_outcomes(door.rules.project_id, ids=final, of_predictions=True)
        append_delta(door.rules.project_id, tally.entries())
    return answers


@transaction.atomic
def _write(door: Door, candidates: Sequence[Candidate]) -> list[Accepted]:
    """1. guard  2. known or new  3. new ones by COPY  4. known ones, in order  5. counts."""
    _pass_guard(door)
    now = timezone.now()
    known, placed, answers, rest = _place_new(door, candidates, now)
    project_id, tally = door.rules.project_id, Tally()
    if placed:
        items = [(p.prediction.item_id, p.prediction.candidate.row) for p in placed]
        tally, final = _copy_new(door, items, now, placed, answers)
        # In the feed they come before what follows about these items.
        add_outcomes(project_id, ids=final, of_predictions=True)
    if rest:
        known |= {p.prediction.candidate.key_hash: p.prediction.as_known() for p in placed}
        answers += settle_known(door, rest, known, tally, now)
    else:
        _repeating.discard(project_id)
    append_delta(project_id, tally.entries())
    return answers


def _copy_new(
    door: Door,
    items: Sequence[tuple[int, Row]],
    now: datetime,
    placing: Iterable[Placed],
    answers: list[Accepted],
) -> tuple[Tally, list[int]]:
    """Rows of new items, placed as they come; adds their answers and returns their counts, and which predictions are final.

    The server takes in each table while the next one is made. Keys take longest, to make and to take in: they are begun while the
    server is at the tables before, and made to the end while it takes in the first of them. They come last: there another
    request may be waited for.
    """
    project_id, pieces = door.rules.project_id, len(items) // PIECE
    placed, keys, tally = list[Placed](), list[bytes](), Tally()

    def place_on() -> Iterator[list[Placed]]:
        for part in pieces_of(placing):
            placed.extend(part)
            yield part

    def make_keys() -> Iterator[list[bytes]]:
        """None at first: whose key comes first is known when all are hashed."""
        predictions = [p.prediction for p in placed]
        for part in pieces_of(predictions):
            hash_keys(project_id, [prediction.candidate for prediction in part])
            yield []
        predictions.sort(key=lambda prediction: prediction.candidate.key_hash)
        for part in pieces_of(predictions):
            fingerprint(project_id, [prediction.candidate for prediction in part])
            yield list(map(key_row, part))

    def answer() -> Iterator[None]:
        for part in pieces_of(placed):
            for p in part:
                tally.add(p.place, p.counts)
            answers.extend([p.answer() for p in part])
            yield

    # Beside each table so much of what comes next as takes about as long as the server needs for the rest of that table.
    coming, making = place_on(), make_keys()
    copy_items(project_id, items, now, meanwhile=islice(coming, pieces // 2))
    beginning = map(keys.extend, making)
    all_placed = chain(list(placed), chain.from_iterable(coming))
    copy_predictions((p.prediction for p in all_placed), meanwhile=islice(beginning, pieces + pieces // 4))
    tasks = [p.task for p in placed if p.task]
    ensure_marks(door.queue_id, {task.priority for task in tasks})
    copy_tasks(tasks, meanwhile=islice(beginning, pieces // 4))
    copy_keys(chain(keys, chain.from_iterable(making)), meanwhile=answer())
    return tally, [p.prediction.id for p in placed if p.output is not None]


def _place_new(
    door: Door, candidates: Sequence[Candidate], now: datetime
) -> tuple[dict[bytes, KnownItem], list[Placed], list[Accepted], list[Candidate]]:
    """The items that are known, the rows that make a new item, those refused as too many reviews wait, and those about items
    that are known.

    Of an item's rows the first makes it; the next one is tried only where the one before was refused. Nearly all are new, so
    the first ones are placed while the server looks for them.
    """
    rows_of: dict[bytes, deque[Candidate]] = {}
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


def _pass_guard(door: Door, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Raises StaleRulesError. `meanwhile` may ask the server on the same trip (`Prepared.fetch_meanwhile`)."""
    if not _GUARD.fetch_meanwhile(door.guard_values(), meanwhile):
        raise StaleRulesError

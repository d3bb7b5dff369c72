"""How far people agree where a second one answered without seeing the first answer: by queue, by pair of people, and of each
with all others together."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from django.db import connection

from labeling.ids import first_id_at
from labeling.trust.agreement import cohen_kappa, krippendorff_nominal

__all__ = [
    "ENOUGH",
    "FLAGGED_BELOW",
    "LEAST_SHARED",
    "Agreements",
    "PairAgreement",
    "PersonAgreement",
    "QueueAgreement",
    "agreements_of",
    "only_of",
    "read_agreements",
]

FLAGGED_BELOW, ENOUGH = 0.67, 0.80
"""Krippendorff's customary limits: below the first nothing should be concluded, from the second on labels can be relied on."""

LEAST_SHARED = 50
_LOOKED_BACK = timedelta(days=90)
_MOST = 5_000


class Twice(NamedTuple):
    """One item that two people answered, and what each said."""

    queue: str
    first: str
    second: str
    said_first: Any
    said_second: Any


@dataclass(frozen=True, slots=True)
class QueueAgreement:
    """Krippendorff's alpha of a queue; none where only one answer was ever given."""

    queue: str
    items: int
    agreed: int
    alpha: float | None

    @property
    def is_flagged(self) -> bool:
        return self.alpha is not None and self.alpha < FLAGGED_BELOW


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Cohen's kappa of two people with at least 50 items in common; who was first does not matter."""

    people: tuple[str, str]
    items: int
    agreed: int
    kappa: float | None


@dataclass(frozen=True, slots=True)
class PersonAgreement:
    """Cohen's kappa of a person with all others together, with at least 50 items."""

    person: str
    items: int
    agreed: int
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Agreements:
    """Of the last 90 days, at most the newest 5,000 items."""

    queues: Sequence[QueueAgreement]
    pairs: Sequence[PairAgreement]
    people: Sequence[PersonAgreement] = ()


def read_agreements(project_id: int, *, now: datetime, before: datetime | None = None) -> Agreements:
    """Agreement of first and second reviews that stand; with `before`, of those answered until then."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select queue.name, one.username, two.username, first.output::text, second.output::text
            from labeling_reviewtask task
            join labeling_reviewqueue queue on queue.id = task.queue_id
            join lateral (
                select d.output, d.decided_by_id from labeling_decision d
                where d.item_id = task.item_id and d.task_id = task.id and d.verdict <> 'escalated'
                  and d.decided_at < %(before)s
                  and not exists (select from labeling_withdrawal w where w.decision_id = d.id)
                order by d.id desc limit 1
            ) second on true
            join lateral (
                select d.output, d.decided_by_id from labeling_decision d
                where d.item_id = task.item_id and d.prediction_id = task.prediction_id and d.purpose = 'review'
                  and d.verdict <> 'escalated' and d.decided_at < %(before)s
                  and not exists (select from labeling_withdrawal w where w.decision_id = d.id)
                order by d.id desc limit 1
            ) first on true
            join auth_user one on one.id = first.decided_by_id
            join auth_user two on two.id = second.decided_by_id
            where task.project_id = %(project)s and task.purpose = 'second_review' and task.state = 'decided'
              and task.id >= %(since)s
            order by task.id desc limit %(most)s
            """,
            {
                "project": project_id,
                "since": first_id_at(now - _LOOKED_BACK),
                "before": before or now + timedelta(days=1),
                "most": _MOST,
            },
        )
        return agreements_of(Twice(*row) for row in cursor.fetchall())


def agreements_of(answers: Iterable[Twice]) -> Agreements:
    """The figures, from what was said. "Cannot be labelled" is an answer like any other."""
    by_queue: dict[str, list[Twice]] = defaultdict(list)
    by_pair: dict[tuple[str, str], list[Twice]] = defaultdict(list)
    by_person: dict[str, list[Twice]] = defaultdict(list)
    for one in answers:
        turned = Twice(one.queue, one.second, one.first, one.said_second, one.said_first)
        by_queue[one.queue].append(one)
        by_person[one.first].append(one)
        by_person[one.second].append(turned)
        by_pair[min(one.first, one.second), max(one.first, one.second)].append(
            one if one.first < one.second else turned
        )
    return Agreements(
        [_queue(name, found) for name, found in sorted(by_queue.items())],
        [
            PairAgreement(pair, *_beyond_chance(found))
            for pair, found in sorted(by_pair.items())
            if len(found) >= LEAST_SHARED
        ],
        [
            PersonAgreement(person, *_beyond_chance(found))
            for person, found in sorted(by_person.items())
            if len(found) >= LEAST_SHARED
        ],
    )


def only_of(found: Agreements, person: str) -> Agreements:
    """What is a person's own: how far they agree with the others, none of whom is named."""
    return Agreements([], [], [one for one in found.people if one.person == person])


def _queue(name: str, answers: Sequence[Twice]) -> QueueAgreement:
    """Alpha over a row per person; 0 is "did not answer this item"."""
    values = _numbered(answers)
    people = {person: row for row, person in enumerate({p for a in answers for p in (a.first, a.second)})}
    matrix = np.zeros((len(people), len(answers)))
    for column, (answer, (one, two)) in enumerate(zip(answers, values, strict=True)):
        matrix[people[answer.first], column] = one + 1
        matrix[people[answer.second], column] = two + 1
    return QueueAgreement(name, len(answers), _agreed(values), _known(krippendorff_nominal(matrix)))


def _beyond_chance(answers: Sequence[Twice]) -> tuple[int, int, float | None]:
    """(items, agreed, Cohen's kappa) of those who answered first and second."""
    values = _numbered(answers)
    size = 1 + max(max(pair) for pair in values)
    table = np.zeros((size, size))
    for pair in values:
        table[pair] += 1
    return len(answers), _agreed(values), _known(cohen_kappa(table))


def _numbered(answers: Sequence[Twice]) -> list[tuple[int, int]]:
    """Each different answer as a number."""
    seen: dict[str, int] = {}
    return [
        (seen.setdefault(_key(a.said_first), len(seen)), seen.setdefault(_key(a.said_second), len(seen)))
        for a in answers
    ]


def _key(output: str | None) -> str:
    """One spelling for one answer: the order of keys, and of what is a set, says nothing."""
    if output is None:
        return ""
    body = json.loads(output)
    for name in ("labels", "spans", "boxes"):
        if isinstance(body.get(name), list):
            body[name] = sorted(body[name], key=lambda one: json.dumps(one, sort_keys=True))
    return json.dumps(body, sort_keys=True)


def _agreed(values: Sequence[tuple[int, int]]) -> int:
    return sum(one == two for one, two in values)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value

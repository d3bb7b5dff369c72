"""The ledger check: what was acknowledged is there once, and everything that had to follow from it did.

Every check is linear in what it looks at, and with `since` looks at nothing older. The rollups have no past of their own and
are always recounted whole.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.db import connection

from labeling.errors import Sentence, say
from labeling.ids import ID_EPOCH, first_id_at
from labeling.ledger import statements
from labeling.projects.models import Project
from labeling.trust.services import compare_rollups

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `examples` are the first few of the wrong ones."""

    name: str
    promise: Sentence
    checked: int
    wrong: int
    examples: tuple[Sentence, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """A promise, and how to count what breaks it. `subject` says what the ids are of."""

    name: str
    promise: Sentence
    run: Callable[["Check", datetime | None], Finding]
    subject: Sentence


def check_ledger(since: datetime | None = None) -> Iterator[Finding]:
    """Run every check, one after the other; a finding with nothing wrong is good news."""
    for check in CHECKS:
        yield check.run(check, since)


def _run_statement(statement: str, check: Check, since: datetime | None) -> Finding:
    values: dict[str, Any] = {
        "since": first_id_at(since) if since else 0,
        "since_time": since or ID_EPOCH,
        "shown": SHOWN,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            f"with {statement} select (select count(*) from checked), (select count(*) from wrong),"
            " array(select json_build_array(id, what, places) from wrong order by id, what limit %(shown)s)",
            values,
        )
        checked, wrong, examples = cursor.fetchone()
    return Finding(check.name, check.promise, checked, wrong, tuple(_told(check, *row) for row in examples))


def _told(check: Check, identifier: int, what: str, places: dict[str, Any] | None) -> Sentence:
    wrong = Sentence(what, places or {})
    return say("{subject} {id} {wrong}", subject=check.subject, id=identifier, wrong=wrong)


def _run_rollups(check: Check, _since: datetime | None) -> Finding:
    differences = [d.told for project in Project.objects.order_by("slug") for d in compare_rollups(project)]
    return Finding(
        check.name, check.promise, Project.objects.count(), len(differences), tuple(differences[:SHOWN])
    )


def _check(name: str, promise: Sentence, subject: Sentence, statement: str) -> Check:
    return Check(name, promise, partial(_run_statement, statement), subject)


CHECKS = (
    _check(
        "acknowledged",
        say("Every acknowledged prediction is stored"),
        say("prediction"),
        statements.ACKNOWLEDGED,
    ),
    _check(
        "routes",
        say("Every prediction has exactly one key and one route"),
        say("prediction"),
        statements.ROUTES,
    ),
    _check(
        "versions",
        say("An item has one prediction of each model version"),
        say("prediction"),
        statements.ONE_PER_VERSION,
    ),
    _check("items", say("Every prediction has its item"), say("prediction"), statements.ITEMS),
    _check(
        "tasks",
        say("Every prediction that needs a person has a task"),
        say("prediction"),
        statements.TASKS_MADE,
    ),
    _check(
        "decisions",
        say("Every final task has exactly one effective decision, every other none"),
        say("task"),
        statements.DECISIONS,
    ),
    _check(
        "overflow",
        say("Every review that the fallback answered has its outcome and is off the queue"),
        say("task"),
        statements.OVERFLOWED,
    ),
    _check(
        "labels",
        say("Every label that counts comes from an effective decision"),
        say("item"),
        statements.LABELS,
    ),
    _check(
        "datasets",
        say("Every effective label is once in or before each dataset, no other is"),
        say("decision"),
        statements.LEDGER,
    ),
    _check(
        "feed numbers", say("The outcomes feed is numbered without gaps"), say("batch"), statements.FEED_DENSE
    ),
    _check(
        "feed entries",
        say("Every final outcome is in the feed exactly once"),
        say("outcome"),
        statements.FEED_COMPLETE,
    ),
    _check("revisions", say("An item's revisions are all different"), say("item"), statements.REVISIONS),
    Check(
        "rollups",
        say("Rollups plus unfolded deltas equal a recount (projects)"),
        _run_rollups,
        say("project"),
    ),
)


def as_moment(text: str) -> datetime:
    """An ISO time as a moment; without an offset it is UTC. ValueError when it is none."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

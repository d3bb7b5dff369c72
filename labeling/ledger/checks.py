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

from labeling.ids import ID_EPOCH, first_id_at
from labeling.ledger import statements
from labeling.projects.models import Project
from labeling.trust.services import compare_rollups

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `examples` are the first few of the wrong ones."""

    name: str
    promise: str
    checked: int
    wrong: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """A promise, and how to count what breaks it. `subject` says what the ids are of."""

    name: str
    promise: str
    run: Callable[["Check", datetime | None], Finding]
    subject: str = ""


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
            " array(select id || ' ' || what from wrong order by id, what limit %(shown)s)",
            values,
        )
        checked, wrong, examples = cursor.fetchone()
    return Finding(
        check.name, check.promise, checked, wrong, tuple(f"{check.subject} {line}" for line in examples)
    )


def _run_rollups(check: Check, _since: datetime | None) -> Finding:
    differences = [str(d) for project in Project.objects.order_by("slug") for d in compare_rollups(project)]
    return Finding(
        check.name, check.promise, Project.objects.count(), len(differences), tuple(differences[:SHOWN])
    )


def _check(name: str, promise: str, subject: str, statement: str) -> Check:
    return Check(name, promise, partial(_run_statement, statement), subject)


CHECKS = (
    _check("acknowledged", "Every acknowledged prediction is stored", "prediction", statements.ACKNOWLEDGED),
    _check("routes", "Every prediction has exactly one key and one route", "prediction", statements.ROUTES),
    _check(
        "versions",
        "An item has one prediction of each model version",
        "prediction",
        statements.ONE_PER_VERSION,
    ),
    _check("items", "Every prediction has its item", "prediction", statements.ITEMS),
    _check("tasks", "Every prediction that needs a person has a task", "prediction", statements.TASKS_MADE),
    _check(
        "decisions",
        "Every final task has exactly one effective decision, every other none",
        "task",
        statements.DECISIONS,
    ),
    _check(
        "overflow",
        "Every review that the fallback answered has its outcome and is off the queue",
        "task",
        statements.OVERFLOWED,
    ),
    _check("labels", "Every label that counts comes from an effective decision", "item", statements.LABELS),
    _check(
        "datasets",
        "Every effective label is once in or before each dataset, no other is",
        "decision",
        statements.LEDGER,
    ),
    _check("feed numbers", "The outcomes feed is numbered without gaps", "batch", statements.FEED_DENSE),
    _check(
        "feed entries", "Every final outcome is in the feed exactly once", "outcome", statements.FEED_COMPLETE
    ),
    _check("revisions", "An item's revisions are all different", "item", statements.REVISIONS),
    Check("rollups", "Rollups plus unfolded deltas equal a recount (projects)", _run_rollups),
)


def as_moment(text: str) -> datetime:
    """An ISO time as a moment; without an offset it is UTC. ValueError when it is none."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

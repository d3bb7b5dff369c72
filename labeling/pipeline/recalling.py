"""Recall: automatic results go back to people, and consumers are told at once that what they had no longer stands.

A recalled item gets a revision without an output (origin `auto`); a person's answer is the next one. What people say of it is a
label like any other, but no blind check: it was not drawn by lot, so it is in no rate.
"""

import time
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from labeling.decisions.models import AcceptedLabel, Origin, Outcome
from labeling.decisions.outcomes import add_outcomes
from labeling.errors import invalid, say
from labeling.history.actor import Actor
from labeling.ids import first_id_at, take_ids
from labeling.ingestion.models import ModelVersion
from labeling.projects.models import Project
from labeling.review.marks import ensure_marks
from labeling.review.models import Purpose, ReviewQueue, TaskKind
from labeling.review.tasks import DEFAULT_QUEUE, NewTask, add_tasks
from labeling.routing.models import Stop
from labeling.trust.controlling import Looker
from labeling.trust.holding import hold_project
from labeling.trust.models import Recall
from labeling.trust.steering import stop_automatic

__all__ = ["continue_recalls", "count_recallable", "stop_and_recall", "work_on"]

_BATCH = 500
_AT_ONCE_S = 3.0

# What is served now is an automatic result, and nobody has said anything about it.
_STANDS = """
    from labeling_prediction p
    left join labeling_acceptedlabel label on label.item_id = p.item_id
    where p.project_id = %(project)s and p.route = 'auto' and p.id >= %(after)s and p.received_at >= %(since)s
      and p.received_at < %(until)s and (%(version)s::bigint is null or p.model_version_id = %(version)s)
      and (label.item_id is null or (label.decision_id is null and label.origin = 'auto' and label.output is not null))
"""


def stop_and_recall(
    project: Project,
    *,
    reason: str,
    by: Actor,
    version: ModelVersion | None = None,
    recall_since: datetime | None = None,
) -> tuple[Stop, Recall | None]:
    """Stop automatic results; with `recall_since`, put back into review what was applied since then.

    What is not done within some seconds is finished by the worker.
    """
    now = timezone.now()
    if recall_since is not None and recall_since > now:
        raise invalid("/recall_since", "out_of_range", say("this lies in the future"))
    with transaction.atomic():
        stop = stop_automatic(project, reason=reason, by=by, version=version)
        recall = None
        if recall_since is not None:
            recall = Recall.objects.create(
                project=project,
                model_version=version,
                since=recall_since,
                until=timezone.now(),
                reason=reason,
                by_id=by.user_id,
            )
    if recall is not None:
        work_on(recall.pk, seconds=_AT_ONCE_S)
        recall.refresh_from_db()
    return stop, recall


def count_recallable(project_id: int, since: datetime, version_id: int | None = None) -> int:
    """How many automatic results a recall would put back, counted up to 100,000."""
    values = _values(project_id, version_id, since, timezone.now(), 0)
    with connection.cursor() as cursor:
        cursor.execute(f"select count(*) from (select 1 {_STANDS} limit 100000) found", values)
        return int(cursor.fetchone()[0])


def continue_recalls() -> int:
    """Go on with recalls that are not done; how many batches."""
    return sum(
        work_on(pk) for pk in Recall.objects.filter(done_at=None).order_by("pk").values_list("pk", flat=True)
    )


def work_on(recall_id: int, *, seconds: float = 20.0) -> int:
    """Recall batch by batch for at most about so long; how many batches. Safe to kill, and to run twice at once."""
    started, batches = time.monotonic(), 0
    while _one_batch(recall_id):
        batches += 1
        if time.monotonic() - started > seconds:
            break
    return batches


@transaction.atomic
def _one_batch(recall_id: int) -> bool:
    """The next items of a recall, in one transaction; False when nothing is left to do."""
    recall = Recall.objects.select_for_update().select_related("project").get(pk=recall_id)
    if recall.done_at is not None:
        return False
    rows = _next_rows(recall)
    if not rows:
        recall.done_at = timezone.now()
        recall.save(update_fields=["done_at"])
        _tell(recall)
        return False
    recall.cursor = rows[-1][0]
    recall.recalled += _take_back(recall, rows)
    recall.save(update_fields=["cursor", "recalled"])
    return True


def _next_rows(recall: Recall) -> list[tuple[Any, ...]]:
    after = max(recall.cursor + 1, first_id_at(recall.since) - (60 << 20))
    values = _values(recall.project_id, recall.model_version_id, recall.since, recall.until, after)
    with connection.cursor() as cursor:
        cursor.execute(
            "select p.id, p.item_id, p.model_version_id, p.confidence, p.segment, p.label "
            f"{_STANDS} order by p.id limit {_BATCH}",
            values,
        )
        return list(cursor.fetchall())


def _take_back(recall: Recall, rows: list[tuple[Any, ...]]) -> int:
    """A revision without an output and a review for each item. An item that somebody decides about meanwhile is left alone."""
    by_item = {row[1]: row for row in rows}
    AcceptedLabel.objects.bulk_create(
        [
            AcceptedLabel(
                item_id=item, project_id=recall.project_id, origin=Origin.AUTO, output={}, revision=1
            )
            for item in sorted(by_item)
        ],
        ignore_conflicts=True,
    )
    standing = (
        AcceptedLabel.objects.select_for_update()
        .filter(item_id__in=by_item, decision=None, origin=Origin.AUTO, output__isnull=False)
        .order_by("item_id")
    )
    revisions = {item: revision + 1 for item, revision in standing.values_list("item_id", "revision")}
    AcceptedLabel.objects.filter(item_id__in=revisions).update(output=None, revision=F("revision") + 1)
    outcomes = [
        Outcome(
            project_id=recall.project_id,
            item_id=item,
            prediction_id=by_item[item][0],
            output=None,
            origin=Origin.AUTO,
            revision=revision,
        )
        for item, revision in revisions.items()
    ]
    Outcome.objects.bulk_create(outcomes)  # the database gives the ids, and they do not come back
    made = (
        Outcome.objects.filter(item_id__in=revisions).order_by("pk").values_list("pk", "item_id", "revision")
    )
    ids = [pk for pk, item, revision in made if revisions[item] == revision]
    add_outcomes(recall.project_id, ids=ids, of_predictions=False)
    _ask_people(recall, [by_item[item] for item in revisions])
    return len(revisions)


def _ask_people(recall: Recall, rows: list[tuple[Any, ...]]) -> None:
    queue = ReviewQueue.objects.get(project_id=recall.project_id, slug=DEFAULT_QUEUE)
    now = timezone.now()
    tasks = [
        NewTask(
            id=identifier,
            project_id=recall.project_id,
            queue_id=queue.pk,
            kind=TaskKind.REVIEW.value,
            purpose=Purpose.REVIEW.value,
            item_id=item_id,
            prediction_id=prediction_id,
            model_version_id=version_id,
            confidence=confidence,
            segment=segment,
            label=label,
            priority=0,
            created_at=now,
        )
        for identifier, (prediction_id, item_id, version_id, confidence, segment, label) in zip(
            take_ids(len(rows)), rows, strict=True
        )
    ]
    ensure_marks(queue.pk, {0})
    add_tasks(tasks)


def _tell(recall: Recall) -> None:
    looker = Looker(hold_project(recall.project_id), now=timezone.now())
    looker.tell(
        None,
        None,
        "recalled",
        say(
            "Recalled {count} automatic results since {since}",
            count=recall.recalled,
            since=recall.since.isoformat(timespec="minutes"),
        ),
        by=recall.by_id,
        recalled=recall.recalled,
        since=recall.since.isoformat(),
        until=recall.until.isoformat(),
        why=recall.reason,
    )


def _values(
    project_id: int, version_id: int | None, since: datetime, until: datetime, after: int
) -> dict[str, Any]:
    return {"project": project_id, "version": version_id, "since": since, "until": until, "after": after}

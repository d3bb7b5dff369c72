"""Looking for what an operator must know, and saying so: run by the sweep, which also closes what is over.

Every condition is a query over rows in a waiting state; none walks over history.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import models
from django.db.models import Count, Q
from django.utils import timezone

from labeling.alerts.models import AlertDelivery, AlertKind, DeliveryState
from labeling.alerts.services import close_unseen, raise_alert
from labeling.datasets.models import Publication, PublicationState, WaitingDecision
from labeling.decisions.models import OutcomeBatch
from labeling.errors import Sentence, say
from labeling.ingestion.room import Usage, list_disks
from labeling.projects.models import Project
from labeling.review.models import ReviewTask, TaskState
from labeling.review.queries import list_queues
from labeling.sentences import restored
from labeling.trust.models import TrustDelta

OLDEST_WITHOUT_DEADLINE = timedelta(hours=24)
LEFT_BEHIND = timedelta(minutes=2)
PUBLICATION_LEFT_BEHIND = timedelta(minutes=15)
MANY_DELTAS = 20_000


@dataclass(frozen=True, slots=True)
class Sight:
    """Something that is not as it should be."""

    kind: AlertKind
    subject: str
    detail: Sentence
    project_id: int | None = None


class _Straggler(NamedTuple):
    name: Sentence
    rows: int


WATCHED = (
    AlertKind.PUBLISH_FAILING,
    AlertKind.QUEUE_TOO_OLD,
    AlertKind.DISK_NEARLY_FULL,
    AlertKind.STRAGGLERS,
)


def watch(now: datetime | None = None, *, usage: Usage = shutil.disk_usage) -> list[Sight]:
    """Raise an alert for everything that is wrong now, and close those of what is over."""
    now = now or timezone.now()
    seen = [*_failing_publications(), *_old_queues(now), *_full_disks(usage), *_stragglers(now)]
    for sight in seen:
        raise_alert(
            kind=sight.kind, subject=sight.subject, detail=sight.detail, project_id=sight.project_id, now=now
        )
    close_unseen(kinds=WATCHED, since=now)
    return seen


def _failing_publications() -> Iterator[Sight]:
    """An attempt failed and none has succeeded since; or decisions were given up as nothing could publish them."""
    failing = Publication.objects.filter(state=PublicationState.OPEN).exclude(error="")
    for publication in failing.select_related("dataset"):
        yield Sight(
            AlertKind.PUBLISH_FAILING,
            f"dataset:{publication.dataset_id}",
            say(
                "Publishing {dataset} fails; decisions wait and it is tried again. {error}",
                dataset=publication.dataset.slug,
                error=restored(publication, "error"),
            ),
            publication.dataset.project_id,
        )
    given_up = (
        WaitingDecision.objects.filter(failures__gt=0, publication=None)
        .exclude(dataset__publications__in=failing)
        .values("dataset_id", "dataset__slug", "dataset__project_id")
        .annotate(count=Count("pk"))
    )
    for row in given_up:
        yield Sight(
            AlertKind.PUBLISH_FAILING,
            f"dataset:{row['dataset_id']}",
            say(
                "{count} decisions for {dataset} were in publications that failed.",
                count=row["count"],
                dataset=row["dataset__slug"],
            ),
            row["dataset__project_id"],
        )


def _old_queues(now: datetime) -> Iterator[Sight]:
    for project in Project.objects.order_by("pk"):
        for queue in list_queues(project):
            limit = (
                timedelta(seconds=queue.deadline_seconds)
                if queue.deadline_seconds
                else OLDEST_WITHOUT_DEADLINE
            )
            if queue.oldest_at is not None and queue.oldest_at < now - limit:
                hours = (now - queue.oldest_at) / timedelta(hours=1)
                yield Sight(
                    AlertKind.QUEUE_TOO_OLD,
                    f"queue:{project.slug}/{queue.slug}",
                    say(
                        "The oldest task of {queue} has waited {hours:.1f} h; {waiting} wait.",
                        queue=queue.name,
                        hours=hours,
                        waiting=queue.waiting,
                    ),
                    project.pk,
                )


def _full_disks(usage: Usage) -> Iterator[Sight]:
    """What is done about the database's disk, and when predictions are refused, is in `ingestion.room`."""
    for disk in list_disks(usage):
        if disk.is_nearly_full:
            yield Sight(
                AlertKind.DISK_NEARLY_FULL,
                f"disk:{disk.name}",
                say(
                    "The disk of {disk} has {free:.1f} GB of {total:.1f} GB left.",
                    disk=disk.name,
                    free=disk.free / 2**30,
                    total=disk.total / 2**30,
                ),
            )


def _stragglers(now: datetime) -> Iterator[Sight]:
    """What the sweeps should have dealt with: no worker has been there for a while, or it cannot keep up."""
    late = now - LEFT_BEHIND
    open_ones = Publication.objects.filter(Q(tried_at=None) | Q(tried_at__lt=now - PUBLICATION_LEFT_BEHIND))
    found = [
        _Straggler(say("outcomes without a number"), _some(OutcomeBatch.objects.filter(first_number=None, created_at__lt=late))),
        _Straggler(say("claims whose lease ran out"), _some(ReviewTask.objects.filter(state=TaskState.CLAIMED, lease_expires_at__lt=late))),
        _Straggler(say("publications that nobody resumed"), _some(open_ones.filter(state=PublicationState.OPEN, error="", opened_at__lt=late))),
        _Straggler(say("alerts that nobody sent"), _some(AlertDelivery.objects.filter(state=DeliveryState.WAITING, next_try_at__lt=late))),
        _Straggler(say("counts that nobody added up"), _some(TrustDelta.objects.order_by("pk"), over=MANY_DELTAS)),
    ]  # fmt: skip
    for straggler in found:
        if straggler.rows:
            yield Sight(
                AlertKind.STRAGGLERS,
                f"waiting:{straggler.name.replace(' ', '_')}",
                say(
                    "{count} {what}: the worker is away or cannot keep up.",
                    count=straggler.rows,
                    what=straggler.name,
                ),
            )


def _some(rows: models.QuerySet[Any], *, over: int = 0) -> int:
    """How many, counted up to a thousand; those beyond `over` only."""
    return rows[over : over + 1_000].count()

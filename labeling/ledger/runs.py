"""Checking the ledger behind a page: asked for as a row, done by the worker, resumed when a worker dies."""

from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from labeling.alerts.models import AlertKind
from labeling.alerts.services import close_alert, raise_alert
from labeling.errors import quote, say
from labeling.history.actor import Actor
from labeling.history.services import record_event
from labeling.ledger.checks import Finding, check_ledger
from labeling.ledger.models import LedgerRun
from labeling.projects.access import require_admin
from labeling.sentences import keep, stored

LEFT_BEHIND = timedelta(minutes=20)  # longer than a worker's task may take
SUBJECT = "ledger:all"


@transaction.atomic
def ask_for_run(*, by: Actor, since: datetime | None) -> LedgerRun:
    """A check that the worker is to do; while one is under way, that one."""
    require_admin(by)
    under_way = LedgerRun.objects.filter(state__in=[LedgerRun.State.WAITING, LedgerRun.State.RUNNING]).first()
    if under_way is not None:
        return under_way
    run = LedgerRun.objects.create(since=since, asked_by_id=by.user_id)
    record_event(
        action="ledger.check_asked", subject=f"ledger_run:{run.pk}", by=by, since=since and since.isoformat()
    )
    return run


def run_waiting(now: datetime | None = None) -> LedgerRun | None:
    """Do the oldest check that waits, or that a dead worker left; none when there is none."""
    now = now or timezone.now()
    run = _take(now)
    if run is None:
        return None
    try:
        run.findings = [_kept(finding) for finding in check_ledger(run.since)]
        run.state = LedgerRun.State.DONE
    except DatabaseError as error:
        run.state = LedgerRun.State.FAILED
        keep(run, error=quote(str(error).splitlines()[0]))
    run.finished_at = timezone.now()
    run.save(update_fields=["state", "findings", "error", "said", "finished_at"])
    _tell(run)
    return run


def _kept(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "checked": finding.checked,
        "wrong": finding.wrong,
        **stored(promise=finding.promise),
        "examples": [stored(text=example) for example in finding.examples],
    }


@transaction.atomic
def _take(now: datetime) -> LedgerRun | None:
    run = (
        LedgerRun.objects.select_for_update(skip_locked=True)
        .filter(
            Q(state=LedgerRun.State.WAITING)
            | Q(state=LedgerRun.State.RUNNING, started_at__lt=now - LEFT_BEHIND)
        )
        .order_by("pk")
        .first()
    )
    if run is not None:
        run.state, run.started_at = LedgerRun.State.RUNNING, now
        run.save(update_fields=["state", "started_at"])
    return run


def _tell(run: LedgerRun) -> None:
    """A broken promise is an alert; a clean check of everything ends it."""
    if run.broken:
        raise_alert(
            kind=AlertKind.LEDGER_BROKEN,
            subject=SUBJECT,
            detail=say(
                "{count} of the ledger's promises are broken; the page of the check names them.",
                count=run.broken,
            ),
        )
    elif run.state == LedgerRun.State.DONE and run.since is None:
        close_alert(kind=AlertKind.LEDGER_BROKEN, subject=SUBJECT)

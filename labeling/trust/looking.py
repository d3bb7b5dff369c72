"""When the controller looks: at projects in which something has been counted, or time alone may change something."""

import logging
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from labeling.trust.controlling import Looker
from labeling.trust.holding import hold_project
from labeling.trust.models import AutonomyScope
from labeling.trust.services import ensure_folded

__all__ = ["look_at_project", "look_at_projects"]

logger = logging.getLogger(__name__)
_AT_LEAST_EVERY = timedelta(minutes=10)


def look_at_projects(now: datetime | None = None) -> int:
    """Look at every project in which something has been counted since the last look, or time alone may change something."""
    looked = 0
    for project_id in _due(now or timezone.now()):
        try:
            look_at_project(project_id, now=now)
        except Exception:  # the others must not wait for it
            logger.exception("project %s could not be looked at", project_id)
            continue
        looked += 1
    return looked


def look_at_project(project_id: int, *, now: datetime | None = None) -> None:
    """Weigh the evidence of every scope of a project and put in force what follows."""
    ensure_folded(project_id)
    with transaction.atomic():
        project = hold_project(project_id)
        Looker(project, now=now or timezone.now()).look()


def _due(now: datetime) -> list[int]:
    """Projects whose counts, policy or test items have changed since their scopes were looked at, or long ago."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select project.id, concat_ws(' ', project.policy_number, project.schema_number, day.signature, person.signature)
            from labeling_project project
            join lateral (
                select concat_ws(' ', sum(total), sum(confirmed + corrected + rejected), sum(audit_done), sum(audit_err),
                                 sum(audit_err_open)) as signature
                from labeling_trustday where project_id = project.id
            ) day on day.signature <> ''
            join lateral (
                select sum(sentinels) as signature from labeling_reviewerday where project_id = project.id
            ) person on true
            """
        )
        signatures = dict(cursor.fetchall())
        cursor.execute(
            "select project_id, min(signature), min(looked_at) from labeling_autonomyscope group by project_id"
        )
        known = {project: (signature, at) for project, signature, at in cursor.fetchall()}
    due = []
    for project_id, signature in signatures.items():
        seen, at = known.get(project_id, ("", None))
        if signature != seen or at is None or now - at >= _AT_LEAST_EVERY:
            due.append(project_id)
    _remember(signatures)
    return due


def _remember(signatures: dict[int, str]) -> None:
    """Before the look: what is counted while it goes on makes the next one due."""
    for project_id, signature in signatures.items():
        AutonomyScope.objects.filter(project_id=project_id).exclude(signature=signature).update(
            signature=signature
        )

"""What changed while rates were counted: the flags on the charts."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import connection

from labeling.errors import Sentence
from labeling.ingestion.models import ModelVersion
from labeling.projects.models import Project
from labeling.sentences import restored
from labeling.trust.asking import Window
from labeling.trust.ranges import NO_NOTE
from labeling.trust.timegrid import day_start

__all__ = ["Change", "list_changes"]

_MOST_PERIODS = 500


@dataclass(frozen=True, slots=True)
class Change:
    """A new policy period or the first prediction of a model version. Numbers before the change are empty where nothing was."""

    at: datetime
    model: str = ""
    policy_number: int = 0
    epoch: int = 0
    level: int = 0
    high: float = 0.0
    audit_rate: float = 0.0
    reason: Sentence = NO_NOTE
    note: str = ""
    before: "Change | None" = None

    @property
    def is_model(self) -> bool:
        return bool(self.model)

    @property
    def new_policy(self) -> bool:
        return self.before is None or self.before.policy_number != self.policy_number

    @property
    def new_epoch(self) -> bool:
        return self.before is not None and self.before.epoch != self.epoch

    @property
    def new_level(self) -> bool:
        return self.before is not None and self.before.level != self.level


def list_changes(project: Project, window: Window) -> list[Change]:
    """Changes inside the window, oldest first. What was already in force at its beginning is none.

    A change stands where it took effect: at its own time, in simulated projects at the first day that was counted under it
    (their days follow the data, their changes the clock).
    """
    seen = _first_days(project, window) if project.simulation else None
    found = [*_model_changes(project, window, seen), *_period_changes(project, window, seen)]
    return sorted(found, key=lambda change: change.at)


def _period_changes(project: Project, window: Window, seen: "_Seen | None") -> list[Change]:
    """Periods that differ from the one before them in the same scope; policies that open several periods count once."""
    last: dict[tuple[int | None, str], Change] = {}
    changes: dict[tuple[int, int, int, datetime], Change] = {}
    for period_id, scope, change in _periods(project, window, seen):
        before, last[scope] = last.get(scope), change
        at = _effect(change.at, period_id, seen.periods if seen else None)
        if before is None or at is None or not window.start < at < window.end:
            continue
        told = Change(
            at=at,
            policy_number=change.policy_number,
            epoch=change.epoch,
            level=change.level,
            high=change.high,
            audit_rate=change.audit_rate,
            reason=change.reason,
            note=change.note,
            before=before,
        )
        if told.new_policy or told.new_epoch or told.new_level or before.audit_rate != told.audit_rate:
            minute = at.replace(second=0, microsecond=0)
            changes.setdefault((told.policy_number, told.epoch, told.level, minute), told)
    return list(changes.values())


def _periods(
    project: Project, window: Window, seen: "_Seen | None"
) -> list[tuple[int, tuple[int | None, str], Change]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "select period.id, model_version_id, label_group, started_at, policy_number, epoch, level, high, audit_rate, "
            "reason, policy.note, said::json from labeling_policyperiod period join labeling_policyversion policy "
            "on policy.project_id = period.project_id and policy.number = period.policy_number "
            "where period.project_id = %s and (%s or started_at < %s) order by period.id desc limit %s",
            [project.pk, seen is not None, window.end, _MOST_PERIODS],
        )
        rows = cursor.fetchall()
    return [
        (
            row[0],
            (row[1], row[2]),
            Change(
                at=row[3],
                policy_number=row[4],
                epoch=row[5],
                level=row[6],
                high=row[7],
                audit_rate=row[8],
                reason=restored({"reason": row[9], "said": row[11]}, "reason"),
                note=row[10],
            ),
        )
        for row in reversed(rows)
    ]


def _model_changes(project: Project, window: Window, seen: "_Seen | None") -> list[Change]:
    found = []
    versions = ModelVersion.objects.filter(project=project).order_by("first_seen_at", "pk")
    for place, version in enumerate(versions):
        at = _effect(version.first_seen_at, version.pk, seen.models if seen else None)
        if place and at is not None and window.start < at < window.end:
            found.append(Change(at=at, model=str(version)))
    return found


def _effect(at: datetime, identifier: int, first_days: dict[int, datetime] | None) -> datetime | None:
    return at if first_days is None else first_days.get(identifier)


@dataclass(frozen=True, slots=True)
class _Seen:
    periods: dict[int, datetime]
    models: dict[int, datetime]


def _first_days(project: Project, window: Window) -> _Seen:
    """The first instant of the first day counted under each period and for each model version."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select period_id, model_version_id, min(day) from labeling_trustday where project_id = %s "
            "and day <= %s group by 1, 2",
            [project.pk, window.last + timedelta(days=1)],
        )
        rows = cursor.fetchall()
    zone = ZoneInfo(project.time_zone)
    seen = _Seen({}, {})
    for period_id, version_id, day in sorted(rows, key=lambda row: row[2]):
        seen.periods.setdefault(period_id, day_start(day, zone))
        seen.models.setdefault(version_id, day_start(day, zone))
    return seen

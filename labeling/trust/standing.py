"""What is automatic now in many projects at once, and how much of it is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from django.db import connection

from labeling.errors import say
from labeling.trust.figures import WEIGHTED, Rate, Stratum, Sums, rates_of
from labeling.trust.rates import weighted_bounds
from labeling.trust.scope import Mode

__all__ = ["UPPER_POPULATION", "EpochCell", "Standing", "epoch_bound", "list_standings"]

UPPER_POPULATION = "automatic predictions since the epoch began, judged by blind checks"


class EpochCell(NamedTuple):
    """What was counted in one policy period of an open epoch; `scope` is (model version, label group)."""

    scope: tuple[int | None, str]
    audit_rate: float
    sums: Sums


@dataclass(frozen=True, slots=True)
class Standing:
    """A project's autonomy. `high` is the lowest threshold in force (above 1: nothing is automatic); `levels` are the lowest
    and the highest of the newest model version with a period of its
    own. Of the `automatic` results of open epochs `checked` were judged blind, and `error` is the estimate: the bound is the
    certificate's, which takes more than one statement for many projects."""

    mode: Mode
    is_stopped: bool
    high: float
    levels: tuple[int, int] | None
    automatic: int
    checked: int
    error: Rate


class _Row(NamedTuple):
    """A policy period of an open epoch with its counts and the policy of its project."""

    project_id: int
    mode: str
    is_stopped: bool
    version_id: int | None
    group: str
    level: int
    high: float
    audit_rate: float
    is_open: bool
    auto: int
    audit_done: int
    audit_err: int

    def cell(self) -> EpochCell:
        sums = Sums(auto=self.auto, audit_done=self.audit_done, audit_err=self.audit_err)
        return EpochCell((self.version_id, self.group), self.audit_rate, sums)


def epoch_bound(cells: Sequence[EpochCell], delta: float) -> Rate:
    """Upper bound of the error among automatic predictions of open epochs, true at every look with 1 - delta.

    One scope: everything automatic in a period had one chance, so rho is 1. Several scopes at once: rho = smallest chance of
    any of them / own chance.
    """
    counted = [cell for cell in cells if cell.sums.auto > 0]
    n = sum(cell.sums.audit_done for cell in counted)
    wrong = sum(cell.sums.audit_err for cell in counted)
    if not n:
        note = say("not audited: nothing can be certified") if counted else say("nothing was automatic")
        return Rate(None, None, None, 0, 0, UPPER_POPULATION, "none", note)
    several = len({cell.scope for cell in cells}) > 1
    least = min(cell.audit_rate for cell in counted if cell.sums.audit_done)
    weighted = [
        (
            least / chance if several and chance else 1.0,
            sums.audit_done,
            min(sums.audit_err, sums.audit_done),
        )
        for _, chance, sums in counted
    ]
    low, high = weighted_bounds(weighted, delta, delta)
    note = say("true at every look with {certainty:.0%}", certainty=1 - delta)
    return Rate(high, low, high, n, wrong, UPPER_POPULATION, WEIGHTED, note)


def list_standings(project_ids: Sequence[int]) -> dict[int, Standing]:
    """By project, from one statement over policy periods and days."""
    rows = _read(project_ids)
    grouped = {project_id: list(group) for project_id, group in groupby(rows, key=lambda row: row.project_id)}
    strata = [
        [Stratum(cell.audit_rate, cell.sums) for cell in map(_Row.cell, own)] for own in grouped.values()
    ]
    estimates = rates_of(strata, anchored=False)
    return {
        project_id: _standing(own, rates["auto_error_rate"])
        for (project_id, own), rates in zip(grouped.items(), estimates, strict=True)
    }


def _standing(rows: Sequence[_Row], error: Rate) -> Standing:
    in_force = [row for row in rows if row.is_open]
    newest = max((row.version_id for row in in_force if row.version_id is not None), default=None)
    levels = [row.level for row in in_force if row.version_id == newest] if newest is not None else []
    return Standing(
        mode=Mode(rows[0].mode),
        is_stopped=rows[0].is_stopped,
        high=min(row.high for row in in_force),
        levels=(min(levels), max(levels)) if levels else None,
        automatic=sum(row.auto for row in rows),
        checked=sum(row.audit_done for row in rows),
        error=error,
    )


_PERIODS = """
select project.id, body->>'autonomy',
       exists (select from labeling_stop stop
               where stop.project_id = project.id and stop.ended_at is null and stop.model_version_id is null),
       period.model_version_id, period.label_group, period.level, period.high, period.audit_rate, period.ended_at is null,
       coalesce(counts.auto, 0)::bigint, coalesce(counts.audit_done, 0)::bigint, coalesce(counts.audit_err, 0)::bigint
from labeling_project project
join labeling_policyversion policy on policy.project_id = project.id and policy.number = project.policy_number
join labeling_policyperiod open on open.project_id = project.id and open.ended_at is null
join labeling_policyperiod period on period.project_id = project.id and period.epoch = open.epoch
     and period.model_version_id is not distinct from open.model_version_id and period.label_group = open.label_group
left join (select period_id, sum(auto) as auto, sum(audit_done) as audit_done, sum(audit_err) as audit_err
           from labeling_trustday where project_id = any(%(projects)s) group by period_id) counts
     on counts.period_id = period.id
where project.id = any(%(projects)s)
order by project.id, period.id
"""


def _read(project_ids: Sequence[int]) -> list[_Row]:
    with connection.cursor() as cursor:
        cursor.execute(_PERIODS, {"projects": list(project_ids)})
        return [_Row(*row) for row in cursor.fetchall()]

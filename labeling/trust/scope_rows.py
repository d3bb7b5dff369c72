"""Reading what a scope's evidence is made of: cells, audits without an answer, how reviewers do."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import msgspec
from django.db import connection

from labeling.ids import first_id_at
from labeling.routing.policy import NOTHING_IS_AUTOMATIC
from labeling.trust.buckets import BUCKET_COUNT, EDGES, bucket_of
from labeling.trust.figures import Sums
from labeling.trust.ladder import LEAST_AUDITS_PER_DAY
from labeling.trust.levels import Cell
from labeling.trust.models import COUNTERS
from labeling.trust.scope import ReviewerEvidence

__all__ = [
    "AUDIT_PATIENCE",
    "ScopeCounts",
    "cells_of",
    "read_counts",
    "read_reviewer_evidence",
    "read_segments",
]

AUDIT_PATIENCE = timedelta(days=7)
FRESH_FOR = timedelta(days=1)
_SUMS = ", ".join(f"sum({name})::bigint" for name in COUNTERS)


@dataclass(frozen=True, slots=True)
class Period:
    """What the evidence needs to know of a policy period: its audit rate, and from which bucket on it automated anything."""

    id: int
    audit_rate: float
    auto_from: int
    level: int
    epoch: int


@dataclass(frozen=True, slots=True)
class ScopeCounts:
    """A scope's counts by policy period and bucket, and audits that are overdue in them. `left_open` are those without an
    answer for more than a day."""

    rows: Sequence[tuple[Period, int, Sums]]
    overdue: Mapping[tuple[int, int], int]
    left_open: int = 0

    def arrived(self) -> list[int]:
        """Predictions outside fallback by bucket (58)."""
        found = [0] * BUCKET_COUNT
        for _period, bucket, sums in self.rows:
            found[bucket] += sums.auto + sums.review
        return found

    def open_audits(self) -> float:
        """The share of due audits that nobody has answered, or that wait for a second person.

        Of those drawn in the last day, as many as a day has at least are in people's hands and do not count: else the first
        hundred audits of a level, of which some are always open, would hold up every promotion.
        """
        due = sum(sums.audit_due for _, _, sums in self.rows)
        done = sum(sums.audit_done - sums.audit_err_open for _, _, sums in self.rows)
        fresh = max(0, due - done - self.left_open)
        return (self.left_open + max(0, fresh - LEAST_AUDITS_PER_DAY)) / due if due else 0.0

    def outcomes(self) -> dict[int, tuple[int, int, int, int]]:
        """By period: audits right and wrong (settled or overdue), reviews confirmed and corrected."""
        found: dict[int, list[int]] = {}
        for period, bucket, sums in self.rows:
            entry = found.setdefault(period.id, [0, 0, 0, 0])
            entry[0] += sums.audit_done - sums.audit_err
            entry[1] += sums.audit_err - sums.audit_err_open + self.overdue.get((period.id, bucket), 0)
            entry[2] += sums.confirmed
            entry[3] += sums.corrected + sums.rejected
        return {period: (a, b, c, d) for period, (a, b, c, d) in found.items()}


def read_counts(
    project_id: int, model_version_id: int, label_group: str, *, since: int, now: datetime
) -> ScopeCounts:
    """Counts of a scope in policy periods from `since` on: its own, and the general ones of its label group.

    Rows depend on days, periods and buckets, not on predictions.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            select period.id, period.audit_rate, period.high, period.level, period.epoch, policy.body::text, cell.bucket, {_SUMS}
            from labeling_policyperiod period
            join labeling_policyversion policy
              on policy.project_id = period.project_id and policy.number = period.policy_number
            join labeling_trustcell cell on cell.project_id = period.project_id and cell.period_id = period.id
            where period.project_id = %(project)s and period.id >= %(since)s and period.label_group = %(group)s
              and (period.model_version_id is null or period.model_version_id = %(version)s)
              and cell.model_version_id = %(version)s
            group by period.id, period.audit_rate, period.high, period.level, period.epoch, policy.body::text, cell.bucket
            order by period.id, cell.bucket
            """,
            {"project": project_id, "since": since, "group": label_group, "version": model_version_id},
        )
        found = cursor.fetchall()
    rows, periods = [], dict[int, Period]()
    for pk, rate, high, level, epoch, body, bucket, *sums in found:
        if pk not in periods:
            periods[pk] = Period(pk, rate, _auto_from(high, body), level, epoch)
        rows.append((periods[pk], bucket, Sums(*sums)))
    overdue = _read_open(project_id, model_version_id, now - AUDIT_PATIENCE) if periods else {}
    left_open = _read_open(project_id, model_version_id, now - FRESH_FOR) if periods else {}
    return ScopeCounts(
        rows,
        {place: count for place, count in overdue.items() if place[0] in periods},
        sum(count for (period, _bucket), count in left_open.items() if period in periods),
    )


def cells_of(counts: ScopeCounts) -> list[Cell]:
    """The evidence: automatic predictions with the chance of their audit, reviewed ones with certainty.

    An audit that is overdue or cannot tell is an error; so is a review that cannot tell, and an audit that waits for its second
    person. Each can only make the evidence weaker.
    """
    found = []
    for period, bucket, sums in counts.rows:
        overdue = counts.overdue.get((period.id, bucket), 0)
        low = min(period.auto_from, bucket) if sums.auto else period.auto_from
        rate = period.audit_rate
        if sums.auto > 0:
            labelled = min(sums.auto, max(0, sums.audit_done) + overdue)
            errors = min(labelled, max(0, sums.audit_err) + overdue)
            found.append(Cell(bucket, sums.auto, labelled, errors, rate, rate, low))
        if sums.review > 0:
            wrong = max(0, sums.corrected) + max(0, sums.rejected)
            labelled = min(sums.review, max(0, sums.confirmed) + wrong)
            found.append(Cell(bucket, sums.review, labelled, min(wrong, labelled), 1.0, rate, low))
    return found


def read_reviewer_evidence(project_id: int, *, before: date | None = None) -> ReviewerEvidence:
    """Wrong predictions that people let pass: on test items (of days before `before`), and where a second label told. Since
    the project began."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select coalesce(sum(sentinels), 0)::bigint, coalesce(sum(sentinels_missed), 0)::bigint "
            "from labeling_reviewerday where project_id = %s and (%s::date is null or day < %s::date)",
            [project_id, before, before],
        )
        sentinels, missed = cursor.fetchone()
        cursor.execute(
            """
            select count(*), count(*) filter (where first.verdict = 'confirmed')
            from labeling_reviewtask task
            join lateral (
                select d.agreed from labeling_decision d
                where d.item_id = task.item_id and d.prediction_id = task.prediction_id and d.output is not null
                  and d.purpose in ('second_review', 'adjudication')
                  and not exists (select from labeling_withdrawal w where w.decision_id = d.id)
                order by d.purpose = 'adjudication' desc, d.id desc limit 1
            ) told on not told.agreed
            join lateral (
                select d.verdict from labeling_decision d
                where d.item_id = task.item_id and d.prediction_id = task.prediction_id and d.purpose = 'review'
                  and d.verdict <> 'escalated'
                  and not exists (select from labeling_withdrawal w where w.decision_id = d.id)
                order by d.id desc limit 1
            ) first on true
            where task.project_id = %s and task.purpose = 'second_review' and task.state = 'decided'
            """,
            [project_id],
        )
        wrong, accepted = cursor.fetchone()
    return ReviewerEvidence(sentinels, min(missed, sentinels), wrong, accepted)


def read_segments(
    project_id: int, model_version_id: int, periods: Iterable[int]
) -> dict[str | None, tuple[int, int]]:
    """(audited, wrong) by segment, of the automatic predictions of these periods; None: those without a segment."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select kind, value, sum(audit_done)::bigint, sum(audit_err)::bigint from labeling_trustslice "
            "where project_id = %s and model_version_id = %s and period_id = any(%s) "
            "and kind in ('segment', 'segment_none') group by 1, 2 having sum(audit_done) > 0",
            [project_id, model_version_id, list(periods)],
        )
        rows = cursor.fetchall()
    return {
        (value if kind == "segment" else None): (done, min(max(0, wrong), done))
        for kind, value, done, wrong in rows
    }


def _auto_from(high: float, body: str) -> int:
    """The lowest bucket that a period could have automated anything of; exceptions may lie lower while people rule."""
    policy = msgspec.json.decode(body)
    highs = [high]
    if policy["autonomy"] == "off" and high < NOTHING_IS_AUTOMATIC:
        highs += [
            o["high"] for o in policy["overrides"] if o.get("high") is not None and not o.get("force_review")
        ]
    return bucket_of(min(highs)) if min(highs) <= 1.0 else BUCKET_COUNT


def _read_open(project_id: int, model_version_id: int, before: datetime) -> dict[tuple[int, int], int]:
    """Audits drawn before that moment that nobody has answered, by period and bucket."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select prediction.period_id, width_bucket(prediction.confidence, %(edges)s::float8[]), count(*)
            from labeling_reviewtask task
            join labeling_prediction prediction on prediction.id = task.prediction_id
            where task.project_id = %(project)s and task.purpose = 'audit' and task.state in ('waiting', 'claimed')
              and task.purpose in ('audit', 'adjudication') and not task.reopened -- as the partial index says
              and task.id < %(before)s and task.model_version_id = %(version)s
            group by 1, 2
            """,
            {
                "edges": list(EDGES),
                "project": project_id,
                "before": first_id_at(before),
                "version": model_version_id,
            },
        )
        return {(period, bucket): count for period, bucket, count in cursor.fetchall()}

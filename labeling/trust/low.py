"""What the evidence says of the policy's `low`, from the rollups: a proposal for a person, who alone changes a policy.

Evidence is what people said of predictions that came since `low` is what it is: only then is the part of a bucket below `low` the
fallback's and the part above it reviewed. It is that of the model version with most traffic. What a change would move is counted over
all versions.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import connection

from labeling.errors import Sentence, say
from labeling.ingestion.models import ModelVersion
from labeling.projects.models import Project
from labeling.routing.models import PolicyVersion
from labeling.trust.ranges import CONFIDENCE_SEQUENCE, Rate
from labeling.trust.worth import LowProposal, Seen, propose_low

__all__ = ["DAYS", "ProposedLow", "read_proposed_low"]

DAYS = 28

# The last policy period with another `low`: what came after it came under this one.
_SINCE = """
since as (
    select coalesce(max(id), 0) as id from labeling_policyperiod where project_id = %(project)s and low <> %(low)s
)
"""
_TRAFFIC = f"""
with {_SINCE}
select cell.model_version_id, cell.bucket, sum(cell.total)::bigint, sum(cell.review)::bigint, sum(cell.fallback)::bigint,
       min(cell.day), max(cell.day)
from labeling_trustcell cell, since
where cell.project_id = %(project)s and cell.period_id > since.id
  and cell.day > (select max(day) from labeling_trustday where project_id = %(project)s) - %(days)s
group by 1, 2 order by 1, 2
"""
_SEEN = f"""
with {_SINCE}
select week.bucket, sum(week.confirmed)::bigint, sum(week.corrected)::bigint, sum(week.shadow_done)::bigint,
       sum(week.shadow_err)::bigint
from labeling_trustweek week, since
where week.project_id = %(project)s and week.model_version_id = %(version)s and week.period_id > since.id
group by 1 order by 1
"""


@dataclass(frozen=True, slots=True)
class ProposedLow:
    """A proposal with the figures a person needs: of the band, what people said and how much comes in.

    `moved` of `total` predictions of the last `days` days would have taken the other route. `fallback` is the policy's mode: unless
    a person labels, people look only at the drawn part of what is below `low` (`worth.SHADOW_RATE`).
    """

    proposal: LowProposal
    low: float
    model_version: str
    fallback: str
    moved: int
    total: int
    days: int

    @property
    def share(self) -> float:
        return self.moved / self.total if self.total else 0.0

    @property
    def per_day(self) -> float:
        return self.moved / self.days

    @property
    def rate(self) -> Rate:
        """The share of right suggestions in the band: of the reviewed ones, or of those that people labelled without seeing them."""
        found = self.proposal
        low, high = found.range
        return Rate(
            found.right / found.n, low, high, found.n, found.right, str(self._who), CONFIDENCE_SEQUENCE
        )

    @property
    def _who(self) -> Sentence:
        begin, end = self.proposal.begin, self.proposal.end
        if self.proposal.raises:
            return say(
                "reviewed predictions of a confidence from {begin:.4g} to {end:.4g}", begin=begin, end=end
            )
        return say(
            "predictions of a confidence from {begin:.4g} to {end:.4g} that people labelled without seeing them",
            begin=begin,
            end=end,
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "direction": "raise" if self.proposal.raises else "lower",
            "low": self.low,
            "proposed": self.proposal.low,
            "rate": self.rate.as_json(),
            "share": self.share,
            "per_day": self.per_day,
            "model_version": self.model_version,
        }


class _Traffic(NamedTuple):
    version: int
    bucket: int
    total: int
    review: int
    fallback: int


def read_proposed_low(project: Project) -> ProposedLow | None:
    """The `low` that the counts speak for, or none. Four statements; rows depend on days, not on predictions.

    Call `services.ensure_folded` first.
    """
    body = PolicyVersion.objects.get(project=project, number=project.policy_number).body
    low, high = float(body["low"]), float(body["high"])
    asked = {"project": project.pk, "low": low}
    found = _rows(_TRAFFIC, asked | {"days": DAYS})
    if not found:
        return None
    traffic = [_Traffic(*row[:5]) for row in found]
    totals: dict[int, int] = {}
    for one in traffic:
        totals[one.version] = totals.get(one.version, 0) + one.total
    version = max(totals, key=lambda pk: (totals[pk], pk))
    rows = _rows(_SEEN, asked | {"version": version})
    seen = {bucket: _possible(*map(int, counts)) for bucket, *counts in rows}
    proposal = propose_low(low, high, seen)
    if proposal is None:
        return None
    days: timedelta = max(row[6] for row in found) - min(row[5] for row in found)
    return ProposedLow(
        proposal=proposal,
        low=low,
        model_version=str(ModelVersion.objects.get(pk=version)),
        fallback=body["fallback"]["mode"],
        moved=sum(
            one.review if proposal.raises else one.fallback
            for one in traffic
            if one.bucket in proposal.buckets
        ),
        total=sum(totals.values()),
        days=days.days + 1,
    )


def _possible(confirmed: int, corrected: int, shadow_done: int, shadow_err: int) -> Seen:
    """Counts between the two deltas of a change may be impossible for a moment."""
    done = max(0, shadow_done)
    return Seen(max(0, confirmed), max(0, corrected), done, min(max(0, shadow_err), done))


def _rows(sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())

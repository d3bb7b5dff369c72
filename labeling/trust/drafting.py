"""Where automation would begin under a draft policy, by the evidence there is now. Changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from labeling.projects.models import Project
from labeling.routing.models import PolicyPeriod
from labeling.routing.periods import promises_the_same
from labeling.routing.policy import NOTHING_IS_AUTOMATIC, Policy
from labeling.trust import ladder
from labeling.trust.buckets import bucket_edges
from labeling.trust.holding import autonomy_policy, last_day_of, state_of
from labeling.trust.models import AutonomyScope
from labeling.trust.prospects import first_step_answers
from labeling.trust.scope import Mode, ReviewerEvidence, standard
from labeling.trust.scope_rows import cells_of, read_counts, read_reviewer_evidence

__all__ = ["Begin", "Beginnings", "FirstStep", "begins_in_force", "begins_under", "first_steps"]


class Begin(NamedTuple):
    """What is automatic of a scope: from this confidence on, but for these segments."""

    high: float
    forced_segments: frozenset[str | None] = frozenset()


class FirstStep(NamedTuple):
    """About how many answers of people the first step of a label group takes at its limit, if not one finds an error."""

    label_group: str
    alpha: float
    answers: int


@dataclass(frozen=True, slots=True)
class Beginnings:
    """By model version and label group; `otherwise` of all others."""

    otherwise: Begin
    scopes: Mapping[tuple[int | None, str], Begin] = field(default_factory=dict)

    def of(self, model_version_id: int, label_group: str) -> Begin:
        """What rules for a scope: its own, else what is general in its label group."""
        general = self.scopes.get((None, label_group), self.otherwise)
        return self.scopes.get((model_version_id, label_group), general)


def begins_in_force(project: Project, policy: Policy) -> Beginnings:
    """What the policy periods say that are open now."""
    if not policy.is_earned:
        return Beginnings(Begin(policy.body["high"]))
    periods = PolicyPeriod.objects.filter(project=project, ended_at=None)
    scopes = {
        (p.model_version_id, p.label_group): Begin(p.high, frozenset(p.forced_segments)) for p in periods
    }
    return Beginnings(Begin(NOTHING_IS_AUTOMATIC), scopes)


def begins_under(project: Project, draft: Policy, today: Policy, *, now: datetime) -> Beginnings:
    """What a draft would let through: with autonomy off from `high` on, else what its limits certify and allow today.

    A draft that promises the same keeps what is in force. In the mode "suggest" nothing rises before somebody accepts it. Other
    label groups begin with no evidence.
    """
    if not draft.is_earned:
        return Beginnings(Begin(draft.body["high"]))
    if today.is_earned and promises_the_same(draft, today):
        return begins_in_force(project, today)
    reviewers = read_reviewer_evidence(project.pk)
    scopes = AutonomyScope.objects.filter(project=project, label_group__in=draft.groups)
    found: dict[tuple[int | None, str], Begin] = {
        (scope.model_version_id, scope.label_group): _begin(scope, draft, reviewers, now)
        for scope in scopes
        if scope.groups == list(draft.groups) and scope.schema_number == project.schema_number
    }
    return Beginnings(Begin(NOTHING_IS_AUTOMATIC), found)


def first_steps(policy: Policy) -> list[FirstStep]:
    """For each label group of a policy that lets evidence rule, the general one first."""
    if not policy.is_earned:
        return []
    found = []
    for group in policy.groups:
        settings = autonomy_policy(policy, group)
        measure = standard(settings, ReviewerEvidence())
        alpha = measure.alpha_effective or settings.alpha
        answers = first_step_answers(alpha, measure.delta, strict=settings.strict)
        found.append(FirstStep(group, settings.alpha, answers))
    return found


def _begin(scope: AutonomyScope, draft: Policy, reviewers: ReviewerEvidence, now: datetime) -> Begin:
    state, wanted = state_of(scope), autonomy_policy(draft, scope.label_group)
    if state.cool_down_left > 0 or not state.levels:
        return Begin(NOTHING_IS_AUTOMATIC)
    counts = read_counts(
        scope.project_id, scope.model_version_id, scope.label_group, since=scope.evidence_from, now=now
    )
    after = ladder.look(
        state, wanted, cells_of(counts), reviewers, last_day=last_day_of(scope), now=now
    ).state
    level = ladder.permitted_level(after, wanted)
    if wanted.mode == Mode.SUGGEST:
        level = min(level, state.level)
    if level == 0:
        return Begin(NOTHING_IS_AUTOMATIC)
    high = bucket_edges(after.levels[level - 1].cut)[0]
    return Begin(max(high, draft.body["low"]), frozenset(scope.forced_segments))

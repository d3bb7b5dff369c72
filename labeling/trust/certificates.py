"""What may be said about autonomy: by scope, what is automatic, what is proven, what the next step needs."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any

from django.utils import timezone

from labeling.errors import say
from labeling.ingestion.models import ModelVersion
from labeling.projects.models import Project
from labeling.projects.queries import get_output_schema
from labeling.routing.models import PolicyVersion, Stop
from labeling.routing.policy import Policy, compile_policy
from labeling.trust import ladder
from labeling.trust.buckets import BUCKET_COUNT, bucket_edges
from labeling.trust.figures import WEIGHTED, Rate
from labeling.trust.holding import autonomy_policy, state_of
from labeling.trust.levels import Cell, allowed_level, error_curve, evidence_shares, reachable_share
from labeling.trust.models import AutonomyScope
from labeling.trust.prospects import NextStep, auto_error_bounds, level_error_bounds, next_step
from labeling.trust.scope import AutonomyPolicy, ReviewerEvidence, ScopeState, Standard, standard
from labeling.trust.scope_rows import ScopeCounts, cells_of, read_counts, read_reviewer_evidence
from labeling.trust.soft_signals import last_checks
from labeling.trust.standing import UPPER_POPULATION

_LEVEL_POPULATION = "what the level automates, judged by blind checks and reviews since the epoch began"

__all__ = ["Certificate", "Rung", "main_certificate", "read_certificates"]


@dataclass(frozen=True, slots=True)
class Rung:
    """A level of the ladder: its share of the traffic, cut-off, and how far the evidence is (1: certified)."""

    level: int
    share: float
    cut_off: float
    evidence: float
    certified_at: datetime | None
    is_offered: bool


@dataclass(frozen=True, slots=True)
class Certificate:
    """A scope as people see it."""

    scope: AutonomyScope
    state: ScopeState
    settings: AutonomyPolicy
    reviewers: ReviewerEvidence
    measure: Standard
    step: NextStep
    bound: Rate
    estimate: float | None
    audited: int
    audited_wrong: int
    automatic: int
    reachable_share: float
    open_audits: float
    warned: bool
    is_stopped: bool
    audit_rate: float
    rungs: tuple[Rung, ...]

    @property
    def upper(self) -> float | None:
        """At most this share of the automatic results is wrong; nobody knows without labels."""
        return self.bound.value

    @property
    def share(self) -> float:
        return self.state.share

    @property
    def signals(self) -> dict[str, Any] | None:
        """What the soft signals said the last time they were due, by name."""
        return last_checks(self.scope.drift)

    def as_json(self) -> dict[str, Any]:
        """The figures of contract section 7, and what stands behind them."""
        state = self.state
        step = asdict(self.step)
        step["at"] = self.step.at.isoformat() if self.step.at else None
        return {
            "model_version": str(self.scope.model_version),
            "label_group": self.scope.label_group,
            "mode": self.settings.mode.value,
            "level": state.level,
            "share": state.share,
            "certified_level": state.certified,
            "certified_share": state.certified_share,
            "proposed_level": state.proposed,
            "reachable_share": self.reachable_share,
            "cut_off": bucket_edges(state.cut)[0] if state.cut < BUCKET_COUNT else None,
            "auto_error_upper": self.upper,
            "auto_error_estimate": self.estimate,
            "audited": self.audited,
            "audited_wrong": self.audited_wrong,
            "alpha": self.settings.alpha,
            "alpha_effective": self.measure.alpha_effective,
            "delta": self.settings.delta,
            "false_accept_upper": self.measure.false_accept_upper,
            "sentinels": self.reviewers.sentinels,
            "sentinels_missed": self.reviewers.missed,
            "epoch": state.epoch,
            "audit_rate": self.audit_rate,
            "open_audits": self.open_audits,
            "warned": self.warned,
            "stopped": self.is_stopped,
            "limit": state.limit,
            "cool_down_left": state.cool_down_left,
            "forced_segments": list(self.scope.forced_segments),
            "drift": self.signals,
            "next_step_needs": self.step.count,
            "next_step": step,
            "levels": [
                {"level": r.level, "share": r.share, "cut_off": r.cut_off, "evidence": r.evidence,
                 "certified_at": r.certified_at.isoformat() if r.certified_at else None}
                for r in self.rungs
            ],
        }  # fmt: skip


def read_certificates(
    project: Project,
    *,
    version: ModelVersion | None = None,
    now: datetime | None = None,
    tests_before: date | None = None,
) -> list[Certificate]:
    """The scopes of a project, the one with most traffic first. Reads counts as of the last look's evidence.

    With `tests_before`, test items of that day and later are left out (`readers.tests_shown_before`).
    """
    now = now or timezone.now()
    if not AutonomyScope.objects.filter(project=project).exists():
        return []
    body = PolicyVersion.objects.get(project=project, number=project.policy_number).body
    policy = compile_policy(body, schema=get_output_schema(project))
    stopped = Stop.objects.filter(project=project, ended_at=None)
    stops: set[int | None] = {stop.model_version_id for stop in stopped}
    scopes = AutonomyScope.objects.filter(project=project, label_group__in=policy.groups)
    if version is not None:
        scopes = scopes.filter(model_version=version)
    reviewers = read_reviewer_evidence(project.pk, before=tests_before)
    ordered = sorted(
        scopes.select_related("model_version"), key=lambda scope: (-_volume(scope), -scope.model_version_id, scope.label_group)
    )  # fmt: skip
    return [_certificate(scope, policy, reviewers, stops, now) for scope in ordered]


def main_certificate(certificates: Sequence[Certificate]) -> Certificate | None:
    """The scope that stands for the project: labels without a group of their own, of the model version with most traffic."""
    return next((c for c in certificates if not c.scope.label_group), next(iter(certificates), None))


def _certificate(
    scope: AutonomyScope,
    policy: Policy,
    reviewers: ReviewerEvidence,
    stops: set[int | None],
    now: datetime,
) -> Certificate:
    state, settings = state_of(scope), autonomy_policy(policy, scope.label_group)
    counts = read_counts(
        scope.project_id, scope.model_version_id, scope.label_group, since=scope.evidence_from, now=now
    )
    if state.cool_down_left > 0:
        counts = ScopeCounts((), {})
    cells = cells_of(counts)
    automatic = [cell for cell in cells if cell.is_automatic]
    audited = sum(cell.labelled for cell in automatic)
    measure = standard(settings, reviewers)
    return Certificate(
        scope=scope,
        state=state,
        settings=settings,
        reviewers=reviewers,
        measure=measure,
        step=next_step(state, settings, cells, reviewers, now=now, open_audits=counts.open_audits()),
        bound=_bound(state, settings, cells, reviewers),
        estimate=_estimate(cells if state.level else automatic, state.cut if state.level else None),
        audited=audited,
        audited_wrong=sum(cell.errors for cell in automatic),
        automatic=sum(cell.total for cell in automatic),
        reachable_share=reachable_share(cells, settings.alpha, state.levels or None, strict=settings.strict)
        if cells
        else 0.0,
        open_audits=counts.open_audits(),
        warned=ladder.warned(state, now=now),
        is_stopped=None in stops or scope.model_version_id in stops,
        audit_rate=settings.audit_rate if not policy.is_earned or not state.audit_rate else state.audit_rate,
        rungs=_rungs(state, settings, measure),
    )


def _bound(
    state: ScopeState, settings: AutonomyPolicy, cells: Sequence[Cell], reviewers: ReviewerEvidence
) -> Rate:
    """What every page and the API say: at a level from all labels of its traffic; where people rule, from the audits of what
    they made automatic.

    Where nothing is known of what reviewers let pass, they are taken at their word, and the note says so: no level rests on it.
    """
    is_known = standard(settings, reviewers).alpha_effective > 0.0
    told = settings if is_known else replace(settings, assumed_false_accept=0.0)
    if state.level:
        found, who = level_error_bounds(cells, state.cut, told, reviewers), _LEVEL_POPULATION
    else:
        found, who = auto_error_bounds(cells, told, reviewers), UPPER_POPULATION
    if not found.labels:
        counted = any(cell.is_automatic for cell in cells)
        note = say("not audited: nothing can be certified") if counted else say("nothing was automatic")
        return Rate(None, None, None, 0, 0, who, "none", note)
    note = say(
        "true at every look with {certainty:.0%}; {reviewers}",
        certainty=1 - settings.delta,
        reviewers=say("allows for what reviewers let pass")
        if is_known
        else say("people are taken at their word: no test items yet"),
    )
    return Rate(found.high, found.low, found.high, found.labels, found.errors, who, WEIGHTED, note)


def _estimate(cells: Sequence[Cell], cut: int | None) -> float | None:
    """The plain estimate beside the bound; none without labels."""
    if not any(cell.labelled for cell in cells):
        return None
    value = float(error_curve(cells).error[min(c.bucket for c in cells) if cut is None else cut])
    return None if math.isnan(value) else value


def _rungs(state: ScopeState, settings: AutonomyPolicy, measure: Standard) -> tuple[Rung, ...]:
    largest = state.band_log_m if settings.strict else state.log_m
    offered = allowed_level(state.levels, settings.operator_cap)
    shares = evidence_shares(largest, state.levels, measure.delta, strict=settings.strict)
    return tuple(
        Rung(
            level=number,
            share=level.share,
            cut_off=bucket_edges(level.cut)[0],
            evidence=1.0 if number <= state.certified else min(0.99, shares[number - 1]),
            certified_at=state.certified_at[number - 1],
            is_offered=number <= offered,
        )
        for number, level in enumerate(state.levels, start=1)
    )


def _volume(scope: AutonomyScope) -> int:
    return sum(sum(counts) for _at, counts in scope.volume)

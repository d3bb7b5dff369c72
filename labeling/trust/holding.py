"""What the controller and the people who steer it share: settings, states, the hold on a project, facts behind a step."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from labeling.projects.models import Project
from labeling.routing.policy import Policy
from labeling.trust.buckets import BUCKET_COUNT, bucket_edges
from labeling.trust.levels import Cell
from labeling.trust.models import AutonomyScope
from labeling.trust.prospects import auto_error_upper
from labeling.trust.scope import AutonomyPolicy, Mode, ReviewerEvidence, ScopeState, standard

__all__ = ["autonomy_policy", "hold_project", "last_day_of", "numbers_of", "state_of"]

_DAY = timedelta(days=1)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def hold_project(project_id: int) -> Project:
    """The project, held until the end of the transaction; predictions and decisions go on meanwhile."""
    return Project.objects.select_for_update(no_key=True).get(pk=project_id)


def autonomy_policy(policy: Policy, label_group: str) -> AutonomyPolicy:
    """What people have set for a label group."""
    body = policy.body
    interval = body["autonomy_min_interval"]
    least = timedelta(seconds=0 if interval == "0" else int(interval[:-1]) * _SECONDS[interval[-1]])
    return AutonomyPolicy(
        alpha=body["alpha_by_label"].get(label_group, body["alpha"]),
        delta=body["delta"],
        mode=Mode(body["autonomy"]),
        audit_rate=body["audit_rate"],
        audits_per_day_max=body["audits_per_day_max"],
        operator_cap=body["operator_cap"],
        min_interval=least,
        audit_interval=min(_DAY, least),
        detector_threshold=body["detector_threshold"],
        strict=body["strict"],
        assumed_false_accept=body["assumed_false_accept"],
    )


def state_of(scope: AutonomyScope) -> ScopeState:
    return ScopeState.from_json(scope.state)


def numbers_of(
    state: ScopeState, wanted: AutonomyPolicy, reviewers: ReviewerEvidence, cells: Sequence[Cell]
) -> dict[str, Any]:
    """The facts behind a step, enough to check it years later."""
    measure = standard(wanted, reviewers)
    automatic = [cell for cell in cells if cell.is_automatic]
    return {
        "alpha": wanted.alpha,
        "alpha_effective": measure.alpha_effective,
        "delta": measure.delta,
        "false_accept_upper": measure.false_accept_upper,
        "sentinels": reviewers.sentinels,
        "sentinels_missed": reviewers.missed,
        "assumed_false_accept": wanted.assumed_false_accept,
        "cut_off": bucket_edges(state.cut)[0] if state.cut < BUCKET_COUNT else None,
        "share": state.share,
        "certified_share": state.certified_share,
        "log_e": list(state.band_log_m if wanted.strict else state.log_m),
        "labelled": sum(cell.labelled for cell in cells),
        "wrong": sum(cell.errors for cell in cells),
        "audited": sum(cell.labelled for cell in automatic),
        "audited_wrong": sum(cell.errors for cell in automatic),
        "auto_error_upper": auto_error_upper(cells, wanted, reviewers) if automatic else None,
        "shiryaev_roberts": state.detector.sr_mean,
        "audit_cusum": state.detector.cusum_mean,
        "audit_rate": state.audit_rate,
    }


def last_day_of(scope: AutonomyScope) -> list[int]:
    """Predictions outside fallback by bucket (58), of the last 24 hours of the server's clock."""
    sums = [0] * BUCKET_COUNT
    for _at, counts in scope.volume:
        sums = [a + b for a, b in zip(sums, counts, strict=True)]
    return sums

"""What a look has changed, told as events with the numbers behind them; and an alert that is over is closed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labeling.alerts.models import AlertKind
from labeling.alerts.services import close_alert
from labeling.trust.holding import last_day_of, numbers_of
from labeling.trust.ladder import warned
from labeling.trust.levels import Cell
from labeling.trust.models import AutonomyScope
from labeling.trust.scope import AutonomyPolicy, ReviewerEvidence, ScopeState

if TYPE_CHECKING:
    from labeling.trust.controlling import Looker

__all__ = ["tell_changes"]


def tell_changes(
    looker: "Looker",
    scope: AutonomyScope,
    before: ScopeState,
    state: ScopeState,
    after: ScopeState,
    wanted: AutonomyPolicy,
    reviewers: ReviewerEvidence,
    cells: Sequence[Cell],
) -> None:
    def numbers() -> dict[str, Any]:
        return numbers_of(after, wanted, reviewers, cells)

    if after.certified > state.certified:
        looker.tell(scope, after, "certified", f"Level {after.certified} is certified: {after.certified_share:.0%} of the traffic",
                  **numbers())  # fmt: skip
    elif after.certified < state.certified:
        looker.tell(
            scope,
            after,
            "decertified",
            f"Only level {after.certified} is certified under the new limits",
            **numbers(),
        )
    if after.level > state.level:
        close_alert(kind=AlertKind.TRUST_ALARM, subject=f"scope:{scope.pk}", now=looker.now)
        looker.tell(scope, after, "up", f"Level {state.level} to {after.level}: {after.share:.0%} of the traffic is automatic",
                  **numbers())  # fmt: skip
    elif after.level < state.level:
        looker.tell(
            scope,
            after,
            "down",
            f"Level {state.level} to {after.level}: no more is certified and allowed",
            **numbers(),
        )
    if after.proposed is not None and after.proposed != state.proposed:
        looker.tell(
            scope,
            after,
            "proposed",
            f"Level {after.proposed} is proposed: a person may accept it",
            **numbers(),
        )
    was, now_warned = warned(before, now=scope.looked_at or looker.now), warned(after, now=looker.now)
    if was and not now_warned and after.level:
        close_alert(kind=AlertKind.TRUST_ALARM, subject=f"scope:{scope.pk}", now=looker.now)
    if now_warned != was and after.epoch == before.epoch:
        looker.tell(scope, after, "warned" if now_warned else "calm",
                  "Warned: audits are raised" if now_warned else "The warning is over",
                  audit_cusum=after.detector.cusum_mean, review_cusum=after.zone.cusum_mean)  # fmt: skip
    if after.level and after.audit_rate != before.audit_rate and after.level == before.level:
        looker.tell(scope, after, "audit_rate", f"Audit rate {_percent(before.audit_rate)} to {_percent(after.audit_rate)}",
                  wanted=after.audit_wanted, rate=after.audit_rate, last_day=sum(last_day_of(scope)))  # fmt: skip


def _percent(rate: float | None) -> str:
    return "none" if rate is None else f"{rate:.2%}"

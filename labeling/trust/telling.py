"""What a look has changed, told as events with the numbers behind them; and an alert that is over is closed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labeling.alerts.models import AlertKind
from labeling.alerts.services import close_alert
from labeling.errors import say
from labeling.trust.holding import last_day_of, numbers_of
from labeling.trust.ladder import audit_rate_change, warned
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
        told = say(
            "Level {level} is certified: {share:.0%} of the traffic",
            level=after.certified,
            share=after.certified_share,
        )
        looker.tell(scope, after, "certified", told, **numbers())
    elif after.certified < state.certified:
        looker.tell(
            scope,
            after,
            "decertified",
            say("Only level {level} is certified under the new limits", level=after.certified),
            **numbers(),
        )
    if after.level > state.level:
        close_alert(kind=AlertKind.TRUST_ALARM, subject=f"scope:{scope.pk}", now=looker.now)
        told = say(
            "Level {before} to {after}: {share:.0%} of the traffic is automatic",
            before=state.level,
            after=after.level,
            share=after.share,
        )
        looker.tell(scope, after, "up", told, **numbers())
    elif after.level < state.level:
        looker.tell(
            scope,
            after,
            "down",
            say(
                "Level {before} to {after}: no more is certified and allowed",
                before=state.level,
                after=after.level,
            ),
            **numbers(),
        )
    if after.proposed is not None and after.proposed != state.proposed:
        looker.tell(
            scope,
            after,
            "proposed",
            say("Level {level} is proposed: a person may accept it", level=after.proposed),
            **numbers(),
        )
    was, now_warned = warned(before, now=scope.looked_at or looker.now), warned(after, now=looker.now)
    if was and not now_warned and after.level:
        close_alert(kind=AlertKind.TRUST_ALARM, subject=f"scope:{scope.pk}", now=looker.now)
    if now_warned != was and after.epoch == before.epoch:
        looker.tell(scope, after, "warned" if now_warned else "calm",
                  say("Warned: audits are raised") if now_warned else say("The warning is over"),
                  audit_cusum=after.detector.cusum_mean, review_cusum=after.zone.cusum_mean)  # fmt: skip
    if after.level and after.audit_rate != before.audit_rate and after.level == before.level:
        looker.tell(scope, after, "audit_rate", audit_rate_change(before.audit_rate, after.audit_rate),
                  wanted=after.audit_wanted, rate=after.audit_rate, last_day=sum(last_day_of(scope)))  # fmt: skip

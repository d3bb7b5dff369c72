"""Opening and ending policy periods. Call with the project locked, and raise its `routing_epoch` in the same transaction."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from labeling.errors import Sentence, say
from labeling.history.actor import Actor
from labeling.projects.models import Project
from labeling.routing.models import PolicyPeriod, Stop
from labeling.routing.policy import NOTHING_IS_AUTOMATIC, Policy
from labeling.sentences import stored

__all__ = ["Earned", "open_period", "promises_the_same", "renew_periods", "stop_reason"]

# What the promise of a certificate is about: where one of these changes, nothing earned is carried over.
_PROMISE = ("autonomy", "alpha", "delta", "alpha_by_label", "strict", "operator_cap", "assumed_false_accept")


@dataclass(frozen=True, slots=True)
class Earned:
    """What a scope is allowed: its cut-off as a confidence, and how many of its automatic results are checked."""

    epoch: int = 1
    level: int = 0
    high: float = NOTHING_IS_AUTOMATIC
    audit_rate: float = 1.0
    forced_segments: tuple[str | None, ...] = ()


def open_period(
    project: Project,
    policy: Policy,
    scope: tuple[int | None, str],
    earned: Earned,
    *,
    reason: Sentence,
    by: Actor | None,
    now: datetime,
) -> PolicyPeriod:
    """End what is in force for a scope and open the next period of it."""
    model_version_id, label_group = scope
    PolicyPeriod.objects.filter(
        project=project, model_version_id=model_version_id, label_group=label_group, ended_at=None
    ).update(ended_at=now)
    low = policy.body["low"]
    return PolicyPeriod.objects.create(
        project=project,
        policy_number=project.policy_number,
        model_version_id=model_version_id,
        label_group=label_group,
        epoch=earned.epoch,
        level=earned.level,
        high=earned.high if earned.high >= NOTHING_IS_AUTOMATIC else max(earned.high, low),
        low=low,
        audit_rate=earned.audit_rate,
        forced_segments=list(earned.forced_segments),
        opened_by_id=by.user_id if by else None,
        started_at=now,
        **stored(reason=reason),
    )


def renew_periods(
    project: Project,
    policy: Policy,
    before: Policy | None,
    *,
    reason: Sentence,
    by: Actor | None,
    now: datetime,
) -> None:
    """Put a policy in force: the general periods by its own rules, those of scopes with what they have earned.

    With autonomy off, or where the promise itself has changed, scopes lose their periods: the general one rules (with autonomy
    on: nothing is automatic) until the evidence has been weighed anew. A stop outlives every policy.
    """
    open_ones = list(PolicyPeriod.objects.filter(project=project, ended_at=None))
    stops = {stop.model_version_id: stop for stop in Stop.objects.filter(project=project, ended_at=None)}
    PolicyPeriod.objects.filter(project=project, ended_at=None).update(ended_at=now)
    kept = before is not None and policy.is_earned and promises_the_same(policy, before)
    for group in policy.groups:
        general, why = _general(policy, stops.get(None), _epoch_of(open_ones, group)), reason
        if None in stops:
            why = stop_reason(stops[None])
        open_period(project, policy, (None, group), general, reason=why, by=by, now=now)
    for period in open_ones:
        version = period.model_version_id
        if version is None or period.label_group not in policy.groups or None in stops:
            continue
        stopped = stops.get(version)
        if stopped is None and not kept:
            continue
        earned = Earned(
            period.epoch, period.level, period.high, period.audit_rate, tuple(period.forced_segments)
        )
        why = (
            stop_reason(stopped)
            if stopped
            else say("{reason}, level {level} kept", reason=reason, level=period.level)
        )
        open_period(project, policy, (version, period.label_group), earned, reason=why, by=by, now=now)


def stop_reason(stop: Stop) -> Sentence:
    """What a period says that a stop has opened."""
    return say("stopped: {reason}", reason=stop.reason)


def _general(policy: Policy, stop: Stop | None, epoch: int) -> Earned:
    high = NOTHING_IS_AUTOMATIC if policy.is_earned or stop else policy.body["high"]
    return Earned(epoch=epoch, high=high, audit_rate=policy.body["audit_rate"])


def _epoch_of(periods: Iterable[PolicyPeriod], group: str) -> int:
    epochs = [p.epoch for p in periods if p.model_version_id is None and p.label_group == group]
    return max(epochs, default=1)


def promises_the_same(policy: Policy, before: Policy) -> bool:
    """Whether what was earned under the one is worth as much under the other."""
    return all(policy.body[name] == before.body[name] for name in _PROMISE)

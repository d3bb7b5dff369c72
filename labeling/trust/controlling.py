"""The controller at work: weighs each scope's evidence and puts in force what follows. Rung by Celery; all state is in rows.

A look reads counts, never predictions, and holds the project's row, so two looks, a look and a person, or a look and a new
policy come one after the other. Every change leaves an event with the numbers it rests on, opens a policy period and raises the
project's `routing_epoch`, in one transaction: the next prediction follows it.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Max

from labeling.alerts.models import AlertKind
from labeling.alerts.services import raise_alert
from labeling.errors import Sentence, say
from labeling.history.actor import Actor
from labeling.ingestion.models import ModelVersion
from labeling.projects.models import Project
from labeling.projects.queries import get_output_schema
from labeling.routing.models import PolicyPeriod, PolicyVersion, Stop
from labeling.routing.periods import Earned, open_period
from labeling.routing.policy import NOTHING_IS_AUTOMATIC, Policy, compile_policy
from labeling.routing.services import touch_routing
from labeling.sentences import restored, stored
from labeling.trust import ladder
from labeling.trust.buckets import BUCKET_COUNT, bucket_edges
from labeling.trust.holding import autonomy_policy, last_day_of, numbers_of, state_of
from labeling.trust.minorities import failing_segments
from labeling.trust.models import AutonomyEvent, AutonomyScope
from labeling.trust.scope import AutonomyPolicy, ReviewerEvidence, ScopeState
from labeling.trust.scope_rows import (
    ScopeCounts,
    cells_of,
    read_counts,
    read_reviewer_evidence,
    read_segments,
)
from labeling.trust.soft_signals import SIGNALS, check_signals, read_labels
from labeling.trust.telling import tell_changes

__all__ = ["Looker"]

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_SHIFTED = {
    "confidences": say("Confidences have shifted"),
    "labels": say("Predicted labels have shifted"),
    "calibration": say("Confidences mean something else than they did"),
}


@dataclass
class Looker:
    """One look at a project whose row is held."""

    project: Project
    now: datetime
    touched: bool = False
    policy: Policy = field(init=False)
    stops: dict[int | None, Stop] = field(init=False)

    def __post_init__(self) -> None:
        body = PolicyVersion.objects.get(project=self.project, number=self.project.policy_number).body
        self.policy = compile_policy(body, schema=get_output_schema(self.project))
        stops = Stop.objects.filter(project=self.project, ended_at=None)
        self.stops = {stop.model_version_id: stop for stop in stops}

    def look(self) -> None:
        """Every scope once; those of model versions that have just come are made."""
        reviewers = read_reviewer_evidence(self.project.pk)
        scopes = self._scopes()
        for scope in scopes:
            self._look_at(scope, reviewers, len(scopes))
        self.finish()

    def finish(self) -> None:
        if self.touched:
            touch_routing(self.project.pk)
            self.touched = False

    def is_stopped(self, scope: AutonomyScope) -> bool:
        return None in self.stops or scope.model_version_id in self.stops

    # --- one scope --------------------------------------------------------------------------------------------

    def _look_at(self, scope: AutonomyScope, reviewers: ReviewerEvidence, scopes: int) -> None:
        wanted = autonomy_policy(self.policy, scope.label_group)
        before = state_of(scope)
        state = self._new_labels(scope, before)
        counts = read_counts(
            self.project.pk,
            scope.model_version_id,
            scope.label_group,
            since=scope.evidence_from,
            now=self.now,
        )
        arrived = counts.arrived()
        fresh = [max(0, new - old) for new, old in zip(arrived, scope.arrived, strict=True)]
        scope.arrived = arrived
        self._note_volume(scope, fresh)
        cooling, frozen = state.cool_down_left > 0, bool(state.levels)
        state = ladder.observe(state, fresh)
        if cooling:
            state, counts = self._cool(scope, state), ScopeCounts((), {})
        else:
            state, counts = self._feed(scope, state, wanted, counts, reviewers)
        if state.levels and not frozen:
            told = say(
                "{levels} levels from the first {count} confidences",
                levels=len(state.levels),
                count=sum(state.seen),
            )
            self.tell(scope, state, "levels", told, levels=[list(level) for level in state.levels])
        state = self._watch_signals(scope, state, wanted, counts, scopes)
        cells = cells_of(counts)
        if state.level > 0:
            self._guard_segments(scope, state, wanted, counts)
        after, reason = ladder.look(
            state,
            wanted,
            cells,
            reviewers,
            last_day=last_day_of(scope),
            now=self.now,
            open_audits=counts.open_audits(),
        )
        self.put_in_force(scope, before, after, reason)
        tell_changes(self, scope, before, state, after, wanted, reviewers, cells)
        scope.state, scope.looked_at = after.as_json(), self.now
        scope.save()

    def _new_labels(self, scope: AutonomyScope, state: ScopeState) -> ScopeState:
        """Other labels, or other groups of them, are another question: evidence begins anew."""
        groups = list(self.policy.groups)
        if scope.schema_number == self.project.schema_number and scope.groups == groups:
            return state
        in_schema = scope.groups == groups
        scope.schema_number, scope.groups = self.project.schema_number, groups
        state = ladder.start_epoch(state, now=self.now)
        if in_schema:
            why = say("epoch {epoch}: the label schema has changed", epoch=state.epoch)
            told = say("Epoch {epoch}: the label schema has changed", epoch=state.epoch)
        else:
            why = say("epoch {epoch}: the label groups have changed", epoch=state.epoch)
            told = say("Epoch {epoch}: the label groups have changed", epoch=state.epoch)
        self.begin(scope, state, why)
        self.tell(scope, state, "epoch", told)
        return state

    def _cool(self, scope: AutonomyScope, state: ScopeState) -> ScopeState:
        if state.cool_down_left == 0:
            self.begin(scope, state, say("epoch {epoch}: the cool-down is over", epoch=state.epoch))
            self.tell(scope, state, "cool_down_over", say("The cool-down is over: labels count again"))
        return state

    def _feed(
        self,
        scope: AutonomyScope,
        state: ScopeState,
        wanted: AutonomyPolicy,
        counts: ScopeCounts,
        reviewers: ReviewerEvidence,
    ) -> tuple[ScopeState, ScopeCounts]:
        """Outcomes that the detectors have not had yet, in random order within the batch."""
        audits: list[int] = []
        zone: list[int] = []
        for period, now in counts.outcomes().items():
            had = scope.fed.get(str(period), [0, 0, 0, 0])
            more = [max(0, new - old) for new, old in zip(now, had, strict=True)]
            audits += [0] * more[0] + [1] * more[1]
            if period >= scope.level_from:
                zone += [0] * more[2] + [1] * more[3]
            scope.fed[str(period)] = [max(new, old) for new, old in zip(now, had, strict=True)]
        order = random.Random(f"{scope.pk} {self.now.isoformat()}")
        order.shuffle(audits)
        order.shuffle(zone)
        after = ladder.record_audits(state, wanted, audits, epoch=state.epoch, now=self.now)
        if after.epoch != state.epoch:
            self._step_back(scope, state, after, wanted, counts, reviewers, audits)
            return after, ScopeCounts((), {})
        return ladder.record_reviews(after, zone, epoch=after.epoch), counts

    def _step_back(
        self,
        scope: AutonomyScope,
        before: ScopeState,
        after: ScopeState,
        wanted: AutonomyPolicy,
        counts: ScopeCounts,
        reviewers: ReviewerEvidence,
        audits: Sequence[int],
    ) -> None:
        numbers = numbers_of(before, wanted, reviewers, cells_of(counts))
        why = say("epoch {epoch}: too many errors among automatic results", epoch=after.epoch)
        self.begin(scope, after, why)
        self.tell(
            scope,
            after,
            "alarm",
            say(
                "Stepped back from level {level} to 0: audits found more than {alpha:.2%} wrong; {count} predictions cool down",
                level=before.level,
                alpha=wanted.alpha,
                count=after.cool_down_left,
            ),
            **numbers,
            threshold=wanted.detector_threshold,
            last_audits=len(audits),
            last_wrong=sum(audits),
            alarms=len(after.alarms),
            cool_down=after.cool_down_left,
        )
        self._alert(
            scope,
            say(
                "{model} stepped back to level 0: audits found too many errors",
                model=str(scope.model_version),
            ),
        )

    def begin(self, scope: AutonomyScope, state: ScopeState, reason: Sentence) -> None:
        """From here on, and from nothing earlier, counts the evidence: a policy period begins."""
        mine = (scope.model_version_id, scope.label_group)
        if self.policy.is_earned and None not in self.stops:
            open_period(
                self.project,
                self.policy,
                mine,
                Earned(epoch=state.epoch),
                reason=reason,
                by=None,
                now=self.now,
            )
        else:  # the general period rules; it begins anew, as it is
            general = PolicyPeriod.objects.get(
                project=self.project, model_version=None, label_group=scope.label_group, ended_at=None
            )
            same = Earned(general.epoch, general.level, general.high, general.audit_rate)
            why = restored(general, "reason") if None in self.stops else reason
            open_period(
                self.project, self.policy, (None, scope.label_group), same, reason=why, by=None, now=self.now
            )
        newest = PolicyPeriod.objects.filter(project=self.project).aggregate(newest=Max("pk"))["newest"]
        scope.evidence_from = scope.level_from = newest
        scope.arrived, scope.fed, scope.forced_segments, scope.drift = _zeros(), {}, [], {}
        self.touched = True

    def _guard_segments(
        self, scope: AutonomyScope, state: ScopeState, wanted: AutonomyPolicy, counts: ScopeCounts
    ) -> None:
        """A segment that is surely worse than alpha goes back to review, though the average is good enough."""
        audits = read_segments(
            self.project.pk, scope.model_version_id, {period.id for period, _, _ in counts.rows}
        )
        named = {_guard_name(segment): segment for segment in audits}
        failing = failing_segments({name: audits[named[name]] for name in named}, wanted.alpha)
        for name in failing:
            segment = named[name]
            if segment in scope.forced_segments:
                continue
            scope.forced_segments = [*scope.forced_segments, segment]
            audited, wrong = audits[segment]
            told = say(
                "Predictions of {segment!r} go to review: {wrong} of {audited} audits wrong",
                segment=segment,
                wrong=wrong,
                audited=audited,
            )
            if segment is None:
                told = say(
                    "Predictions without a segment go to review: {wrong} of {audited} audits wrong",
                    wrong=wrong,
                    audited=audited,
                )
            self.tell(
                scope,
                state,
                "segment",
                told,
                segment=segment,
                audited=audited,
                wrong=wrong,
                segments=len(audits),
                alpha=wanted.alpha,
            )

    def _watch_signals(
        self,
        scope: AutonomyScope,
        state: ScopeState,
        wanted: AutonomyPolicy,
        counts: ScopeCounts,
        scopes: int,
    ) -> ScopeState:
        """Has the traffic changed since the levels were made? Raises audits for three days, and nothing else."""
        if not state.levels:
            return state
        periods = sorted({period.id for period, _, _ in counts.rows})
        kept, said = check_signals(
            scope.drift,
            list(state.seen),
            counts,
            read_labels(self.project.pk, scope.model_version_id, periods),
            tests_per_day=scopes * len(SIGNALS),
            simulated=wanted.min_interval == timedelta(0),
            now=self.now,
        )
        scope.drift = kept
        for signal in said:
            if not signal.warn:
                continue
            told = say(
                "{what} (distance {distance:.2f}): audits are raised for three days",
                what=_SHIFTED[signal.name],
                distance=signal.effect,
            )
            self.tell(scope, state, "drift", told, signal=signal.name, n=signal.n, p=signal.p, effect=signal.effect,
                      warn=True, **signal.numbers)  # fmt: skip
            self._alert(scope, say("{model}: {what}", model=str(scope.model_version), what=told))
            state = ladder.warn(state, now=self.now)
        return state

    def _alert(self, scope: AutonomyScope, detail: Sentence) -> None:
        raise_alert(
            kind=AlertKind.TRUST_ALARM,
            subject=f"scope:{scope.pk}",
            detail=detail,
            project_id=self.project.pk,
            now=self.now,
        )

    def put_in_force(
        self,
        scope: AutonomyScope,
        before: ScopeState,
        after: ScopeState,
        reason: Sentence,
        by: Actor | None = None,
    ) -> None:
        """Open a policy period where what is in force differs from what should be."""
        if not self.policy.is_earned or self.is_stopped(scope):
            return
        mine = (scope.model_version_id, scope.label_group)
        current = PolicyPeriod.objects.filter(
            project=self.project, model_version_id=mine[0], label_group=mine[1], ended_at=None
        ).first()
        high = bucket_edges(after.cut)[0] if after.cut < BUCKET_COUNT else NOTHING_IS_AUTOMATIC
        rate = after.audit_rate if after.audit_rate and after.level else 1.0
        earned = Earned(after.epoch, after.level, high, rate, tuple(scope.forced_segments))
        if current is None and after.level == 0:
            return  # the general period says the same
        if current is not None and _same(current, earned):
            return
        period = open_period(
            self.project, self.policy, mine, earned, reason=reason or say("as earned"), by=by, now=self.now
        )
        if after.level != before.level or current is None:
            scope.level_from = period.pk
        self.touched = True

    # --- telling ----------------------------------------------------------------------------------------------

    def tell(
        self,
        scope: AutonomyScope | None,
        state: ScopeState | None,
        kind: str,
        reason: Sentence,
        *,
        by: int | None = None,
        **numbers: Any,
    ) -> AutonomyEvent:
        """Append an event with the numbers it rests on."""
        return AutonomyEvent.objects.create(
            project=self.project,
            model_version_id=scope.model_version_id if scope else None,
            label_group=scope.label_group if scope else "",
            kind=kind,
            **stored(reason=reason),
            epoch=state.epoch if state else 1,
            level=state.level if state else 0,
            period_id=PolicyPeriod.objects.filter(project=self.project).aggregate(newest=Max("pk"))["newest"],
            numbers={"policy": self.project.policy_number, **numbers},
            by_id=by,
            at=self.now,
        )

    # --- scopes -----------------------------------------------------------------------------------------------

    def _scopes(self) -> list[AutonomyScope]:
        """The scopes of model versions with traffic, in the label groups of the policy; new ones begin at level 0."""
        known = {
            (scope.model_version_id, scope.label_group): scope
            for scope in AutonomyScope.objects.select_for_update().filter(project=self.project)
        }
        with connection.cursor() as cursor:
            cursor.execute(
                "select distinct model_version_id from labeling_trustday where project_id = %s order by 1",
                [self.project.pk],
            )
            versions = [row[0] for row in cursor.fetchall()]
        return [
            known.get((version, group)) or self._new_scope(version, group, list(known.values()))
            for version in versions
            for group in self.policy.groups
        ]

    def _new_scope(self, version: int, group: str, known: Sequence[AutonomyScope]) -> AutonomyScope:
        epochs = [state_of(scope).epoch for scope in known if scope.label_group == group]
        state = ScopeState(
            epoch=1 + max(epochs, default=0), stopped=None in self.stops or version in self.stops
        )
        regrouped = any(scope.model_version_id == version for scope in known)
        scope = AutonomyScope.objects.create(
            project=self.project,
            model_version_id=version,
            label_group=group,
            state=state.as_json(),
            # What was counted of other labels together with these is no evidence about them.
            evidence_from=self._newest_general(group) if regrouped else 0,
            schema_number=self.project.schema_number,
            groups=list(self.policy.groups),
            arrived=_zeros(),
        )
        name = ModelVersion.objects.get(pk=version)
        told = say("Epoch {epoch}: {model} begins at level 0", epoch=state.epoch, model=str(name))
        if group:
            told = say(
                "Epoch {epoch}: {model}, label {label} begins at level 0",
                epoch=state.epoch,
                model=str(name),
                label=group,
            )
        self.tell(scope, state, "epoch", told)
        return scope

    def _newest_general(self, group: str) -> int:
        return PolicyPeriod.objects.get(
            project=self.project, model_version=None, label_group=group, ended_at=None
        ).pk

    def _note_volume(self, scope: AutonomyScope, fresh: Sequence[int]) -> None:
        """What has come in the last 24 hours of the server's clock, by the hour."""
        hour = self.now.replace(minute=0, second=0, microsecond=0).isoformat()
        kept = [
            [at, counts]
            for at, counts in scope.volume
            if self.now - datetime.fromisoformat(at) < _DAY + _HOUR
        ]
        if any(fresh):
            if kept and kept[-1][0] == hour:
                kept[-1][1] = [a + b for a, b in zip(kept[-1][1], fresh, strict=True)]
            else:
                kept.append([hour, list(fresh)])
        scope.volume = kept


def _same(period: PolicyPeriod, earned: Earned) -> bool:
    return (
        period.epoch == earned.epoch
        and period.level == earned.level
        and period.high
        == (earned.high if earned.high >= NOTHING_IS_AUTOMATIC else max(earned.high, period.low))
        and period.audit_rate == earned.audit_rate
        and list(period.forced_segments) == list(earned.forced_segments)
    )


def _zeros() -> list[int]:
    return [0] * BUCKET_COUNT


def _guard_name(segment: str | None) -> str:
    return "none" if segment is None else f"segment {segment}"

"""What people may do about autonomy: stop, resume, lower, accept. Each is in force with the next prediction.

A person may lower at any time and never raise above what the evidence certifies.
"""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from labeling.errors import ConflictError, FieldError, InvalidError, Sentence, invalid, say
from labeling.history.actor import Actor
from labeling.history.services import record_event
from labeling.ingestion.models import ModelVersion
from labeling.projects.models import Project
from labeling.routing.models import PolicyPeriod, Stop
from labeling.routing.periods import Earned, open_period, stop_reason
from labeling.routing.policy import NOTHING_IS_AUTOMATIC
from labeling.trust import ladder
from labeling.trust.controlling import Looker
from labeling.trust.holding import autonomy_policy, hold_project, state_of
from labeling.trust.models import AutonomyScope
from labeling.trust.scope import Mode

__all__ = ["accept_level", "find_version", "lower_level", "resume_automatic", "stop_automatic"]

MAX_REASON = 2_000


@transaction.atomic
def stop_automatic(
    project: Project,
    *,
    reason: str,
    by: Actor,
    version: ModelVersion | None = None,
    now: datetime | None = None,
) -> Stop:
    """The kill switch: from the next prediction on everything goes to people, until `resume_automatic`. Repeating it is no harm."""
    reason = _checked(reason)
    looker = _looker(project, now)
    stop = looker.stops.get(version.pk if version else None)
    if stop is not None:
        return stop
    stop = Stop.objects.create(
        project=looker.project, model_version=version, reason=reason, by_id=by.user_id, started_at=looker.now
    )
    if version is None:
        _close_scopes(looker)
        for group in looker.policy.groups:
            _open_general(looker, group, reason=stop_reason(stop), by=by, stopped=True)
    else:
        for group in looker.policy.groups:
            epoch = _epoch(looker, version.pk, group)
            open_period(
                looker.project,
                looker.policy,
                (version.pk, group),
                Earned(epoch=epoch),
                reason=stop_reason(stop),
                by=by,
                now=looker.now,
            )
    for scope in _scopes(looker, version):
        before = state_of(scope)
        _keep(scope, ladder.stop(before, now=looker.now))
        looker.tell(
            scope,
            state_of(scope),
            "stopped",
            say("Stopped: {reason}", reason=reason),
            by=by.user_id,
            level_before=before.level,
        )
    if not _scopes(looker, version):
        looker.tell(None, None, "stopped", say("Stopped: {reason}", reason=reason), by=by.user_id)
    _record(looker, "autonomy.stopped", by, reason=reason, model_version=str(version) if version else None)
    return stop


@transaction.atomic
def resume_automatic(
    project: Project,
    *,
    by: Actor,
    reason: str = "",
    version: ModelVersion | None = None,
    now: datetime | None = None,
) -> None:
    """Take back a stop and what was lowered by hand. What is then automatic is what policy and evidence say.

    With a model version only its own stop ends; without one, every stop of the project.
    """
    reason = _checked(reason, required=False)
    looker = _looker(project, now)
    ended = [stop for stop in looker.stops.values() if version is None or stop.model_version_id == version.pk]
    for stop in ended:
        Stop.objects.filter(pk=stop.pk).update(ended_at=looker.now)
        del looker.stops[stop.model_version_id]
    scopes = _scopes(looker, version)
    if not ended and not any(_is_held(scope) for scope in scopes):
        return
    told = say("Resumed: {reason}", reason=reason) if reason else say("Resumed")
    for stop in ended:
        if stop.model_version_id is None:
            for group in looker.policy.groups:
                _open_general(looker, group, reason=say("resumed"), by=by, stopped=False)
        else:
            PolicyPeriod.objects.filter(
                project=looker.project, model_version_id=stop.model_version_id, ended_at=None
            ).update(ended_at=looker.now)
    for scope in scopes:
        still = looker.is_stopped(scope)
        state = ladder.resume(state_of(scope))
        if still:
            state = ladder.stop(state, now=looker.now)
        _keep(scope, state)
        looker.tell(scope, state, "resumed", told, by=by.user_id)
    if not scopes:
        looker.tell(None, None, "resumed", told, by=by.user_id)
    _record(looker, "autonomy.resumed", by, reason=reason, model_version=str(version) if version else None)


@transaction.atomic
def lower_level(
    project: Project,
    *,
    level: int,
    reason: str,
    by: Actor,
    version: ModelVersion | None = None,
    now: datetime | None = None,
) -> None:
    """Limit autonomy to a level until somebody resumes. ConflictError when it lies above what is certified."""
    reason = _checked(reason)
    looker = _looker(project, now)
    scopes = _scopes(looker, version)
    most = max((state_of(scope).certified for scope in scopes), default=0)
    if level > most:
        raise ConflictError(
            "above_certified",
            say(
                "Level {level} is above what is certified, {most}: only evidence raises that.",
                level=level,
                most=most,
            ),
            extra={"certified": most},
        )
    if not looker.policy.is_earned:
        raise ConflictError(
            "autonomy_off",
            say(
                "Autonomy is off: the threshold of the policy rules. Stop automatic results, or change the policy."
            ),
        )
    for scope in scopes:
        before = state_of(scope)
        after = ladder.lower(before, min(level, before.certified), now=looker.now)
        looker.put_in_force(scope, before, after, say("lowered: {reason}", reason=reason), by=by)
        _keep(scope, after)
        looker.tell(
            scope,
            after,
            "lowered",
            say(
                "Lowered from level {before} to {after}: {reason}",
                before=before.level,
                after=after.level,
                reason=reason,
            ),
            by=by.user_id,
            level_before=before.level,
            limit=level,
        )
    _record(looker, "autonomy.lowered", by, reason=reason, level=level)


@transaction.atomic
def accept_level(
    project: Project,
    *,
    level: int,
    by: Actor,
    reason: str = "",
    version: ModelVersion | None = None,
    now: datetime | None = None,
) -> None:
    """Accept a proposed level, or a lower one, in the mode "suggest". ConflictError above what is certified and allowed."""
    reason = _checked(reason, required=False)
    looker = _looker(project, now)
    if looker.policy.body["autonomy"] != Mode.SUGGEST:
        raise ConflictError("nothing_proposed", say('Levels are accepted where the policy says "suggest".'))
    done = []
    for scope in _scopes(looker, version):
        before = state_of(scope)
        try:
            after = ladder.accept(
                before, autonomy_policy(looker.policy, scope.label_group), level, now=looker.now
            )
        except ValueError:
            continue
        looker.put_in_force(scope, before, after, say("level {level} accepted", level=level), by=by)
        _keep(scope, after)
        looker.tell(
            scope,
            after,
            "accepted",
            say("Level {level} accepted", level=level),
            by=by.user_id,
            level_before=before.level,
        )
        done.append(scope)
    if not done:
        raise ConflictError(
            "above_certified", say("Level {level} is above what is certified and allowed.", level=level)
        )
    _record(looker, "autonomy.accepted", by, reason=reason, level=level)


def find_version(project: Project, name: str | None) -> ModelVersion | None:
    """A model version by its name, spelled "model version"; InvalidError for an unknown one."""
    if not name:
        return None
    found = [v for v in ModelVersion.objects.filter(project=project) if str(v) == name]
    if not found:
        raise invalid("/model_version", "unknown", say("there is no model version {name!r}", name=name))
    return found[0]


def _looker(project: Project, now: datetime | None) -> Looker:
    return Looker(hold_project(project.pk), now=now or timezone.now())


def _scopes(looker: Looker, version: ModelVersion | None) -> list[AutonomyScope]:
    scopes = AutonomyScope.objects.select_for_update().filter(
        project=looker.project, label_group__in=looker.policy.groups
    )
    if version is not None:
        scopes = scopes.filter(model_version=version)
    return list(scopes.order_by("pk"))


def _keep(scope: AutonomyScope, state: ladder.ScopeState) -> None:
    scope.state = state.as_json()
    scope.signature = ""  # look again soon
    scope.save()


def _is_held(scope: AutonomyScope) -> bool:
    state = state_of(scope)
    return state.stopped or state.limit is not None


def _close_scopes(looker: Looker) -> None:
    PolicyPeriod.objects.filter(project=looker.project, model_version__isnull=False, ended_at=None).update(
        ended_at=looker.now
    )


def _open_general(looker: Looker, group: str, *, reason: Sentence, by: Actor, stopped: bool) -> None:
    policy = looker.policy
    nothing = stopped or policy.is_earned
    high = NOTHING_IS_AUTOMATIC if nothing else policy.body["high"]
    general = Earned(high=high, audit_rate=policy.body["audit_rate"])
    open_period(looker.project, policy, (None, group), general, reason=reason, by=by, now=looker.now)


def _epoch(looker: Looker, version: int, group: str) -> int:
    scope = AutonomyScope.objects.filter(
        project=looker.project, model_version_id=version, label_group=group
    ).first()
    return state_of(scope).epoch if scope else 1


def _record(looker: Looker, action: str, by: Actor, **details: object) -> None:
    looker.touched = True
    looker.finish()
    record_event(
        action=action, subject=f"project:{looker.project.pk}", by=by, project_id=looker.project.pk, **details
    )


def _checked(reason: str, *, required: bool = True) -> str:
    reason = reason.strip()
    if required and not reason:
        raise InvalidError("required", say("say why"), [FieldError("/reason", "required", say("say why"))])
    if "\x00" in reason or len(reason) > MAX_REASON:
        raise invalid(
            "/reason",
            "invalid",
            say("a reason has at most {max_reason} characters and no U+0000", max_reason=MAX_REASON),
        )
    return reason

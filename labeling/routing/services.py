"""Changing what routes: policy versions and periods. Every change raises the project's `routing_epoch`, so that no process
can go on writing with an outdated copy."""

from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from labeling.errors import invalid, say
from labeling.history.actor import Actor
from labeling.history.services import record_event
from labeling.projects.models import Project
from labeling.projects.queries import get_output_schema
from labeling.routing.models import PolicyVersion
from labeling.routing.periods import renew_periods
from labeling.routing.policy import Policy, compile_policy


def publish_policy(*, project: Project, body: Any, by: Actor, note: str = "", at: str = "") -> PolicyVersion:
    """Make the next policy version and put it in force at once. Raises InvalidError naming the wrong fields."""
    schema = get_output_schema(project)
    policy = compile_policy(body, schema=schema, at=at)
    _require_simulation_for_no_interval(project, policy, at)
    if "\x00" in note or len(note) > 2_000:
        raise invalid("/note", "invalid", say("a note has at most 2000 characters and no U+0000"))
    with transaction.atomic():
        locked = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        before = PolicyVersion.objects.filter(project=locked, number=locked.policy_number).first()
        locked.policy_number += 1
        locked.routing_epoch += 1
        locked.save(update_fields=["policy_number", "routing_epoch"])
        version = PolicyVersion.objects.create(
            project=locked, number=locked.policy_number, body=policy.body, note=note, created_by_id=by.user_id
        )
        renew_periods(
            locked,
            policy,
            compile_policy(before.body, schema=schema) if before else None,
            reason=say("policy v{number}", number=version.number),
            by=by,
            now=timezone.now(),
        )
        record_event(
            action="policy.published",
            subject=f"policy:{version.number}",
            by=by,
            project_id=project.pk,
            note=note,
            body=policy.body,
        )
    project.policy_number, project.routing_epoch = locked.policy_number, locked.routing_epoch
    return version


def touch_routing(project_id: int) -> None:
    """Make every process load the project's rules anew before it writes again."""
    Project.objects.filter(pk=project_id).update(routing_epoch=F("routing_epoch") + 1)


def _require_simulation_for_no_interval(project: Project, policy: Policy, at: str) -> None:
    if policy.body["autonomy_min_interval"] == "0" and not project.simulation:
        raise invalid(
            f"{at}/autonomy_min_interval", "invalid", say('the interval "0" is for simulation projects only')
        )

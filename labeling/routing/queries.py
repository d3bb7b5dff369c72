"""Reading what is in force."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from labeling.errors import NotFoundError
from labeling.projects.label_schema import OutputSchema, compile_schema
from labeling.projects.models import LabelSchema, Project
from labeling.routing.models import PolicyPeriod, PolicyVersion
from labeling.routing.policy import Policy, compile_policy


@dataclass(frozen=True, slots=True)
class InForce:
    """A policy period as routing needs it."""

    period_id: int
    high: float
    low: float
    audit_rate: float
    forced_segments: frozenset[str | None] = frozenset()


Scope: TypeAlias = tuple[
    int | None, str
]  # model version (none: all without a period of their own), label group


@dataclass(frozen=True, slots=True)
class RoutingRules:
    """Everything needed to check and route predictions of a project, as it was at one `routing_epoch`."""

    project_id: int
    slug: str
    task_type: str
    time_zone: str
    simulation: bool
    epoch: int
    secret: bytes
    schema: OutputSchema
    policy: Policy
    policy_number: int
    general: InForce
    periods: Mapping[Scope, InForce] = field(default_factory=dict)

    def period_of(self, model_version_id: int, label: str | None) -> InForce:
        """What rules predictions of this model version with this predicted label."""
        group = self.policy.group_of(label)
        own = self.periods.get((model_version_id, group))
        return own or self.periods.get((None, group)) or self.general


def load_rules(project_id: int) -> RoutingRules:
    """The rules in force now. The epoch is read first: whoever loads during a change is told so when they write."""
    project = Project.objects.get(pk=project_id)
    schema_body = LabelSchema.objects.get(project=project, number=project.schema_number).body
    schema = compile_schema(project.task_type, schema_body)
    policy = compile_policy(get_policy(project, project.policy_number).body, schema=schema)
    periods = {
        (period.model_version_id, period.label_group): InForce(
            period.pk, period.high, period.low, period.audit_rate, frozenset(period.forced_segments)
        )
        for period in PolicyPeriod.objects.filter(project=project, ended_at=None)
    }
    return RoutingRules(
        project_id=project.pk,
        slug=project.slug,
        task_type=project.task_type,
        time_zone=project.time_zone,
        simulation=project.simulation,
        epoch=project.routing_epoch,
        secret=bytes(project.lottery_secret),
        schema=schema,
        policy=policy,
        policy_number=project.policy_number,
        general=periods[None, ""],
        periods=periods,
    )


def get_policy(project: Project, number: int) -> PolicyVersion:
    """A policy version by number, or NotFoundError."""
    version = PolicyVersion.objects.filter(project=project, number=number).first()
    if version is None:
        raise NotFoundError("not_found", f"There is no policy version {number}.")
    return version

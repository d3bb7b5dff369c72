"""Reading what is in force."""

from dataclasses import dataclass

from labeling.errors import NotFoundError
from labeling.projects.label_schema import OutputSchema, compile_schema
from labeling.projects.models import LabelSchema, Project
from labeling.routing.models import PolicyPeriod, PolicyVersion
from labeling.routing.policy import Policy, compile_policy


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
    period_id: int
    high: float
    low: float
    audit_rate: float


def load_rules(project_id: int) -> RoutingRules:
    """The rules in force now. The epoch is read first: whoever loads during a change is told so when they write."""
    project = Project.objects.get(pk=project_id)
    schema_body = LabelSchema.objects.get(project=project, number=project.schema_number).body
    schema = compile_schema(project.task_type, schema_body)
    policy = compile_policy(get_policy(project, project.policy_number).body, schema=schema)
    period = PolicyPeriod.objects.get(project=project, model_version=None, label_group="", ended_at=None)
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
        period_id=period.pk,
        high=period.high,
        low=period.low,
        audit_rate=period.audit_rate,
    )


def get_policy(project: Project, number: int) -> PolicyVersion:
    """A policy version by number, or NotFoundError."""
    version = PolicyVersion.objects.filter(project=project, number=number).first()
    if version is None:
        raise NotFoundError("not_found", f"There is no policy version {number}.")
    return version

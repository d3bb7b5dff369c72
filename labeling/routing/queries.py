"""Reading what is in force."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeAlias

from django.db.models import Sum

from labeling.errors import NotFoundError, say
from labeling.projects.label_schema import OutputSchema, compile_schema
from labeling.projects.models import LabelSchema, Project
from labeling.routing.models import Overflowing, PolicyPeriod, PolicyVersion
from labeling.routing.overflow import Overflow
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
    refuses_reviews: bool = False
    shadows_from: int = 0
    periods: Mapping[Scope, InForce] = field(default_factory=dict)

    def period_of(self, model_version_id: int, label: str | None) -> InForce:
        """What rules predictions of this model version with this predicted label."""
        if not self.periods:
            return self.general
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
        refuses_reviews=policy.overflow.mode == "refuse" and find_overflow(project_id, "refuse") is not None,
        shadows_from=project.shadows_from,
        periods=periods,
    )


def find_overflow(project_id: int, mode: str | None = None) -> Overflowing | None:
    """The time of overflow that has not ended, if there is one (of this kind)."""
    open_ones = Overflowing.objects.filter(project_id=project_id, ended_at=None)
    return (open_ones.filter(mode=mode) if mode else open_ones).first()


@dataclass(frozen=True, slots=True)
class OverflowState:
    """The rule in force, and since when it acts, if it does."""

    rule: Overflow
    since: datetime | None = None
    answered: int = 0

    @property
    def is_active(self) -> bool:
        return self.since is not None

    def as_json(self) -> dict[str, Any]:
        return {
            **self.rule.as_json(),
            "active": self.is_active,
            "since": self.since,
            "answered": self.answered,
        }


def get_overflow(project: Project) -> OverflowState:
    """The overflow rule of a project and whether it acts now."""
    rule = Overflow.of_body(get_policy(project, project.policy_number).body)
    going_on = find_overflow(project.pk, rule.mode)
    return OverflowState(rule, going_on.started_at, going_on.answered) if going_on else OverflowState(rule)


def read_overflow() -> tuple[dict[int, str], dict[int, int]]:
    """Of every project, by id: the mode of the overflow that has not ended, and how many reviews the fallback ever answered."""
    modes = Overflowing.objects.filter(ended_at=None).values_list("project_id", "mode")
    totals = Overflowing.objects.values_list("project_id").annotate(Sum("answered"))
    return dict(modes), dict(totals)


@lru_cache(maxsize=1_000)
def policy_body(project_id: int, number: int) -> dict[str, Any]:
    """What a committed policy version says. Versions never change, so it is remembered: do not change it."""
    body: dict[str, Any] = PolicyVersion.objects.get(project_id=project_id, number=number).body
    return body


def get_policy(project: Project, number: int) -> PolicyVersion:
    """A policy version by number, or NotFoundError."""
    version = PolicyVersion.objects.filter(project=project, number=number).first()
    if version is None:
        raise NotFoundError("not_found", say("There is no policy version {number}.", number=number))
    return version

"""What the model said, and why a person is asked."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from labeling.decisions.diffing import core_output
from labeling.ingestion.models import Prediction
from labeling.projects.label_schema import OutputSchema
from labeling.review.claiming import ClaimedTask
from labeling.routing.models import PolicyPeriod
from labeling.templatetags.interface import conf
from labeling.web.outputs import describe
from labeling.web.tree import render_tree


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What the model said, and why a person is asked."""

    model: str
    confidence: float
    low: float
    high: float
    policy: int
    why: str
    text: str
    details: tuple[tuple[str, Any], ...]


def suggestion_of(
    task: ClaimedTask, prediction: Prediction, period: PolicyPeriod, schema: OutputSchema
) -> Suggestion:
    """What the desk of a review shows of a prediction."""
    confidence, output = task.confidence or 0.0, task.prediction or {}
    low, high = thresholds(prediction, period)
    details = prediction.details or {}
    shown = (
        [(_("Explanation of the model"), render_tree(details["explanation"]))]
        if details.get("explanation")
        else []
    )
    return Suggestion(
        model=task.model,
        confidence=confidence,
        low=low,
        high=high,
        policy=prediction.policy_number,
        why=explain_route(confidence, low, high, prediction.policy_number, prediction.reason),
        text=describe(schema.task_type, core_output(schema.task_type, output)),
        details=tuple(shown),
    )


def thresholds(prediction: Prediction, period: PolicyPeriod) -> tuple[float, float]:
    """Low and high as they were for this prediction, overrides included."""
    number = override_number(prediction.reason)
    if number is None:
        return period.low, period.high
    version = (
        period.project.policy_versions.filter(number=prediction.policy_number)
        .values_list("body", flat=True)
        .first()
    )
    override = (version or {}).get("overrides", [])[number - 1 : number]
    body = override[0] if override else {}
    low, high = body.get("low"), body.get("high")
    return (period.low if low is None else low), (period.high if high is None else high)


def override_number(reason: str) -> int | None:
    """`medium/override 2` -> 2."""
    _rest, found, number = reason.partition("/override ")
    return int(number) if found and number.isdecimal() else None


def explain_route(confidence: float, low: float, high: float, policy: int, reason: str) -> str:
    """Why a person is asked, in one sentence."""
    values = {"confidence": conf(confidence), "low": f"{low:.2f}", "high": f"{high:.2f}", "policy": policy}
    number = override_number(reason)
    if reason.startswith("forced"):
        return _(
            "Here because exception %(number)s sends it to people, whatever the confidence (policy v%(policy)s)."
        ) % {
            **values,
            "number": number,
        }
    if confidence < low:
        return _("Here because %(confidence)s is below %(low)s (policy v%(policy)s).") % values
    if high > 1:
        return _("Here because nothing is automatic at present (policy v%(policy)s).") % values
    if confidence >= high:
        return _("Here although %(confidence)s is not below %(high)s (policy v%(policy)s).") % values
    return _("Here because %(confidence)s is between %(low)s and %(high)s (policy v%(policy)s).") % values

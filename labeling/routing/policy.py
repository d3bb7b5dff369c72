"""What a routing policy says and which route it gives a prediction. Pure.

Exactly at a threshold belongs to the higher tier. Of the overrides, the first that matches decides; `force_review` sends
to people whatever the confidence.
"""

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from labeling.errors import FieldError, InvalidError, Sentence, say
from labeling.projects.label_schema import OutputSchema
from labeling.routing.conditions import Condition, ConditionError
from labeling.routing.overflow import Overflow, compile_overflow

RouteName = Literal["auto", "review", "fallback"]
NOTHING_IS_AUTOMATIC = 2.0  # a threshold no confidence reaches
MAX_OVERRIDES = 200
MAX_RULES = 100

DEFAULTS: dict[str, Any] = {
    "high": 0.95,
    "low": 0.70,
    "audit_rate": 0.05,
    "audits_per_day_max": 1000,
    "overrides": [],
    "fallback": {"mode": "manual"},
    "alpha": 0.02,
    "delta": 0.05,
    "alpha_by_label": {},
    "autonomy": "off",
    "autonomy_min_interval": "1d",
    "operator_cap": 0.95,
    "detector_threshold": 1000,
    "strict": False,
    "assumed_false_accept": None,
    "blind_audit": True,
    "sentinel_rate": 0.02,
    "second_review_rate": 0.0,
    "lease_seconds": 600,
    "overflow": {"mode": "keep"},
}


@dataclass(frozen=True, slots=True)
class Override:
    """Other thresholds for a predicted label, a segment, or a label within a segment."""

    number: int
    label: str | None
    segment: str | None
    high: float | None
    low: float | None
    force_review: bool

    def matches(self, labels: Sequence[str], segment: str | None) -> bool:
        return (self.label is None or self.label in labels) and (
            self.segment is None or self.segment == segment
        )


@dataclass(frozen=True, slots=True)
class Fallback:
    """What happens below `low`: a person labels, a constant, or the first rule whose condition holds."""

    mode: str
    output: dict[str, Any] | None = None
    rules: tuple[tuple[Condition, dict[str, Any]], ...] = ()
    otherwise: dict[str, Any] | None = None

    def output_for(self, facts: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """The deterministic output, or none when a person is to label."""
        if self.mode != "rules":
            return self.output
        known = facts()
        return next((output for condition, output in self.rules if condition.holds(known)), self.otherwise)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy made ready to route with."""

    body: dict[str, Any]
    overrides: tuple[Override, ...]
    fallback: Fallback
    overflow: Overflow

    def choose(
        self, *, confidence: float, labels: Sequence[str], segment: str | None, high: float, low: float
    ) -> tuple[RouteName, str]:
        """Route and reason of a prediction, under the thresholds of the period in force.

        The reason is `high`, `medium`, `low` or `forced`, with `/override N` where an override decided.
        """
        suffix = ""
        for override in self.overrides:
            if override.matches(labels, segment):
                suffix = f"/override {override.number}"
                if override.force_review:
                    return "review", "forced" + suffix
                high = self._override_high(override.high, high)
                low = low if override.low is None else override.low
                break
        if confidence >= high:
            return "auto", "high" + suffix
        if confidence >= low:
            return "review", "medium" + suffix
        return "fallback", "low" + suffix

    def group_of(self, label: str | None) -> str:
        """The label group of a predicted label: its own where it has an alpha of its own, "" for all others."""
        return label if label is not None and label in self.body["alpha_by_label"] else ""

    @property
    def groups(self) -> tuple[str, ...]:
        return ("", *self.body["alpha_by_label"])

    @property
    def is_earned(self) -> bool:
        """Whether the certified cut-off rules instead of `high`."""
        return bool(self.body["autonomy"] != "off")

    def _override_high(self, wanted: float | None, in_force: float) -> float:
        """With autonomy, an override may ask for more than the certified cut-off and never for less."""
        if wanted is None:
            return in_force
        return wanted if self.body["autonomy"] == "off" else max(wanted, in_force)


def is_drawn(secret: bytes, prediction_id: int, probability: float) -> bool:
    """The lottery: whether this prediction is drawn, by a keyed hash that nobody outside can foresee.

    Keyed BLAKE2b of the id, read as a fraction of 2**64, against the probability. Independent of everything but the id.
    """
    state = _keyed(secret).copy()
    state.update(prediction_id.to_bytes(8, "big"))
    return int.from_bytes(state.digest(), "big") < probability * 2.0**64


@lru_cache(maxsize=1_000)
def _keyed(secret: bytes) -> "hashlib.blake2b":
    """The hash after its key, which is a block of its own; to be copied."""
    return hashlib.blake2b(key=secret, digest_size=8)


def compile_policy(body: Any, *, schema: OutputSchema, at: str = "") -> Policy:
    """Check a policy, fill in the defaults and make it ready; raises InvalidError naming each wrong field."""
    if not isinstance(body, dict):
        raise InvalidError(
            "invalid", say("a policy is an object"), [FieldError(at, "wrong_type", say("must be an object"))]
        )
    complete = {**DEFAULTS, **body}
    errors = [
        FieldError(f"{at}/{n}", "unknown_field", say("a policy has no {n!r}", n=n))
        for n in body
        if n not in DEFAULTS
    ]
    errors += [
        FieldError(f"{at}/{name}", "invalid", say("{name} {problem}", name=name, problem=problem))
        for name, check in _CHECKS.items()
        if (problem := check(complete[name]))
    ]
    if not errors:
        errors += _check_together(complete, at)
    overrides = _compile_overrides(complete["overrides"], schema, f"{at}/overrides", errors)
    fallback = _compile_fallback(complete["fallback"], schema, f"{at}/fallback", errors)
    overflow = compile_overflow(complete["overflow"], fallback.mode, f"{at}/overflow", errors)
    if errors:
        raise InvalidError("invalid", errors[0].detail, errors)
    return Policy(complete, overrides, fallback, overflow)


def _check_together(body: Mapping[str, Any], at: str) -> list[FieldError]:
    errors = []
    if body["low"] > body["high"]:
        errors.append(FieldError(f"{at}/low", "invalid", say("low may not be above high")))
    if body["autonomy"] != "off" and body["audit_rate"] == 0:
        errors.append(
            FieldError(f"{at}/audit_rate", "invalid", say("autonomy needs audits: audit_rate may not be 0"))
        )
    return errors


def _compile_overrides(
    value: Any, schema: OutputSchema, at: str, errors: list[FieldError]
) -> tuple[Override, ...]:
    if not isinstance(value, list) or len(value) > MAX_OVERRIDES:
        errors.append(
            FieldError(
                at,
                "invalid",
                say("overrides must be a list of at most {max_overrides}", max_overrides=MAX_OVERRIDES),
            )
        )
        return ()
    compiled = []
    for index, item in enumerate(value):
        problem = _override_problem(item, schema)
        if problem:
            errors.append(FieldError(f"{at}/{index}{problem[0]}", "invalid", problem[1]))
        else:
            compiled.append(
                Override(
                    index + 1,
                    item.get("label"),
                    item.get("segment"),
                    item.get("high"),
                    item.get("low"),
                    item.get("force_review", False),
                )
            )
    return tuple(compiled)


def _override_problem(item: Any, schema: OutputSchema) -> tuple[str, Sentence] | None:
    if not isinstance(item, dict) or set(item) - {"label", "segment", "high", "low", "force_review"}:
        return "", say("an override has label or segment, and high, low or force_review")
    if not isinstance(item.get("label", item.get("segment")), str):
        return "", say("an override names a label or a segment")
    for name in ("label", "segment"):
        if name in item and not isinstance(item[name], str):
            return f"/{name}", say("{name} must be a text", name=name)
    if "label" in item and schema.labels and item["label"] not in schema.labels:
        return "/label", say("{label!r} is not in the label schema", label=item["label"])
    for name in ("high", "low"):
        if item.get(name) is not None and (problem := _share(item[name])):
            return f"/{name}", say("{name} {problem}", name=name, problem=problem)
    if item.get("high") is not None and item.get("low") is not None and item["low"] > item["high"]:
        return "/low", say("low may not be above high")
    if not isinstance(item.get("force_review", False), bool):
        return "/force_review", say("force_review must be true or false")
    return None


def _compile_fallback(value: Any, schema: OutputSchema, at: str, errors: list[FieldError]) -> Fallback:
    names = {"manual": {"mode"}, "constant": {"mode", "output"}, "rules": {"mode", "rules", "else"}}
    mode = value.get("mode") if isinstance(value, dict) else None
    if not isinstance(mode, str) or mode not in names:
        errors.append(FieldError(f"{at}/mode", "invalid", say("fallback mode is manual, constant or rules")))
        return Fallback("manual")
    errors += [
        FieldError(f"{at}/{name}", "invalid", say("a {mode} fallback has no {name!r}", mode=mode, name=name))
        for name in set(value) - names[mode]
    ]
    if mode == "manual":
        return Fallback(mode)
    if mode == "constant":
        errors += schema.check(value.get("output"), pointer=f"{at}/output")
        return Fallback(mode, output=value.get("output"))
    errors += schema.check(value.get("else"), pointer=f"{at}/else")
    return Fallback(
        mode,
        rules=_compile_rules(value.get("rules"), schema, f"{at}/rules", errors),
        otherwise=value.get("else"),
    )


def _compile_rules(
    value: Any, schema: OutputSchema, at: str, errors: list[FieldError]
) -> tuple[tuple[Condition, dict[str, Any]], ...]:
    if not isinstance(value, list) or len(value) > MAX_RULES:
        errors.append(
            FieldError(
                at,
                "invalid",
                say("rules must be a list of at most {max_rules} of {{when, output}}", max_rules=MAX_RULES),
            )
        )
        return ()
    compiled = []
    for index, rule in enumerate(value):
        where = f"{at}/{index}"
        if not isinstance(rule, dict) or set(rule) != {"when", "output"} or not isinstance(rule["when"], str):
            errors.append(FieldError(where, "invalid", say("a rule is {{when: a condition, output}}")))
            continue
        errors += schema.check(rule["output"], pointer=f"{where}/output")
        try:
            compiled.append((Condition(rule["when"]), rule["output"]))
        except ConditionError as error:
            errors.append(FieldError(f"{where}/when", "invalid", error.detail))
    return tuple(compiled)


_Check = Callable[[Any], Sentence | None]
_INTERVAL = re.compile(r"0|[1-9][0-9]{0,5}[smhd]")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _share(value: Any) -> Sentence | None:
    return None if _is_number(value) and 0 <= value <= 1 else say("must be a number from 0 to 1")


def _inner_share(value: Any) -> Sentence | None:
    return None if _is_number(value) and 0 < value < 1 else say("must be a number above 0 and below 1")


def _between(least: int, most: int) -> _Check:
    def check(value: Any) -> Sentence | None:
        whole = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return None if whole else say("must be a whole number from {least} to {most}", least=least, most=most)

    return check


def _flag(value: Any) -> Sentence | None:
    return None if isinstance(value, bool) else say("must be true or false")


def _autonomy(value: Any) -> Sentence | None:
    return None if value in ("off", "suggest", "on") else say("must be off, suggest or on")


def _alpha_by_label(value: Any) -> Sentence | None:
    fits = isinstance(value, dict) and all(not _inner_share(alpha) for alpha in value.values())
    return None if fits else say("must give labels a number above 0 and below 1")


def _interval(value: Any) -> Sentence | None:
    fits = isinstance(value, str) and _INTERVAL.fullmatch(value)
    return None if fits else say('must be like "1d", "12h", "30m", "0"')


_CHECKS: dict[str, _Check] = {
    "high": _share,
    "low": _share,
    "audit_rate": _share,
    "audits_per_day_max": _between(1, 10_000_000),
    "alpha": _inner_share,
    "delta": _inner_share,
    "alpha_by_label": _alpha_by_label,
    "autonomy": _autonomy,
    "autonomy_min_interval": _interval,
    "operator_cap": _share,
    "detector_threshold": _between(10, 1_000_000),
    "strict": _flag,
    "assumed_false_accept": lambda value: None if value is None else _share(value),
    "blind_audit": _flag,
    "sentinel_rate": _share,
    "second_review_rate": _share,
    "lease_seconds": _between(30, 4 * 3600),
}

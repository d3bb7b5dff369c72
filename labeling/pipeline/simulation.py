"""What a draft policy would have done to past traffic, before it is put in force: beside what was, and beside today's policy."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median
from typing import Any, NamedTuple

from django.db import connection
from django.utils import timezone

from labeling.errors import say
from labeling.ingestion.models import Route
from labeling.pipeline.past_traffic import DAYS, ROUTES, PastPrediction, PastTraffic, read_past_traffic
from labeling.projects.models import Project
from labeling.projects.queries import get_output_schema
from labeling.routing.models import PolicyPeriod
from labeling.routing.policy import Policy, compile_policy
from labeling.routing.queries import get_policy
from labeling.trust.drafting import Beginnings, FirstStep, begins_in_force, begins_under, first_steps
from labeling.trust.figures import Rate, Stratum, Sums, rates_of
from labeling.trust.services import ensure_folded
from labeling.trust.worth import SHADOW_RATE

__all__ = ["DAYS", "Side", "Simulation", "simulate_policy"]

_MOST_DECISIONS = 1_000
_LEAST_AUDITS = 20  # a day, where automation is earned (contract, section 3)
_ASKED_ABOUT = "past predictions that would be automatic, judged by what people said of them"


@dataclass(frozen=True, slots=True)
class Side:
    """What one policy makes of the traffic. Rates are shares of it; tasks, checks, hours and wrong results are per day.

    `checks` are blind checks, second reviews, shadow reviews and test items. `error` is the share of wrong outputs among what is automatic.
    """

    counts: dict[str, int]
    shares: dict[str, float | None]
    tasks_per_day: float | None
    checks_per_day: float | None
    hours_per_day: float | None
    error: Rate
    wrong_per_day: float | None

    def as_json(self) -> dict[str, Any]:
        return {
            "counts": self.counts,
            "shares": self.shares,
            "tasks_per_day": self.tasks_per_day,
            "checks_per_day": self.checks_per_day,
            "hours_per_day": self.hours_per_day,
            "auto_error": self.error.as_json(),
            "wrong_per_day": self.wrong_per_day,
        }


@dataclass(frozen=True, slots=True)
class Simulation:
    """The same past predictions as they were routed, as today's policy and as the draft would route them."""

    predictions: int
    replayed: int
    is_sample: bool
    since: datetime | None
    until: datetime | None
    was: Side
    today: Side
    would_be: Side
    moved: dict[tuple[str, str], int]
    seconds_per_decision: float | None
    first_steps: Sequence[FirstStep] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "predictions": self.predictions,
            "replayed": self.replayed,
            "is_sample": self.is_sample,
            "from": self.since,
            "to": self.until,
            "was": self.was.as_json(),
            "today": self.today.as_json(),
            "would_be": self.would_be.as_json(),
            "moved": [{"from": old, "to": new, "count": n} for (old, new), n in sorted(self.moved.items())],
            "seconds_per_decision": self.seconds_per_decision,
            "first_steps": [step._asdict() for step in self.first_steps],
        }


class _Sent(NamedTuple):
    """Where a prediction goes, and whether a person has to label it there."""

    route: str
    by_hand: bool


class _Load(NamedTuple):
    """What people do besides: chance of a blind check, further answers for each review, chance of a shadow review."""

    audits: Callable[[float], float]
    per_review: float
    shadows: float = SHADOW_RATE


def simulate_policy(*, project: Project, body: Any) -> Simulation:
    """Route the predictions of the last 28 days (a sample of about 20,000 where there are more) with a draft. Changes nothing.

    Where evidence rules, automatic is what it certifies today under the draft's limits. Settled predictions are left out.
    Raises InvalidError naming wrong fields.
    """
    schema = get_output_schema(project)
    draft = compile_policy(body, schema=schema)
    today = compile_policy(get_policy(project, project.policy_number).body, schema=schema)
    ensure_folded(project.pk)
    asks_labels = any(override.label is not None for override in (*draft.overrides, *today.overrides))
    past = read_past_traffic(project, with_labels=asks_labels)
    chances = _chances(past)
    seconds = _median_seconds(project)
    in_force, wanted = (
        begins_in_force(project, today),
        begins_under(project, draft, today, now=timezone.now()),
    )
    drafted = [_send(draft, row, wanted) for row in past.rows]
    as_today = [_send(today, row, in_force) for row in past.rows]
    as_was = [_Sent(row.route, row.manual and row.route != Route.AUTO) for row in past.rows]
    moved: dict[tuple[str, str], float] = defaultdict(float)
    for row, sent in zip(past.rows, drafted, strict=True):
        if sent.route != row.route:
            moved[row.route, sent.route] += row.weight
    share_audited = _share_drawn(row for row in past.rows if row.route == Route.AUTO)
    share_shadowed = _share_drawn(row for row in past.rows if row.route == Route.FALLBACK and not row.manual)
    return Simulation(
        predictions=past.total,
        replayed=len(past.rows),
        is_sample=past.is_sample,
        since=past.since,
        until=past.until,
        was=_side(past, as_was, chances, _Load(lambda _: share_audited, 0.0, share_shadowed), seconds),
        today=_side(past, as_today, chances, _load(today), seconds),
        would_be=_side(past, drafted, chances, _load(draft), seconds),
        moved={routes: round(count) for routes, count in moved.items()},
        seconds_per_decision=seconds,
        first_steps=first_steps(draft),
    )


def _share_drawn(rows: Iterable[PastPrediction]) -> float:
    weights = [(row.weight, row.weight * row.audited) for row in rows]
    return sum(drawn for _, drawn in weights) / sum(weight for weight, _ in weights) if weights else 0.0


def _send(policy: Policy, row: PastPrediction, begins: Beginnings) -> _Sent:
    begin = begins.of(row.model_version_id, policy.group_of(row.label))
    route, _ = policy.choose(
        confidence=row.confidence,
        labels=row.labels,
        segment=row.segment,
        high=begin.high,
        low=policy.body["low"],
    )
    if route == "auto" and row.segment in begin.forced_segments:
        route = "review"
    return _Sent(route, route == "review" or (route == "fallback" and policy.fallback.mode == "manual"))


def _load(policy: Policy) -> _Load:
    body = policy.body
    rate: float = body["audit_rate"]
    most: int = body["audits_per_day_max"]

    def audits(per_day: float) -> float:
        """The constant; where automation is earned min(1, max(20/V, min(rate, most/V))) of V automatic results a day."""
        if body["autonomy"] == "off" or per_day <= 0:
            return rate
        return min(1.0, max(_LEAST_AUDITS / per_day, min(rate, most / per_day)))

    return _Load(audits, body["second_review_rate"] + body["sentinel_rate"])


def _side(
    past: PastTraffic,
    sent: Sequence[_Sent],
    chances: dict[int, float],
    load: _Load,
    seconds: float | None,
) -> Side:
    sums, reviews, by_hand, answered = dict.fromkeys(ROUTES, 0.0), 0.0, 0.0, 0.0
    for row, (route, is_by_hand) in zip(past.rows, sent, strict=True):
        sums[Route(route)] += row.weight
        reviews += row.weight * (route == Route.REVIEW)
        by_hand += row.weight * is_by_hand
        answered += row.weight * (route == Route.FALLBACK and not is_by_hand)
    total = sum(sums.values())
    error = _error(past, sent, chances)
    if not past.rows:
        return Side(
            dict.fromkeys(map(str, ROUTES), 0), dict.fromkeys(map(str, ROUTES)), None, None, None, error, None
        )
    automatic = sums[Route.AUTO] / past.days
    checks = automatic * load.audits(automatic)
    checks += (reviews * load.per_review + answered * load.shadows) / past.days
    tasks = by_hand / past.days
    return Side(
        counts={str(route): round(count) for route, count in sums.items()},
        shares={str(route): count / total for route, count in sums.items()},
        tasks_per_day=tasks,
        checks_per_day=checks,
        hours_per_day=None if seconds is None else (tasks + checks) * seconds / 3600,
        error=error,
        wrong_per_day=None if error.value is None else automatic * error.value,
    )


def _error(past: PastTraffic, sent: Sequence[_Sent], chances: dict[int, float]) -> Rate:
    """Of what would be automatic: wrong outputs among the labelled, each route and period weighted by its traffic.

    The same sum and range as `model_error_rate`, over a part of the predictions. Whoever tries drafts until one looks good
    has picked it after seeing the counts, so the range describes and decides nothing.
    """
    totals: dict[int, dict[str, float]] = {}
    for row, (route, _) in zip(past.rows, sent, strict=True):
        if route == Route.AUTO:
            counts = totals.setdefault(row.period_id, defaultdict(float))
            counts["total"] += row.weight
            counts[row.route] += row.weight
            if row.route == Route.FALLBACK and (row.manual or row.drawable):
                counts["fallback_manual" if row.manual else "shadow_of"] += row.weight
            for name, count in row.answered.items():
                counts[name] += count
    if not totals:
        return Rate(None, None, None, 0, 0, _ASKED_ABOUT, "none", say("nothing would be automatic"))
    strata = [
        Stratum(chances.get(period, 0.0), Sums(**{name: round(n) for name, n in counts.items()}))
        for period, counts in sorted(totals.items())
    ]
    return replace(rates_of([strata], anchored=False)[0]["model_error_rate"], population=_ASKED_ABOUT)


def _chances(past: PastTraffic) -> dict[int, float]:
    """The chance of a blind check in each period."""
    periods = {row.period_id for row in past.rows}
    return dict(PolicyPeriod.objects.filter(pk__in=periods).values_list("pk", "audit_rate"))


def _median_seconds(project: Project) -> float | None:
    """How long people took for their newest decisions, where they said so."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select seconds from unnest(array['confirmed', 'corrected', 'labelled']) verdict cross join lateral ("
            "  select id, seconds from labeling_decision decision"
            "  where project_id = %(project)s and decision.verdict = verdict order by id desc limit %(most)s"
            ") newest order by id desc limit %(most)s",
            {"project": project.pk, "most": _MOST_DECISIONS},
        )
        seconds = [row[0] for row in cursor.fetchall() if row[0] is not None]
    return median(seconds) if seconds else None

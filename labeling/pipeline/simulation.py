"""What a draft policy would have done to past traffic, before it is put in force."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from django.utils import timezone

from labeling.decisions.models import Decision
from labeling.ids import first_id_at
from labeling.ingestion.models import Prediction, Route
from labeling.projects.label_schema import labels_of
from labeling.projects.models import Project
from labeling.projects.queries import get_output_schema
from labeling.routing.policy import Policy, compile_policy

MOST_PREDICTIONS = 20_000
DAYS = 30
_MOST_DECISIONS = 1_000
_ROUTED = (Route.AUTO, Route.REVIEW, Route.FALLBACK)


@dataclass(frozen=True, slots=True)
class Simulation:
    """Routes of the newest predictions, as they were and as the draft gives them."""

    predictions: int
    since: datetime | None
    until: datetime | None
    was: dict[str, int]
    would_be: dict[str, int]
    moved: dict[tuple[str, str], int]
    people_per_day_was: float | None
    people_per_day_would_be: float | None
    seconds_per_decision: float | None

    def as_json(self) -> dict[str, Any]:
        return {
            "predictions": self.predictions,
            "from": self.since,
            "to": self.until,
            "was": self._side(self.was, self.people_per_day_was),
            "would_be": self._side(self.would_be, self.people_per_day_would_be),
            "moved": [{"from": old, "to": new, "count": n} for (old, new), n in sorted(self.moved.items())],
            "seconds_per_decision": self.seconds_per_decision,
        }

    def _side(self, counts: dict[str, int], per_day: float | None) -> dict[str, Any]:
        hours = None
        if per_day is not None and self.seconds_per_decision is not None:
            hours = per_day * self.seconds_per_decision / 3600
        shares = {route: counts[route] / self.predictions if self.predictions else None for route in counts}
        return {"counts": counts, "shares": shares, "tasks_per_day": per_day, "hours_per_day": hours}


def simulate_policy(*, project: Project, body: Any, now: datetime | None = None) -> Simulation:
    """Route the newest predictions (at most 20,000 of the last 30 days) with a draft. Changes nothing.

    Audits are not counted as work here; settled predictions are left out. Raises InvalidError naming wrong fields.
    """
    draft = compile_policy(body, schema=get_output_schema(project))
    since = (now or timezone.now()) - timedelta(days=DAYS)
    rows = list(
        Prediction.objects.filter(project_id=project.pk, route__in=_ROUTED, pk__gte=first_id_at(since))
        .order_by("-pk")
        .values_list("route", "confidence", "output", "segment", "final_output", "received_at")[
            :MOST_PREDICTIONS
        ]
    )
    was, would_be, moved = Counter[str](), Counter[str](), Counter[tuple[str, str]]()
    people_was = people_would_be = 0
    for route, confidence, output, segment, final_output, _ in rows:
        new = _choose(draft, project.task_type, confidence, output, segment)
        was[route] += 1
        would_be[new] += 1
        if new != route:
            moved[route, new] += 1
        people_was += route == Route.REVIEW or (route == Route.FALLBACK and final_output is None)
        people_would_be += new == Route.REVIEW or (new == Route.FALLBACK and draft.fallback.mode == "manual")
    times = [row[-1] for row in rows]
    days = max((times[0] - times[-1]) / timedelta(days=1), 1.0) if times else None
    return Simulation(
        predictions=len(rows),
        since=times[-1] if times else None,
        until=times[0] if times else None,
        was={route.value: was[route] for route in _ROUTED},
        would_be={route.value: would_be[route] for route in _ROUTED},
        moved=dict(moved),
        people_per_day_was=people_was / days if days else None,
        people_per_day_would_be=people_would_be / days if days else None,
        seconds_per_decision=_median_seconds(project),
    )


def _choose(draft: Policy, task_type: str, confidence: float, output: Any, segment: str | None) -> str:
    route, _ = draft.choose(
        confidence=confidence,
        labels=labels_of(task_type, output),
        segment=segment,
        high=draft.body["high"],
        low=draft.body["low"],
    )
    return route


def _median_seconds(project: Project) -> float | None:
    """How long people took for their last decisions, where they said so."""
    found = (
        Decision.objects.filter(project=project, seconds__isnull=False)
        .order_by("-pk")
        .values_list("seconds", flat=True)[:_MOST_DECISIONS]
    )
    seconds = [value for value in found if value is not None]
    return median(seconds) if seconds else None

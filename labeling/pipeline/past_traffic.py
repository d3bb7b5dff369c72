"""Past predictions to try a policy on: all of them where they are few, else a sample that stands for all of them.

The sample takes from every hour and route as many of the newest predictions as its share of the traffic asks for, and gives
each the weight of those that were not taken. How many there were is known from the rollups, so the cost depends on the size
of the sample and on the hours, not on the traffic.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Max, Sum

from labeling.ids import first_id_at
from labeling.ingestion.models import Route
from labeling.projects.label_schema import labels_of
from labeling.projects.models import Project
from labeling.review.models import Purpose
from labeling.trust.counting import Answer, label_counts
from labeling.trust.models import TrustDay, TrustHour
from labeling.trust.timegrid import day_start

MOST_PREDICTIONS = 20_000
DAYS = 28
ROUTES = (Route.AUTO, Route.REVIEW, Route.FALLBACK)
_NO_END = 2**62
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)

# The route is compared as a column of its own, so that each stratum is one short walk along `prediction_by_route`.
_TAKE = """
    select stratum.number, prediction.id, prediction.item_id, prediction.route, prediction.confidence, prediction.label,
           {output}, prediction.segment, prediction.final_output is null, prediction.audited, prediction.audit_probability > 0,
           prediction.period_id,
           prediction.model_version_id, {moment}
    from unnest(%(first)s::bigint[], %(end)s::bigint[], %(routes)s::text[], %(most)s::int[])
         with ordinality as stratum (first, "end", route, most, number)
    cross join lateral (
        select * from labeling_prediction
        where project_id = %(project)s and route = stratum.route and id >= stratum.first and id < stratum."end"
        order by id desc limit stratum.most
    ) prediction
    order by stratum.number
"""
_ANSWERS = """
    select prediction_id, purpose, verdict, agreed from labeling_decision decision
    where item_id = any(%s) and purpose <> %s
      and not exists (select from labeling_withdrawal where decision_id = decision.id)
    order by prediction_id, decision.id
"""


@dataclass(frozen=True, slots=True)
class PastPrediction:
    """A prediction as it was routed; it stands for `weight` of them. `answered` are the counters its answers add."""

    route: str
    confidence: float
    label: str | None
    labels: Sequence[str]
    segment: str | None
    manual: bool
    audited: bool
    drawable: bool
    period_id: int
    model_version_id: int
    moment: datetime
    weight: float
    answered: dict[str, int]


@dataclass(frozen=True, slots=True)
class PastTraffic:
    """What came in between two moments: `total` predictions, of which `rows` are all or a sample."""

    rows: Sequence[PastPrediction]
    total: int
    since: datetime | None
    until: datetime | None
    is_sample: bool

    @property
    def days(self) -> float:
        """How long that was, in days; at least one."""
        if self.since is None or self.until is None:
            return 1.0
        return max((self.until - self.since) / _DAY, 1.0)


class _Stratum(NamedTuple):
    """Predictions of one route with ids in [first, end), and how many the rollups count there."""

    first: int
    end: int
    route: str
    total: int


def read_past_traffic(project: Project, *, with_labels: bool, most: int = MOST_PREDICTIONS) -> PastTraffic:
    """The predictions of the last 28 days that have any, settled ones left out; at most about `most` of them.

    Of a simulated project, whose days are not those on which it was told: its newest ones. `with_labels`: the labels of each
    are needed, although they stand in the payload. Call `trust.services.ensure_folded` first.
    """
    strata = _strata_of_all(project) if project.simulation else _strata_by_hour(project)
    total = sum(stratum.total for stratum in strata)
    is_sample = total > most
    takes = [math.ceil(s.total * most / total) if is_sample else most for s in strata]
    rows = _take(project, strata, takes, with_labels=with_labels) if strata else []
    answers = _answers([row for row in rows if row[9] or row[3] != Route.AUTO])
    past = []
    for number, group in groupby(rows, key=lambda row: row[0]):
        found = list(group)
        weight = max(strata[number - 1].total / len(found), 1.0) if is_sample else 1.0
        past += [_past(project.task_type, row, weight, answers.get(row[1], [])) for row in found]
    moments = [row.moment for row in past]
    return PastTraffic(
        rows=past,
        total=round(sum(row.weight for row in past)),
        since=min(moments, default=None),
        until=max(moments, default=None),
        is_sample=is_sample,
    )


def _strata_by_hour(project: Project) -> list[_Stratum]:
    last = TrustDay.objects.filter(project_id=project.pk).aggregate(Max("day"))["day__max"]
    if last is None:
        return []
    start = day_start(last - (DAYS - 1) * _DAY, ZoneInfo(project.time_zone))
    hours = (
        TrustHour.objects.filter(project_id=project.pk, hour__gte=start)
        .values_list("hour")
        .annotate(*(Sum(route) for route in ROUTES))
        .order_by("hour")
    )
    return [
        _Stratum(first_id_at(hour), first_id_at(hour + _HOUR), route, count)
        for hour, *counts in hours
        for route, count in zip(ROUTES, counts, strict=True)
        if count > 0
    ]


def _strata_of_all(project: Project) -> list[_Stratum]:
    sums = TrustDay.objects.filter(project_id=project.pk).aggregate(**{r: Sum(r) for r in ROUTES})
    return [_Stratum(0, _NO_END, route, sums[route]) for route in ROUTES if sums[route]]


def _take(
    project: Project, strata: Sequence[_Stratum], takes: Sequence[int], *, with_labels: bool
) -> list[tuple[Any, ...]]:
    output = "prediction.output" if with_labels and project.task_type != "classification" else "null"
    moment = "coalesce(prediction.occurred_at, prediction.received_at)"
    sql = _TAKE.format(output=output, moment=moment if project.simulation else "prediction.received_at")
    values: dict[str, Any] = {
        "project": project.pk,
        "first": [stratum.first for stratum in strata],
        "end": [stratum.end for stratum in strata],
        "routes": [str(stratum.route) for stratum in strata],
        "most": list(takes),
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def _answers(rows: Iterable[tuple[Any, ...]]) -> dict[int, list[Answer]]:
    """The answers that stand, by prediction."""
    with connection.cursor() as cursor:
        cursor.execute(_ANSWERS, [[row[2] for row in rows], Purpose.SENTINEL.value])
        found = cursor.fetchall()
    return {
        prediction: [Answer(*row[1:]) for row in group]
        for prediction, group in groupby(found, key=lambda row: row[0])
    }


def _past(task_type: str, row: tuple[Any, ...], weight: float, answers: Sequence[Answer]) -> PastPrediction:
    _, _, _, route, confidence, label, output, segment, manual, audited, drawable, *which, moment = row
    period_id, version_id = which
    labels = [label] if label is not None else labels_of(task_type, output) if output else []
    return PastPrediction(
        route=route,
        confidence=confidence,
        label=label,
        labels=labels,
        segment=segment,
        manual=manual,
        audited=audited,
        drawable=drawable,
        period_id=period_id,
        model_version_id=version_id,
        moment=moment,
        weight=weight,
        answered=label_counts(route, answers, audited=audited),
    )

"""Looking for predictions: newest first, by what has an index and by what has none, never through a whole table.

The time of arrival is in the id, so a period is a range of ids; a route is part of the index; an item id is hashed into
a key. Everything else has no index, because each would make every prediction that comes in dearer: such a search looks
at a bounded number of rows (and of bytes, where it reads inputs), says how far back it got, and goes on from there.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection

from labeling.days import beginning_of, end_of
from labeling.decisions.diffing import core_output
from labeling.decisions.models import Verdict
from labeling.errors import invalid, say
from labeling.ids import first_id_at
from labeling.ingestion.candidates import key_hash_of
from labeling.ingestion.models import ItemKey, PredictionKey, Route
from labeling.projects.models import Project

FILTERS = ("route", "segment", "model", "model_version", "verdict", "label", "id", "q", "from", "to")
_INDEXED = {"route", "id", "from", "to"}
_MOST_SCANNED = 5_000
_MOST_READ = 2_000
"""Rows whose inputs one page of a text search reads."""
_MOST_BYTES = 4_000_000
"""Stored bytes of inputs that one page of a text search reads; a longer input alone is passed over."""
_LAST_ID = 2**62


@dataclass(frozen=True, slots=True)
class PredictionPage:
    """Rows, the id to go on before (none at the end), and how much was looked at to find them."""

    rows: list[dict[str, Any]]
    next_before: int | None
    looked_at: int
    back_to: datetime | None


# Walks the newest predictions of each route by the index (project, route, id), within a range of ids, and merges them.
# `looked` ends where the rows, or for a text the bytes of their inputs, are enough for one page. `limit 1` keeps the planner
# from reading all items where it expects to need many.
_LIST = """
with scanned as materialized (
    select p.* from unnest(%(routes)s::text[]) as wanted(route)
    cross join lateral (
        select * from labeling_prediction p
        where p.project_id = %(project)s and p.route = wanted.route and p.id < %(before)s and p.id >= %(first)s
          and (%(ids)s::bigint[] is null or p.id = any(%(ids)s))
        order by p.id desc limit %(scan)s
    ) p
    order by p.id desc limit %(scan)s
), looked as materialized (
    select * from (
        select scanned.*, 0 as weight, 0::numeric as read from scanned where %(q)s::text is null
        union all
        select scanned.*, size.weight,
               sum(case when size.weight <= %(bytes)s then size.weight else 0 end) over (order by scanned.id desc) as read
        from scanned
        left join lateral (
            select coalesce(pg_column_size(item.input), 0) as weight
            from labeling_item item where item.id = scanned.item_id limit 1
        ) size on true
        where %(q)s::text is not null
    ) weighed where weighed.read <= %(bytes)s
), page as (
    select looked.id, looked.item_id, looked.route, looked.reason, looked.confidence, looked.output,
           looked.segment, looked.received_at, version.name, version.version, item.key, decided.verdict
    from looked
    join labeling_modelversion version on version.id = looked.model_version_id
    left join lateral (
        select item.key, item.input from labeling_item item where item.id = looked.item_id limit 1
    ) item on true
    left join lateral (
        select d.verdict from labeling_decision d
        left join labeling_withdrawal w on w.decision_id = d.id
        where d.item_id = looked.item_id and w.id is null and d.purpose <> 'sentinel'
          and not (%(hides_escalations)s and d.verdict = 'escalated')
        order by d.id desc limit 1
    ) decided on true
    where (%(segment)s::text is null or looked.segment = %(segment)s)
      and (%(model)s::text is null or version.name = %(model)s)
      and (%(model_version)s::text is null or version.version = %(model_version)s)
      and (%(label)s::text is null or looked.label = %(label)s
           or (looked.label is null and strpos(looked.output::text, %(quoted_label)s) > 0))
      and (%(verdict)s::text is null or decided.verdict = %(verdict)s)
      and (%(q)s::text is null or strpos(lower(item.key), %(q)s) > 0
           or (looked.weight <= %(bytes)s and strpos(lower(item.input::text), %(q)s) > 0))
    order by looked.id desc limit %(limit)s
)
select page.*, extent.* from (
    select (select count(*) from scanned), count(*), min(id), min(received_at) from looked
) as extent(scanned, looked, oldest, back_to)
left join page on true order by page.id desc
"""


def list_predictions(
    project: Project,
    *,
    filters: dict[str, str],
    before: int | None,
    limit: int,
    hides_escalations: bool = False,
) -> PredictionPage:
    """Predictions, newest first, before an id.

    Filters: route, segment, model, model_version, verdict (in force), label (the model's), id, q (text of id or input),
    from and to (days in the project's time zone, both included). `hides_escalations`: a model service must not learn from one
    that its result was drawn for a check.
    """
    first, after_last = _check_filters(project, filters)
    plain = set(filters) <= _INDEXED
    scan = limit + 1 if plain else _MOST_READ if "q" in filters else _MOST_SCANNED
    values = {
        "project": project.pk,
        "routes": [filters["route"]] if "route" in filters else Route.values,
        "before": min(before if before is not None else _LAST_ID, after_last),
        "first": first,
        "ids": _ids_of(project, filters["id"]) if "id" in filters else None,
        "scan": scan,
        "limit": limit,
        "hides_escalations": hides_escalations,
        "bytes": _MOST_BYTES,
        **{name: filters.get(name) for name in ("segment", "model", "model_version", "verdict", "label")},
        "quoted_label": msgspec.json.encode(filters.get("label", "")).decode(),
        "q": filters["q"].lower() if "q" in filters else None,
    }
    with connection.cursor() as cursor:
        cursor.execute(_LIST, values)
        found = cursor.fetchall()
    scanned, looked, oldest, back_to = found[0][-4:]
    rows = [_line(project.task_type, row) for row in found if row[0] is not None]
    next_before = oldest if scanned == scan or looked < scanned else None
    if len(rows) == limit:
        next_before = rows[-1]["prediction_id"] if scanned > limit or not plain else None
    return PredictionPage(rows, next_before, looked, back_to)


def _check_filters(project: Project, filters: dict[str, str]) -> tuple[int, int]:
    """The ids between which the period lies; InvalidError naming the filter that is wrong."""
    for name, allowed in (("route", Route.values), ("verdict", Verdict.values)):
        if name in filters and filters[name] not in allowed:
            raise invalid(
                f"/{name}",
                "invalid",
                say("{name} is one of {choices}", name=name, choices=", ".join(allowed)),
            )
    for name, value in filters.items():
        if "\x00" in value or len(value) > 1_000:
            raise invalid(
                f"/{name}", "invalid", say("{name} has at most 1000 characters and no U+0000", name=name)
            )
    zone = project.time_zone
    first = beginning_of("from", filters["from"], zone) if "from" in filters else None
    last = end_of("to", filters["to"], zone) if "to" in filters else None
    return first_id_at(first) if first else 0, first_id_at(last) if last else _LAST_ID


def _ids_of(project: Project, key: str) -> list[int]:
    """The predictions of an item, by the client's id."""
    item_id = (
        ItemKey.objects.filter(key_hash=key_hash_of(project.pk, key))
        .values_list("item_id", flat=True)
        .first()
    )
    if item_id is None:
        return []
    further = PredictionKey.objects.filter(item_id=item_id).values_list("prediction_id", flat=True)
    return [item_id, *further]


def _line(task_type: str, row: tuple[Any, ...]) -> dict[str, Any]:
    return {
        "prediction_id": row[0],
        "route": row[2],
        "reason": row[3],
        "confidence": row[4],
        "prediction": core_output(task_type, row[5]),
        "segment": row[6],
        "received_at": row[7],
        "model": row[8],
        "model_version": row[9],
        "id": row[10],
        "verdict": row[11],
    }

"""Reading across stages: a list of predictions, and the whole story of an item."""

from dataclasses import dataclass
from typing import Any

from django.db import connection

from labeling.datasets.models import DatasetEntry, EntryOp
from labeling.decisions.diffing import core_output
from labeling.decisions.models import AcceptedLabel, Decision, Verdict
from labeling.errors import NotFoundError, invalid
from labeling.ingestion.candidates import key_hash_of
from labeling.ingestion.models import Item, ItemKey, ModelVersion, Prediction, PredictionKey, Route
from labeling.projects.models import Project

_MOST_SCANNED = 5_000


@dataclass(frozen=True, slots=True)
class PredictionPage:
    """Rows, and the id to go on before; none at the end."""

    rows: list[dict[str, Any]]
    next_before: int | None


# Walks the newest predictions of each route by the index (project, route, id) and merges them. Filters that have no index
# look at a bounded number of rows; a page may then be short although more follow.
_LIST = """
with scanned as (
    select p.* from unnest(%(routes)s::text[]) as wanted(route)
    cross join lateral (
        select * from labeling_prediction p
        where p.project_id = %(project)s and p.route = wanted.route and p.id < %(before)s
        order by p.id desc limit %(scan)s
    ) p
    order by p.id desc limit %(scan)s
), page as (
    select scanned.id, scanned.item_id, scanned.route, scanned.reason, scanned.confidence, scanned.output,
           scanned.segment, scanned.received_at, version.name, version.version, item.key, decided.verdict
    from scanned
    join labeling_modelversion version on version.id = scanned.model_version_id
    left join labeling_item item on item.id = scanned.item_id
    left join lateral (
        select d.verdict from labeling_decision d
        left join labeling_withdrawal w on w.decision_id = d.id
        where d.item_id = scanned.item_id and w.id is null order by d.id desc limit 1
    ) decided on true
    where (%(segment)s::text is null or scanned.segment = %(segment)s)
      and (%(model)s::text is null or version.name = %(model)s)
      and (%(verdict)s::text is null or decided.verdict = %(verdict)s)
      and (%(q)s::text is null or strpos(lower(item.key), %(q)s) > 0 or strpos(lower(item.input::text), %(q)s) > 0)
    order by scanned.id desc limit %(limit)s
)
select page.*, (select count(*) from scanned), (select min(id) from scanned) from page order by page.id desc
"""


def list_predictions(
    project: Project, *, filters: dict[str, str], before: int | None, limit: int
) -> PredictionPage:
    """Predictions, newest first, before an id. Filters: route, segment, model, verdict, q (text of id or input)."""
    _check_filters(filters)
    scan = limit + 1 if set(filters) <= {"route"} else _MOST_SCANNED
    values = {
        "project": project.pk,
        "routes": [filters["route"]] if "route" in filters else Route.values,
        "before": before if before is not None else 2**62,
        "scan": scan,
        "limit": limit,
        **{name: filters.get(name) for name in ("segment", "model", "verdict")},
        "q": filters["q"].lower() if "q" in filters else None,
    }
    with connection.cursor() as cursor:
        cursor.execute(_LIST, values)
        found = cursor.fetchall()
        if not found:
            return PredictionPage([], _next_scan(values))
    rows = [_line(project.task_type, row) for row in found]
    scanned, oldest_scanned = found[0][-2:]
    if len(rows) == limit:
        return PredictionPage(
            rows, rows[-1]["prediction_id"] if scanned > limit or scan > limit + 1 else None
        )
    return PredictionPage(rows, oldest_scanned if scanned == scan else None)


def get_item_story(project: Project, key: str) -> dict[str, Any]:
    """An item by its client id: predictions with routes and reasons, decisions, label that counts, dataset versions."""
    known = (
        ItemKey.objects.filter(key_hash=key_hash_of(project.pk, key)).first() if "\x00" not in key else None
    )
    if known is None:
        raise NotFoundError("not_found", "There is no item with this id.")
    item = Item.objects.filter(pk=known.item_id).first()
    further = PredictionKey.objects.filter(item_id=known.item_id).values_list("prediction_id", flat=True)
    predictions = Prediction.objects.filter(pk__in=[known.item_id, *further]).order_by("id")
    versions = ModelVersion.objects.in_bulk({p.model_version_id for p in predictions})
    decisions = (
        Decision.objects.filter(item_id=known.item_id)
        .select_related("decided_by", "withdrawal", "withdrawal__by")
        .order_by("id")
    )
    label = AcceptedLabel.objects.filter(item_id=known.item_id).first()
    return {
        "id": key,
        "item_id": known.item_id,
        "input": item.input if item else None,
        "received_at": item.received_at if item else None,
        "predictions": [_prediction(project.task_type, p, versions[p.model_version_id]) for p in predictions],
        "decisions": [_decision(decision) for decision in decisions],
        "accepted_label": _label(project.task_type, label, predictions),
        "dataset_versions": _dataset_versions(known.item_id),
    }


def _check_filters(filters: dict[str, str]) -> None:
    for name, allowed in (("route", Route.values), ("verdict", Verdict.values)):
        if name in filters and filters[name] not in allowed:
            raise invalid(f"/{name}", "invalid", f"{name} is one of {', '.join(allowed)}")
    for name, value in filters.items():
        if "\x00" in value or len(value) > 1_000:
            raise invalid(f"/{name}", "invalid", f"{name} has at most 1000 characters and no U+0000")


def _next_scan(values: dict[str, Any]) -> int | None:
    """Where to go on when nothing matched among the rows looked at."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select id from labeling_prediction where project_id = %(project)s and route = any(%(routes)s)
              and id < %(before)s order by id desc offset %(scan)s - 1 limit 1
            """,
            values,
        )
        found = cursor.fetchone()
    return found[0] if found else None


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


def _prediction(task_type: str, p: Prediction, version: ModelVersion) -> dict[str, Any]:
    return {
        "prediction_id": p.pk,
        "model": version.name,
        "model_version": version.version,
        "prediction": p.output,
        "confidence": p.confidence,
        "segment": p.segment,
        **(p.details or {}),
        "occurred_at": p.occurred_at,
        "received_at": p.received_at,
        "route": p.route,
        "reason": p.reason,
        "policy_version": p.policy_number,
        "policy_period": p.period_id,
        "served": core_output(task_type, p.output) if p.route == Route.AUTO else p.final_output,
    }


def _decision(decision: Decision) -> dict[str, Any]:
    withdrawal = getattr(decision, "withdrawal", None)
    return {
        "decision": decision.pk,
        "task": decision.task_id,
        "verdict": decision.verdict,
        "output": decision.output,
        "note": decision.note,
        "seconds": decision.seconds,
        "decided_by": decision.decided_by.get_username(),
        "decided_at": decision.decided_at,
        "supersedes": decision.supersedes_id,
        "undone_at": withdrawal.at if withdrawal else None,
    }


def _label(task_type: str, label: AcceptedLabel | None, predictions: Any) -> dict[str, Any] | None:
    if label is not None:
        if label.revision == 0:
            return None
        return {
            "output": label.output,
            "origin": label.origin,
            "revision": label.revision,
            "decision": label.decision_id,
        }
    first = next(iter(predictions), None)
    if first is None or (first.route != Route.AUTO and first.final_output is None):
        return None
    origin = "auto" if first.route == Route.AUTO else "fallback"
    output = core_output(task_type, first.output) if first.route == Route.AUTO else first.final_output
    return {"output": output, "origin": origin, "revision": 1, "decision": None}


def _dataset_versions(item_id: int) -> list[dict[str, Any]]:
    entries = (
        DatasetEntry.objects.filter(item_id=item_id, op__in=[EntryOp.ADD, EntryOp.CHANGE, EntryOp.REMOVE])
        .order_by("version")
        .values("dataset__slug", "version", "op", "decision_id")
    )
    names = {EntryOp.ADD: "added", EntryOp.CHANGE: "changed", EntryOp.REMOVE: "removed"}
    return [
        {
            "dataset": entry["dataset__slug"],
            "version": entry["version"],
            "change": names[EntryOp(entry["op"])],
            "decision": entry["decision_id"],
        }
        for entry in entries
    ]

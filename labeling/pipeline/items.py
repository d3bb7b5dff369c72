"""The whole story of an item, read across the stages."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from labeling.datasets.models import Dataset, DatasetEntry, EntryOp
from labeling.decisions.diffing import core_output
from labeling.decisions.models import AcceptedLabel, Decision, Origin, Outcome
from labeling.errors import NotFoundError, say
from labeling.history.models import HistoryEvent
from labeling.ingestion.candidates import key_hash_of
from labeling.ingestion.models import Item, ItemKey, ModelVersion, Prediction, PredictionKey, Route
from labeling.pipeline.second_looks import OPEN
from labeling.projects.models import Project
from labeling.review.models import Exclusion, Purpose, ReviewTask, TaskState
from labeling.routing.models import PolicyPeriod
from labeling.sentences import restored


def get_item_story(project: Project, key: str, *, hides_open_tasks: bool = False) -> dict[str, Any]:
    """An item by its client id, with everything that happened to it: predictions with their routes and what was in force,
    tasks, decisions and undos, outcomes, the label that counts, dataset versions.

    `hides_open_tasks`: without tasks that are not done, and what was said of them. A model service must not know which of its
    results were drawn while that is still to be found out; where only such tasks were missing, their absence would tell.
    """
    known = (
        ItemKey.objects.filter(key_hash=key_hash_of(project.pk, key)).first() if "\x00" not in key else None
    )
    if known is None:
        raise NotFoundError("not_found", say("There is no item with this id."))
    item = Item.objects.filter(pk=known.item_id).first()
    further = PredictionKey.objects.filter(item_id=known.item_id).values_list("prediction_id", flat=True)
    predictions = list(Prediction.objects.filter(pk__in=[known.item_id, *further]).order_by("id"))
    periods = PolicyPeriod.objects.in_bulk({p.period_id for p in predictions})
    versions = ModelVersion.objects.in_bulk({p.model_version_id for p in predictions})
    decisions = (
        Decision.objects.filter(item_id=known.item_id)
        .exclude(purpose=Purpose.SENTINEL)
        .select_related("decided_by", "withdrawal", "withdrawal__by")
        .order_by("id")
    )
    if hides_open_tasks:
        decisions = decisions.exclude(task__state__in=OPEN)
    label = AcceptedLabel.objects.filter(item_id=known.item_id).first()
    return {
        "id": key,
        "item_id": known.item_id,
        "input": item.input if item else None,
        "received_at": item.received_at if item else None,
        "predictions": [
            _prediction(project.task_type, p, versions[p.model_version_id], periods.get(p.period_id))
            for p in predictions
        ],
        "tasks": _tasks(known.item_id, hides_open_tasks=hides_open_tasks),
        "decisions": [_decision(decision) for decision in decisions],
        "accepted_label": _label(project.task_type, label, predictions),
        "outcomes": _outcomes(project.task_type, known.item_id, predictions),
        "dataset_versions": _dataset_versions(project, known.item_id),
    }


def _prediction(
    task_type: str, p: Prediction, version: ModelVersion, period: PolicyPeriod | None
) -> dict[str, Any]:
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
        "in_force": period
        and {
            "high": period.high,
            "low": period.low,
            "audit_rate": period.audit_rate,
            "level": period.level,
            "epoch": period.epoch,
            "since": period.started_at,
            "reason": restored(period, "reason"),
        },
        "served": core_output(task_type, p.output) if p.route == Route.AUTO else p.final_output,
    }


def _tasks(item_id: int, *, hides_open_tasks: bool) -> list[dict[str, Any]]:
    """Each task with who holds it and who passed it on. What a task is for is told to nobody who may still meet it."""
    shown = ReviewTask.objects.filter(item_id=item_id).exclude(purpose=Purpose.SENTINEL)
    if hides_open_tasks:
        shown = shown.exclude(state__in=OPEN)
    tasks = list(shown.select_related("queue", "claimed_by", "overflowed").order_by("id"))
    events = HistoryEvent.objects.filter(subject__in=[f"task:{task.pk}" for task in tasks])
    told: dict[str, list[HistoryEvent]] = {}
    for event in events.select_related("by").order_by("id"):
        told.setdefault(event.subject, []).append(event)
    skips: dict[int, list[Exclusion]] = {}
    barred = Exclusion.objects.filter(task__in=tasks, until__isnull=False)
    for skip in barred.select_related("user").order_by("id"):
        skips.setdefault(skip.task_id, []).append(skip)
    return [
        {
            "task": task.pk,
            "queue": task.queue.slug,
            "kind": task.kind,
            "state": task.state,
            "created_at": task.created_at,
            "due_at": _due_at(task),
            "answered_by_fallback_at": task.overflowed.at if hasattr(task, "overflowed") else None,
            "claimed_by": task.claimed_by.get_username() if task.claimed_by else None,
            "claimed_at": task.claimed_at,
            "lease_expires_at": task.lease_expires_at,
            "skipped": [
                {"by": skip.user.get_username(), "at": skip.created_at, "reason": skip.reason}
                for skip in skips.get(task.pk, [])
            ],
            "events": [
                {"action": event.action, "by": event.by.get_username() if event.by else None, "at": event.at}
                for event in told.get(f"task:{task.pk}", [])
            ],
        }
        for task in tasks
    ]


def _due_at(task: ReviewTask) -> datetime | None:
    """When a task that waits is late."""
    seconds = task.queue.deadline_seconds
    if seconds is None or task.state != TaskState.WAITING:
        return None
    return task.created_at + timedelta(seconds=seconds)


def _outcomes(task_type: str, item_id: int, predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    """What was served for the item, in order; the first is no row of its own where the route was final at once."""
    found = []
    for p in predictions[:1]:
        if p.route == Route.AUTO or p.final_output is not None:
            output = core_output(task_type, p.output) if p.route == Route.AUTO else p.final_output
            origin = Origin.AUTO if p.route == Route.AUTO else Origin.FALLBACK
            found.append({"revision": 1, "output": output, "origin": origin, "decided_at": p.received_at})
    for outcome in Outcome.objects.filter(item_id=item_id).order_by("revision", "id"):
        output = core_output(task_type, outcome.output) if outcome.output is not None else None
        found.append(
            {
                "revision": outcome.revision,
                "output": output,
                "origin": outcome.origin,
                "verdict": outcome.verdict,
                "decision": outcome.decision_id,
                "decided_at": outcome.decided_at,
            }
        )
    return found


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
        "undone_by": withdrawal.by.get_username() if withdrawal else None,
        "undone_because": withdrawal.reason if withdrawal else "",
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


def _dataset_versions(project: Project, item_id: int) -> list[dict[str, Any]]:
    datasets = Dataset.objects.filter(project=project).values_list(
        "pk", flat=True
    )  # the index begins with the dataset
    entries = (
        DatasetEntry.objects.filter(
            dataset__in=list(datasets), item_id=item_id, op__in=[EntryOp.ADD, EntryOp.CHANGE, EntryOp.REMOVE]
        )
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

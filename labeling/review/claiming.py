"""What a reviewer gets with a claim: the item, and of the prediction only what this kind of task may show."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from labeling.errors import NotFoundError, invalid, say
from labeling.history.actor import Actor
from labeling.ingestion.models import Item, ModelVersion, Prediction
from labeling.projects.access import Permission, require
from labeling.projects.models import Project
from labeling.review import services
from labeling.review.filters import EVERYTHING, TaskFilter
from labeling.review.models import Adjudication, ReviewQueue, TaskKind
from labeling.review.showing import shown_prediction
from labeling.review.tasks import DEFAULT_QUEUE
from labeling.routing.queries import get_policy

MOST_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class ClaimedTask:
    """A held task as the API shows it. Tasks without a suggestion carry nothing of the prediction."""

    task: int
    token: str
    expires_at: datetime
    kind: str
    item: dict[str, Any]
    prediction: dict[str, Any] | None
    confidence: float | None
    model: str
    guidelines_version: int
    answers: list[dict[str, Any]] | None = None

    def as_json(self) -> dict[str, Any]:
        body = {name: getattr(self, name) for name in self.__slots__ if name != "answers"}
        body["expires_at"] = self.expires_at.isoformat().replace("+00:00", "Z")
        return body if self.answers is None else {**body, "answers": self.answers}


def claim_tasks(
    *,
    project: Project,
    by: Actor,
    count: int = 1,
    queue: str | None = None,
    task_id: int | None = None,
    only: TaskFilter = EVERYTHING,
) -> list[ClaimedTask]:
    """Claim up to `count` tasks of a queue that fit the filter (or one certain task) for this person, with what they need
    to decide."""
    if not 1 <= count <= MOST_AT_ONCE:
        raise invalid(
            "/count", "out_of_range", say("count must be from 1 to {most_at_once}", most_at_once=MOST_AT_ONCE)
        )
    lease = lease_of(project)
    if task_id is not None:
        claim = _claim_one(project, task_id, by, lease)
        return show_claims(project, [claim] if claim else [])
    found = get_queue(project, queue or DEFAULT_QUEUE)
    require(by, project.pk, Permission.LEAD_REVIEW if found.leads_only else Permission.REVIEW)
    return show_claims(project, services.claim_next(queue=found, by=by, count=count, lease=lease, only=only))


def show_claims(project: Project, claims: list[services.Claim]) -> list[ClaimedTask]:
    """Held tasks with their items and predictions; the number of queries does not depend on how many."""
    items = Item.objects.in_bulk([claim.task.item_id for claim in claims])
    shown = [claim.task.prediction_id for claim in claims if claim.task.kind == TaskKind.REVIEW]
    predictions = Prediction.objects.in_bulk(shown)
    models = ModelVersion.objects.in_bulk({claim.task.model_version_id for claim in claims})
    answers = _given_answers(claims)
    return [
        _show(project, claim, items[claim.task.item_id], predictions, models, answers.get(claim.task.pk))
        for claim in claims
    ]


def _given_answers(claims: list[services.Claim]) -> dict[int, list[dict[str, Any]]]:
    """The answers that disagree, by task; only tasks of that kind have some."""
    settling = [claim.task.pk for claim in claims if claim.task.kind == TaskKind.ADJUDICATION]
    found = Adjudication.objects.in_bulk(settling) if settling else {}
    return {task_id: adjudication.answers for task_id, adjudication in found.items()}


def lease_of(project: Project) -> timedelta:
    """How long a claim lasts, by the policy in force."""
    return timedelta(seconds=get_policy(project, project.policy_number).body["lease_seconds"])


def get_queue(project: Project, slug: str) -> ReviewQueue:
    """A queue of the project by its slug, or NotFoundError."""
    queue = ReviewQueue.objects.filter(project=project, slug=slug).first() if "\x00" not in slug else None
    if queue is None:
        raise NotFoundError("not_found", say("There is no such queue."))
    return queue


def _claim_one(project: Project, task_id: int, by: Actor, lease: timedelta) -> services.Claim | None:
    task = services.get_task(by, task_id)
    if task.project_id != project.pk:
        raise NotFoundError("not_found", say("There is no such task."))
    return services.claim_task(task_id=task_id, by=by, lease=lease)


def _show(
    project: Project,
    claim: services.Claim,
    item: Item,
    predictions: dict[int, Prediction],
    models: dict[int, ModelVersion],
    answers: list[dict[str, Any]] | None,
) -> ClaimedTask:
    task = claim.task
    prediction = predictions.get(task.prediction_id)
    if prediction is not None:
        prediction = shown_prediction(task, prediction)
    return ClaimedTask(
        task=task.pk,
        token=str(claim.token),
        expires_at=claim.expires_at,
        kind=task.kind,
        item={"id": item.key, "input": item.input, "segment": task.segment},
        prediction=prediction.output if prediction else None,
        confidence=prediction.confidence if prediction else None,
        model=str(models[task.model_version_id]),
        guidelines_version=project.guidelines_number,
        answers=answers,
    )

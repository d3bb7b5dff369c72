"""What a reviewer gets with a claim: the item, and of the prediction only what this kind of task may show."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from labeling.bulk import Prepared
from labeling.errors import NotFoundError, invalid, say
from labeling.history.actor import Actor
from labeling.joined import Columns, read_parts
from labeling.projects.access import (
    KEY_STANDS,
    Permission,
    key_values,
    no_such_project,
    require_as,
    require_key,
)
from labeling.projects.models import Project
from labeling.review import services
from labeling.review.claims import PROJECT_COLUMNS, Claim
from labeling.review.filters import EVERYTHING, TaskFilter
from labeling.review.given import remember
from labeling.review.models import Adjudication, ReviewQueue, TaskKind
from labeling.review.tasks import DEFAULT_QUEUE
from labeling.routing.queries import policy_body

MOST_AT_ONCE = 50
_PROJECT = Columns(Project, "project", PROJECT_COLUMNS)
_QUEUE = Columns(ReviewQueue, "queue")
OPEN = Prepared(f"""
select {_PROJECT.sql}, {_QUEUE.sql}, membership.role, {KEY_STANDS}
from labeling_project project
left join labeling_reviewqueue queue on queue.project_id = project.id and queue.slug = %(queue)s
left join labeling_membership membership on membership.project_id = project.id and membership.user_id = %(user)s
where project.slug = %(slug)s
""")


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


@dataclass(frozen=True, slots=True)
class OpenQueue:
    """A queue that this person may take tasks from, in its project, of which `PROJECT_COLUMNS` are read."""

    project: Project
    queue: ReviewQueue

    @property
    def lease(self) -> timedelta:
        """How long a claim lasts."""
        return lease_of(self.project)


def open_queue(by: Actor, slug: str, queue: str = DEFAULT_QUEUE) -> OpenQueue:
    """A queue of a project by their slugs, asked for by one statement; NotFoundError or NotAllowedError."""
    found = None
    if "\x00" not in slug + queue:
        found = OPEN.fetchone({"slug": slug, "queue": queue, "user": by.user_id, **key_values(by)})
    if found is None:
        raise no_such_project()
    (project, stream), (role, key_stands) = read_parts(found, (_PROJECT, _QUEUE))
    require_key(key_stands)
    require_as(by, project.pk, Permission.REVIEW, role)
    if stream is None:
        raise NotFoundError("not_found", say("There is no such queue."))
    if stream.leads_only:
        require_as(by, project.pk, Permission.LEAD_REVIEW, role)
    return OpenQueue(project, stream)


def claim_tasks(
    *, within: OpenQueue, by: Actor, count: int = 1, only: TaskFilter = EVERYTHING
) -> list[ClaimedTask]:
    """Claim up to `count` tasks of a queue that fit the filter for this person, with what they need to decide."""
    if not 1 <= count <= MOST_AT_ONCE:
        raise invalid(
            "/count", "out_of_range", say("count must be from 1 to {most_at_once}", most_at_once=MOST_AT_ONCE)
        )
    claims = services.claim_next(queue=within.queue, by=by, count=count, lease=within.lease, only=only)
    return show_claims(within.project, claims)


def claim_with_decision(*, within: OpenQueue, by: Actor, decided: uuid.UUID, now: datetime) -> Claim | None:
    """The next task, claimed in the transaction of a decision; `decided` is that decision's claim token. None where finding
    one takes more than a statement: `claim_after_decision` does that once the decision is safe."""
    token = token_after(decided)
    return services.claim_first(queue=within.queue, by=by, lease=within.lease, token=token, now=now)


def claim_after_decision(*, within: OpenQueue, by: Actor, decided: uuid.UUID) -> Claim | None:
    """What was claimed with a decision made before, if it is still held; otherwise the next task."""
    held = services.find_claim(token=token_after(decided), by=by)
    if held is not None:
        return held
    claims = services.claim_next(queue=within.queue, by=by, count=1, lease=within.lease)
    return claims[0] if claims else None


def token_after(decided: uuid.UUID) -> uuid.UUID:
    """The token of the task that is claimed with a decision. It follows from the decision's own, which only its reviewer
    knows, so that the same request again finds the same claim."""
    return uuid.uuid5(decided, "next")


def claim_certain_task(*, within: OpenQueue, by: Actor, task_id: int) -> list[ClaimedTask]:
    """Claim this task of the project if it is free; nothing otherwise."""
    task = services.get_task(by, task_id)
    if task.project_id != within.project.pk:
        raise NotFoundError("not_found", say("There is no such task."))
    claim = services.claim_task(task_id=task_id, by=by, lease=within.lease)
    return show_claims(within.project, [claim] if claim else [])


def show_claims(project: Project, claims: Sequence[Claim]) -> list[ClaimedTask]:
    """Held tasks as they are shown; only those that settle a disagreement need another query, one for all of them. Who is
    shown a task is about to decide it, so what was read of it is remembered."""
    remember(project, claims)
    answers = _given_answers(claims)
    return [_show(project, claim, answers.get(claim.task.pk)) for claim in claims]


def _given_answers(claims: Sequence[Claim]) -> dict[int, list[dict[str, Any]]]:
    """The answers that disagree, by task; only tasks of that kind have some."""
    settling = [claim.task.pk for claim in claims if claim.task.kind == TaskKind.ADJUDICATION]
    found = Adjudication.objects.in_bulk(settling) if settling else {}
    return {task_id: adjudication.answers for task_id, adjudication in found.items()}


def lease_of(project: Project) -> timedelta:
    """How long a claim lasts, by the policy in force."""
    return timedelta(seconds=policy_body(project.pk, project.policy_number)["lease_seconds"])


def get_queue(project: Project, slug: str) -> ReviewQueue:
    """A queue of the project by its slug, or NotFoundError."""
    queue = ReviewQueue.objects.filter(project=project, slug=slug).first() if "\x00" not in slug else None
    if queue is None:
        raise NotFoundError("not_found", say("There is no such queue."))
    return queue


def _show(project: Project, claim: Claim, answers: list[dict[str, Any]] | None) -> ClaimedTask:
    task, item, prediction = claim.task, claim.item, claim.prediction
    return ClaimedTask(
        task=task.pk,
        token=str(claim.token),
        expires_at=claim.expires_at,
        kind=task.kind,
        item={
            "id": item.key if item else "",
            "input": item.input if item else None,
            "segment": task.segment,
        },
        prediction=prediction.output if prediction else None,
        confidence=prediction.confidence if prediction else None,
        model=claim.model,
        guidelines_version=project.guidelines_number,
        answers=answers,
    )

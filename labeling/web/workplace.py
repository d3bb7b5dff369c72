"""What the views of reviewing share: claims of a person, recording a posted answer, telling what was done."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _

from labeling.decisions.diffing import core_output
from labeling.decisions.models import Decision
from labeling.errors import ConflictError, NotFoundError, say
from labeling.history.actor import Actor
from labeling.ingestion.models import Item, Prediction
from labeling.pipeline.deciding import decide, skip
from labeling.projects.access import Permission, may, require
from labeling.projects.models import Project
from labeling.projects.queries import settled_output_schema
from labeling.review.claiming import get_queue, lease_of
from labeling.review.claims import Claim
from labeling.review.filters import EVERYTHING, TaskFilter, find_fitting
from labeling.review.models import Exclusion, ReviewQueue, ReviewTask, TaskKind, TaskState
from labeling.review.services import (
    claim_next,
    claim_task,
    get_task_of_any_queue,
    list_own_claims,
)
from labeling.review.showing import shown_prediction
from labeling.review.tasks import DEFAULT_QUEUE
from labeling.web.answers import PostedAnswer, read_answer
from labeling.web.inputs import Block, show_input
from labeling.web.media import MediaLinks
from labeling.web.my_day import find_neighbours
from labeling.web.outputs import describe

MOST_HELD = 20
_SHORT = 48
_SILENT = ("csrfmiddlewaretoken", "token", "seconds", "queue", "filter", "action", "held", "own")


@dataclass(frozen=True, slots=True)
class Closed:
    """What became of a task that is not free: one's own decision in full, others' only by name."""

    decision: Decision | None
    is_mine: bool
    text: str
    holder: Any
    item: str
    model_text: str = ""
    blocks: tuple[Block, ...] = ()
    before: Decision | None = None
    after: Decision | None = None


def open_queue(project: Project, slug: str, by: Actor, left: ReviewTask | None = None) -> ReviewQueue:
    """A queue this person may take tasks from; the project's general one without a name. That of a task which they were just
    allowed to work on needs no other look, unless it is for leads only."""
    if left is not None and left.queue.slug == (slug or DEFAULT_QUEUE) and not left.queue.leads_only:
        left.queue.project = project
        return left.queue
    queue = get_queue(project, slug or DEFAULT_QUEUE)
    require(by, project.pk, Permission.LEAD_REVIEW if queue.leads_only else Permission.REVIEW)
    return queue


def get_project_task(by: Actor, slug: str, task_id: int) -> ReviewTask:
    """A task below this project's address. What may be done with it is asked again by whatever is done."""
    task = get_task_of_any_queue(by, task_id)
    if task.project.slug != slug:
        raise NotFoundError("not_found", say("There is no such task."))
    return task


def own_claims(
    project: Project, by: Actor, *, queue: str = "", task_id: int | None = None, only: TaskFilter = EVERYTHING
) -> list[Claim]:
    """What this person holds already, as far as it fits: a reloaded page shows that again."""
    claims = [
        claim
        for claim in list_own_claims(project_id=project.pk, by=by)
        if (not queue or claim.task.queue.slug == queue) and (task_id is None or claim.task.pk == task_id)
    ]
    fitting = find_fitting([claim.task.pk for claim in claims], only)
    return [claim for claim in claims if claim.task.pk in fitting]


def take(queue: ReviewQueue, by: Actor, count: int, only: TaskFilter = EVERYTHING) -> list[Claim]:
    """The next tasks of a queue that fit."""
    if count <= 0:
        return []
    return claim_next(queue=queue, by=by, count=count, lease=lease_of(queue.project), only=only)


def take_one(project: Project, by: Actor, task_id: int) -> Claim | None:
    """One certain task, if it is free or already this person's."""
    mine = own_claims(project, by, task_id=task_id)
    return mine[0] if mine else claim_task(task_id=task_id, by=by, lease=lease_of(project))


def record_posted(task: ReviewTask, form: QueryDict, by: Actor) -> dict[str, Any]:
    """Record what a form says; the decision's body.

    A claim that ran out while nobody else wanted the task, or that another page of the same person has renewed, is taken
    again: the answer is as good as before. An answer that was recorded that way and is sent once more has nothing left
    to do.
    """
    predicted = None
    if task.kind == TaskKind.REVIEW:
        predicted = shown_prediction(task, Prediction.objects.get(pk=task.prediction_id)).output
    answer = read_answer(
        form, kind=task.kind, schema=settled_output_schema(task.project), predicted=predicted
    )
    try:
        return _record(task, form.get("token", ""), answer, by)
    except ConflictError as lost:
        if _is_recorded(lost, answer, by):
            return {**lost.extra, "item": _key_of(task), "task": task.pk}
        settled = "verdict" in lost.extra or "taken_by" in lost.extra
        if lost.code != "claim_lost" or settled or not _may_take(task, by):
            raise
        claim = claim_task(task_id=task.pk, by=by, lease=lease_of(task.project))
        if claim is None:
            raise
        return _record(task, str(claim.token), answer, by)


def skip_posted(task: ReviewTask, form: QueryDict, by: Actor) -> str:
    """Give a task back; the item's id. A skip that is sent twice is one skip."""
    try:
        skip(task_id=task.pk, token=form.get("token", ""), by=by)
    except ConflictError:
        if not Exclusion.objects.filter(task=task, user_id=by.user_id, until__isnull=False).exists():
            raise
    return _key_of(task)


def describe_decision(project: Project, body: Mapping[str, Any]) -> str:
    """A decision in one line: `dsp-204410 corrected to Refund missing`."""
    text = describe(project.task_type, body["output"]).replace("\n", " ")
    values = {"item": _shorten(body["item"] or ""), "output": _shorten(text)}
    return {
        "confirmed": _("%(item)s confirmed"),
        "corrected": _("%(item)s corrected to %(output)s"),
        "labelled": _("%(item)s labelled %(output)s"),
        "rejected": _("%(item)s: none fits"),
        "escalated": _("%(item)s sent to the leads"),
    }[body["verdict"]] % values


def closed(task: ReviewTask, by: Actor) -> Closed:
    """What there is to tell about a task that cannot be worked on."""
    decision = task.decisions.filter(withdrawal=None).select_related("decided_by").order_by("-pk").first()
    if decision is None or decision.decided_by_id != by.user_id:
        return Closed(decision, False, "", task.claimed_by, "")
    task_type = task.project.task_type
    item = Item.objects.filter(pk=task.item_id).first()
    seen = None
    if task.kind == TaskKind.REVIEW:
        prediction = Prediction.objects.filter(pk=task.prediction_id).first()
        seen = shown_prediction(task, prediction).output if prediction else None
    before, after = find_neighbours(decision)
    return Closed(
        decision=decision,
        is_mine=True,
        text=describe(task_type, decision.output) if decision.output is not None else "",
        holder=None,
        item=item.key if item else "",
        model_text=describe(task_type, core_output(task_type, seen)) if seen else "",
        blocks=show_input(item.input, MediaLinks(task.project.slug, item.pk, by.user_id)) if item else (),
        before=before,
        after=after,
    )


def entered(form: QueryDict) -> list[tuple[str, str]]:
    """What a person had typed and chosen, to show again beside another's decision."""
    return [
        (name.removeprefix("field:"), value)
        for name, values in form.lists()
        for value in values
        if name not in _SILENT and value
    ]


def held_by_page(request: HttpRequest) -> list[tuple[int, str]]:
    """The tasks a page says it holds: `task:token` each."""
    pairs = (entry.partition(":") for entry in request.POST.getlist("held")[:MOST_HELD])
    return [
        (int(task_id), token) for task_id, _colon, token in pairs if task_id.isdecimal() and len(task_id) < 19
    ]


def _record(task: ReviewTask, token: str, answer: PostedAnswer, by: Actor) -> dict[str, Any]:
    return decide(
        task_id=task.pk,
        token=token,
        verdict=answer.verdict,
        output=answer.output,
        seconds=answer.seconds,
        note=answer.note,
        by=by,
    ).body


def _is_recorded(lost: ConflictError, answer: PostedAnswer, by: Actor) -> bool:
    """Whether the decision in the way is this person's, and the same."""
    if lost.extra.get("decided_by") != by.username or lost.extra.get("verdict") != answer.verdict:
        return False
    return answer.output is None or answer.output == lost.extra.get("output")


def _may_take(task: ReviewTask, by: Actor) -> bool:
    """Whether the task is free again, or this person's, in a queue that is open to them."""
    task.refresh_from_db()
    if task.state != TaskState.WAITING and task.claimed_by_id != by.user_id:
        return False
    return not task.queue.leads_only or may(by, task.project_id, Permission.LEAD_REVIEW)


def _key_of(task: ReviewTask) -> str:
    return Item.objects.values_list("key", flat=True).filter(pk=task.item_id).first() or ""


def _shorten(text: str) -> str:
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"

"""Test items: reviews whose answer is known, mixed into the queue to find out what reviewers let pass.

A past item that people have settled is shown again, to somebody who never had it: with its own prediction, or with a wrong
one that people have had to correct before. Nothing tells it from real work; what is answered reaches no label, dataset,
outcome or product rate, only the reviewer's own counts.
"""

import logging
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from labeling.decisions.diffing import core_output
from labeling.decisions.models import Decision, Verdict
from labeling.decisions.slips import another_output, swapped, with_extras
from labeling.ids import BLOCK_SIZE, block_start, first_id_at
from labeling.ingestion.models import Prediction
from labeling.projects.label_schema import labels_of
from labeling.projects.models import Project
from labeling.projects.queries import get_output_schema
from labeling.review.models import (
    Exclusion,
    Purpose,
    ReviewQueue,
    ReviewTask,
    Sentinel,
    TaskKind,
    TaskState,
)
from labeling.review.services import finish_task, put_back
from labeling.review.tasks import DEFAULT_QUEUE
from labeling.routing.queries import RoutingRules, load_rules

LEAST_A_WEEK = 5
_WEEK = timedelta(days=7)
_UNWANTED_AFTER = timedelta(days=2)
_MOST_AT_ONCE = 50
_LOOKED_AT = 400
_COUNTED_AT_MOST = 5_000
_CONFUSIONS = 2_000
_rng = random.SystemRandom()
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Base:
    """A settled item: the prediction that people confirmed, and who has had a part in it."""

    prediction: Prediction
    people: tuple[int, ...]


def add_sentinels(project_id: int, now: datetime | None = None) -> int:
    """Put as many test items into the queue as what has come in since the last ones asks for; how many.

    Of the reviews that came, `sentinel_rate` are wrong ones, and as many right ones; at least five of each a week for every
    reviewer at work. They take places among the reviews that came meanwhile, so that they do not stand in a row.
    """
    now = now or timezone.now()
    rules = load_rules(project_id)
    rate = float(rules.policy.body["sentinel_rate"])
    queue = ReviewQueue.objects.get(project_id=project_id, slug=DEFAULT_QUEUE)
    with transaction.atomic():
        project = Project.objects.select_for_update(no_key=True).get(pk=project_id)
        _withdraw_unwanted(queue, now)
        came = _reviews_since_last(queue)
        wanted = _wanted(project_id, rate, len(came), now) if rate > 0 else 0
        waiting = [task for task in came if task.state == TaskState.WAITING and task.queue_id == queue.pk]
        if not wanted or not waiting:
            return 0
        ReviewQueue.objects.filter(pk=queue.pk).update(tested_to=came[0].pk)
        return _add(project, queue, rules, waiting, wanted)


def mix_sentinels() -> int:
    """Put test items into the queue of every project that asks for them; how many."""
    made = 0
    for project_id in projects_with_sentinels():
        try:
            made += add_sentinels(project_id)
        except Exception:  # the others must not wait for it
            logger.exception("project %s gets no test items", project_id)
    return made


def projects_with_sentinels() -> list[int]:
    """Projects whose policy asks for test items and in which reviews wait."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select project.id from labeling_project project
            join labeling_policyversion policy on policy.project_id = project.id and policy.number = project.policy_number
            join labeling_reviewqueue queue on queue.project_id = project.id and queue.slug = %s
            where (policy.body->>'sentinel_rate')::float8 > 0
              and exists (select from labeling_reviewtask task where task.queue_id = queue.id and task.state = 'waiting')
            """,
            [DEFAULT_QUEUE],
        )
        return [row[0] for row in cursor.fetchall()]


def _wanted(project_id: int, rate: float, reviews: int, now: datetime) -> int:
    """How many wrong ones (and as many right ones) are due: a share of the reviews that came, or what a week lacks."""
    if not reviews:
        return 0
    week = first_id_at(now - _WEEK)
    people = (
        Decision.objects.filter(project_id=project_id, pk__gte=week)
        .values_list("decided_by_id", flat=True)
        .distinct()
        .count()
    )
    made = Sentinel.objects.filter(
        task__project_id=project_id, task__purpose=Purpose.SENTINEL, task_id__gte=week, is_wrong=True
    ).exclude(task__state=TaskState.CANCELLED)
    lacking = LEAST_A_WEEK * people - made.count()
    # What a week lacks comes little by little: never more test items than every tenth of the work.
    return min(_MOST_AT_ONCE, max(int(rate * reviews), min(lacking, reviews // 20)))


def _reviews_since_last(queue: ReviewQueue) -> Sequence[ReviewTask]:
    """Reviews that came since test items were last put among them, newest first; the newest, where that is long ago."""
    came = ReviewTask.objects.filter(
        project_id=queue.project_id, purpose=Purpose.REVIEW, pk__gt=queue.tested_to
    )
    return list(came.order_by("-pk")[:_COUNTED_AT_MOST])


def _add(
    project: Project, queue: ReviewQueue, rules: RoutingRules, neighbours: Sequence[ReviewTask], wanted: int
) -> int:
    schema = get_output_schema(project)
    confusions = _confusions(project.pk)
    bases = _find_bases(project, rules, neighbours)
    made, places = 0, _free_places(neighbours)
    for number, base in enumerate(bases[: 2 * wanted]):
        if not places:
            break
        shown = (
            _wrong(project.task_type, base.prediction, schema.label_order, confusions) if number % 2 else None
        )
        if number % 2 and shown is None:
            continue
        _put(queue, rules, base, *places.pop(), shown)
        made += 1
    return made


def _free_places(neighbours: Sequence[ReviewTask]) -> list[tuple[int, ReviewTask]]:
    """Ids among the neighbours' that no task has and none will get, each with the neighbour it lies before, in an order that
    was drawn.

    They were kept free when the neighbours came (`placing._places`), or belong to predictions that needed no task.
    A test item with a new id could be told from the work around it.
    """
    by_block: dict[int, list[ReviewTask]] = {}
    for task in sorted(neighbours, key=lambda task: task.pk):
        by_block.setdefault(block_start(task.pk), []).append(task)
    used = _used_ids(list(by_block))
    found: list[tuple[int, ReviewTask]] = []
    for start, tasks in by_block.items():
        after = start
        for task in tasks:
            same_parity = range(after + (task.pk - after) % 2, task.pk, 2)
            found += [(place, task) for place in same_parity if place not in used]
            after = task.pk + 1
    _rng.shuffle(found)
    return found


def _used_ids(blocks: Sequence[int]) -> set[int]:
    """Ids of tasks and predictions in these blocks."""
    if not blocks:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select task.id from unnest(%(blocks)s::bigint[]) block
            join labeling_reviewtask task on task.id >= block and task.id < block + %(size)s
            union all
            select prediction.id from unnest(%(blocks)s::bigint[]) block
            join labeling_prediction prediction on prediction.id >= block and prediction.id < block + %(size)s
            """,
            {"blocks": list(blocks), "size": BLOCK_SIZE},
        )
        return {row[0] for row in cursor.fetchall()}


def _find_bases(project: Project, rules: RoutingRules, neighbours: Sequence[ReviewTask]) -> list[_Base]:
    """Confirmed reviews, newest first, that would be reviewed again today, in an order that was drawn."""
    versions = {task.model_version_id for task in neighbours}
    decisions = (
        Decision.objects.filter(
            project=project, verdict=Verdict.CONFIRMED, purpose=Purpose.REVIEW, withdrawal=None
        )
        .order_by("-pk")
        .values_list("item_id", "prediction_id")[:_LOOKED_AT]
    )
    pairs = dict(decisions)
    used = set(Sentinel.objects.filter(item_id__in=pairs).values_list("item_id", flat=True))
    people: dict[int, set[int]] = {}
    for item_id, person in Decision.objects.filter(item_id__in=pairs).values_list("item_id", "decided_by_id"):
        people.setdefault(item_id, set()).add(person)
    barred = Exclusion.objects.filter(task__item_id__in=pairs).values_list("task__item_id", "user_id")
    for item_id, person in barred:
        people.setdefault(item_id, set()).add(person)
    found = []
    for prediction in Prediction.objects.filter(pk__in=pairs.values()):
        fits = prediction.item_id not in used and prediction.model_version_id in versions
        if fits and _would_be_reviewed(project.task_type, rules, prediction):
            found.append(_Base(prediction, tuple(sorted(people[prediction.item_id]))))
    _rng.shuffle(found)
    return found


def _would_be_reviewed(task_type: str, rules: RoutingRules, prediction: Prediction) -> bool:
    """Today's rules send it to review for its confidence alone: then it says of itself what its neighbours say."""
    period = rules.period_of(prediction.model_version_id, prediction.label)
    return rules.policy.choose(
        confidence=prediction.confidence,
        labels=labels_of(task_type, prediction.output),
        segment=prediction.segment,
        high=period.high,
        low=period.low,
    ) == ("review", "medium")


def _wrong(
    task_type: str, prediction: Prediction, labels: Sequence[str], confusions: Counter[tuple[str, str]]
) -> tuple[dict[str, Any], dict[str, Any] | None] | None:
    """A wrong but plausible output for an item, and details that fit it."""
    output, details = prediction.output, prediction.details
    if task_type == "classification":
        right = output["label"]
        seen = {wrong: count for (truth, wrong), count in confusions.items() if truth == right}
        if seen:
            (label,) = _rng.choices(list(seen), weights=list(seen.values()))
        else:
            others = [label for label in labels if label != right] or sorted(
                {label for pair in confusions for label in pair} - {right}
            )
            if not others:
                return None
            label = _rng.choice(others)
        if details and details.get("probabilities"):
            details = {**details, "probabilities": swapped(details["probabilities"], right, label)}
        return {**output, "label": label}, details
    if task_type == "text" and output.get("words"):
        return _misread_word(output), details
    other = another_output(task_type, output, labels, _rng)
    return None if other is None else (with_extras(output, other), details)


def _misread_word(output: dict[str, Any]) -> dict[str, Any]:
    """One word read wrongly, in the text and in the list of words."""
    words = [dict(word) for word in output["words"]]
    place = _rng.randrange(len(words))
    right = words[place]["text"]
    misread = (another_output("text", {"text": right}, (), _rng) or {"text": right})["text"]
    words[place]["text"] = misread
    return {**output, "text": output["text"].replace(right, misread, 1), "words": words}


def _confusions(project_id: int) -> Counter[tuple[str, str]]:
    """(right label, predicted label) of the newest corrections."""
    corrected = (
        Decision.objects.filter(project_id=project_id, verdict=Verdict.CORRECTED, withdrawal=None)
        .exclude(purpose=Purpose.SENTINEL)
        .order_by("-pk")
        .values_list("prediction_id", "output")[:_CONFUSIONS]
    )
    outputs = {
        prediction_id: output["label"]
        for prediction_id, output in corrected
        if output is not None and "label" in output
    }
    predicted = Prediction.objects.filter(pk__in=outputs).values_list("pk", "label")
    return Counter(
        (outputs[pk], label) for pk, label in predicted if label is not None and label != outputs[pk]
    )


def _put(
    queue: ReviewQueue,
    rules: RoutingRules,
    base: _Base,
    identifier: int,
    neighbour: ReviewTask,
    shown: tuple[dict[str, Any], dict[str, Any] | None] | None,
) -> None:
    """A task just before this neighbour: with its priority, and the moment it came."""
    prediction = base.prediction
    period = rules.period_of(prediction.model_version_id, prediction.label)
    output, details = shown or (prediction.output, prediction.details)
    has_deadline = neighbour.position != neighbour.pk
    task = ReviewTask(
        id=identifier,
        project_id=queue.project_id,
        queue=queue,
        kind=TaskKind.REVIEW,
        purpose=Purpose.SENTINEL,
        item_id=prediction.item_id,
        prediction_id=prediction.pk,
        model_version_id=prediction.model_version_id,
        confidence=prediction.confidence,
        segment=prediction.segment,
        label=core_output("classification", output)["label"] if prediction.label is not None else None,
        slot=_SLOT,
        priority=neighbour.priority,
        position=neighbour.position if has_deadline else identifier,
        created_at=neighbour.created_at,
    )
    task.save(force_insert=True)
    Sentinel.objects.create(
        task=task,
        item_id=prediction.item_id,
        is_wrong=shown is not None,
        output=output,
        details=details,
        period_id=period.period_id,
        policy_number=rules.policy_number,
    )
    Exclusion.objects.bulk_create(
        Exclusion(task=task, user_id=user_id, reason="had a part in it") for user_id in base.people
    )
    put_back(task)


def _withdraw_unwanted(queue: ReviewQueue, now: datetime) -> None:
    """Test items that nobody took in two days, and around which everything else has gone, would stand out among what is left."""
    waiting = ReviewTask.objects.filter(queue=queue, state=TaskState.WAITING)
    first = (
        waiting.exclude(purpose=Purpose.SENTINEL)
        .order_by("position")
        .values_list("position", flat=True)
        .first()
    )
    alone = waiting.select_for_update(skip_locked=True).filter(
        purpose=Purpose.SENTINEL, pk__lt=first_id_at(now - _UNWANTED_AFTER)
    )
    if first is not None:
        alone = alone.filter(position__lt=first)
    for task in alone[:100]:
        finish_task(task, TaskState.CANCELLED)


_SLOT = 100

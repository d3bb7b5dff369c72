"""Too much work: late reviews are answered by the fallback, or new ones refused, as the project's policy says.

The sweep is the only one who decides it. Refusing is a row that rules are loaded with: beginning and ending it raises the
project's `routing_epoch`, so that every process follows with its next write and none has to count what waits.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from labeling.alerts.models import AlertKind
from labeling.alerts.services import close_alert, raise_alert
from labeling.decisions.outcomes import add_outcomes
from labeling.decisions.services import add_fallback_outcome
from labeling.errors import say
from labeling.history.services import record_event
from labeling.ids import first_id_at
from labeling.ingestion.models import Item, ModelVersion, Prediction
from labeling.pipeline.settling import place_in_counts
from labeling.projects.models import Project
from labeling.review.models import Overflowed, ReviewQueue, ReviewTask, TaskState
from labeling.review.queries import count_waiting
from labeling.review.tasks import DEFAULT_QUEUE
from labeling.routing.conditions import facts_of
from labeling.routing.models import Overflowing
from labeling.routing.overflow import MOST_WAITING, Overflow
from labeling.routing.queries import RoutingRules, find_overflow, load_rules
from labeling.routing.services import touch_routing
from labeling.trust.deltas import Tally, append_delta

BATCH = 200
MOST_BATCHES = 25
CALM_AFTER = timedelta(minutes=10)

# Whose policy has such a rule, or had one until now.
_PROJECTS = """
select project.id from labeling_project project
join labeling_policyversion version on version.project_id = project.id and version.number = project.policy_number
where version.body -> 'overflow' ->> 'mode' in ('fallback', 'refuse')
union
select project_id from labeling_overflowing where ended_at is null
order by 1
"""
# Reviews that nobody has touched, the oldest first, of items that nobody has answered: blind checks, test items, second
# looks and what people had decided before stay with people. SKIP LOCKED leaves to a claim what it is about to take.
_LATE = """
select late.id
from labeling_queuemark mark
cross join lateral (
    select task.id, task.position
    from labeling_reviewtask task
    where task.queue_id = mark.queue_id and task.priority = mark.priority and task.state = 'waiting'
      and task.position >= mark.low and task.position < %(before)s and task.purpose = 'review'
      and exists (select from labeling_prediction p where p.id = task.prediction_id and p.route = 'review')
      and not exists (select from labeling_prediction first where first.id = task.item_id
                      and (first.route = 'auto' or first.final_output is not null))
      and not exists (select from labeling_acceptedlabel label where label.item_id = task.item_id and label.revision > 0)
      and not exists (select from labeling_decision decision where decision.task_id = task.id)
    order by task.position
    limit %(most)s
    for update of task skip locked
) late
where mark.queue_id = %(queue)s
order by late.position
limit %(most)s
"""


def keep_within_limits(now: datetime | None = None) -> int:
    """Do what the policies say about too much work; how many late reviews the fallback has answered. Run by the sweep."""
    now = now or timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_PROJECTS)
        projects = [row[0] for row in cursor.fetchall()]
    return sum(_keep_within_limits(project_id, now) for project_id in projects)


def _keep_within_limits(project_id: int, now: datetime) -> int:
    rules = load_rules(project_id)
    queue = ReviewQueue.objects.get(project_id=project_id, slug=DEFAULT_QUEUE)
    answered = 0
    limit = rules.policy.overflow.after_seconds or queue.deadline_seconds
    if rules.policy.overflow.mode == Overflowing.Mode.FALLBACK and limit is not None:
        for _ in range(MOST_BATCHES):
            late = _answer_late(rules, queue, limit, now)
            answered += late
            if late < BATCH:
                break
    _note(queue, answered, now)
    return answered


@transaction.atomic
def _answer_late(rules: RoutingRules, queue: ReviewQueue, limit: int, now: datetime) -> int:
    """Answer the oldest late reviews by the fallback; how many. None when the policy has changed meanwhile."""
    if not Project.objects.filter(pk=rules.project_id, routing_epoch=rules.epoch).exists():
        return 0
    before = first_id_at(now - timedelta(seconds=limit))
    with connection.cursor() as cursor:
        cursor.execute(_LATE, {"queue": queue.pk, "before": before, "most": BATCH})
        ids = [row[0] for row in cursor.fetchall()]
    tasks = list(ReviewTask.objects.filter(pk__in=ids).select_related("project").order_by("item_id"))
    outcomes = _add_outcomes(rules, tasks)
    answered = [task for task in tasks if task.pk in outcomes]
    ReviewTask.objects.filter(pk__in=outcomes).update(state=TaskState.CANCELLED)
    Overflowed.objects.bulk_create(
        Overflowed(
            task=task,
            outcome_id=outcomes[task.pk],
            policy_number=rules.policy_number,
            after_seconds=limit,
        )
        for task in answered
    )
    add_outcomes(rules.project_id, ids=[outcomes[task.pk] for task in answered], of_predictions=False)
    return len(answered)


def _add_outcomes(rules: RoutingRules, tasks: Sequence[ReviewTask]) -> dict[int, int]:
    """The fallback's outcomes by task, and their counts; without those that have an outcome meanwhile."""
    predictions = Prediction.objects.in_bulk([task.prediction_id for task in tasks])
    items = Item.objects.in_bulk([task.item_id for task in tasks])
    versions = ModelVersion.objects.in_bulk({task.model_version_id for task in tasks})
    outcomes, tally = dict[int, int](), Tally()
    for task in tasks:
        prediction = predictions[task.prediction_id]
        output = _answer(rules, items[task.item_id], prediction, versions[task.model_version_id])
        outcome = add_fallback_outcome(
            project_id=rules.project_id,
            item_id=task.item_id,
            prediction_id=task.prediction_id,
            output=output,
            task_type=rules.task_type,
        )
        if outcome is not None:
            outcomes[task.pk] = outcome
            tally.add(place_in_counts(task, prediction), {"overflowed": 1})
    append_delta(rules.project_id, tally.entries())
    return outcomes


def _answer(rules: RoutingRules, item: Item, prediction: Prediction, version: ModelVersion) -> dict[str, Any]:
    """What the fallback says of an item."""
    output = rules.policy.fallback.output_for(
        lambda: facts_of(
            item_input=item.input,
            prediction=prediction.output,
            confidence=prediction.confidence,
            model=version.name,
            model_version=version.version,
            segment=prediction.segment,
        )
    )
    if output is None:
        raise AssertionError("a policy whose fallback is a person has no such rule")
    return output


@transaction.atomic
def _note(queue: ReviewQueue, answered: int, now: datetime) -> None:
    """Begin, go on with or end the time of overflow, by the policy in force: one row, an alert, two events of history."""
    project = Project.objects.select_for_update().get(pk=queue.project_id)
    rule = load_rules(project.pk).policy.overflow
    waiting = count_waiting(queue, most=MOST_WAITING + 1)
    going_on = find_overflow(project.pk)
    mode = _mode_now(rule, waiting, going_on, answered, now)
    if going_on is not None and going_on.mode != mode:
        _end(project, going_on, waiting, now)
        going_on = None
    if mode is None:
        return
    if going_on is None:
        going_on = _begin(project, rule, mode, waiting, now)
    if answered or mode == Overflowing.Mode.REFUSE:
        going_on.seen_at, going_on.answered = now, going_on.answered + answered
        going_on.save(update_fields=["seen_at", "answered"])
    said = {
        Overflowing.Mode.FALLBACK: say(
            "The fallback has answered {count} reviews that waited too long.", count=going_on.answered
        ),
        Overflowing.Mode.REFUSE: say(
            "New reviews are refused: {waiting} wait, at most {most} may.",
            waiting=waiting,
            most=rule.waiting_max,
        ),
    }
    raise_alert(
        kind=AlertKind.QUEUE_OVERFLOWING,
        subject=_subject(project),
        detail=said[Overflowing.Mode(mode)],
        project_id=project.pk,
        now=now,
    )


def _mode_now(
    rule: Overflow, waiting: int, going_on: Overflowing | None, answered: int, now: datetime
) -> str | None:
    before = going_on.mode if going_on else None
    if rule.refuses(waiting, already=before == Overflowing.Mode.REFUSE):
        return Overflowing.Mode.REFUSE
    if rule.mode != Overflowing.Mode.FALLBACK:
        return None
    recent = going_on is not None and before == rule.mode and going_on.seen_at > now - CALM_AFTER
    return Overflowing.Mode.FALLBACK if answered or recent else None


def _begin(project: Project, rule: Overflow, mode: str, waiting: int, now: datetime) -> Overflowing:
    if mode == Overflowing.Mode.REFUSE:
        touch_routing(project.pk)
    record_event(
        action="overflow.started",
        subject=_subject(project),
        by=None,
        project_id=project.pk,
        mode=mode,
        waiting=waiting,
        waiting_max=rule.waiting_max,
    )
    return Overflowing.objects.create(project=project, mode=mode, started_at=now, seen_at=now)


def _end(project: Project, going_on: Overflowing, waiting: int, now: datetime) -> None:
    if going_on.mode == Overflowing.Mode.REFUSE:
        touch_routing(project.pk)
    going_on.ended_at = now
    going_on.save(update_fields=["ended_at"])
    close_alert(kind=AlertKind.QUEUE_OVERFLOWING, subject=_subject(project), now=now)
    record_event(
        action="overflow.ended",
        subject=_subject(project),
        by=None,
        project_id=project.pk,
        mode=going_on.mode,
        waiting=waiting,
        answered=going_on.answered,
    )


def _subject(project: Project) -> str:
    return f"queue:{project.slug}/{DEFAULT_QUEUE}"

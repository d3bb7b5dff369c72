"""Review tasks and claims. A claim is one statement; its token is checked on every later call."""

import time
import uuid
from collections import Counter
from datetime import datetime, timedelta
from functools import cache
from typing import Any, cast

from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from labeling.bulk import Prepared, Row
from labeling.errors import ConflictError, NotFoundError, invalid, say
from labeling.history.actor import Actor
from labeling.projects.access import Permission, require
from labeling.review.claims import HELD, HELD_ORDER, Claim, claims_of, read_claim
from labeling.review.filters import EVERYTHING, TaskFilter, find_fitting, fitting_tasks
from labeling.review.lost import claim_lost
from labeling.review.marks import ensure_marks, lower_marks
from labeling.review.models import Exclusion, ReviewQueue, ReviewTask, TaskState

LONGEST_CLAIM = timedelta(hours=4)
SKIPPED_FOR = timedelta(minutes=30)
_LONGEST_SEARCH_S = 2.0
_SEARCH_PAUSE_S = 0.01
_MOST_SHOWN = 50


_PARTS = """picked as materialized (
    {picked}
), held as (
    update labeling_reviewtask task
    set state = 'claimed', claimed_by_id = %(user)s, claim_token = coalesce(%(token)s::uuid, gen_random_uuid()),
        claimed_at = %(now)s, lease_expires_at = %(expires)s
    from picked where task.id = picked.id
    returning task.*
)"""
_CLAIM = f"with {_PARTS} {HELD.format(held='held')} {HELD_ORDER}"
# Walks the marks of a queue from the highest priority down and takes the first waiting tasks from each mark on. Starting at
# the mark keeps index entries of tasks decided under an old snapshot out of the way; SKIP LOCKED lets no two claims wait for,
# or get, the same row.
_FIRST_WAITING = """
    select waiting.id
    from labeling_queuemark mark
    cross join lateral (
        select task.id, task.priority, task.position
        from labeling_reviewtask task
        where task.queue_id = mark.queue_id and task.priority = mark.priority and task.state = 'waiting'
          and task.position >= mark.low
          and not exists (select from labeling_exclusion x where x.task_id = task.id and x.user_id = %(user)s
                          and (x.until is null or x.until > %(now)s))
        order by task.position
        limit {count}
        for update of task skip locked
    ) waiting
    where mark.queue_id = %(queue)s{only}
    order by mark.priority desc, waiting.position
    limit {count}
"""


@cache
def claim_statement(count: int) -> Prepared:
    """The statement that claims the first waiting tasks. How many is part of its text: a plan that is made for any number is
    made for a tenth of the table."""
    return Prepared(_CLAIM.format(picked=_FIRST_WAITING.format(count=int(count), only="")))


def parts_that_claim(only_with: str) -> str:
    """The parts of a longer statement, the last of them `held` (see HELD), that claim the first waiting task; nothing where
    its part of this name has no row. They need the values that `claim_first` gives."""
    return _PARTS.format(picked=_FIRST_WAITING.format(count=1, only=f" and exists (select from {only_with})"))


def claim_first(
    *, queue: ReviewQueue, by: Actor, lease: timedelta, token: uuid.UUID, now: datetime
) -> Claim | None:
    """Claim the first waiting task under this token, by one statement within the caller's transaction. Where it finds none,
    `claim_next` may still find one."""
    found = claim_statement(1).fetchone(claim_values(queue, by, lease, token, now))
    return read_claim(found) if found else None


def claim_values(
    queue: ReviewQueue, by: Actor, lease: timedelta, token: uuid.UUID | None, now: datetime
) -> dict[str, Any]:
    """What a claim is made with; without a token it gets one."""
    return {"queue": queue.pk, "user": by.user_id, "now": now, "expires": now + lease, "token": token}


def find_claim(*, token: uuid.UUID, by: Actor) -> Claim | None:
    """What this person holds under this token."""
    held = ReviewTask.objects.filter(state=TaskState.CLAIMED, claimed_by_id=by.user_id, claim_token=token)
    task_id = held.values_list("pk", flat=True).first()
    return claims_of([task_id])[0] if task_id is not None else None


def claim_next(
    *,
    queue: ReviewQueue,
    by: Actor,
    count: int,
    lease: timedelta,
    now: datetime | None = None,
    only: TaskFilter = EVERYTHING,
) -> list[Claim]:
    """Claim up to `count` waiting tasks that fit the filter for this person; the person's own skipped ones come last."""
    now = now or timezone.now()
    picked, wanted = fitting_tasks(only, lock=True) if only else ("", {})
    values = {**claim_values(queue, by, lease, None, now), "count": count, **wanted}
    began, first = time.monotonic(), True
    while True:
        rows = _claim_fitting(picked, values) if only else claim_statement(count).fetchall(values)
        if rows:
            return [read_claim(row) for row in rows]
        # The sweep does this too, but an empty queue must not depend on the worker being there.
        release_expired(now=now)
        if first:
            _forget_skips(queue, by, only)
        if not _something_is_free(queue, by, now, only) or time.monotonic() - began > _LONGEST_SEARCH_S:
            return []
        if not first:
            time.sleep(_SEARCH_PAUSE_S)
        first = False


def _claim_fitting(picked: str, values: dict[str, Any]) -> list[Row]:
    """Statements with filters come in too many kinds to be kept prepared."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM.format(picked=picked), values)
        found: list[Row] = cursor.fetchall()
    return found


def claim_task(*, task_id: int, by: Actor, lease: timedelta, now: datetime | None = None) -> Claim | None:
    """Claim one waiting task by its id, or renew the person's own claim with a new token; none when it is not free, or when
    the person had a part in it before."""
    now = now or timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            update labeling_reviewtask
            set state = 'claimed', claimed_by_id = %(user)s, claim_token = gen_random_uuid(), claimed_at = %(now)s,
                lease_expires_at = %(expires)s
            where id = %(task)s and (state = 'waiting' or (state = 'claimed' and claimed_by_id = %(user)s))
              and not exists (select from labeling_exclusion x where x.task_id = %(task)s and x.user_id = %(user)s
                              and x.until is null)
            returning id
            """,
            {"task": task_id, "user": by.user_id, "now": now, "expires": now + lease},
        )
        found = cursor.fetchone()
    return claims_of([task_id])[0] if found else None


def list_own_claims(*, project_id: int, by: Actor) -> list[Claim]:
    """What this person holds now, oldest first; a reloaded page starts with these."""
    held = ReviewTask.objects.filter(
        project_id=project_id,
        state=TaskState.CLAIMED,
        claimed_by_id=by.user_id,
        lease_expires_at__gt=timezone.now(),
    ).order_by("claimed_at", "position")
    ids = list(held.values_list("pk", flat=True)[:_MOST_SHOWN])
    claims = {claim.task.pk: claim for claim in claims_of(ids)} if ids else {}
    return [claims[task_id] for task_id in ids]


def lock_claimed_task(*, task_id: int, token: str, by: Actor) -> ReviewTask:
    """The task, locked, if this token still holds it; ConflictError `claim_lost` naming who has it otherwise."""
    task = get_task_of_any_queue(by, task_id, for_update=True)
    require_held(
        task, token, by
    )  # before its queue: it may have gone to the leads, whom not everybody may ask
    _require_queue(by, task)
    return task


def require_held(task: ReviewTask, token: str, by: Actor) -> None:
    """ConflictError `claim_lost`, naming who has the task, unless this token holds it."""
    if task.state != TaskState.CLAIMED or str(task.claim_token) != token or task.claimed_by_id != by.user_id:
        raise claim_lost(task, token)


def get_task(actor: Actor, task_id: int) -> ReviewTask:
    """A task this person may work on, or NotFoundError."""
    task = get_task_of_any_queue(actor, task_id)
    _require_queue(actor, task)
    return task


def get_task_of_any_queue(actor: Actor, task_id: int, *, for_update: bool = False) -> ReviewTask:
    """A task of a project this person reviews in, also where it is not theirs to work on; or NotFoundError."""
    tasks = ReviewTask.objects.select_for_update(of=("self",)) if for_update else ReviewTask.objects.all()
    task = (
        tasks.select_related("project", "queue", "sentinel").filter(pk=task_id).first()
        if 0 <= task_id < 2**63
        else None
    )
    if task is None:
        raise NotFoundError("not_found", say("There is no such task."))
    require(actor, task.project_id, Permission.REVIEW)
    return task


def _require_queue(actor: Actor, task: ReviewTask) -> None:
    if task.queue.leads_only:
        require(actor, task.project_id, Permission.LEAD_REVIEW)


@transaction.atomic
def heartbeat(
    *, task_id: int, token: str, by: Actor, lease: timedelta, now: datetime | None = None
) -> datetime:
    """Hold the claim for another lease, at most four hours after it was taken."""
    now = now or timezone.now()
    task = lock_claimed_task(task_id=task_id, token=token, by=by)
    expires_at = min(now + lease, cast(datetime, task.claimed_at) + LONGEST_CLAIM)
    task.lease_expires_at = expires_at
    task.save(update_fields=["lease_expires_at"])
    return expires_at


@transaction.atomic
def release_task(*, task_id: int, token: str, by: Actor) -> None:
    """Give the task back to the queue at its old place."""
    put_back(lock_claimed_task(task_id=task_id, token=token, by=by))


@transaction.atomic
def skip_task(
    *, task_id: int, token: str, by: Actor, reason: str = "", now: datetime | None = None
) -> ReviewTask:
    """Give the task back, for others; this person does not get it again for a while."""
    if "\x00" in reason or len(reason) > 1_000:
        raise invalid("/reason", "invalid", say("a reason has at most 1000 characters and no U+0000"))
    task = lock_claimed_task(task_id=task_id, token=token, by=by)
    if task.reopened:
        put_back(task)
        return task
    until = (now or timezone.now()) + SKIPPED_FOR
    Exclusion.objects.update_or_create(
        task=task, user_id=by.user_id, defaults={"reason": reason, "until": until}
    )
    put_back(task)
    return task


def reopen_task(*, task: ReviewTask, by: Actor, lease: timedelta, now: datetime | None = None) -> Claim:
    """A locked, decided task is held by this person, who is to correct its decision. Reopened by them already: a new token.

    ConflictError where somebody else holds it, where it has no decision, or where another task of the item is open.
    """
    now = now or timezone.now()
    if task.state == TaskState.CLAIMED and task.claimed_by_id != by.user_id:
        raise claim_lost(task, "")
    if task.state != TaskState.DECIDED and not task.reopened:
        raise ConflictError("not_decided", say("Only a task that was decided can be reopened."))
    task.state, task.reopened = TaskState.CLAIMED, True
    task.claimed_by_id, task.claim_token, task.claimed_at = by.user_id, uuid.uuid4(), now
    task.lease_expires_at = now + lease
    try:
        with transaction.atomic():
            task.save()
    except IntegrityError as error:
        raise ConflictError(
            "task_open", say("Another task of this item is open; deciding that one corrects the label.")
        ) from error
    return claims_of([task.pk])[0]


def put_back(task: ReviewTask, *, queue: ReviewQueue | None = None) -> None:
    """A locked task waits again, in its queue or another one; the low-water mark goes down with it.

    One that was reopened has its decision: that stands, and nothing waits.
    """
    if task.reopened:
        finish_task(task)
        return
    task.queue = queue or task.queue
    _set_waiting(task)
    task.save()
    ensure_marks(task.queue_id, [task.priority])
    lower_marks([(task.queue_id, task.priority, task.position)])


def finish_task(task: ReviewTask, state: TaskState = TaskState.DECIDED) -> None:
    """A locked task is done; its claim is cleared."""
    _set_waiting(task)
    task.state = state
    task.save()


def release_expired(*, now: datetime | None = None, most: int = 1_000) -> int:
    """Put back tasks whose lease has run out; returns how many. Run by the sweep."""
    now = now or timezone.now()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """
            with expired as (
                select id from labeling_reviewtask where state = 'claimed' and lease_expires_at <= %s
                order by lease_expires_at limit %s for update skip locked
            )
            update labeling_reviewtask task
            set state = case when task.reopened then 'decided' else 'waiting' end, reopened = false,
                claimed_by_id = null, claim_token = null, claimed_at = null, lease_expires_at = null
            from expired where task.id = expired.id
            returning task.queue_id, task.priority, task.position
            """,
            [now, most],
        )
        places = cursor.fetchall()
        lower_marks(places)
        for queue_id, count in sorted(Counter(place[0] for place in places).items()):
            ReviewQueue.objects.filter(pk=queue_id).update(lease_expiries=F("lease_expiries") + count)
    return len(places)


def release_claims_of(user_id: int, *, project_id: int | None = None, leads_only: bool = False) -> int:
    """Put back what a person holds (in one project; of the leads' queues only); returns how many tasks."""
    with transaction.atomic():
        held = ReviewTask.objects.select_for_update(of=("self",)).filter(
            state=TaskState.CLAIMED, claimed_by_id=user_id
        )
        if project_id is not None:
            held = held.filter(project_id=project_id)
        if leads_only:
            held = held.filter(queue__leads_only=True)
        tasks = list(held.select_related("queue").order_by("pk"))
        for task in sorted(tasks, key=lambda task: (task.queue_id, task.priority, task.position)):
            put_back(task)
    return len(tasks)


def _set_waiting(task: ReviewTask) -> None:
    task.state = TaskState.WAITING
    task.claimed_by = task.claim_token = task.claimed_at = task.lease_expires_at = None
    task.reopened = False


def _forget_skips(queue: ReviewQueue, by: Actor, only: TaskFilter) -> None:
    """With nothing else left, what this person skipped is offered again."""
    skipped = Exclusion.objects.filter(
        user_id=by.user_id, until__isnull=False, task__queue=queue, task__state=TaskState.WAITING
    )
    if only:
        skipped = skipped.filter(task__in=find_fitting(list(skipped.values_list("task", flat=True)), only))
    skipped.delete()


def _something_is_free(queue: ReviewQueue, by: Actor, now: datetime, only: TaskFilter) -> bool:
    """What others are claiming, or putting back, at this moment is hidden; whoever sees some of it tries again.

    An expired claim turns into a waiting task, so that is the order in which to look for them.
    """
    if only:
        sql, wanted = fitting_tasks(only, lock=False)
        with connection.cursor() as cursor:
            cursor.execute(sql, {**wanted, "queue": queue.pk, "user": by.user_id, "now": now, "count": 1})
            return cursor.fetchone() is not None
    barred = Exclusion.objects.filter(
        Q(until=None) | Q(until__gt=now), task=OuterRef("pk"), user_id=by.user_id
    )
    tasks = ReviewTask.objects.filter(~Exists(barred), queue=queue)
    return (
        tasks.filter(state=TaskState.CLAIMED, lease_expires_at__lte=now).exists()
        or tasks.filter(state=TaskState.WAITING).exists()
    )

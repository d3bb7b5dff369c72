"""Queues, review tasks and claims."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from labeling.json_text import JsonText

__all__ = [
    "Adjudication",
    "Exclusion",
    "Overflowed",
    "Purpose",
    "QueueMark",
    "ReviewQueue",
    "ReviewTask",
    "Sentinel",
    "TakenBack",
    "TaskKind",
    "TaskState",
]


class TaskKind(models.TextChoices):
    """What a reviewer sees."""

    REVIEW = "review", _("Review")
    LABEL = "label", _("Label")
    ADJUDICATION = "adjudication", _("Adjudication")


class Purpose(models.TextChoices):
    """Why the task exists; never shown to reviewers."""

    REVIEW = "review", _("Review")
    AUDIT = "audit", _("Audit")
    FALLBACK = "fallback", _("Fallback")
    SHADOW = "shadow", _("Shadow Review")
    SECOND_REVIEW = "second_review", _("Second Review")
    ADJUDICATION = "adjudication", _("Adjudication")
    SENTINEL = "sentinel", _("Sentinel")


class TaskState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    CLAIMED = "claimed", _("Claimed")
    DECIDED = "decided", _("Decided")
    CANCELLED = "cancelled", _("Cancelled")


class ReviewQueue(models.Model):
    """A stream of review tasks. Each project has `default`, and `leads` for what was escalated."""

    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="queues")
    slug = models.SlugField(max_length=60)
    name = models.CharField(max_length=200)
    leads_only = models.BooleanField(default=False)
    deadline_seconds = models.PositiveIntegerField(
        null=True, help_text=_("How long a task may wait here; empty: no deadline")
    )
    tested_to = models.BigIntegerField(
        default=0, db_default=0, help_text="The newest review that has had its share of test items"
    )
    lease_expiries = models.BigIntegerField(
        default=0, db_default=0, help_text="How many claims ran out and went back"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "slug"], name="queue_slug_once")]

    def __str__(self) -> str:
        return self.name


class QueueMark(models.Model):
    """Low-water mark: no waiting task of this queue and priority has a smaller position.

    Claims start here instead of walking over index entries of tasks that were decided while a snapshot is open.
    Raised only by the sweep, lowered by whoever puts a task back below it.
    """

    queue = models.ForeignKey(ReviewQueue, on_delete=models.CASCADE, related_name="marks")
    priority = models.SmallIntegerField()
    low = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["queue", "priority"], name="one_mark_per_priority")]

    def __str__(self) -> str:
        return f"queue {self.queue_id} priority {self.priority} from {self.low}"


class ReviewTask(models.Model):
    """One piece of work: an item that a person is to look at. `position` orders a queue (smaller first); it is the id
    unless a deadline puts the task elsewhere. The claim's columns are all set or all empty."""

    id = models.BigIntegerField(primary_key=True)
    # Made only beside a guard that has found project and queue: a check of each row again would cost more than the row, and
    # its shared locks would make every writer of a project write to the project's own row.
    project = models.ForeignKey(
        "labeling.Project",
        on_delete=models.PROTECT,
        related_name="tasks",
        db_constraint=False,
        db_index=False,
    )
    queue = models.ForeignKey(
        ReviewQueue, on_delete=models.PROTECT, related_name="tasks", db_constraint=False, db_index=False
    )
    kind = models.CharField(max_length=20, choices=TaskKind)
    purpose = models.CharField(max_length=20, choices=Purpose)
    state = models.CharField(max_length=20, choices=TaskState, default=TaskState.WAITING)
    item_id = models.BigIntegerField()
    prediction_id = models.BigIntegerField()
    model_version_id = models.BigIntegerField()
    confidence = models.FloatField()
    segment = models.TextField(null=True)
    label = models.TextField(null=True)
    slot = models.PositiveSmallIntegerField(
        default=1, help_text=_("Tells apart the tasks of one item that may be open at once")
    )
    priority = models.SmallIntegerField(default=0)
    position = models.BigIntegerField()
    created_at = models.DateTimeField(db_default=Now())
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="claims",
        db_index=False,
        db_constraint=False,
    )
    claim_token = models.UUIDField(null=True)
    claimed_at = models.DateTimeField(null=True)
    lease_expires_at = models.DateTimeField(null=True)
    reopened = models.BooleanField(
        default=False,
        db_default=False,
        help_text=_("Held to correct a decision, which stands until another one replaces it"),
    )

    class Meta:
        indexes = [
            models.Index(
                fields=["queue", "-priority", "position"], condition=Q(state="waiting"), name="task_waiting"
            ),
            models.Index(fields=["lease_expires_at"], condition=Q(state="claimed"), name="task_lease"),
            models.Index(fields=["claimed_by"], condition=Q(state="claimed"), name="task_claimed_by"),
            models.Index(fields=["item_id"], name="task_by_item"),
            models.Index(
                fields=["project", "id"],
                condition=Q(purpose__in=["audit", "adjudication"], state__in=["waiting", "claimed"]),
                name="task_open_check",
            ),
            models.Index(
                fields=["project", "purpose", "id"],
                condition=Q(purpose__in=["second_review", "adjudication", "sentinel"]),
                name="task_by_check",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["item_id", "slot"],
                condition=Q(state__in=["waiting", "claimed"]),
                name="one_open_task_per_item_and_slot",
            ),
            models.CheckConstraint(
                condition=Q(
                    state="claimed",
                    claimed_by__isnull=False,
                    claim_token__isnull=False,
                    claimed_at__isnull=False,
                    lease_expires_at__isnull=False,
                )
                | Q(
                    state__in=["waiting", "decided", "cancelled"],
                    claimed_by__isnull=True,
                    claim_token__isnull=True,
                    claimed_at__isnull=True,
                    lease_expires_at__isnull=True,
                ),
                name="task_claim_whole",
            ),
            models.CheckConstraint(condition=Q(reopened=False) | Q(state="claimed"), name="reopened_is_held"),
        ]

    def __str__(self) -> str:
        return gettext("task %(id)s") % {"id": self.pk}


class Exclusion(models.Model):
    """This person does not get this task: skipped it, or had a part in its item before."""

    task = models.ForeignKey(ReviewTask, on_delete=models.CASCADE, related_name="exclusions", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    reason = models.TextField(blank=True)
    until = models.DateTimeField(null=True, help_text="Empty: for ever")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "user"], name="one_exclusion_per_person")]

    def __str__(self) -> str:
        return f"task {self.task_id} not for {self.user_id}"


class TakenBack(models.Model):
    """A claim that a lead has ended. Append-only; whoever comes late with its token is told by whom."""

    task = models.ForeignKey(ReviewTask, on_delete=models.PROTECT, related_name="taken_back")
    token = models.UUIDField(unique=True)
    holder = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField(blank=True)
    reopened = models.BooleanField(
        default=False,
        db_default=False,
        help_text="The claim was for a correction; the decision it was about stands",
    )
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"task {self.task_id} taken back from {self.holder_id}"


class Overflowed(models.Model):
    """A review that nobody got to in time: its task was cancelled, the fallback has answered. Append-only."""

    task = models.OneToOneField(
        ReviewTask, primary_key=True, on_delete=models.PROTECT, related_name="overflowed"
    )
    outcome_id = models.BigIntegerField(help_text="What was served instead of a person's answer")
    policy_number = models.PositiveIntegerField()
    after_seconds = models.PositiveIntegerField(help_text="How long the task was allowed to wait")
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"task {self.task_id} answered by the fallback"


class Sentinel(models.Model):
    """A review task whose answer is known: a past item with its own prediction, or with a wrong one.

    Shown in place of the prediction that the task points at; `period_id` and `policy_number` are those in force when it was
    made, so that it says the same of itself as its neighbours. Append-only. What people answer is in no label, dataset,
    outcome or product rate.
    """

    task = models.OneToOneField(
        ReviewTask, primary_key=True, on_delete=models.PROTECT, related_name="sentinel"
    )
    item_id = models.BigIntegerField(unique=True, help_text="An item is used once")
    is_wrong = models.BooleanField()
    output = JsonText()
    details = JsonText(null=True)
    period_id = models.BigIntegerField()
    policy_number = models.IntegerField()

    def __str__(self) -> str:
        return f"sentinel {self.task_id}"


class Adjudication(models.Model):
    """What a task that settles a disagreement shows: the answers, in an order that was drawn once. Append-only."""

    task = models.OneToOneField(
        ReviewTask, primary_key=True, on_delete=models.PROTECT, related_name="adjudication"
    )
    answers = JsonText(help_text="[{output, origin}], origin being model or reviewer")

    def __str__(self) -> str:
        return f"adjudication {self.task_id}"

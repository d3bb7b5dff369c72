"""Numbered, immutable dataset versions: the ledger in PostgreSQL, the rows in Parquet segments on storage.

PostgreSQL is the commit point: a version exists when its row, its segment, its ledger entries and the head pointer
are committed together.
"""

import secrets

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

__all__ = [
    "Dataset",
    "DatasetEntry",
    "DatasetSegment",
    "DatasetTag",
    "DatasetTagEvent",
    "DatasetVersion",
    "EntryOp",
    "Publication",
    "PublicationState",
    "WaitingDecision",
]


def _new_salt() -> bytes:
    return secrets.token_bytes(16)


def _default_ratios() -> dict[str, int]:
    return {"train": 80, "validation": 10, "test": 10}


class Dataset(models.Model):
    project = models.ForeignKey("labeling.Project", on_delete=models.PROTECT, related_name="datasets")
    slug = models.SlugField(max_length=60)
    head = models.PositiveIntegerField(default=0)
    split_salt = models.BinaryField(default=_new_salt, editable=False)
    split_ratios = models.JSONField(default=_default_ratios)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "slug"], name="dataset_slug_once")]

    def __str__(self) -> str:
        return f"{self.project_id}/{self.slug}"


class PublicationState(models.TextChoices):
    OPEN = "open"
    DONE = "done"
    EMPTY = "empty"
    FAILED = "failed"


class Publication(models.Model):
    """One frozen batch of decisions on its way into a version; at most one is open per dataset."""

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="publications")
    number = models.PositiveIntegerField(help_text="The version this becomes")
    state = models.CharField(max_length=20, choices=PublicationState, default=PublicationState.OPEN)
    attempt = models.PositiveIntegerField(default=0)
    note = models.TextField(blank=True)
    tag = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    opened_at = models.DateTimeField(db_default=Now())
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset"], condition=Q(state="open"), name="one_open_publication")
        ]

    def __str__(self) -> str:
        return f"publication {self.pk} ({self.state})"


class WaitingDecision(models.Model):
    """A labelled decision that is not yet in the ledger of a dataset. Claimed by row, deleted when its entry is written."""

    id = models.BigAutoField(primary_key=True)
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="waiting", db_index=False)
    decision = models.ForeignKey("labeling.Decision", on_delete=models.PROTECT, related_name="+", db_index=False)
    publication = models.ForeignKey(Publication, null=True, on_delete=models.PROTECT, related_name="claimed")
    since = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "decision"], name="decision_waits_once")]
        indexes = [
            models.Index(fields=["dataset", "id"], condition=Q(publication__isnull=True), name="waiting_unclaimed")
        ]

    def __str__(self) -> str:
        return f"decision {self.decision_id} waiting for {self.dataset_id}"


class DatasetVersion(models.Model):
    """A version as it was committed; the database refuses any change."""

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    parent = models.PositiveIntegerField(null=True)
    digest = models.CharField(max_length=64)
    added = models.IntegerField()
    changed = models.IntegerField()
    removed = models.IntegerField()
    rows_live = models.BigIntegerField()
    split_counts = models.JSONField()
    label_counts = models.JSONField()
    schema_number = models.PositiveIntegerField()
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    publication = models.OneToOneField(Publication, on_delete=models.PROTECT, related_name="version")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "number"], name="dataset_version_once")]

    def __str__(self) -> str:
        return f"v{self.number}"


class DatasetSegment(models.Model):
    """A Parquet file with the changes of versions lo..hi."""

    class State(models.TextChoices):
        LIVE = "live"
        RETIRED = "retired"

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="segments")
    lo = models.PositiveIntegerField()
    hi = models.PositiveIntegerField()
    path = models.TextField()
    sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    row_count = models.BigIntegerField()
    state = models.CharField(max_length=20, choices=State, default=State.LIVE)
    retired_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "path"], name="segment_path_once")]

    def __str__(self) -> str:
        return self.path


class EntryOp(models.TextChoices):
    ADD = "a"
    CHANGE = "c"
    REMOVE = "r"
    FOLDED = "f"
    STALE = "s"


class DatasetEntry(models.Model):
    """The ledger: every decision that reached a dataset, exactly once. `supersedes` is the decision it replaces."""

    id = models.BigAutoField(primary_key=True)
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="entries", db_index=False)
    decision_id = models.BigIntegerField()
    item_id = models.BigIntegerField()
    version = models.PositiveIntegerField(null=True, help_text="Empty when the publication wrote no version")
    op = models.CharField(max_length=1, choices=EntryOp)
    supersedes = models.BigIntegerField(null=True)
    split = models.CharField(max_length=20, blank=True)
    label = models.JSONField(null=True)
    row_digest = models.BinaryField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "decision_id"], name="one_ledger_entry_per_decision")
        ]
        indexes = [
            models.Index(
                fields=["dataset", "item_id", "-version"],
                condition=Q(op__in=["a", "c", "r"]),
                include=["decision_id", "op"],
                name="ledger_head",
            )
        ]

    def __str__(self) -> str:
        return f"{self.op} {self.decision_id}"


class DatasetTag(models.Model):
    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="tags")
    name = models.CharField(max_length=64)
    version = models.PositiveIntegerField()
    protected = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "name"], name="tag_name_once")]

    def __str__(self) -> str:
        return self.name


class DatasetTagEvent(models.Model):
    """Where a tag stood before and after. Append-only."""

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="tag_events")
    name = models.CharField(max_length=64)
    from_version = models.PositiveIntegerField(null=True)
    to_version = models.PositiveIntegerField(null=True)
    at = models.DateTimeField(db_default=Now())
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return f"{self.name}: {self.from_version} -> {self.to_version}"

"""Numbered, immutable dataset versions: the ledger in PostgreSQL, the rows in Parquet segments on storage.

PostgreSQL is the commit point: a version exists when its row, its segment, its ledger entries and the head pointer
are committed together.
"""

import hashlib
import secrets

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

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


def _new_seed() -> bytes:
    return secrets.token_bytes(32)


def _default_ratios() -> dict[str, int]:
    return {"train": 80, "validation": 10, "test": 10}


class Dataset(models.Model):
    """A series of versions. `head` is the newest version; its row lock is what makes versions follow each other."""

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

    @property
    def folder(self) -> str:
        """Where the dataset lives below the storage root. The salt's fingerprint keeps two installations apart that
        share a storage, also an emptied database from the files of the one before."""
        return f"datasets/{self.pk}-{hashlib.sha256(bytes(self.split_salt)).hexdigest()[:8]}"


class PublicationState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    OPEN = "open", _("Open")
    DONE = "done", _("Done")
    EMPTY = "empty", _("Empty")
    FAILED = "failed", _("Failed")


class Publication(models.Model):
    """One batch of decisions on its way into a version.

    Queued: asked for, nothing claimed yet, whoever asks in the meantime joins it. Open: its batch is frozen; a worker that
    dies leaves it open and the next one resumes it. Then done, empty (no row changed, no number used) or failed.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="publications")
    number = models.PositiveIntegerField(
        null=True, help_text=_("The version an open publication is to become")
    )
    state = models.CharField(max_length=20, choices=PublicationState, default=PublicationState.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    decision_count = models.PositiveIntegerField(default=0)
    seed = models.BinaryField(
        null=True,
        default=_new_seed,
        editable=False,
        help_text="Row salts derive from it, so that a resumed publication writes the same file; forgotten at the end",
    )
    note = models.TextField(blank=True)
    tags = ArrayField(models.CharField(max_length=64), default=list)
    error = models.TextField(blank=True, help_text=_("Why the last attempt did not succeed"))
    said = models.JSONField(
        null=True, editable=False, help_text="What the text is made of (labeling.sentences)"
    )
    opened_at = models.DateTimeField(db_default=Now())
    opened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    tried_at = models.DateTimeField(null=True, help_text=_("When a worker last gave a sign of life"))
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dataset"], condition=Q(state="open"), name="one_open_publication"
            ),
            models.UniqueConstraint(
                fields=["dataset"], condition=Q(state="queued"), name="one_queued_publication"
            ),
        ]

    def __str__(self) -> str:
        return gettext("publication %(id)s (%(state)s)") % {"id": self.pk, "state": self.get_state_display()}

    @property
    def published_as(self) -> int | None:
        """The version this has become; none before, and when no row changed."""
        return self.number if self.state == PublicationState.DONE else None


class WaitingDecision(models.Model):
    """A decision that is not yet in the ledger of a dataset. Claimed by row, deleted when its entry is written.

    Its id becomes the entry's: ids are handed out while the offering transaction holds the item, so among the decisions
    of one item a greater id is a later offer. A decision brings its label, or (`removes`) takes the record's label away.
    """

    id = models.BigAutoField(primary_key=True)
    # Offered by the statement that writes the decision, which has found the datasets of its project.
    dataset = models.ForeignKey(
        Dataset, on_delete=models.PROTECT, related_name="waiting", db_index=False, db_constraint=False
    )
    decision = models.ForeignKey(
        "labeling.Decision",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    removes = models.BooleanField(default=False, db_default=False)
    publication = models.ForeignKey(
        Publication,
        null=True,
        on_delete=models.PROTECT,
        related_name="claimed",
        db_index=False,
        db_constraint=False,
    )
    failures = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="Failed publications it was part of"
    )
    since = models.DateTimeField(db_default=Now(), help_text="Offered, or given back by a failed publication")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["decision", "dataset", "removes"], name="decision_waits_once")
        ]
        indexes = [
            models.Index(
                fields=["dataset", "since", "id"],
                condition=Q(publication__isnull=True),
                name="waiting_unclaimed",
            ),
            models.Index(
                fields=["publication"], condition=Q(publication__isnull=False), name="waiting_claimed"
            ),
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
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    publication = models.OneToOneField(Publication, on_delete=models.PROTECT, related_name="version")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["dataset", "number"], name="dataset_version_once")]

    def __str__(self) -> str:
        return f"v{self.number}"


class DatasetSegment(models.Model):
    """A Parquet file with the changes of versions lo..hi."""

    class State(models.TextChoices):
        LIVE = "live", _("Live")
        RETIRED = "retired", _("Retired")

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
    ADD = "a", _("Add")
    CHANGE = "c", _("Change")
    REMOVE = "r", _("Remove")
    FOLDED = "f", _("Folded")
    STALE = "s", _("Stale")


class DatasetEntry(models.Model):
    """The ledger: every decision that reached a dataset, exactly once. Append-only.

    The key is the id of the row that waited, so a waiting row cannot be written twice. `supersedes` is the decision whose
    row a change or removal replaces; `split` is given at the first publication of a record and copied ever after.
    A record's head is its entry with the greatest id among rows and removals, also a removal that found nothing: what was
    offered before the head and arrives after it is stale.
    """

    id = models.BigIntegerField(primary_key=True)
    dataset = models.ForeignKey(
        Dataset, on_delete=models.PROTECT, related_name="entries", db_index=False, db_constraint=False
    )
    decision_id = models.BigIntegerField()
    item_id = models.BigIntegerField()
    version = models.PositiveIntegerField(null=True, help_text="Empty when the publication wrote no version")
    op = models.CharField(max_length=1, choices=EntryOp)
    removes = models.BooleanField(default=False, db_default=False)
    supersedes = models.BigIntegerField(null=True)
    split = models.CharField(max_length=20, blank=True)
    row_digest = models.BinaryField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["decision_id", "dataset", "removes"], name="one_ledger_entry_per_decision"
            )
        ]
        indexes = [
            models.Index(
                fields=["dataset", "item_id", "-id"],
                condition=Q(op__in=["a", "c", "r"]) | Q(removes=True),
                include=["decision_id", "op", "split"],
                name="ledger_head",
            )
        ]

    def __str__(self) -> str:
        return f"{self.op} {self.decision_id}"


class DatasetTag(models.Model):
    """A name for a version. It may be moved, and every move is an event, unless it is protected."""

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="tags")
    name = models.CharField(max_length=64)
    version = models.PositiveIntegerField()
    protected = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

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

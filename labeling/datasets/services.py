"""What other stages call: offer decisions, take them back, ask for a publication, publish.

The rule that all of this keeps: a decision that brings a label and was not withdrawn waits for each dataset of its project or
is in exactly one line of its ledger; other decisions are in neither, except the one that carries the removal of a record.
"""

from datetime import datetime

from django.db import connection, transaction
from django.utils import timezone

from labeling.datasets.models import (
    Dataset,
    DatasetEntry,
    DatasetTag,
    Publication,
    PublicationState,
    WaitingDecision,
)
from labeling.datasets.publishing import publish
from labeling.datasets.queries import MAIN, has_waiting, list_due
from labeling.datasets.tags import check_tag_name, remove_tag, require_movable, set_tag
from labeling.datasets.verification import verify_version
from labeling.decisions.models import Decision, Verdict
from labeling.errors import invalid, say
from labeling.history.actor import Actor
from labeling.history.services import record_event
from labeling.projects.models import Project
from labeling.review.models import Purpose

__all__ = [
    "create_dataset",
    "offer_decision",
    "offer_removal",
    "publish",
    "publish_due",
    "remove_tag",
    "request_publication",
    "retry_stuck",
    "set_tag",
    "verify_version",
    "withdraw_decision",
]

_OFFER = """
    insert into labeling_waitingdecision (dataset_id, decision_id, removes)
    select dataset.id, %(decision)s, false from labeling_dataset dataset
    where dataset.project_id = %(project)s and not exists (
        select from labeling_datasetentry entry
        where entry.decision_id = %(decision)s and entry.dataset_id = dataset.id and not entry.removes)
    on conflict do nothing
"""

# One statement sees one moment: a row that is on its way from waiting to the ledger is in one of the two.
_OFFER_REMOVAL = """
    insert into labeling_waitingdecision (dataset_id, decision_id, removes)
    select dataset.id, %(decision)s, true from labeling_dataset dataset
    where dataset.project_id = %(project)s
      and (exists (
              select from labeling_decision decision
              join labeling_waitingdecision waiting on waiting.decision_id = decision.id and waiting.dataset_id = dataset.id
              where decision.item_id = %(item)s)
           or (select entry.op from labeling_datasetentry entry
               where entry.dataset_id = dataset.id and entry.item_id = %(item)s and (entry.op in ('a', 'c', 'r') or entry.removes)
               order by entry.id desc limit 1) in ('a', 'c'))
      and not exists (
        select from labeling_datasetentry entry
        where entry.decision_id = %(decision)s and entry.dataset_id = dataset.id and entry.removes)
    on conflict do nothing
"""

_WITHDRAW = """
    delete from labeling_waitingdecision waiting
    where waiting.decision_id = %(decision)s and waiting.publication_id is null
      and not exists (select from labeling_datasetentry entry where entry.decision_id = %(decision)s)
"""

MAX_NOTE = 10_000


def create_dataset(*, project: Project, slug: str = MAIN) -> Dataset:
    """A dataset of a project, or the one that is there."""
    return Dataset.objects.get_or_create(project=project, slug=slug)[0]


def offer_decision(*, decision: Decision) -> None:
    """A decision was made: its label is to enter the project's datasets. Offered again, it changes nothing.

    A rejection takes away what the item's earlier label brought. Sentinels are no work on data, escalations no answer, and a
    blind check or a shadow review without an answer leaves the label alone: these offer nothing.
    Call it in the transaction of the decision, holding the item: the offers of one item must come one after the other.
    """
    if decision.purpose == Purpose.SENTINEL or decision.verdict == Verdict.ESCALATED:
        return
    if decision.output is not None:
        _offer(_OFFER, decision)
    elif decision.purpose not in (Purpose.AUDIT, Purpose.SHADOW):
        offer_removal(decision=decision)


def offer_removal(*, decision: Decision) -> None:
    """A decision takes the label of its item away (it was rejected, say): the record leaves the next version.

    `decision` carries the removal and gets a ledger line of its own for that. Where the item is in no dataset and waits for
    none, there is nothing to take away and nothing is written. The same call, with a published decision that was withdrawn
    after all, removes what it had brought. A later label makes the record return as added, in the split it had.
    """
    _offer(_OFFER_REMOVAL, decision)


def _offer(statement: str, decision: Decision) -> None:
    values = {"decision": decision.pk, "project": decision.project_id, "item": decision.item_id}
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        if cursor.rowcount or Dataset.objects.filter(project_id=decision.project_id).exists():
            return
        create_dataset(project=decision.project)
        cursor.execute(statement, values)


def withdraw_decision(*, decision_id: int) -> bool:
    """Take back what was offered, as if it had never been. False when it is too late: a publication has claimed or
    published it, and only a new decision can correct it. True also for a decision that was never offered.

    Call it in the transaction of the withdrawal. A publication that claims at the same moment waits, or is waited for.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WITHDRAW, {"decision": decision_id})
        if cursor.rowcount:
            return True
    is_claimed = WaitingDecision.objects.filter(decision_id=decision_id).exists()
    return not is_claimed and not DatasetEntry.objects.filter(decision_id=decision_id).exists()


@transaction.atomic
def request_publication(
    *, dataset: Dataset, by: Actor | None, note: str = "", tag: str = ""
) -> Publication | None:
    """Ask that everything that waits now becomes a version. The caller starts `publish`; if it cannot, the sweep does.

    Requests that come before a worker has frozen the batch share a publication. None when nothing waits and nothing is
    under way; a tag is then put on the current version, which is the one that has everything.
    """
    # 1. Check, holding the dataset: protection of the tag and the queue must not change in between.
    locked = Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    if tag:
        check_tag_name(tag)
        require_movable(DatasetTag.objects.filter(dataset=locked, name=tag).first(), None)
    if len(note) > MAX_NOTE or "\x00" in note:
        raise invalid(
            "/note",
            "too_long",
            say("a note has at most {max_note} characters and no U+0000", max_note=MAX_NOTE),
        )
    # 2. Find the publication that will hold what waits now.
    state = PublicationState.QUEUED if has_waiting(locked) else PublicationState.OPEN
    publication = Publication.objects.filter(dataset=locked, state=state).first()
    if publication is None and state == PublicationState.OPEN:
        if tag and locked.head:
            set_tag(dataset=locked, number=locked.head, name=tag, by=by)
        return None
    if publication is None:
        publication = Publication.objects.create(dataset=locked, opened_by_id=by.user_id if by else None)
    # 3. Join it.
    if note:
        publication.note = f"{publication.note}\n{note}".strip()
    if tag and tag not in publication.tags:
        publication.tags.append(tag)
    publication.save(update_fields=["note", "tags"])
    record_event(
        action="dataset.publication_requested",
        subject=f"dataset:{locked.pk}",
        by=by,
        project_id=locked.project_id,
        publication=publication.pk,
        tag=tag,
    )
    return publication


def publish_due(now: datetime | None = None) -> list[int]:
    """The datasets in which it is time to publish; the caller has `publish` called for each, by whichever worker is free."""
    return list_due(now or timezone.now())


@transaction.atomic
def retry_stuck(*, dataset: Dataset, by: Actor | None) -> int:
    """Let decisions that failed in every batch try again, after a person has removed the reason. How many."""
    stuck = WaitingDecision.objects.select_for_update().filter(
        dataset=dataset, publication=None, failures__gt=0
    )
    count = stuck.update(failures=0)
    if count:
        record_event(
            action="dataset.stuck_retried",
            subject=f"dataset:{dataset.pk}",
            by=by,
            project_id=dataset.project_id,
            decisions=count,
        )
    return count

"""Celery's doors: each finds rows left in a waiting state and hands them to a service. Losing a message costs seconds."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings

from labeling.alerts.delivery import deliver_due
from labeling.datasets import services as datasets
from labeling.datasets import upkeep
from labeling.decisions.outcomes import number_all_outcomes
from labeling.ingestion.partitions import drop_old_inputs, drop_oldest_inputs, ensure_partitions
from labeling.ingestion.room import home_disk
from labeling.ledger.runs import run_waiting
from labeling.pipeline import sentinels
from labeling.pipeline.deciding import let_overdue_stand
from labeling.pipeline.overflowing import keep_within_limits
from labeling.pipeline.recalling import continue_recalls
from labeling.pipeline.watching import watch
from labeling.projects import accounts
from labeling.review.marks import move_marks
from labeling.review.services import release_expired
from labeling.trust.looking import look_at_projects
from labeling.trust.services import fold_deltas


@shared_task(name="labeling.tasks.fold_rollups")
def fold_rollups() -> None:
    """Add the committed deltas to the cells."""
    fold_deltas()


@shared_task(name="labeling.tasks.sequence_outcomes")
def sequence_outcomes() -> None:
    """Give numbers to committed outcomes that nobody has read yet."""
    number_all_outcomes()


@shared_task(name="labeling.tasks.sweep_reviews")
def sweep_reviews() -> None:
    """Put tasks with an expired lease back, and move the low-water marks."""
    release_expired()
    move_marks()


@shared_task(name="labeling.tasks.steer_autonomy")
def steer_autonomy() -> None:
    """Weigh the evidence where something was counted, and go on with recalls."""
    look_at_projects()
    continue_recalls()


@shared_task(name="labeling.tasks.relieve_queues")
def relieve_queues() -> None:
    """Answer late reviews by the fallback, begin or end refusing new ones, where a policy says so."""
    keep_within_limits()


@shared_task(name="labeling.tasks.mix_sentinels")
def mix_sentinels() -> None:
    """Put test items among the reviews that have come."""
    sentinels.mix_sentinels()


@shared_task(name="labeling.tasks.settle_overdue")
def settle_overdue() -> None:
    """What no second person has settled in seven days stands as it was first answered."""
    let_overdue_stand()


@shared_task(name="labeling.tasks.publish_due")
def publish_due() -> None:
    """Publish the datasets whose time or number of decisions has come, and resume what a dead worker left."""
    for dataset_id in datasets.publish_due():
        publish_dataset.delay(dataset_id)


@shared_task(name="labeling.tasks.publish_dataset")
def publish_dataset(dataset_id: int) -> None:
    """Publish what waits for one dataset."""
    datasets.publish(dataset_id)


@shared_task(name="labeling.tasks.maintain_storage")
def maintain_storage() -> None:
    """Mend readable manifests, merge small files, sweep what nothing points at."""
    upkeep.maintain_storage()


@shared_task(name="labeling.tasks.forget_expired")
def forget_expired() -> None:
    """Delete sessions and links whose time is over."""
    accounts.forget_expired()


@shared_task(name="labeling.tasks.maintain_partitions")
def maintain_partitions() -> None:
    """Make the partitions of the weeks to come, and let the inputs go that are older than the retention or must make room."""
    ensure_partitions()
    if settings.REVIEWAPP_RETAIN_INPUT_DAYS:
        drop_old_inputs(keep=timedelta(days=settings.REVIEWAPP_RETAIN_INPUT_DAYS))
    if settings.REVIEWAPP_RETAIN_INPUT_DAYS and home_disk().is_nearly_full:
        drop_oldest_inputs()


@shared_task(name="labeling.tasks.watch_over_all")
def watch_over_all() -> None:
    """Raise alerts for what is wrong, close those of what is over."""
    watch()


@shared_task(name="labeling.tasks.send_alerts")
def send_alerts() -> None:
    """Send the messages about alerts whose time has come."""
    deliver_due()


@shared_task(name="labeling.tasks.check_ledgers")
def check_ledgers() -> None:
    """Do the ledger checks that somebody asked for."""
    run_waiting()

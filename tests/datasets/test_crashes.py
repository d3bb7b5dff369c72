"""Workers that are killed, stopped or raced at every step: each decision gets into the ledger once, each version is whole."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from datetime import timedelta

import pytest
from django.db import close_old_connections, connection, transaction
from django.utils import timezone

from labeling.datasets import services
from labeling.datasets.models import (
    DatasetEntry,
    DatasetSegment,
    DatasetVersion,
    Publication,
    WaitingDecision,
)
from labeling.datasets.storage import open_storage
from labeling.datasets.upkeep import maintain_storage
from labeling.decisions.models import Decision
from tests.datasets.publisher import POINTS

pytestmark = pytest.mark.slow


def segment_files(world):
    """Files with a name; drafts of killed workers have none yet."""
    files = open_storage().list_files(f"{world.dataset.folder}/segments")
    return sorted(file.path for file in files if not file.path.endswith(".tmp"))


def check_everything(world, records):
    """What must hold whenever nothing waits any more."""
    assert not WaitingDecision.objects.exists()
    offered = Decision.objects.filter(output__isnull=False).count()
    labels = DatasetEntry.objects.filter(removes=False)
    assert labels.count() == offered
    assert labels.values("decision_id").distinct().count() == offered
    head = world.dataset.head
    assert list(DatasetVersion.objects.order_by("number").values_list("number", flat=True)) == [
        *range(1, head + 1)
    ]
    assert not Publication.objects.filter(state__in=["open", "queued"]).exists()
    found = services.verify_version(dataset=world.dataset, number=head, full=True)
    assert found.is_intact, found.problems
    assert found.rows == DatasetEntry.objects.filter(op__in=["a", "c", "r"]).count()
    return {key: row["label"]["label"] for key, row in records(world.dataset, head).items()}


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_each_step_and_resumed(live_world, publishers, records, point):
    live_world.decide("a", "spam"), live_world.decide("b", "ham")
    services.publish(live_world.dataset.pk)
    live_world.decide("a", "ham"), live_world.decide("b", None), live_world.decide("c", "spam")
    assert publishers.run(live_world.dataset.pk, point=point) == -signal.SIGKILL
    live_world.decide("late", "spam")
    assert records(live_world.dataset, 1).keys() == {"a", "b"}
    if point != "committed":
        assert live_world.dataset.head == 1
        assert services.publish_due(timezone.now()) == [live_world.dataset.pk], (
            "due at once, its lock went with it"
        )
    while services.publish(live_world.dataset.pk):
        pass
    assert live_world.dataset.head == 3, "the frozen batch, then what came late"
    assert check_everything(live_world, records) == {"a": "ham", "c": "spam", "late": "spam"}
    assert segment_files(live_world) == sorted(DatasetSegment.objects.values_list("path", flat=True)), (
        "no orphan"
    )
    assert maintain_storage().manifests == (1 if point == "committed" else 0)


def test_a_storm_of_killed_publishers(live_world, publishers, records):
    """Two publishers at a time, most of them killed somewhere, while decisions are made, corrected and taken back."""
    chance = random.Random(20251120)
    expected: dict[str, str] = {}
    photographs = {}
    killed = rounds = 0
    # Who of the two comes first is chance, so how many versions a round brings is: go on until there are enough.
    while rounds < 20 or killed <= 10 or len(photographs) <= 5:
        rounds += 1
        assert rounds <= 100, f"only {killed} killed and {len(photographs)} versions in a hundred rounds"
        for _ in range(chance.randrange(1, 12)):
            key, label = f"item-{chance.randrange(25)}", chance.choice(["spam", "ham", "ham", None])
            if label is None and key not in expected:
                continue
            live_world.decide(key, label)
            expected |= {key: label} if label else {}
            if label is None:
                del expected[key]
        pids = [
            publishers.start(live_world.dataset.pk, point=chance.choice([*POINTS, None])) for _ in range(2)
        ]
        killed += sum(publishers.wait(pid) == -signal.SIGKILL for pid in pids)
        head = live_world.dataset.head
        if head and head not in photographs:
            photographs[head] = records(live_world.dataset, head)
    while services.publish(live_world.dataset.pk):
        pass
    assert check_everything(live_world, records) == expected
    for number, photograph in photographs.items():
        assert records(live_world.dataset, number) == photograph


@pytest.mark.parametrize("point", ["claimed", "half_written", "written"])
def test_a_worker_paused_past_its_twins_commit(live_world, publishers, records, point):
    """Gotcha 4: after waking up, it must neither publish again nor break what its twin has published."""
    live_world.decide("a", "spam")
    pid = publishers.start(live_world.dataset.pk, point=point, signum=signal.SIGSTOP)
    assert publishers.wait(pid) == -signal.SIGSTOP
    assert services.publish(live_world.dataset.pk) is None, "somebody is at it"
    later = timezone.now() + timedelta(minutes=6)
    assert services.publish(live_world.dataset.pk, now=later).number == 1
    live_world.decide("b", "spam")
    assert services.publish(live_world.dataset.pk).number == 2
    os.kill(pid, signal.SIGCONT)
    assert publishers.wait(pid) == 0
    assert check_everything(live_world, records) == {"a": "spam", "b": "spam"}
    assert len(segment_files(live_world)) == 2


class Beside(threading.Thread):
    """Something done on a second connection, until it is told to go on."""

    def __init__(self, work):
        super().__init__()
        self._work = work
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.result = None

    def wait_here(self, *_args):
        self.reached.set()
        assert self.go_on.wait(20)

    def run(self):
        try:
            self.result = self._work(self)
        except Exception as error:
            self.result = error
        finally:
            self.reached.set()
            connection.close()

    def __enter__(self):
        self.start()
        assert self.reached.wait(20)
        return self

    def __exit__(self, *_exc):
        self.go_on.set()
        self.join(20)
        close_old_connections()


def test_two_publishers_at_the_moment_of_commit(live_world, records):
    live_world.decide("a", "spam"), live_world.decide("a", "ham"), live_world.decide("b", "ham")
    dataset_id = live_world.dataset.pk
    with Beside(
        lambda me: services.publish(dataset_id, pause=lambda p: p == "written" and me.wait_here())
    ) as slow:
        assert services.publish(dataset_id) is None
        twin = services.publish(dataset_id, now=timezone.now() + timedelta(minutes=6))
        assert (twin.state, twin.number) == ("done", 1)
    assert (slow.result.state, slow.result.number) == ("done", 1)
    assert Publication.objects.count() == 1
    assert check_everything(live_world, records) == {"a": "ham", "b": "ham"}


def test_the_second_of_two_commits_waits_and_rolls_back(live_world, records):
    """Both hold a finished segment; the first is inside its transaction when the second begins one."""
    live_world.decide("a", "spam")
    dataset_id = live_world.dataset.pk
    later = timezone.now() + timedelta(minutes=6)

    def publish_until(point, now=None):
        return Beside(
            lambda me: services.publish(dataset_id, now=now, pause=lambda p: p == point and me.wait_here())
        )

    with publish_until("written") as second, publish_until("uncommitted", later):
        second.go_on.set()
        wait_until_somebody_waits_for_a_lock()
    assert (second.result.state, second.result.number) == ("done", 1)
    assert check_everything(live_world, records) == {"a": "spam"}


def wait_until_somebody_waits_for_a_lock():
    with connection.cursor() as cursor:
        for _ in range(2_000):
            cursor.execute(
                "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            )
            if cursor.fetchone():
                return
            time.sleep(0.005)
    raise AssertionError("nobody waits")


def test_a_decision_that_commits_after_a_newer_one_was_published(live_world, records):
    """Gotcha 1: "everything after the last published one" would lose it."""
    late = live_world.decide("late", "spam", offer=False)

    def offer(me):
        with transaction.atomic():
            services.offer_decision(decision=late)
            me.wait_here()

    with Beside(offer):
        live_world.decide("early", "ham")
        assert services.publish(live_world.dataset.pk).decision_count == 1
    assert services.publish(live_world.dataset.pk).decision_count == 1
    waited = dict(DatasetEntry.objects.values_list("decision_id", "id"))
    assert waited[late.pk] == min(waited.values()), "it had the smaller number all along"
    assert check_everything(live_world, records) == {"late": "spam", "early": "ham"}


def test_a_withdrawal_and_a_claim_at_once(live_world):
    """Whichever is first wins, and the other sees it."""
    withdrawn, claimed = live_world.decide("a", "spam"), live_world.decide("b", "spam")

    def withdraw(me):
        with transaction.atomic():
            done = services.withdraw_decision(decision_id=withdrawn.pk)
            me.wait_here()
            return done

    with Beside(withdraw) as beside:
        assert services.publish(live_world.dataset.pk).decision_count == 1
    assert beside.result is True
    assert list(DatasetEntry.objects.values_list("decision_id", flat=True)) == [claimed.pk]
    assert services.publish(live_world.dataset.pk) is None


def test_offers_do_not_wait_for_a_publication(live_world):
    """A reviewer's decision must not stand behind a commit, nor behind the sweep: both hold the dataset's row."""
    live_world.decide("a", "spam")
    dataset_id = live_world.dataset.pk
    with (
        Beside(
            lambda me: services.publish(dataset_id, pause=lambda p: p == "uncommitted" and me.wait_here())
        ),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("set local lock_timeout = '500ms'")
        live_world.decide("b", "spam")
    assert services.publish(dataset_id).number == 2

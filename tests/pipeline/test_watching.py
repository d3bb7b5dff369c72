"""What is seen and said: each kind of trouble opens its alert, and its end closes it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from labeling.alerts.models import Alert, AlertKind
from labeling.alerts.services import raise_alert
from labeling.datasets.models import Dataset, Publication
from labeling.datasets.services import publish
from labeling.datasets.storage import StorageError
from labeling.errors import say
from labeling.pipeline.watching import watch
from tests.world import World, a_row


def roomy(_path: Path) -> tuple[int, int, int]:
    return 2**40, 0, 2**40


def full(_path: Path) -> tuple[int, int, int]:
    return 2**40, 2**40, 2**20


def seen(**more: Any) -> set[tuple[str, str]]:
    return {
        (sight.kind.value, sight.subject.partition(":")[0]) for sight in watch(**{"usage": roomy, **more})
    }


def open_alerts() -> set[str]:
    return set(Alert.objects.filter(closed_at=None).values_list("kind", flat=True))


def test_nothing_is_wrong(world: World) -> None:
    world.api("otto").predict([a_row(), a_row(confidence=0.99)]).expect(200)
    raise_alert(kind=AlertKind.TRUST_ALARM, subject="model:m", detail=say("not the watch's to close"))
    assert seen() == set()
    assert open_alerts() == {"trust_alarm"}


def test_a_full_disk(world: World) -> None:
    assert seen(usage=full) == {("disk_nearly_full", "disk")}
    assert Alert.objects.filter(closed_at=None).count() == 2
    assert seen() == set()
    assert open_alerts() == set()


def test_a_queue_that_is_older_than_its_deadline(world: World) -> None:
    otto = world.api("otto")
    otto.predict(a_row()).expect(201)
    now = timezone.now()
    assert seen(now=now + timedelta(hours=23)) == set()
    assert seen(now=now + timedelta(hours=25)) == {("queue_too_old", "queue")}
    world.letters.queues.filter(slug="default").update(deadline_seconds=60)
    assert seen(now=now + timedelta(minutes=2)) == {("queue_too_old", "queue")}
    rita = world.api("rita")
    rita.decide(rita.claim_one(), "confirmed").expect(201)
    otto.outcomes()
    assert seen(now=now + timedelta(hours=26)) == set()
    assert open_alerts() == set()


def test_what_the_sweeps_left(world: World) -> None:
    """Each waiting state that no sweep has dealt with for two minutes is named."""
    otto = world.api("otto")
    otto.predict([a_row(), a_row(confidence=0.99)]).expect(200)
    world.api("rita").claim_one()
    late = timezone.now() + timedelta(minutes=30)
    found = {sight.subject for sight in watch(late, usage=roomy)}
    assert {"waiting:outcomes_without_a_number", "waiting:claims_whose_lease_ran_out"} <= found
    raise_alert(kind=AlertKind.TEST, subject="x", detail=say("x"))
    dataset = Dataset.objects.get(project=world.letters)
    Publication.objects.create(dataset=dataset, state="open", number=1)
    found = {sight.subject for sight in watch(late, usage=roomy)}
    assert "waiting:publications_that_nobody_resumed" in found


def test_publishing_stops_while_the_storage_is_full_and_resumes_by_itself(
    world: World, settings: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """Deciding goes on meanwhile, and nothing that was decided is lost."""
    otto, rita = world.api("otto"), world.api("rita")
    otto.predict([a_row(), a_row()]).expect(200)
    rita.decide(rita.claim_one(), "confirmed").expect(201)
    dataset = Dataset.objects.get(project=world.letters)
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    settings.REVIEWAPP_STORAGE = str(blocked / "storage")
    with pytest.raises(StorageError):
        publish(dataset.pk)
    assert seen() == {("publish_failing", "dataset")}
    assert "is tried again" in Alert.objects.get().detail
    rita.decide(rita.claim_one(), "confirmed").expect(201)
    settings.REVIEWAPP_STORAGE = str(tmp_path / "storage")
    for _ in range(2):
        assert publish(dataset.pk) is not None
    assert seen() == set()
    assert open_alerts() == set()
    dataset.refresh_from_db()
    assert dataset.versions.get(number=dataset.head).rows_live == 2

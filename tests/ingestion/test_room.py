"""Room on the disk: what counts as scarce and as full, and that predictions are refused before the database stops."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from labeling import tasks
from labeling.api.v1 import predictions
from labeling.errors import UnavailableError
from labeling.ids import first_id_at
from labeling.ingestion.models import Item
from labeling.ingestion.partitions import ensure_partitions
from labeling.ingestion.room import Disk, RoomKeeper, list_disks
from tests.world import World, a_row, world

__all__ = ["world"]

GB = 2**30


@pytest.mark.parametrize(
    ("total", "free", "nearly", "full"),
    [
        (1_000 * GB, 11 * GB, False, False),  # a share of a large disk is much: never more than 10 and 2 GB
        (1_000 * GB, 9 * GB, True, False),
        (1_000 * GB, 1.9 * GB, True, True),
        (100 * GB, 6 * GB, False, False),
        (100 * GB, 4 * GB, True, False),
        (100 * GB, 0.9 * GB, True, True),
        (20 * GB, 2 * GB, False, False),
        (20 * GB, 0.5 * GB, True, False),
        (20 * GB, 0.2 * GB, True, True),
        (GB, 0.06 * GB, True, False),  # a small disk is not full before a twentieth is left
        (GB, 0.04 * GB, True, True),
    ],
)
def test_scarce_and_full(total: int, free: float, nearly: bool, full: bool) -> None:
    disk = Disk("home", total, int(free))
    assert (disk.is_nearly_full, disk.is_full) == (nearly, full)


def test_the_home_and_a_storage_folder_are_looked_at(settings: Any, tmp_path: Any) -> None:
    settings.REVIEWAPP_HOME, settings.REVIEWAPP_STORAGE = tmp_path / "not yet made", "s3://bucket"
    assert [disk.name for disk in list_disks()] == ["home"]
    settings.REVIEWAPP_STORAGE = str(tmp_path)
    assert [disk.name for disk in list_disks()] == ["home", "storage"]


def test_the_disk_is_looked_at_once_a_second() -> None:
    moment, looks, free = [0.0], [0], [0]

    def usage(_path: Any) -> tuple[int, int, int]:
        looks[0] += 1
        return 100 * GB, 0, free[0]

    keeper = RoomKeeper(usage, lambda: moment[0])
    for _ in range(3):
        with pytest.raises(UnavailableError, match="disk is full"):
            keeper.require_room()
    assert looks == [1]
    free[0] = 50 * GB
    moment[0] = 1.0
    keeper.require_room()
    assert looks == [2]


def test_predictions_are_refused_and_people_go_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    otto = world.api("otto")
    otto.predict(a_row(confidence=0.8)).expect(201)
    monkeypatch.setattr(
        predictions, "require_room", RoomKeeper(lambda _path: (100 * GB, 100 * GB, 0)).require_room
    )

    otto.predict(a_row()).expect_problem(503, "disk_full")
    otto.predict([a_row()]).expect_problem(503, "disk_full")
    otto.decide(otto.claim_one(), "confirmed").expect(201)


@pytest.mark.parametrize(("days", "free", "kept"), [(90, 2, False), (90, 50, True), (0, 2, True)])
def test_inputs_go_before_their_time_only_where_they_may_go_and_room_is_scarce(
    world: World, settings: Any, monkeypatch: pytest.MonkeyPatch, days: int, free: int, kept: bool
) -> None:
    a_month_ago = timezone.now() - timedelta(days=30)
    ensure_partitions(a_month_ago)
    item = Item.objects.create(
        id=first_id_at(a_month_ago), project_id=world.letters.pk, key="nobody looked", input={"text": "long"}
    )
    settings.REVIEWAPP_RETAIN_INPUT_DAYS = days
    monkeypatch.setattr(tasks, "home_disk", lambda: Disk("home", 100 * GB, free * GB))

    for _ in range(10):  # one week each time, the oldest first
        tasks.maintain_partitions()

    item.refresh_from_db()
    assert item.input == ({"text": "long"} if kept else None)

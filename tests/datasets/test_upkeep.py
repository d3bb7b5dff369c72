"""Between publications: manifests come back, small files are merged, leftovers go, and nothing else does."""

from __future__ import annotations

import itertools
import json
import os
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from labeling.datasets import batches, queries, services, upkeep
from labeling.datasets.models import DatasetSegment
from labeling.datasets.storage import open_storage
from labeling.errors import ConflictError
from tests.datasets.world import World


@pytest.fixture
def folder(world, storage_root):
    world.decide("a", "spam")
    services.publish(world.dataset.pk)
    return storage_root / world.dataset.folder


def sweep(world, days=2.0):
    return upkeep.sweep_files(open_storage(), world.dataset, timezone.now() + timedelta(days=days))


def test_missing_manifests_are_written_again(world, folder):
    """Gotcha 12."""
    services.set_tag(dataset=world.dataset, number=1, name="one", by=None)
    manifest = folder / "versions/00000001.json"
    before = manifest.read_bytes()
    manifest.unlink()
    assert upkeep.maintain_storage().manifests == 1
    assert manifest.read_bytes() == before
    assert b'"one"' in (folder / "tags.json").read_bytes()
    assert upkeep.maintain_storage().manifests == 0


def test_leftovers_go_after_a_day(world, folder):
    (folder / "segments/00000009-00000009-0123456789abcdef.parquet").write_bytes(b"orphan")
    (folder / "segments/.0123.tmp").write_bytes(b"draft of a killed worker")
    assert sweep(world, days=0.9) == 0
    assert sweep(world) == 2
    assert sweep(world) == 0
    assert services.verify_version(dataset=world.dataset, number=1).is_intact


def test_a_publication_under_way_keeps_its_files(world, folder):
    """Gotcha 10: it may have been open for days, and may be about to commit the very file."""
    world.decide("b", "spam")

    def look(point):
        if point == "written":
            assert len(list((folder / "segments").iterdir())) == 2
            assert sweep(world) == 0

    assert services.publish(world.dataset.pk, pause=look).number == 2
    assert services.verify_version(dataset=world.dataset, number=2, full=True).is_intact


def test_an_older_database_deletes_nothing(world, folder):
    """Gotcha 9: after restoring a backup, newer segments look like leftovers and may be the only copy."""
    (folder / "segments/00000002-00000002-0123456789abcdef.parquet").write_bytes(b"newer")
    (folder / "versions/00000002.json").write_bytes(b"{}")
    with pytest.raises(ConflictError, match="older database was restored"):
        sweep(world)
    with pytest.raises(ExceptionGroup):
        upkeep.maintain_storage(timezone.now() + timedelta(days=2))
    assert len(list((folder / "segments").iterdir())) == 2


def test_a_number_published_anew_leaves_the_other_version_readable(world, folder):
    """After a restore: the database does not know v2 and publishes another one. What the storage had stays, for ever."""
    world.decide("b", "spam")
    services.publish(world.dataset.pk)
    manifest, (segment,) = folder / "versions/00000002.json", (folder / "segments").glob("00000002-*")
    lost = json.loads(manifest.read_bytes()) | {"digest": "0123456789abcdef" * 4}
    lost["segment"]["path"] = f"segments/{segment.name.replace('.parquet', 'f.parquet')}"
    (folder / lost["segment"]["path"]).write_bytes(segment.read_bytes())
    manifest.write_text(json.dumps(lost))
    os.utime(manifest, (0, 0))
    (folder / "segments/leftover").write_bytes(b"")

    assert upkeep.maintain_storage().manifests == 1, "v2 was committed, then its worker died"

    assert json.loads(manifest.read_bytes())["digest"] != lost["digest"]
    assert json.loads((folder / "versions/00000002.0123456789abcdef.json").read_bytes()) == lost
    assert sweep(world) == 1, "the leftover"
    assert (folder / lost["segment"]["path"]).exists()
    assert upkeep.maintain_storage().manifests == 0
    for damaged in (b"", b"[]", b"{}"):
        manifest.write_bytes(damaged)
        os.utime(manifest, (0, 0))
        assert upkeep.maintain_storage().manifests == 1
    assert sweep(world) == 0


def test_a_number_published_anew_with_the_same_rows_leaves_the_other_version_readable_too(world, folder):
    """What waited when the backup was made waits again after it, and may become the same rows under the same number."""
    world.decide("b", "spam")
    services.publish(world.dataset.pk)
    manifest = folder / "versions/00000002.json"
    lost = json.loads(manifest.read_bytes()) | {"created_at": "2026-01-01T00:00:00.000000Z"}
    manifest.write_text(json.dumps(lost))
    os.utime(manifest, (0, 0))

    assert upkeep.maintain_storage().manifests == 1
    assert json.loads((folder / f"versions/00000002.{lost['digest'][:16]}.json").read_bytes()) == lost
    assert json.loads(manifest.read_bytes())["created_at"] != lost["created_at"]
    os.utime(manifest, (0, 0))
    assert upkeep.maintain_storage().manifests == 1, "written again, and known by both this time"
    assert len(list((folder / "versions").iterdir())) == 3


def test_other_datasets_are_not_touched(world, folder, storage_root):
    other = World("other")
    other.decide("a", "spam")
    services.publish(other.dataset.pk)
    stranger = storage_root / "datasets/1-00000000/segments"
    stranger.mkdir(parents=True)
    (stranger / "file").write_bytes(b"")
    os.utime(stranger / "file", (0, 0))
    assert upkeep.maintain_storage(timezone.now() + timedelta(days=2)).deleted == 0
    assert (stranger / "file").exists()
    assert services.verify_version(dataset=other.dataset, number=1).is_intact


@pytest.fixture
def many(world, records, monkeypatch):
    """Ten small versions with corrections and removals, and what they held before merging."""
    monkeypatch.setattr(upkeep, "MANY_SEGMENTS", 5)
    for number in range(10):
        world.decide("same", "spam" if number % 2 else "ham")
        world.decide(f"item-{number}", "spam")
        if number % 4 == 3:
            world.decide(f"item-{number - 1}", None)
        services.publish(world.dataset.pk)
    return {number: records(world.dataset, number) for number in range(1, 11)}


def test_merging_changes_no_version(world, many, records):
    digests = [services.verify_version(dataset=world.dataset, number=n).digest for n in many]
    now = timezone.now()
    assert upkeep.maintain_storage(now).merged == 10
    assert upkeep.maintain_storage(now).merged == 0
    (live,) = DatasetSegment.objects.filter(state="live")
    assert (live.lo, live.hi, live.row_count) == (1, 10, 22)
    for number, before in many.items():
        assert list(records(world.dataset, number).items()) == list(before.items()), "also in the same order"
        found = services.verify_version(dataset=world.dataset, number=number, full=True)
        assert found.is_intact
        assert found.digest == digests[number - 1]
    assert upkeep.maintain_storage(now + timedelta(days=6)).deleted == 0, (
        "somebody may still be reading the old files"
    )
    assert upkeep.maintain_storage(now + timedelta(days=8)).deleted == 10
    assert records(world.dataset, 10) == many[10]
    world.decide("same", "spam")
    services.publish(world.dataset.pk)
    assert services.verify_version(dataset=world.dataset, number=11, full=True).is_intact


def test_merging_leaves_large_files_and_limits_new_ones(world, many, monkeypatch):
    sizes = dict(DatasetSegment.objects.values_list("lo", "size_bytes"))
    monkeypatch.setattr(upkeep, "MERGED_BYTES", max(sizes.values()) * 3)
    upkeep.maintain_storage()
    spans = list(DatasetSegment.objects.filter(state="live").order_by("lo").values_list("lo", "hi"))
    assert len(spans) > 2
    assert spans[0][0] == 1
    assert spans[-1][1] == 10
    assert all(before[1] + 1 == after[0] for before, after in itertools.pairwise(spans))


def test_a_merge_that_another_worker_has_done_is_thrown_away(world, many, records, monkeypatch):
    keep = upkeep.keep_segment

    def meanwhile(*arguments):
        monkeypatch.setattr(upkeep, "keep_segment", keep)
        assert upkeep.merge_segments(open_storage(), world.dataset, timezone.now()) == 10
        return keep(*arguments)

    monkeypatch.setattr(upkeep, "keep_segment", meanwhile)
    with pytest.raises(ConflictError, match="another worker"):
        upkeep.merge_segments(open_storage(), world.dataset, timezone.now())
    assert DatasetSegment.objects.filter(state="live").count() == 1
    assert records(world.dataset, 10) == many[10]


@pytest.mark.slow
def test_claims_use_the_index_of_a_table_that_was_empty_when_analysed(live_world):
    """Found by measuring: 11 s instead of 0.07 s for 10,000 rows."""
    live_world.decide_many(500)
    services.publish(live_world.dataset.pk)
    with connection.cursor() as cursor:
        cursor.execute("analyze labeling_waitingdecision")
    live_world.decide_many(500, start=500)
    values = {"dataset": live_world.dataset.pk, "failures": 0, "limit": 100_000, "publication": 0}
    with transaction.atomic(), batches.index_scans_only() as cursor:
        cursor.execute(f"explain {batches._CLAIM}", values)
        plan = "\n".join(row[0] for row in cursor.fetchall())
        assert "Seq Scan" not in plan, plan
    with connection.cursor() as cursor:
        cursor.execute("show enable_seqscan")
        assert cursor.fetchone() == ("on",)


@pytest.mark.slow
def test_probes_use_an_index_of_a_large_ledger_without_statistics_and_the_right_one_with_them(world):
    """Gotcha 2: a planner without statistics once scanned the whole ledger for each publication."""
    due = {"now": timezone.now(), "lock": 1, "levels": 4}
    due |= dict.fromkeys(("stalled", "pause", "longest"), timedelta())
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into labeling_datasetentry (id, dataset_id, decision_id, item_id, version, op, removes, split)"
            " select -n, %s, -n, -n, 1, 'a', false, 'train' from generate_series(1, 30000) n",
            [world.dataset.pk],
        )
        world.decide_many(100)
        publication = services.request_publication(dataset=world.dataset, by=None)
        assert batches.claim_rows(world.dataset.pk, publication.pk) == 100
        for statement, values in (
            (batches._READ_OFFERS, [publication.pk]),
            (batches._READ_PAYLOADS, [[1, 2, 3], [4, None, 6]]),
            (services._OFFER_REMOVAL, {"decision": 1, "project": world.project.pk, "item": 1}),
            (queries._LIST_DUE, due),
        ):
            cursor.execute(f"explain {statement}", values)
            plan = "\n".join(row[0] for row in cursor.fetchall())
            for table in ("datasetentry", "decision", "item", "prediction"):
                assert f"Seq Scan on labeling_{table}" not in plan, plan
        # Which of its indexes depends on what autovacuum has seen of these rows; with statistics it is the right one.
        cursor.execute("analyze labeling_datasetentry, labeling_waitingdecision, labeling_decision")
        cursor.execute(f"explain {batches._READ_OFFERS}", [publication.pk])
        assert "ledger_head" in "\n".join(row[0] for row in cursor.fetchall())

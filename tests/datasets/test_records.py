"""Reading versions back: as of any version, as three formats, and as the difference of two."""

from __future__ import annotations

import csv
import io
import json
import random

import pyarrow as pa
import pytest
from pyarrow import parquet

from labeling.datasets import segments, services
from labeling.datasets.differences import compare_versions
from labeling.datasets.exports import to_csv, to_jsonl, to_parquet
from labeling.datasets.manifest import RECORD_FIELDS
from labeling.datasets.models import DatasetSegment
from labeling.datasets.queries import get_version, list_field_names
from labeling.datasets.records import open_snapshot, read_records, require_files
from labeling.datasets.storage import StorageError, open_storage
from labeling.errors import ConflictError, InvalidError
from tests.datasets.world import World


def batches(world, number, split=None):
    return read_records(open_storage(), open_snapshot(world.dataset, number), split=split)


@pytest.fixture
def history(world):
    """Five versions of additions, corrections, removals and returns, with what each must hold."""
    chance = random.Random(7)
    state: dict[str, str] = {}
    states = [{}]
    for _version in range(5):
        for _ in range(20):
            key, label = f"item-{chance.randrange(25):02}", chance.choice(["spam", "ham", None])
            if label is None and key not in state:
                continue
            world.decide(key, label)
            state |= {key: label} if label else {}
            if label is None:
                del state[key]
        services.publish(world.dataset.pk)
        states.append(dict(state))
    return states


def test_every_version_reads_as_it_was(world, history, records):
    for number, state in enumerate(history[1:], 1):
        found = records(world.dataset, number)
        assert {key: row["label"]["label"] for key, row in found.items()} == state
        version = get_version(world.dataset, str(number))
        assert version.rows_live == len(state)
        assert version.label_counts == {
            label: count for label in ("ham", "spam") if (count := list(state.values()).count(label))
        }
        assert version.split_counts == {
            split: len(inside)
            for split in ("test", "train", "validation")
            if (inside := records(world.dataset, number, split))
        }
        places = [(row["version"], row["record_id"]) for row in found.values()]
        assert places == sorted(places), "ordered by version, then record"


def test_the_three_formats_say_the_same(world, history, tmp_path):
    (tmp_path / "all.parquet").write_bytes(b"".join(to_parquet(batches(world, 5))))
    table = parquet.read_table(tmp_path / "all.parquet")
    lines = [json.loads(line) for line in b"".join(to_jsonl(batches(world, 5))).splitlines()]
    assert table.column_names == list(RECORD_FIELDS) == list(lines[0])
    rows = table.to_pylist()
    for row in rows:
        row["decided_at"] = row["decided_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        for name in segments.JSON_COLUMNS:
            row[name] = None if row[name] is None else json.loads(row[name])
    assert rows == lines
    text = b"".join(to_csv(batches(world, 5), task_type="classification", fields=[])).decode()
    cells = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["record_id"] for row in cells] == [line["record_id"] for line in lines]
    for row, line in zip(cells, lines, strict=True):
        assert json.loads(row["input"]) == line["input"]
        assert row["label.label"] == line["label"]["label"]
        assert row["previous_label.label"] == (line["previous_label"] or {"label": ""})["label"]
        assert float(row["confidence"]) == line["confidence"]


def test_no_records_are_an_empty_file_of_each_kind(world):
    world.decide("a", "spam")
    services.publish(world.dataset.pk)
    world.decide("a", None)
    services.publish(world.dataset.pk)
    assert b"".join(to_jsonl(batches(world, 2))) == b""
    assert b"".join(to_csv(batches(world, 2), task_type="classification", fields=[])).count(b"\r\n") == 1
    assert parquet.read_table(pa.BufferReader(b"".join(to_parquet(batches(world, 2))))).num_rows == 0


@pytest.mark.parametrize("small", [1, 3])
def test_row_groups_and_pieces_of_any_size_say_the_same(world, records, monkeypatch, small):
    monkeypatch.setattr(segments, "ROW_GROUP_ROWS", small)
    monkeypatch.setattr(segments, "BATCH_ROWS", 2)
    for key in "edcba":
        world.decide(key, "spam")
    services.publish(world.dataset.pk)
    path = DatasetSegment.objects.get().path
    with segments.open_segment(open_storage(), path) as file:
        assert file.num_row_groups == -(-5 // small)
    assert list(records(world.dataset, 1)) == list("abcde")
    assert services.verify_version(dataset=world.dataset, number=1, full=True).is_intact


@pytest.mark.slow
def test_large_items_are_written_and_read_in_pieces(world, records):
    """Row groups end by bytes too: 6 items of 8 MB must not meet in memory."""
    for number in range(6):
        world.predict(f"{number:02}", input={"image": "x" * 8_000_000})
        world.decide(f"{number:02}", "spam")
    services.publish(world.dataset.pk)
    with segments.open_segment(open_storage(), DatasetSegment.objects.get().path) as file:
        assert file.num_row_groups == 2
    sizes = [batch.nbytes for batch in batches(world, 1)]
    assert max(sizes) < 45_000_000
    assert len(records(world.dataset, 1)) == 6


def test_an_orphan_is_in_no_read(world, records, storage_root):
    """Gotcha 8: the folder is never the truth."""
    world.decide("a", "spam")

    def crash(point):
        if point == "written":
            raise MemoryError

    with pytest.raises(MemoryError):
        services.publish(world.dataset.pk, pause=crash)
    services.withdraw_decision(decision_id=0)
    assert len(list((storage_root / world.dataset.folder / "segments").glob("*.parquet"))) == 1
    assert world.dataset.head == 0
    assert open_snapshot(world.dataset, 1).paths == ()


def test_a_missing_file_is_found_before_anything_is_sent(world):
    world.decide("a", "spam")
    services.publish(world.dataset.pk)
    snapshot = open_snapshot(world.dataset, 1)
    require_files(open_storage(), world.dataset, snapshot)
    open_storage().delete(snapshot.paths[0])
    with pytest.raises(StorageError) as error:
        require_files(open_storage(), world.dataset, snapshot)
    assert error.value.code == "segment_missing"


def test_forms_have_a_column_for_each_field(db, storage_root):
    world = World("receipts", "fields")
    assert list_field_names(world.project) == ["total", "date"]
    world.predict("a", {"fields": {"total": "9.00", "date": None}})
    world.decide("a", {"fields": {"total": 'a "quoted", line\n', "date": ""}})
    world.predict("b", {"fields": {}})
    world.decide("b", {"fields": {"total": " x", "date": None}})
    services.publish(world.dataset.pk)
    text = b"".join(to_csv(batches(world, 1), task_type="fields", fields=["total", "date"])).decode()
    first, second = csv.DictReader(io.StringIO(text, newline=""))
    assert first["label.fields.total"] == 'a "quoted", line\n'
    assert first["predicted_label.fields.total"] == "9.00"
    assert second["label.fields.total"] == " x"
    assert ',"",' in text, "an empty text is not nothing"
    with pytest.raises(ConflictError, match="jsonl"):
        list(to_csv(batches(world, 1), task_type="fields", fields=["total"]))


@pytest.mark.parametrize(
    ("task_type", "label", "column"),
    [
        ("multilabel", {"labels": ["a", "b"]}, "labels"),
        ("text", {"text": "a, b"}, "text"),
        ("spans", {"spans": [{"start": 0, "end": 1, "label": "PER"}]}, "spans"),
        ("boxes", {"boxes": []}, "boxes"),
    ],
)
def test_lists_in_csv_are_json(db, storage_root, task_type, label, column):
    world = World(task_type, task_type)
    world.predict("a", label)
    world.decide("a", label)
    services.publish(world.dataset.pk)
    text = b"".join(to_csv(batches(world, 1), task_type=task_type, fields=[])).decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    value = row[f"label.{column}"]
    assert (value if task_type == "text" else json.loads(value)) == label[column]


def test_differences_of_all_pairs(world, history):
    for older in range(1, 6):
        for newer in range(older, 6):
            before, after = history[older], history[newer]
            found = compare_versions(open_storage(), world.dataset, older, newer)
            shown = {change["record_id"]: change for change in found.changes}
            assert list(shown) == sorted(shown)
            assert {key for key, c in shown.items() if c["op"] == "added"} == after.keys() - before.keys()
            assert {key for key, c in shown.items() if c["op"] == "removed"} == before.keys() - after.keys()
            assert {key for key in before.keys() & after.keys() if before[key] != after[key]} <= shown.keys()
            assert found.added + found.changed + found.removed == len(shown)
            for key, change in shown.items():
                assert change["previous_label"] == ({"label": before[key]} if key in before else None)
                assert change["label"] == ({"label": after[key]} if key in after else None)


def test_differences_come_in_pages(world, history):
    whole = compare_versions(open_storage(), world.dataset, 1, 5)
    pages, after = [], None
    while True:
        page = compare_versions(open_storage(), world.dataset, 1, 5, after=after, limit=3)
        assert (page.added, page.changed, page.removed) == (whole.added, whole.changed, whole.removed)
        pages += page.changes
        after = page.next_after
        if after is None:
            break
    assert pages == whole.changes


def test_a_difference_the_wrong_way_round_or_too_large(world, history, monkeypatch):
    with pytest.raises(InvalidError):
        compare_versions(open_storage(), world.dataset, 3, 2)
    monkeypatch.setattr("labeling.datasets.differences.MAX_ROWS", 5)
    with pytest.raises(InvalidError, match="More than 5 rows"):
        compare_versions(open_storage(), world.dataset, 1, 5)


def test_the_same_number_of_queries_for_many_versions(world, django_assert_max_num_queries):
    for number in range(20):
        world.decide("same" if number % 3 else f"item-{number}", "spam" if number % 2 else "ham")
        services.publish(world.dataset.pk)
    dataset = world.dataset
    for number in (10, 20):
        with django_assert_max_num_queries(2):
            list(read_records(open_storage(), open_snapshot(dataset, number)))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_dataset(world, monkeypatch):
    """What is held at a time is a piece of one row group, whatever the number of rows and files."""
    pool = pa.default_memory_pool()
    peaks = []
    for number, rows in enumerate((1_000, 10_000), 1):
        world.decide_many(rows, start=number * 100_000)
        services.publish(world.dataset.pk)
        pool.release_unused()
        seen, peak, before = 0, 0, pool.bytes_allocated()
        for piece in to_jsonl(batches(world, number)):
            peak = max(peak, pool.bytes_allocated() - before)
            seen += piece.count(b"\n")
        assert seen == (1_000 if number == 1 else 11_000)
        peaks.append(peak)
    assert peaks[1] < 8_000_000

"""The pure part: which decisions become rows, and digests that must never change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from labeling.datasets.manifest import (
    Counts,
    Head,
    NetChange,
    Offer,
    RowKey,
    VersionDigest,
    build_entries,
    labels_in,
    net_changes,
    pseudonym,
    row_digest,
    row_salt,
    split_of,
    timestamp_text,
)

SALT = bytes(range(16))
RATIOS = {"train": 80, "validation": 10, "test": 10}


def steps(*offers):
    return [
        (entry.offer.sequence, entry.op, entry.supersedes)
        for entry in build_entries(offers, salt=SALT, ratios=RATIOS)
    ]


def offer(sequence, item=1, *, removes=False, head=None):
    return Offer(sequence, 100 + sequence, item, f"item-{item}", removes, head)


LIVE = Head(sequence=5, decision_id=105, op="a", split="train")
GONE = Head(sequence=5, decision_id=105, op="r", split="test")
NEVER = Head(sequence=5, decision_id=105, op="f", split="")


@pytest.mark.parametrize(
    ("offers", "expected"),
    [
        ([offer(1)], [(1, "a", None)]),
        ([offer(9, head=LIVE)], [(9, "c", 105)]),
        ([offer(9, removes=True, head=LIVE)], [(9, "r", 105)]),
        # the newest decision of a record wins, its older siblings are folded into it
        ([offer(2), offer(3), offer(1)], [(1, "f", None), (2, "f", None), (3, "a", None)]),
        ([offer(7, head=LIVE), offer(9, head=LIVE)], [(7, "f", None), (9, "c", 105)]),
        # added and removed in one batch: nothing to see; removed and added: a change
        ([offer(1), offer(2, removes=True)], [(1, "f", None), (2, "f", None)]),
        ([offer(7, removes=True, head=LIVE), offer(8, head=LIVE)], [(7, "f", None), (8, "c", 105)]),
        # removing what is not there, or not there any more
        ([offer(1, removes=True)], [(1, "f", None)]),
        ([offer(7, removes=True, head=GONE)], [(7, "f", None)]),
        # a label after a removal adds the record again
        ([offer(7, head=GONE)], [(7, "a", None)]),
        # a removal that found nothing: what was offered before it stays out, what came after it is new
        ([offer(4, head=NEVER)], [(4, "s", None)]),
        ([offer(7, head=NEVER)], [(7, "a", None)]),
        ([offer(7, removes=True, head=NEVER)], [(7, "f", None)]),
        # what comes late and is older than the published row must not overwrite it
        ([offer(4, head=LIVE)], [(4, "s", None)]),
        ([offer(3, head=LIVE), offer(4, removes=True, head=LIVE)], [(3, "s", None), (4, "s", None)]),
        ([offer(4, head=LIVE), offer(6, head=LIVE)], [(4, "s", None), (6, "c", 105)]),
    ],
)
def test_each_decision_becomes_one_entry(offers, expected):
    assert steps(*offers) == expected


def test_entries_come_in_record_order_by_code_point():
    keys = ["b", "B", "ä", "😀", "a", "\uffff"]
    offers = [Offer(n, n, n, key) for n, key in enumerate(keys, 1)]
    found = [entry.offer.record_id for entry in build_entries(offers, salt=SALT, ratios=RATIOS)]
    assert found == ["B", "a", "b", "ä", "\uffff", "😀"]
    assert found == sorted(keys, key=lambda key: key.encode())


def test_a_record_keeps_its_split_for_ever():
    other_ratios = {"holdout": 1}
    first = build_entries([offer(1)], salt=SALT, ratios=RATIOS)[0]
    corrected = build_entries([offer(9, head=LIVE)], salt=SALT, ratios=other_ratios)[0]
    back = build_entries([offer(9, head=GONE)], salt=SALT, ratios=other_ratios)[0]
    gone_again = build_entries([offer(9, removes=True, head=GONE)], salt=SALT, ratios=other_ratios)[0]
    first_after_nothing = build_entries([offer(9, head=NEVER)], salt=SALT, ratios=other_ratios)[0]
    assert (first.split, corrected.split, back.split) == ("train", "train", "test")
    assert (gone_again.split, first_after_nothing.split) == ("test", "holdout")


def test_splits_follow_the_ratios_and_not_the_order_of_their_keys():
    found = [split_of(f"item-{n}", salt=SALT, ratios=RATIOS) for n in range(5_000)]
    backwards = dict(reversed(RATIOS.items()))
    assert found == [split_of(f"item-{n}", salt=SALT, ratios=backwards) for n in range(5_000)]
    assert 3_900 < found.count("train") < 4_100
    assert 430 < found.count("test") < 570
    assert split_of("x", salt=SALT, ratios={"all": 0.5}) == "all"
    assert {split_of(f"{n}", salt=SALT, ratios={"a": 1, "b": 0}) for n in range(100)} == {"a"}


ROW = {
    "op": "change",
    "supersedes": 41,
    "record_id": "mail/1 😀",
    "version": 3,
    "input": {"text": "Grüße\n", "amount": 1.50, "big": 2**63 - 1, "nested": [{"b": 1, "a": None}]},
    "label": {"label": "spam"},
    "previous_label": {"label": "ham"},
    "predicted_label": {"label": "ham"},
    "confidence": 0.1 + 0.2,
    "model": "filter",
    "model_version": "",
    "decision_id": 42,
    "decided_by": "r0123456789abcdef",
    "decided_at": "2026-01-02T03:04:05.000006Z",
    "policy_version": 2,
    "origin": "human",
    "split": "train",
    "segment": None,
}


def test_golden_row_digest():
    """Changing this number makes every published version unverifiable."""
    expected = "1874128f39aed10e475b90e5856b0d2ffdde0a4f9328f5cb8a2ef737c8b8e06d"
    assert row_digest(SALT, ROW).hex() == expected
    reordered = dict(reversed(ROW.items())) | {"input": dict(reversed(ROW["input"].items()))}
    assert row_digest(SALT, reordered).hex() == expected
    assert row_digest(SALT, {**ROW, "salt": b"x", "row_digest": b"y"}).hex() == expected


@pytest.mark.parametrize("name", sorted(ROW))
def test_every_field_is_part_of_the_row_digest(name):
    assert row_digest(SALT, {**ROW, name: "other"}) != row_digest(SALT, ROW)
    assert row_digest(bytes(16), ROW) != row_digest(SALT, ROW)


def test_a_row_digest_sees_values_and_not_their_spelling():
    one = row_digest(SALT, {**ROW, "input": {"n": 1.0, "zero": -0.0}})
    assert one == row_digest(SALT, {**ROW, "input": {"zero": 0, "n": 1}})
    composed, decomposed = "\u00e9", "e\u0301"
    assert row_digest(SALT, {**ROW, "record_id": composed}) != row_digest(
        SALT, {**ROW, "record_id": decomposed}
    )


def test_golden_version_digest():
    """sha256("v1", parent, number, row digests): a chain, so a version stands for all before it."""
    first = VersionDigest(1, b"")
    first.add(row_digest(SALT, ROW))
    second = VersionDigest(2, first.digest())
    assert first.digest().hex() == "504f57dc21cdfd7208a6a3bc5f02002f517490a6f80e5f055075e97803984b13"
    assert second.digest().hex() == "772f920b687e544f81a3d73b47b2abfb8b5c0b949edb6a0a46b57961682f51d4"
    assert VersionDigest(2, bytes(32)).digest() != second.digest()


def test_golden_split_salt_and_pseudonym():
    assert [split_of(f"item-{n}", salt=SALT, ratios=RATIOS) for n in range(8)] == [
        "train",
        "train",
        "train",
        "train",
        "train",
        "train",
        "train",
        "train",
    ]
    assert row_salt(bytes(32), 7).hex() == "9a72a368158e6f361ef96f0e1db5e1ee"
    assert pseudonym(7, salt=SALT) == "r53ce5f40808c93b1"
    assert pseudonym(7, salt=bytes(16)) != pseudonym(7, salt=SALT) != pseudonym(8, salt=SALT)


def test_times_are_hashed_in_one_spelling():
    berlin = timezone(timedelta(hours=1))
    assert timestamp_text(datetime(2026, 1, 2, 4, 4, 5, tzinfo=berlin)) == "2026-01-02T03:04:05.000000Z"
    assert timestamp_text(datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)) == "2026-01-02T03:04:05.000006Z"


@pytest.mark.parametrize(
    ("task_type", "output", "expected"),
    [
        ("classification", {"label": "a"}, ["a"]),
        ("multilabel", {"labels": ["b", "a", "b"]}, ["a", "b"]),
        ("spans", {"spans": [{"label": "PER"}, {"label": "PER"}, {"label": "LOC"}]}, ["LOC", "PER"]),
        ("boxes", {"boxes": []}, []),
        ("text", {"text": "x"}, []),
        ("fields", {"fields": {"a": "1"}}, []),
        ("classification", None, []),
    ],
)
def test_labels_that_a_record_counts_for(task_type, output, expected):
    assert labels_in(task_type, output) == expected


def test_counts_are_carried_from_row_to_row():
    counts = Counts(1, {"train": 1}, {"a": 1})
    counts.count_row("a", "test", before=[], after=["a", "b"])
    counts.count_row("c", "test", before=["a", "b"], after=["b"])
    counts.count_row("r", "train", before=["a"], after=[])
    assert counts == Counts(1, {"train": 0, "test": 1}, {"a": 0, "b": 1})


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        ("a", "a"),
        ("c", "c"),
        ("r", "r"),
        ("ac", "a"),
        ("ccc", "c"),
        ("cr", "r"),
        ("ra", "c"),
        ("ar", None),
        ("ara", "a"),
        ("rar", "r"),
    ],
)
def test_net_change_of_a_record(ops, expected):
    rows = [RowKey("x", version, op) for version, op in enumerate(ops, 3)]
    found = list(net_changes(rows))
    assert found == ([NetChange("x", expected, 3, 2 + len(ops))] if expected else [])

"""What a publication writes, and that each decision gets into the ledger once."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from labeling.datasets import services
from labeling.datasets.models import (
    DatasetEntry,
    DatasetSegment,
    DatasetTag,
    DatasetVersion,
    Publication,
    WaitingDecision,
)
from labeling.datasets.queries import get_version, get_waiting, list_item_entries
from labeling.datasets.storage import StorageError
from labeling.decisions.models import Decision
from labeling.errors import ConflictError, InvalidError
from labeling.projects.models import Project
from tests.datasets.world import World


def publish(world):
    return services.publish(world.dataset.pk)


def ops(world):
    return dict(DatasetEntry.objects.order_by("id").values_list("decision_id", "op"))


def test_a_first_publication_is_version_1(world, records, storage_root):
    decisions = {key: world.decide(key, label) for key, label in (("b", "spam"), ("a", "ham"), ("c", "spam"))}
    publication = publish(world)
    assert (publication.state, publication.number, publication.decision_count) == ("done", 1, 3)
    version = get_version(world.dataset, "latest")
    assert (version.number, version.parent, version.rows_live) == (1, None, 3)
    assert (version.added, version.changed, version.removed) == (3, 0, 0)
    assert version.label_counts == {"ham": 1, "spam": 2}
    assert sum(version.split_counts.values()) == 3
    found = records(world.dataset, 1)
    assert list(found) == ["a", "b", "c"]
    prediction = world.items["a"]
    assert found["a"] == {
        "record_id": "a",
        "version": 1,
        "input": {"text": "this is a"},
        "label": {"label": "ham"},
        "previous_label": None,
        "predicted_label": {"label": "spam"},
        "confidence": 0.8,
        "model": "filter",
        "model_version": "3",
        "decision_id": decisions["a"].pk,
        "decided_by": found["a"]["decided_by"],
        "decided_at": decisions["a"].decided_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "policy_version": prediction.policy_number,
        "origin": "human",
        "split": found["a"]["split"],
        "segment": "inbox",
    }
    assert not WaitingDecision.objects.exists()
    assert services.verify_version(dataset=world.dataset, number=1, full=True).is_intact
    manifest = json.loads((storage_root / world.dataset.folder / "versions/00000001.json").read_text())
    assert manifest["digest"] == version.digest
    assert (storage_root / world.dataset.folder / manifest["segment"]["path"]).is_file()


def test_nothing_waiting_is_no_publication(world):
    assert publish(world) is None
    assert not Publication.objects.exists()


def test_corrections_removals_and_returns_read_at_every_version(world, records):
    """Gotcha 6: a chain of corrections, a removal, and an addition after it."""
    world.decide("other", "ham")
    chain = ["spam", "ham", "spam", None, "ham"]
    for label in chain:
        world.decide("mail", label)
        publish(world)
    splits = set()
    for number, label in enumerate(chain, 1):
        found = records(world.dataset, number)
        assert found["other"]["version"] == 1
        if label is None:
            assert "mail" not in found
        else:
            assert found["mail"]["label"] == {"label": label}
            assert found["mail"]["version"] == number
            splits.add(found["mail"]["split"])
        assert get_version(world.dataset, str(number)).rows_live == len(found)
    assert len(splits) == 1
    assert [entry["op"] for entry in list_item_entries(world.project.pk, world.items["mail"].item_id)] == [
        "added",
        "changed",
        "changed",
        "removed",
        "added",
    ]
    assert records(world.dataset, 3)["mail"]["previous_label"] == {"label": "ham"}
    assert records(world.dataset, 5)["mail"]["previous_label"] is None
    assert services.verify_version(dataset=world.dataset, number=5, full=True).is_intact


def test_folded_stale_and_unknown_decisions_are_in_the_ledger_once(world):
    first, second = world.decide("a", "spam"), world.decide("a", "ham")
    gone = world.decide("b", "spam"), world.decide("b", None)
    publish(world)
    assert ops(world) == {first.pk: "f", second.pk: "a", gone[0].pk: "f", gone[1].pk: "f"}
    assert get_version(world.dataset, "1").rows_live == 1


def test_an_older_decision_that_commits_late_is_stale(world, records):
    """Gotchas 1 and 3: its waiting row has the smaller id, and it must neither be lost nor overwrite the newer label."""
    late = world.decide("a", "spam", offer=False)
    reserved = WaitingDecision.objects.create(dataset=world.dataset, decision=late)
    WaitingDecision.objects.filter(pk=reserved.pk).delete()
    newer = world.decide("a", "ham")
    assert publish(world).number == 1
    WaitingDecision.objects.create(pk=reserved.pk, dataset=world.dataset, decision=late)
    publication = publish(world)
    assert (publication.state, publication.number) == ("empty", None)
    assert ops(world) == {newer.pk: "a", late.pk: "s"}
    assert world.dataset.head == 1
    assert records(world.dataset, 1)["a"]["label"] == {"label": "ham"}


def test_an_empty_publication_uses_no_number(world):
    world.decide("a", "spam"), world.decide("a", None)
    assert publish(world).state == "empty"
    world.decide("b", "spam")
    assert publish(world).number == 1
    assert list(DatasetEntry.objects.filter(op="f").values_list("version", flat=True)) == [None, None]


def test_what_offers_nothing(world):
    world.decide("sentinel", "spam", purpose="sentinel")
    world.decide("escalated", None, verdict="escalated")
    world.decide("rejected", None)
    assert not WaitingDecision.objects.exists()
    world.decide("audited", "spam")
    world.decide("audited", None, purpose="audit")
    assert WaitingDecision.objects.count() == 1


def test_offering_twice_changes_nothing(world):
    decision = world.decide("a", "spam")
    services.offer_decision(decision=decision)
    assert WaitingDecision.objects.count() == 1
    publish(world)
    services.offer_decision(decision=decision)
    assert not WaitingDecision.objects.exists()
    rejected = world.decide("a", None)
    services.offer_decision(decision=rejected)
    publish(world)
    services.offer_decision(decision=rejected)
    assert not WaitingDecision.objects.exists()
    assert ops(world) == {decision.pk: "a", rejected.pk: "r"}


def test_withdrawing(world):
    waiting, published = world.decide("a", "spam"), world.decide("b", "spam", offer=False)
    assert services.withdraw_decision(decision_id=published.pk), "never offered"
    assert services.withdraw_decision(decision_id=waiting.pk)
    assert not WaitingDecision.objects.exists()
    services.offer_decision(decision=published)
    publish(world)
    assert not services.withdraw_decision(decision_id=published.pk)
    claimed = world.decide("c", "spam")

    def while_claimed(point):
        if point == "claimed":
            assert not services.withdraw_decision(decision_id=claimed.pk)

    services.publish(world.dataset.pk, pause=while_claimed)
    assert ops(world)[claimed.pk] == "a"


def test_a_published_decision_that_is_withdrawn_after_all_can_carry_its_own_removal(world, records):
    decision = world.decide("a", "spam")
    world.decide("b", "spam")
    publish(world)
    services.offer_removal(decision=decision)
    assert not services.withdraw_decision(decision_id=decision.pk), "it is published; the removal stands"
    publish(world)
    assert set(records(world.dataset, 2)) == {"b"}
    assert set(records(world.dataset, 1)) == {"a", "b"}
    assert list(
        DatasetEntry.objects.filter(decision_id=decision.pk).order_by("id").values_list("op", "removes")
    ) == [
        ("a", False),
        ("r", True),
    ]
    services.offer_removal(decision=decision)
    assert not WaitingDecision.objects.exists()


def test_people_are_pseudonyms_within_a_dataset(world, records):
    world.decide("a", "spam", by=world.rita)
    world.decide("b", "spam", by=world.lea)
    world.decide("c", "spam", by=world.rita)
    publish(world)
    found = records(world.dataset, 1)
    assert found["a"]["decided_by"] == found["c"]["decided_by"] != found["b"]["decided_by"]
    other = World("other")
    other.decide("a", "spam", by=world.rita)
    publish(other)
    assert records(other.dataset, 1)["a"]["decided_by"] != found["a"]["decided_by"]


def test_json_is_kept_as_it_was_sent(world, records, storage_root):
    text = {"text": "line\nbreak", "n": 1.50, "big": 2**63 - 1, "tiny": 5e-324, "deep": [[{"ä": "😀"}]]}
    world.predict("a", input=text)
    world.decide("a", "spam")
    publish(world)
    assert records(world.dataset, 1)["a"]["input"] == text
    assert services.verify_version(dataset=world.dataset, number=1, full=True).is_intact


@pytest.mark.parametrize(
    ("task_type", "predicted", "label", "shown"),
    [
        ("multilabel", {"labels": ["b", "a", "b"]}, {"labels": ["c"]}, {"labels": ["b", "a"]}),
        ("text", {"text": "x", "words": [{"text": "x", "confidence": 1}]}, {"text": "y"}, {"text": "x"}),
        (
            "fields",
            {"fields": {"total": "9.00", "date": None}, "confidences": {"total": 0.8}},
            {"fields": {"total": "8.00", "date": None}},
            {"fields": {"total": "9.00", "date": None}},
        ),
        (
            "spans",
            {"spans": [{"start": 0, "end": 2, "label": "PER"}]},
            {"spans": []},
            {"spans": [{"start": 0, "end": 2, "label": "PER"}]},
        ),
    ],
)
def test_predicted_labels_are_plain_labels(db, storage_root, records, task_type, predicted, label, shown):
    world = World(task_type=task_type, slug=task_type)
    world.predict("a", predicted)
    world.decide("a", label)
    publish(world)
    found = records(world.dataset, 1)["a"]
    assert (found["label"], found["predicted_label"]) == (label, shown)


def test_a_request_is_published_with_its_note_and_tag(world):
    by = world.actor(world.lea)
    world.decide("a", "spam")
    first = services.request_publication(dataset=world.dataset, by=by, note="one", tag="may")
    world.decide("b", "spam")
    second = services.request_publication(dataset=world.dataset, by=by, note="two", tag="june")
    assert first == second, "nothing is frozen yet, so both wait for the same publication"
    publish(world)
    version = get_version(world.dataset, "may")
    assert version == get_version(world.dataset, "june")
    assert (version.rows_live, version.note, version.created_by) == (2, "one\ntwo", world.lea)


def test_a_request_during_a_publication_waits_for_the_next(world):
    by = world.actor(world.lea)
    world.decide("a", "spam")

    def meanwhile(point):
        if point == "written":
            assert services.request_publication(dataset=world.dataset, by=by).state == "open", (
                "it is in this one"
            )
            world.decide("b", "spam")
            assert services.request_publication(dataset=world.dataset, by=by).state == "queued"

    services.publish(world.dataset.pk, pause=meanwhile)
    assert get_version(world.dataset, "latest").rows_live == 1
    assert publish(world).number == 2
    assert Publication.objects.filter(state="queued").count() == 0


def test_a_request_with_nothing_new(world):
    by = world.actor(world.lea)
    assert services.request_publication(dataset=world.dataset, by=by, tag="empty") is None
    assert not DatasetTag.objects.exists()
    world.decide("a", "spam")
    publish(world)
    assert services.request_publication(dataset=world.dataset, by=by, tag="release") is None
    assert get_version(world.dataset, "release").number == 1
    assert not Publication.objects.exclude(state="done").exists()


def test_a_request_is_refused_with_a_tag_that_cannot_be(world):
    by = world.actor(world.lea)
    world.decide("a", "spam")
    publish(world)
    services.set_tag(dataset=world.dataset, number=1, name="kept", by=by, protected=True)
    world.decide("b", "spam")
    with pytest.raises(ConflictError, match="protected"):
        services.request_publication(dataset=world.dataset, by=by, tag="kept")
    with pytest.raises(InvalidError):
        services.request_publication(dataset=world.dataset, by=by, tag="v2")
    assert not Publication.objects.filter(state="queued").exists()


def test_a_queued_publication_whose_decisions_were_withdrawn_closes(world):
    decision = world.decide("a", "spam")
    services.request_publication(dataset=world.dataset, by=world.actor(world.lea))
    services.withdraw_decision(decision_id=decision.pk)
    assert publish(world).state == "empty"
    assert world.dataset.head == 0


def test_due_by_time_by_number_by_request(world, django_assert_num_queries):
    now = timezone.now()
    due = [world.dataset.pk]
    assert services.publish_due(now) == []
    world.decide("a", "spam")
    assert services.publish_due(now) == []
    assert services.publish_due(now + timedelta(seconds=901)) == due
    Project.objects.update(publish_after_decisions=2)
    assert services.publish_due(now) == []
    world.decide("b", "spam")
    with django_assert_num_queries(1):
        assert services.publish_due(now) == due
    publish(world)
    assert services.publish_due(now) == []
    world.decide("c", "spam")
    services.request_publication(dataset=world.dataset, by=None)
    assert services.publish_due(now) == due


def test_due_when_a_worker_died_or_failed_a_while_ago(world):
    now = timezone.now()
    world.decide("a", "spam")

    def look(point):
        if point == "written":
            assert services.publish_due(now + timedelta(days=1)) == [world.dataset.pk], (
                "the lock may have leaked"
            )
            assert services.publish_due(now) == [], "somebody is at it"
            raise MemoryError

    with pytest.raises(MemoryError):
        services.publish(world.dataset.pk, now=now, pause=look)
    assert services.publish_due(now + timedelta(seconds=8)) == [], "it failed a moment ago"
    assert services.publish_due(now + timedelta(seconds=10)) == [world.dataset.pk]
    Publication.objects.update(attempt=4)
    assert services.publish_due(now + timedelta(minutes=4)) == [], "the pause grows with each attempt"
    assert services.publish_due(now + timedelta(minutes=6)) == [world.dataset.pk]
    Publication.objects.update(error="")
    assert services.publish_due(now) == [world.dataset.pk], "no error and no lock: its worker died"


def test_a_full_storage_is_tried_again_soon_after_there_is_room(world):
    """Its attempts are not counted, so the pause follows how long the storage has been full: 3 s to a minute."""
    now = timezone.now()
    world.decide("a", "spam")

    def fill(point):
        if point == "built":
            raise StorageError("storage_full", "full")

    with pytest.raises(StorageError):
        services.publish(world.dataset.pk, now=now, pause=fill)
    for lasted, pause in [(timedelta(), 3), (timedelta(minutes=2), 12), (timedelta(days=2), 60)]:
        Publication.objects.update(opened_at=now - lasted, attempt=0)
        assert services.publish_due(now + timedelta(seconds=pause - 1)) == []
        assert services.publish_due(now + timedelta(seconds=pause + 1)) == [world.dataset.pk]


def fail(world, times=5):
    def poison(point):
        if point == "built":
            raise MemoryError

    for _ in range(times):
        with pytest.raises(MemoryError):
            services.publish(world.dataset.pk, pause=poison)


def test_a_batch_that_always_fails_does_not_block_the_dataset(world, records):
    """Gotcha 11: after five attempts its claims are given back, and tried again in smaller batches after what is new."""
    poisoned = world.decide("poisoned", "spam")
    fail(world)
    publication = Publication.objects.get()
    assert (publication.state, publication.attempt, publication.error) == ("open", 5, "MemoryError: ")
    world.decide("healthy", "spam")
    WaitingDecision.objects.filter(publication=None).update(since=timezone.now() - timedelta(hours=1))
    assert publish(world).state == "failed"
    waiting = WaitingDecision.objects.get(decision=poisoned)
    assert (waiting.publication, waiting.failures) == (None, 1)
    assert publish(world).number == 1
    assert set(records(world.dataset, 1)) == {"healthy"}
    for _level in range(3):
        fail(world)
        assert publish(world).state == "failed"
    assert publish(world) is None, "it has failed alone; a person has to look"
    assert (get_waiting(world.dataset).decisions, get_waiting(world.dataset).stuck) == (1, 1)
    assert services.publish_due(timezone.now() + timedelta(days=1)) == []
    assert services.retry_stuck(dataset=world.dataset, by=None) == 1
    assert publish(world).number == 2
    assert set(records(world.dataset, 2)) == {"healthy", "poisoned"}


def test_a_batch_given_back_never_overtakes_what_was_offered_later(world, records):
    """Neither a later label nor a later removal, which finds nothing and must be remembered for that."""
    world.decide("labelled", "spam"), world.decide("removed", "spam")
    fail(world)
    WaitingDecision.objects.update(since=timezone.now())
    world.decide("labelled", "ham"), world.decide("removed", None)
    WaitingDecision.objects.filter(publication=None).update(since=timezone.now() - timedelta(hours=1))
    assert publish(world).state == "failed"
    assert publish(world).number == 1
    assert publish(world).state == "empty"
    assert {key: row["label"] for key, row in records(world.dataset, 1).items()} == {
        "labelled": {"label": "ham"}
    }
    assert sorted(ops(world).values()) == ["a", "f", "s", "s"]
    world.decide("removed", "ham")
    publish(world)
    assert set(records(world.dataset, 2)) == {"labelled", "removed"}


def test_frozen_rows_refuse_change(world):
    world.decide("a", "spam")
    publish(world)
    for model, change in (
        (DatasetVersion, {"note": "x"}),
        (DatasetEntry, {"op": "f"}),
        (DatasetSegment, {"sha256": "0"}),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            model.objects.update(**change)
        with pytest.raises(IntegrityError), transaction.atomic():
            model.objects.all().delete()


def test_no_decision_can_be_in_the_ledger_twice(world):
    """Gotcha: exactly once is enforced by the database, not by us."""
    decision = world.decide("a", "spam")
    publish(world)
    WaitingDecision.objects.create(dataset=world.dataset, decision=decision)
    with pytest.raises(IntegrityError, match="one_ledger_entry_per_decision"):
        publish(world)
    publication = Publication.objects.get(state="open")
    assert publication.attempt == 1
    assert "one_ledger_entry_per_decision" in publication.error
    assert world.dataset.head == 1
    assert get_waiting(world.dataset).publication == publication
    assert Decision.objects.count() == 1

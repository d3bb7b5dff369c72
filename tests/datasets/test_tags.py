"""Names for versions: what may be one, how it moves, and that a protected one does not."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from labeling.datasets import services
from labeling.datasets.models import DatasetTag, DatasetTagEvent
from labeling.datasets.queries import get_version, list_tags
from labeling.datasets.tags import check_tag_name
from labeling.errors import ConflictError, InvalidError, NotFoundError
from labeling.history.models import HistoryEvent


@pytest.fixture
def versions(world):
    """Three versions."""
    for label in ("spam", "ham", "spam"):
        world.decide("a", label)
        services.publish(world.dataset.pk)
    return world.dataset


@pytest.mark.parametrize("name", ["a", "0.1", "release-2026.01", "v1beta", "v", "1a", "x" * 64])
def test_names(name):
    check_tag_name(name)


@pytest.mark.parametrize(
    "name", ["", "v12", "v0", "12", "0", "latest", "A", "-a", ".a", "a b", "ä", "x" * 65, "a\n", "a/b"]
)
def test_what_is_no_name(name):
    """Gotcha 14: `v12` is the number, for ever."""
    with pytest.raises(InvalidError):
        check_tag_name(name)


def test_a_tag_is_put_moved_and_removed(versions, world):
    by = world.actor(world.lea)
    services.set_tag(dataset=versions, number=1, name="good", by=by)
    services.set_tag(dataset=versions, number=1, name="good", by=by)
    services.set_tag(dataset=versions, number=3, name="good", by=by)
    assert get_version(versions, "good").number == 3
    with pytest.raises(NotFoundError):
        services.remove_tag(dataset=versions, number=1, name="good", by=by)
    services.remove_tag(dataset=versions, number=3, name="good", by=by)
    with pytest.raises(NotFoundError):
        get_version(versions, "good")
    events = DatasetTagEvent.objects.order_by("id").values_list("from_version", "to_version", "by")
    assert list(events) == [(None, 1, world.lea.pk), (1, 3, world.lea.pk), (3, None, world.lea.pk)]
    assert HistoryEvent.objects.filter(action__in=["dataset.tagged", "dataset.untagged"]).count() == 4


def test_a_protected_tag_stays(versions, world):
    by = world.actor(world.lea)
    services.set_tag(dataset=versions, number=2, name="paper", by=by, protected=True)
    for refused in (
        lambda: services.set_tag(dataset=versions, number=3, name="paper", by=by),
        lambda: services.set_tag(dataset=versions, number=3, name="paper", by=by, protected=False),
        lambda: services.remove_tag(dataset=versions, number=2, name="paper", by=by),
    ):
        with pytest.raises(ConflictError, match="protected"):
            refused()
    assert services.set_tag(dataset=versions, number=2, name="paper", by=by).protected
    assert list_tags(versions) == {2: ["paper"]}
    services.set_tag(dataset=versions, number=2, name="paper", by=by, protected=False)
    services.remove_tag(dataset=versions, number=2, name="paper", by=by)


def test_a_tag_that_was_protected_while_a_publication_was_under_way(versions, world):
    by = world.actor(world.lea)
    services.set_tag(dataset=versions, number=1, name="live", by=by)
    world.decide("b", "spam")
    services.request_publication(dataset=versions, by=by, tag="live")
    services.request_publication(dataset=versions, by=by, tag="other")
    services.set_tag(dataset=versions, number=1, name="live", by=by, protected=True)
    publication = services.publish(versions.pk)
    assert publication.number == 4, "the version is not lost for that"
    assert "'live' was protected" in publication.error
    assert list_tags(versions) == {1: ["live"], 4: ["other"]}


def test_references(versions):
    assert [get_version(versions, reference).number for reference in ("2", "v2", "latest")] == [2, 2, 3]
    for reference in ("0", "4", "v0", "none", "", "99999999999", "-1", "a\x00", "٣"):
        with pytest.raises(NotFoundError):
            get_version(versions, reference)


@pytest.mark.slow
def test_two_people_move_a_tag_at_once(live_world):
    """Each move says truly where the tag stood before: nobody overwrites a move without seeing it."""
    for label in ("spam", "ham", "spam", "ham"):
        live_world.decide("a", label)
        services.publish(live_world.dataset.pk)
    dataset = live_world.dataset
    ready = threading.Barrier(2)

    def move(numbers):
        ready.wait()
        for number in numbers:
            services.set_tag(dataset=dataset, number=number, name="race", by=None)
        connection.close()

    movers = [threading.Thread(target=move, args=(numbers,)) for numbers in ([1, 2] * 5, [3, 4] * 5)]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join()
    moves = list(DatasetTagEvent.objects.order_by("id").values_list("from_version", "to_version"))
    assert len(moves) == 20
    assert [before for before, _after in moves] == [None, *(after for _before, after in moves[:-1])]
    assert DatasetTag.objects.get().version == moves[-1][1]

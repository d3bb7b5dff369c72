"""Retention: old inputs go a whole week at a time, what people looked at stays, and every id can still be named."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model

from labeling.history.actor import Actor
from labeling.ids import first_id_at, moment_of
from labeling.ingestion.models import Item
from labeling.ingestion.partitions import drop_old_inputs, ensure_partitions, list_partitions
from labeling.pipeline.projects import create_project
from labeling.review.models import ReviewQueue, ReviewTask

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
OLD = NOW - timedelta(days=60)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    otto = get_user_model().objects.create_superuser("otto")
    by = Actor(otto.pk, "otto", is_admin=True)
    return create_project(
        slug="p", name="P", task_type="classification", label_schema={"labels": ["a", "b"]}, by=by
    )


@pytest.fixture
def items(project):
    """An old item nobody looked at, an old one with a task, and a young one."""
    for moment in (OLD, NOW):
        ensure_partitions(moment)
    ids = {"old": first_id_at(OLD), "seen": first_id_at(OLD) + 1, "young": first_id_at(NOW)}
    for key, number in ids.items():
        Item.objects.create(id=number, project_id=project.pk, key=key, input={"text": key})
    ReviewTask.objects.create(
        id=1,
        project=project,
        queue=ReviewQueue.objects.get(project=project, slug="default"),
        kind="review",
        purpose="review",
        item_id=ids["seen"],
        prediction_id=ids["seen"],
        model_version_id=1,
        confidence=0.8,
        position=1,
    )
    return ids


def inputs():
    return dict(Item.objects.values_list("key", "input"))


def test_old_inputs_go_and_what_people_looked_at_stays(items):
    assert drop_old_inputs(keep=timedelta(days=30), now=NOW)
    assert inputs() == {"old": None, "seen": {"text": "seen"}, "young": {"text": "young"}}


def test_nothing_younger_than_the_retention_is_touched(items):
    assert not drop_old_inputs(keep=timedelta(days=90), now=NOW)
    assert inputs()["old"] == {"text": "old"}


def test_doing_it_again_finds_nothing_to_do(items):
    drop_old_inputs(keep=timedelta(days=30), now=NOW)
    assert not drop_old_inputs(keep=timedelta(days=30), now=NOW)
    assert not ensure_partitions(OLD), "the slim partition takes the old one's place"


def test_partitions_are_made_ahead_once(items):
    before = list_partitions()
    assert not ensure_partitions(NOW)
    assert list_partitions() == before


def test_ids_tell_when_they_were_made():
    assert moment_of(first_id_at(OLD)) == OLD

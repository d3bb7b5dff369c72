"""Retention: old inputs go a whole week at a time, what people looked at stays, and every id can still be named."""

import os
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from labeling.history.actor import Actor
from labeling.ids import first_id_at, moment_of
from labeling.ingestion import partitions
from labeling.ingestion.models import Item
from labeling.ingestion.partitions import (
    drop_old_inputs,
    drop_oldest_inputs,
    ensure_partitions,
    list_partitions,
)
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


def test_a_scarce_disk_takes_the_oldest_week_and_leaves_the_last_two(items):
    last_week = first_id_at(NOW - timedelta(days=7))
    Item.objects.create(
        id=last_week, project_id=Item.objects.first().project_id, key="last week", input={"text": "last week"}
    )
    gone = []
    while name := drop_oldest_inputs(now=NOW):
        gone.append(name)
    assert len(gone) == len(set(gone))
    assert inputs() == {
        "old": None,
        "seen": {"text": "seen"},
        "young": {"text": "young"},
        "last week": {"text": "last week"},
    }


def test_a_copy_that_was_killed_goes_on_where_it_was(items, monkeypatch):
    monkeypatch.setattr(partitions, "_PIECE_ROWS", 1)
    (name,) = {name for name in list_partitions() if "item" in name and count_rows(name) == 2}
    assert partitions._copy_piece(name) == 1
    assert inputs()["old"] == {"text": "old"}, "nothing has changed for readers"
    assert drop_old_inputs(keep=timedelta(days=30), now=NOW)
    assert inputs() == {"old": None, "seen": {"text": "seen"}, "young": {"text": "young"}}


def test_what_comes_back_into_review_during_the_copy_keeps_its_input(items):
    (name,) = {name for name in list_partitions() if "item" in name and count_rows(name) == 2}
    while partitions._copy_piece(name):
        pass
    seen = ReviewTask.objects.get()
    seen.pk, seen.item_id, seen.prediction_id = 2, items["old"], items["old"]
    seen.save(force_insert=True)  # what a recall does

    partitions._swap(name)

    assert inputs()["old"] == {"text": "old"}


def test_one_process_slims_at_a_time(items):
    with psycopg.connect(os.environ["DATABASE_URL"], dbname=connection.settings_dict["NAME"]) as other:
        other.execute("select pg_advisory_lock(%s, %s)", partitions._SLIMMING)
        assert drop_old_inputs(keep=timedelta(days=30), now=NOW) == []
        # A session that is closed keeps its locks until its server process has seen that.
        other.execute("select pg_advisory_unlock(%s, %s)", partitions._SLIMMING)
    assert drop_old_inputs(keep=timedelta(days=30), now=NOW)


def count_rows(name):
    with connection.cursor() as cursor:
        cursor.execute(f"select count(*) from {name}")
        return cursor.fetchone()[0]


def test_ids_tell_when_they_were_made():
    assert moment_of(first_id_at(OLD)) == OLD

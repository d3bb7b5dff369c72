"""After an input has gone by retention, everything that was answered is answered the same."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.ingestion.models import Item
from labeling.ingestion.partitions import drop_old_inputs
from tests.world import World, a_row


@pytest.fixture
def after_retention(world: World) -> list[dict[str, object]]:
    """Rows that were accepted long ago: an automatic one, and one that went to people."""
    rows = [a_row(confidence=0.97), a_row(confidence=0.8)]
    for row in rows:
        world.api("otto").predict(row).expect(201)
    assert drop_old_inputs(keep=timedelta(days=30), now=timezone.now() + timedelta(days=60))
    assert list(Item.objects.order_by("pk").values_list("input", flat=True)) == [None, rows[1]["input"]]
    return rows


def test_sent_again_it_is_known(world: World, after_retention: list[dict[str, object]]) -> None:
    otto = world.api("otto")
    for row in after_retention:
        answer = otto.predict(row).expect(200)
        assert answer["created"] is False
        (line,) = otto.predict([row]).expect(200)["results"]
        assert (line["status"], line["prediction_id"]) == ("duplicate", answer["prediction_id"])


def test_other_content_under_the_same_key_is_refused(
    world: World, after_retention: list[dict[str, object]]
) -> None:
    otto = world.api("otto")
    for row in after_retention:
        otto.predict({**row, "confidence": 0.11}).expect_problem(409, "prediction_conflict")
        otto.predict({**row, "model_version": "other", "input": {"text": "another"}}).expect_problem(
            409, "item_conflict"
        )


def test_a_further_prediction_for_it_is_taken(world: World, after_retention: list[dict[str, object]]) -> None:
    row = {**after_retention[0], "model_version": "next"}
    assert world.api("otto").predict(row).expect(201)["created"] is True


def test_the_feed_and_the_item_still_tell_its_outcome(
    world: World, after_retention: list[dict[str, object]]
) -> None:
    otto = world.api("otto")
    automatic = after_retention[0]
    (entry,) = otto.outcomes()
    assert (entry["id"], entry["output"]) == (automatic["id"], automatic["prediction"])
    assert otto.story(str(automatic["id"]))["input"] is None

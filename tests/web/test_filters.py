"""The review page with a filter: chips, what comes next, and when nothing matches."""

from __future__ import annotations

import re

import pytest

from labeling.datasets.models import Dataset
from labeling.datasets.services import publish
from labeling.decisions.models import Decision
from labeling.review.models import ReviewTask
from tests.web.conftest import As
from tests.web.reading import FRAGMENT, desk_of, desks_of, words_of
from tests.world import World, a_row

REVIEW = "/projects/letters/review/default/"


@pytest.fixture(autouse=True)
def letters(world: World) -> None:
    """Six tasks, every second one from the south."""
    rows = [a_row(id=f"l-{n}", segment="south" if n % 2 else "north") for n in range(1, 7)]
    world.api("otto").predict(rows).expect(200)


def test_the_address_says_what_is_shown_and_chips_take_parts_away(as_: As) -> None:
    page = as_("rita").get(f"{REVIEW}?segment=north&max_confidence=0.9&q=")
    assert desk_of(page)["item"] == "l-2"
    chips = re.findall(r'class="filter is-on"\s*href="([^"]*)"', page.content.decode())
    assert chips == [f"{REVIEW}?max_confidence=0.9", f"{REVIEW}?segment=north"]
    assert "Segment north" in words_of(page)


def test_what_comes_next_fits_too(as_: As, world: World) -> None:
    rita = as_("rita")
    desk = desk_of(rita.get(f"{REVIEW}?segment=north"))
    form = {
        "token": desk["token"],
        "action": "submit",
        "label": "a",
        "queue": "default",
        "filter": "segment=north",
    }
    answer = rita.post(f"/projects/letters/tasks/{desk['task']}/decide/", form, headers=FRAGMENT)
    assert [one["item"] for one in desks_of(answer)] == ["l-4", "l-6"]
    plain = {**form, "token": desks_of(answer)[0]["token"]}
    redirected = rita.post(f"/projects/letters/tasks/{desks_of(answer)[0]['task']}/decide/", plain)
    assert redirected.headers["Location"] == f"{REVIEW}?segment=north"
    assert Decision.objects.count() == 2


def test_what_one_holds_already_is_shown_only_where_it_fits(as_: As) -> None:
    rita = as_("rita")
    assert desk_of(rita.get(REVIEW))["item"] == "l-1"
    assert desk_of(rita.get(f"{REVIEW}?segment=north"))["item"] == "l-2"
    assert desk_of(rita.get(f"{REVIEW}?segment=south"))["item"] == "l-1"


def test_nothing_matches_says_how_many_wait_without_it(as_: As) -> None:
    rita = as_("rita")
    text = words_of(rita.get(f"{REVIEW}?segment=east"))
    assert "Nothing matches this filter 6 wait without it." in text
    assert "Review without the filter" in text
    more = rita.post(
        "/projects/letters/tasks/more/", {"queue": "default", "filter": "segment=east"}, headers=FRAGMENT
    )
    assert "6 wait without it" in words_of(more)
    assert ReviewTask.objects.filter(state="claimed").count() == 0


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("min_confidence=2", "min_confidence is a number from 0 to 1"),
        ("model_version=nope", "there is no model version"),
        ("q=%00", "no U+0000"),
    ],
)
def test_a_filter_that_cannot_be_comes_back_in_its_form(as_: As, query: str, words: str) -> None:
    page = as_("rita").get(f"{REVIEW}?{query}")
    assert page.status_code == 422
    assert words in words_of(page)
    assert ReviewTask.objects.filter(state="claimed").count() == 0


def test_with_a_broken_filter_nothing_is_decided(as_: As) -> None:
    rita = as_("rita")
    desk = desk_of(rita.get(REVIEW))
    form = {"token": desk["token"], "action": "submit", "label": "a", "filter": "min_confidence=x"}
    assert (
        rita.post(f"/projects/letters/tasks/{desk['task']}/decide/", form, headers=FRAGMENT).status_code
        == 422
    )
    assert Decision.objects.count() == 0


def test_the_form_offers_labels_and_versions(as_: As) -> None:
    page = as_("rita").get(f"{REVIEW}filter/?label=b", headers=FRAGMENT)
    assert "<html" not in page.content.decode()
    assert '<option value="b" selected>' in page.content.decode()
    assert "reader 1" in words_of(page)


def test_my_last_decisions_say_what_can_be_undone(as_: As, world: World) -> None:
    rita = world.api("rita")
    made = [rita.decide(rita.claim_one(), "confirmed").expect(201)["decision"] for _ in range(2)]
    publish(Dataset.objects.get(project=world.letters).pk)
    rita.undo(rita.decide(rita.claim_one(), "confirmed").expect(201)["decision"]).expect(200)
    rita.decide(rita.claim_one(), "escalated").expect(201)
    world.api("lea").claim_one(queue="leads")
    rita.decide(rita.claim_one(), "rejected").expect(201)
    page = as_("rita").get("/projects/letters/tasks/mine/", headers=FRAGMENT)
    text = words_of(page)
    assert text.count("published") == len(made) + 1  # the word, and in the hint above
    assert text.count("a lead is looking at it") == 1
    assert text.count("undone") == 2  # the word, and in the hint above
    assert page.content.decode().count("data-undo") == 1

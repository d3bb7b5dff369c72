"""The same work as plain forms, in a browser that runs no script."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from labeling.review.models import ReviewTask, TaskState
from tests.journeys.desk import decisions, send
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Open = Callable[..., Page]


@pytest.fixture
def page(open_browser: Open) -> Page:
    """Rita's browser without scripts."""
    return open_browser("rita", java_script_enabled=False)


def test_labels(page: Page, live_world: World) -> None:
    project = live_world.letters
    send(live_world, project, *({"id": f"l-{n}"} for n in range(1, 7)))
    page.goto("/projects/letters/review/")
    desk = page.locator("form.desk")
    expect(desk).to_have_attribute("data-item", "l-1")
    expect(page.get_by_role("button", name="Save this answer")).to_be_visible()
    expect(page.get_by_text("Type to filter")).to_have_count(0)
    page.get_by_role("button", name="Save this answer").click()
    expect(desk).to_have_attribute("data-item", "l-2")
    expect(page.locator("#toasts")).to_contain_text("l-1 confirmed")
    page.get_by_role("radio", name="b").check(force=True)
    page.keyboard.press("Enter")  # a form's first submit button is "save"
    expect(desk).to_have_attribute("data-item", "l-3")
    page.get_by_role("button", name="Skip").click()
    expect(desk).to_have_attribute("data-item", "l-4")
    page.locator("summary", has_text="Note").click()
    page.get_by_role("textbox", name="Note").fill("smudged")
    page.get_by_role("button", name="None fits").click()
    expect(desk).to_have_attribute("data-item", "l-5")
    page.get_by_role("button", name="Escalate").click()
    expect(desk).to_have_attribute("data-item", "l-6")
    page.get_by_role("button", name="Undo").first.click()
    expect(desk).to_have_attribute("data-item", "l-5")
    assert decisions(project) == [
        ("l-1", "confirmed", {"label": "a"}),
        ("l-2", "corrected", {"label": "b"}),
        ("l-4", "rejected", None),
    ]
    page.reload()
    expect(desk).to_have_attribute("data-item", "l-5")
    page.get_by_role("link", name="Guidelines").click()
    expect(page.locator("h1")).to_have_text("Guidelines")
    expect(page.locator(".page-head")).to_contain_text("What reviewers of Letters go by")


def test_a_text_and_a_refused_form(page: Page, live_world: World) -> None:
    lines = live_world.make_project("lines", "text")
    send(
        live_world,
        lines,
        {"id": "t-1", "prediction": {"text": "one\ntwo"}},
        {"id": "t-2", "prediction": {"text": "x"}},
    )
    page.goto("/projects/lines/review/")
    page.get_by_role("button", name="Save this answer").click()
    page.get_by_role("textbox", name="Text, editable").fill("y")
    page.get_by_role("button", name="Save this answer").click()
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    assert decisions(lines) == [
        ("t-1", "confirmed", {"text": "one\ntwo"}),
        ("t-2", "corrected", {"text": "y"}),
    ]

    counts = live_world.make_project("counts", "fields", label_schema={"fields": {"n": {"type": "number"}}})
    send(live_world, counts, {"id": "c-1", "prediction": {"fields": {"n": 1}}})
    page.goto("/projects/counts/review/")
    page.get_by_label("n", exact=True).fill("many")
    page.get_by_role("button", name="Save this answer").click()
    expect(page.locator("#toasts")).to_contain_text("number")
    expect(page.get_by_label("n", exact=True)).to_have_value("many")
    page.get_by_label("n", exact=True).fill("2")
    page.get_by_role("button", name="Save this answer").click()
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    assert decisions(counts) == [("c-1", "corrected", {"fields": {"n": 2}})]


def test_a_claim_that_somebody_else_has_now(page: Page, live_world: World) -> None:
    send(live_world, live_world.letters, {"id": "l-1"}, {"id": "l-2"})
    page.goto("/projects/letters/review/")
    ReviewTask.objects.filter(state=TaskState.CLAIMED).update(
        state="waiting", claimed_by=None, claim_token=None, claimed_at=None, lease_expires_at=None
    )
    rolf = live_world.api("rolf")
    rolf.decide(rolf.claim_one(), "confirmed").expect(201)
    page.get_by_role("radio", name="c").check(force=True)
    page.get_by_role("button", name="Save this answer").click()
    expect(page.get_by_role("alert")).to_contain_text("rolf decided this one meanwhile.")
    expect(page.get_by_role("heading", name="What you entered")).to_be_visible()
    page.get_by_role("link", name="Next task").click()
    expect(page.locator("form.desk")).to_have_attribute("data-item", "l-2")

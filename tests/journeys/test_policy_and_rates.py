"""A lead changes the policy in the form, sees what it would have done, saves, and sees the effect on the rates."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Page, expect

from labeling.routing.queries import get_policy
from tests.world import World, a_row

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def traffic(live_world: World) -> None:
    """Forty predictions of all tiers, of which Rita has answered those that need her."""
    rows = [a_row(id=f"m-{n}", confidence=0.72 + n / 200) for n in range(36)]
    rows += [a_row(id=f"h-{n}", confidence=0.99) for n in range(2)]
    rows += [a_row(id=f"l-{n}", confidence=0.3) for n in range(2)]
    live_world.api("otto").predict(rows).expect(200)
    rita = live_world.api("rita")
    for number, task in enumerate(rita.claim(38)):
        blind = task["kind"] == "label"
        verdict = ["labelled", {"label": "a"}] if blind else ["corrected", {"label": "b"}]
        rita.decide(task, *(verdict if blind or number % 9 == 0 else ["confirmed"]), seconds=5).expect(201)


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.usefixtures("traffic")
def test_a_lead_changes_the_policy_and_sees_the_effect(
    width: int, open_browser: Callable[..., Page], live_world: World
) -> None:
    project = live_world.letters
    page = open_browser("lea", width=width)
    page.goto("/projects/letters/policy/")
    preview = page.locator("#preview")
    expect(preview).to_contain_text("Nothing: the draft is v1.")

    page.get_by_label("High", exact=True).first.fill("7")
    expect(page.locator("#id_high_error")).to_have_text("high must be a number from 0 to 1")
    expect(preview).to_contain_text("This cannot be saved as it is.")
    page.get_by_label("High", exact=True).first.fill("0.8")
    expect(page.locator("#id_high_error")).to_be_hidden()
    expect(preview).to_contain_text("High: 0.95 → 0.80")
    automatic = preview.get_by_role("row", name="Automatic", exact=False).first
    expect(automatic).to_contain_text("5.0")
    expect(automatic).to_contain_text("+")
    expect(preview.get_by_role("row", name="Reviewer hours, a day")).to_contain_text("at 5 s a decision")
    page.get_by_role("button", name="Add", exact=True).first.click()
    page.locator("[name=exception_label]").last.fill("c")
    page.locator("[name=exception_then]").last.select_option("force")
    expect(preview).to_contain_text("label is c: always review")
    page.get_by_label("Why this change").fill("The queue is long")
    page.get_by_role("button", name="Save as v2").click()
    expect(page.get_by_role("status").first).to_contain_text("Saved as v2.")
    assert get_policy(project, 2).body["overrides"] == [{"label": "c", "force_review": True}]
    versions = page.locator("#versions")
    expect(versions).to_contain_text("The queue is long")
    versions.get_by_text("2 changes").click()
    expect(versions).to_contain_text("High: 0.95 → 0.80")
    expect(versions.get_by_role("link", name="Go back to v1")).to_be_visible()

    answer = live_world.api("otto").predict([a_row(id="new", confidence=0.85)]).expect(200)
    assert answer["results"][0]["route"] == "auto"
    forced = a_row(id="forced", confidence=0.99, prediction={"label": "c"})
    assert live_world.api("otto").predict([forced]).expect(200)["results"][0]["route"] == "review"

    page.goto("/projects/letters/trust/")
    changes = page.get_by_role("list", name="What changed")
    expect(changes).to_contain_text("Policy v2: The queue is long")
    expect(page.locator("svg .flag-t", has_text="A").first).to_be_visible()
    now = page.locator("#now")
    expect(now).to_contain_text("37 of 42 predictions")
    now.locator(".stat", has_text="Confirmed unchanged").get_by_role("link").click()
    told = page.get_by_role("region", name="How this number is made")
    for part in ("Above", "Below", "Who counts", "How", "Range", "Do not read it as accuracy."):
        expect(told).to_contain_text(part)
    told.get_by_role("link", name="The items").click()
    expect(page).to_have_url(re.compile("verdict=corrected"))
    page.go_back()

    with page.expect_download() as csv_file:
        page.get_by_role("link", name="CSV", exact=True).first.click()
    rates = list(csv.DictReader(Path(csv_file.value.path()).read_text().splitlines()))
    api = live_world.api("lea").get("/api/v1/projects/letters/trust/").expect(200)
    (review,) = [row for row in rates if row["rate"] == "review_rate"]
    assert float(review["value"]) == api["now"]["review_rate"]["value"]
    assert (int(review["count"]), int(review["n"])) == (37, 42)
    with page.expect_download() as svg_file:
        page.get_by_role("link", name="SVG", exact=True).click()
    picture = ElementTree.parse(svg_file.value.path()).getroot()
    texts = " ".join(picture.itertext())
    assert "Policy v2: The queue is long" in texts
    assert "Is the confidence honest?" in texts
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.usefixtures("traffic")
def test_without_scripts_a_draft_is_tried_and_saved(
    open_browser: Callable[..., Page], live_world: World
) -> None:
    page = open_browser("lea", java_script_enabled=False)
    page.goto("/projects/letters/policy/")
    expect(page.locator("#preview")).to_contain_text("Press Preview")
    page.get_by_label("High", exact=True).first.fill("0.8")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview")).to_contain_text("High: 0.95 → 0.80")
    expect(page.get_by_label("High", exact=True).first).to_have_value("0.8")
    page.get_by_label("Why this change").fill("By hand")
    page.get_by_role("button", name="Save as v2").click()
    expect(page.get_by_role("status").first).to_contain_text("Saved as v2.")
    page.get_by_role("link", name="Go back to v1").click()
    expect(page.get_by_label("High", exact=True).first).to_have_value("0.95")
    page.get_by_role("button", name="Save as v3").click()
    assert get_policy(live_world.letters, 3).body == get_policy(live_world.letters, 1).body
    assert get_policy(live_world.letters, 3).note == "Back to v1"

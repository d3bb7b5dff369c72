"""Reviewing with the keyboard alone, for each kind of answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from labeling.projects.services import set_own_keys
from tests.journeys.desk import Desk, decisions, send
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Open = Callable[..., Page]

at_both_widths = pytest.mark.parametrize("width", [1440, 390])
"""A window of 390 px is a phone with a keyboard, and any screen at 400 % zoom."""


@at_both_widths
def test_a_newcomer_signs_in_and_works_through_a_queue(
    width: int, open_browser: Open, live_world: World
) -> None:
    live_world.rita.user.set_password("correct horse battery")
    live_world.rita.user.save()
    project = live_world.make_project(
        "disputes", label_schema={"labels": ["suspicious", "legitimate", "testing"]}
    )
    send(
        live_world, project, *({"id": f"txn-{n}", "prediction": {"label": "suspicious"}} for n in range(1, 9))
    )
    page = open_browser(width=width)
    page.goto("/")
    page.keyboard.type("rita")
    page.keyboard.press("Tab")
    page.keyboard.type("correct horse battery")
    page.keyboard.press("Enter")
    expect(page).to_have_url("http://" + page.url.split("/")[2] + "/")
    expect(page.locator("h1")).to_have_text("Projects")
    page.keyboard.press("r")
    desk = Desk(page, project)
    desk.shows("txn-1")
    expect(desk.verdict).to_have_text("suspicious")
    expect(desk.here).to_contain_text("Here because 0.80 is between 0.70 and 0.95 (policy v1).")
    desk.has_next()

    desk.press("Enter")  # confirm
    desk.shows("txn-2")
    desk.says("txn-1 confirmed")

    desk.press("2")  # another label, then confirm
    expect(desk.verdict).to_have_text("legitimate")
    expect(desk.primary).to_contain_text("Save correction")
    desk.press("Enter")
    desk.shows("txn-3")
    desk.says("txn-2 corrected to legitimate")

    desk.press("s")
    desk.shows("txn-4")
    desk.press("x")
    desk.shows("txn-5")
    desk.press("f")
    desk.shows("txn-6")
    desk.says("txn-5 sent to the leads")

    desk.press("n")
    page.keyboard.type("seen twice")  # letters are no commands while typing
    desk.press("Control+Enter")
    desk.shows("txn-7")
    desk.says("txn-6 confirmed")

    desk.press("u")  # take the last one back
    desk.shows("txn-6")
    desk.says("Undone")
    desk.press("3", "Enter")
    desk.shows("txn-7")
    desk.says("txn-6 corrected to testing")
    desk.settles()
    assert decisions(project) == [
        ("txn-1", "confirmed", {"label": "suspicious"}),
        ("txn-2", "corrected", {"label": "legitimate"}),
        ("txn-4", "rejected", None),
        ("txn-5", "escalated", None),
        ("txn-6", "corrected", {"label": "testing"}),
    ]
    expect(page.locator("#today")).to_contain_text("5")


def test_digits_with_shift_and_the_filter_choose_among_twenty_labels(
    open_browser: Open, live_world: World
) -> None:
    labels = [f"label {number}" for number in range(1, 21)]
    project = live_world.make_project("twenty", label_schema={"labels": labels})
    send(live_world, project, *({"id": f"t-{n}", "prediction": {"label": "label 1"}} for n in range(1, 4)))
    desk = Desk(open_browser("rita"), project).open()
    desk.press("Shift+Digit2")
    expect(desk.verdict).to_have_text("label 12")
    desk.press("0")
    expect(desk.verdict).to_have_text("label 10")
    desk.press("Enter")
    desk.shows("t-2")
    desk.press("/")
    desk.page.keyboard.type("17")
    expect(desk.here.locator(".label-row:visible")).to_have_count(1)
    desk.press("Enter")
    expect(desk.verdict).to_have_text("label 17")
    desk.press("Enter")
    desk.shows("t-3")
    desk.settles()
    assert [output for _item, _verdict, output in decisions(project)] == [
        {"label": "label 10"},
        {"label": "label 17"},
    ]


def test_on_a_german_keyboard_shift_and_seven_is_the_slash_unless_a_label_has_it(
    open_browser: Open, live_world: World
) -> None:
    labels = [f"label {number}" for number in range(1, 15)]
    project = live_world.make_project("fourteen", label_schema={"labels": labels})
    send(live_world, project, {"id": "g-1", "prediction": {"label": "label 1"}})
    desk = Desk(open_browser("rita"), project).open()
    press = "(code, key) => document.body.dispatchEvent(new KeyboardEvent('keydown', {code, key, shiftKey: true, bubbles: true}))"
    desk.page.evaluate(f"() => ({press})('Digit7', '/')")
    expect(desk.here.locator("[data-filter]")).to_be_focused()
    desk.press("Escape")
    desk.page.evaluate(f"() => ({press})('Digit3', '§')")
    expect(desk.verdict).to_have_text("label 13")


def test_with_more_labels_the_likeliest_five_have_digits(open_browser: Open, live_world: World) -> None:
    labels = [f"label {number}" for number in range(1, 31)]
    project = live_world.make_project("thirty", label_schema={"labels": labels})
    chances = {"label 30": 0.8, "label 7": 0.1, "label 21": 0.05}
    send(live_world, project, {"id": "m-1", "prediction": {"label": "label 30"}, "probabilities": chances})
    desk = Desk(open_browser("rita"), project).open()
    desk.press("2")
    expect(desk.verdict).to_have_text("label 7")
    desk.press("3", "Enter")
    expect(desk.page.locator("#nothing")).to_be_visible()
    desk.settles()
    assert decisions(project) == [("m-1", "corrected", {"label": "label 21"})]


@at_both_widths
def test_several_labels_are_switched_by_digits(width: int, open_browser: Open, live_world: World) -> None:
    project = live_world.make_project(
        "tags", "multilabel", label_schema={"labels": ["angry", "refund", "fraud"]}
    )
    send(live_world, project, *({"id": f"m-{n}", "prediction": {"labels": ["angry"]}} for n in range(1, 4)))
    desk = Desk(open_browser("rita", width=width), project).open()
    desk.press("2")
    expect(desk.verdict).to_have_text("angry, refund")
    desk.press("1", "Enter")
    desk.shows("m-2")
    desk.press("Enter")
    desk.shows("m-3")
    desk.press("1")
    expect(desk.verdict).to_have_text("no label")
    desk.press("Enter")
    desk.settles()
    assert decisions(project) == [
        ("m-1", "corrected", {"labels": ["refund"]}),
        ("m-2", "confirmed", {"labels": ["angry"]}),
        ("m-3", "corrected", {"labels": []}),
    ]


@at_both_widths
def test_text_is_put_right_word_by_word(width: int, open_browser: Open, live_world: World) -> None:
    project = live_world.make_project("lines", "text")
    words = [
        ("we", 0.99),
        ("swapped", 0.9),
        ("the", 0.9),
        ("oaring", 0.4),
        ("and", 0.9),
        ("torqed", 0.5),
        ("it", 0.9),
    ]
    prediction = {
        "text": " ".join(word for word, _c in words),
        "words": [{"text": word, "confidence": confidence} for word, confidence in words],
    }
    send(live_world, project, *({"id": f"l-{n}", "prediction": prediction} for n in range(1, 5)))
    desk = Desk(open_browser("rita", width=width), project).open()
    expect(desk.here.locator("mark")).to_have_text(["oaring", "torqed"])
    desk.press("Tab")
    desk.page.keyboard.type("O-ring")
    desk.press("Tab")
    desk.page.keyboard.type("torqued")
    expect(desk.primary).to_contain_text("Save correction")
    expect(desk.here.locator("[data-changes]")).to_have_text(
        "we swapped the oaringO-ring and torqedtorqued it"
    )
    desk.press("Control+Enter")
    desk.shows("l-2")
    desk.press("e", "End")
    desk.page.keyboard.type(" x")
    desk.press("Backspace", "Backspace", "Escape")  # back to what it was: that confirms
    expect(desk.primary).to_contain_text("Confirm")
    desk.press("Enter")
    desk.shows("l-3")
    desk.press("x")
    desk.shows("l-4")
    desk.settles()
    assert decisions(project) == [
        ("l-1", "corrected", {"text": "we swapped the O-ring and torqued it"}),
        ("l-2", "confirmed", {"text": prediction["text"]}),
        ("l-3", "rejected", None),
    ]


@at_both_widths
def test_fields_are_walked_with_tab_and_enter(width: int, open_browser: Open, live_world: World) -> None:
    project = live_world.make_project(
        "receipts",
        "fields",
        label_schema={
            "fields": {"sum": {"type": "number"}, "note": {}, "paid": {"type": "boolean"}, "company": {}}
        },
    )
    prediction = {
        "fields": {"company": "Nordhof", "sum": 41.8, "paid": True, "note": None},
        "confidences": {"company": 0.99, "sum": 0.58, "paid": 0.65},
    }
    send(live_world, project, *({"id": f"r-{n}", "prediction": prediction} for n in range(1, 5)))
    desk = Desk(open_browser("rita", width=width), project).open()
    expect(desk.here.locator("[data-left]")).to_have_text("2 left to check")
    desk.press("Tab")
    desk.page.keyboard.type("39.91")
    expect(desk.primary).to_contain_text("Accept, 1 change")
    desk.press("Enter")
    expect(desk.here.locator("[data-left]")).to_have_text("1 left to check")
    desk.press("Control+Enter")
    desk.shows("r-2")
    desk.press("Enter")
    desk.shows("r-3")
    desk.has_next()
    desk.press("e")
    desk.page.keyboard.type("much")
    desk.press("Control+Enter")  # no number: it comes back with what was typed
    desk.says("r-3")
    desk.page.get_by_role("button", name="Show it").click()
    desk.shows("r-3")
    expect(desk.here.get_by_role("alert")).to_contain_text("number")
    expect(desk.here.get_by_label("sum")).to_have_value("much")
    desk.here.get_by_label("sum").fill("7")
    desk.press("Control+Enter")
    desk.shows("r-4")
    desk.settles()
    company = {"company": "Nordhof", "paid": True, "note": None}
    assert decisions(project) == [
        ("r-1", "corrected", {"fields": {**company, "sum": 39.91}}),
        ("r-2", "confirmed", {"fields": {**company, "sum": 41.8}}),
        ("r-3", "corrected", {"fields": {**company, "sum": 7}}),
    ]


def test_without_a_suggestion_nothing_can_be_confirmed_by_accident(
    open_browser: Open, live_world: World
) -> None:
    project = live_world.make_project("blind", label_schema={"labels": ["cat", "dog"]})
    send(
        live_world,
        project,
        *({"id": f"b-{n}", "prediction": {"label": "dog"}, "confidence": 0.3} for n in (1, 2)),
    )
    desk = Desk(open_browser("rita"), project).open()
    expect(desk.verdict).to_have_text("Your label")
    desk.press("Enter")
    desk.says("There is no answer yet")
    desk.shows("b-1")
    desk.press("1", "Enter")
    desk.shows("b-2")
    desk.says("b-1 labelled cat")
    desk.settles()
    assert decisions(project) == [("b-1", "labelled", {"label": "cat"})]


def test_marks_can_be_confirmed_skipped_and_escalated(open_browser: Open, live_world: World) -> None:
    spans = live_world.make_project("tweets", "spans", label_schema={"labels": ["PER", "LOC"]})
    row = {
        "input": {"text": "Anna in Rome"},
        "prediction": {"spans": [{"start": 0, "end": 4, "label": "PER"}]},
    }
    send(live_world, spans, *({"id": f"s-{n}", **row} for n in range(1, 4)))
    desk = Desk(open_browser("rita"), spans).open()
    expect(desk.here.locator(".span-mark")).to_have_text("AnnaPER")
    desk.press("Enter")
    desk.shows("s-2")
    desk.press("f")
    desk.shows("s-3")
    desk.press("s")
    desk.settles()
    assert [(item, verdict) for item, verdict, _output in decisions(spans)] == [
        ("s-1", "confirmed"),
        ("s-2", "escalated"),
    ]


def test_keys_are_quiet_with_modifiers_in_dialogs_and_when_switched_off(
    open_browser: Open, live_world: World
) -> None:
    project = live_world.make_project("quiet", label_schema={"labels": ["a", "b"]})
    send(live_world, project, {"id": "q-1"}, {"id": "q-2"})
    desk = Desk(open_browser("rita"), project).open()
    desk.press("Alt+s", "Control+s", "Meta+x", "Backspace", "Space")
    desk.shows("q-1")
    desk.press("g")
    expect(desk.page.locator("dialog")).to_contain_text("Guidelines of")
    desk.press("s", "x")
    desk.press("Escape")
    expect(desk.page.locator("dialog[open]")).to_have_count(0)
    desk.press("?")
    expect(desk.page.locator("dialog")).to_contain_text("undo the last decision")
    desk.press("Escape")
    desk.shows("q-1")
    desk.page.goto("/account/")
    desk.page.get_by_role("checkbox").uncheck()
    desk.open()
    desk.press("s", "x", "f", "q")
    desk.shows("q-1")
    desk.press("2", "Enter")
    desk.shows("q-2")
    desk.settles()
    assert decisions(project) == [("q-1", "corrected", {"label": "b"})]


def test_own_keys_and_the_keys_of_a_recording(open_browser: Open, live_world: World) -> None:
    """Skip has moved to Y, and X and S have changed places; the chips say so."""
    set_own_keys(by=live_world.rita.actor, moved={"g": "y", "x": "s", "s": "x"})
    project = live_world.make_project("calls", "text")
    audio = "data:audio/wav;base64,UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
    row = {"input": {"audio": audio}, "prediction": {"text": "hello"}}
    send(live_world, project, *({"id": f"c-{n}", **row} for n in range(1, 4)))
    desk = Desk(open_browser("rita"), project).open()
    expect(desk.here.locator("[data-skip] kbd")).to_have_text("X")
    desk.press("g")  # moved away: nothing
    expect(desk.page.locator("dialog[open]")).to_have_count(0)
    desk.press("y")
    expect(desk.page.locator("dialog[open]")).to_contain_text("Guidelines of")
    desk.press("Escape")
    desk.page.evaluate(
        """() => {
          window.heard = [];
          const player = document.querySelector("form.desk:not([hidden]) [data-player]");
          player.play = async () => window.heard.push("play");
          Object.defineProperty(player, "currentTime", { get: () => 10, set: (value) => window.heard.push(value) });
        }"""
    )
    desk.press("p", ",", ".", "e", "Control+Space", "Escape")
    assert desk.page.evaluate("window.heard") == ["play", 8, 12, "play"]
    expect(desk.here.locator("textarea[name=text]")).to_have_value("hello")
    desk.press("x")
    desk.shows("c-2")
    desk.press("s")
    desk.shows("c-3")
    desk.settles()
    assert [(item, verdict) for item, verdict, _output in decisions(project)] == [("c-2", "rejected")]
    desk.press("?")
    expect(desk.page.locator("dialog[open] kbd", has_text="Y")).to_have_count(1)

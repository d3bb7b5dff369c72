"""Reviewing on a phone: real touches, as the browser gets them from a finger."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.desk import Desk, decisions, send
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Open = Callable[..., Page]
LETTER = {"text": "A long letter. " * 200}
TABLE = [{f"column {n}": "a wide cell of a table" for n in range(8)}]


class Finger:
    """Touches of one finger (or two)."""

    def __init__(self, page: Page) -> None:
        self.session = page.context.new_cdp_session(page)

    def _send(self, kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    def drag(self, *points: tuple[float, float], lift: bool = True) -> None:
        """Put the finger down at the first point and move through the others in small steps."""
        self._send("touchStart", points[0])
        for (x, y), (to_x, to_y) in itertools.pairwise(points):
            for step in range(1, 9):
                self._send("touchMove", (x + (to_x - x) * step / 8, y + (to_y - y) * step / 8))
        if lift:
            self._send("touchEnd")

    def lift(self) -> None:
        self._send("touchEnd")


TWO_FINGERS = """() => {
  const item = document.querySelector("form.desk:not([hidden]) .desk-item");
  const fingers = (x) => [0, 1].map((identifier) =>
    new Touch({ identifier, target: item, clientX: x + identifier * 40, clientY: 300 }));
  const send = (type, touches) => item.dispatchEvent(new TouchEvent(type, { touches, bubbles: true }));
  send("touchstart", fingers(100));
  for (const x of [150, 250, 340]) send("touchmove", fingers(x));
  send("touchend", []);
}"""


def phone(open_browser: Open, **options: Any) -> Page:
    return open_browser("rita", width=390, height=844, is_mobile=True, **options)


def test_swiping_confirms_and_skips_and_never_by_accident(open_browser: Open, live_world: World) -> None:
    project = live_world.letters
    row = {"input": {**LETTER, "transactions": TABLE}}
    send(live_world, project, *({"id": f"l-{n}", **row} for n in range(1, 7)))
    desk = Desk(phone(open_browser), project).open()
    finger, page = Finger(desk.page), desk.page
    cue = page.locator(".swipe-cue")
    desk.has_next()
    expect(desk.here.locator(".swipe-hint")).to_be_visible()

    # What must not fire: too short, scrolling, a scroll that turns sideways, two fingers, the edge, the buttons' bar.
    finger.drag((100, 300), (160, 300))
    finger.drag((200, 600), (210, 300))
    finger.drag((120, 600), (125, 500), (360, 480))
    finger.drag((120, 500), (330, 380))  # too steep
    page.evaluate(TWO_FINGERS)  # a pinch; the browser would keep its second finger for ever
    finger.drag((10, 300), (300, 300))
    finger.drag((100, 800), (330, 800))
    page.evaluate("scrollTo(0, 0)")
    desk.shows("l-1")
    expect(cue).to_be_hidden()
    table = desk.here.locator(".scroll-x").first
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box is not None
    finger.drag((330, box["y"] + 20), (60, box["y"] + 20))  # moves the table
    desk.shows("l-1")
    page.evaluate("scrollTo(0, 0)")

    # The cue says what letting go would do, and changes its mind with the finger.
    finger.drag((100, 300), (300, 300), lift=False)
    expect(cue).to_have_text("Confirm")
    expect(cue).to_have_class("swipe-cue is-armed")
    finger.drag((300, 300), (300, 300), (110, 300))
    desk.shows("l-1")

    finger.drag((100, 300), (300, 305))  # right: confirm
    desk.shows("l-2")
    desk.says("l-1 confirmed")
    finger.drag((300, 300), (100, 305))  # left: skip
    desk.shows("l-3")
    desk.says("l-2 skipped")
    desk.here.locator(".label-row input").nth(2).check(force=True)
    expect(desk.here.locator("[data-peek]")).to_have_text("c")
    page.evaluate("scrollTo(0, 0)")
    finger.drag((100, 300), (300, 300))
    desk.shows("l-4")
    desk.says("l-3 corrected to c")
    page.get_by_role("button", name="Undo").last.click()  # the way back on the toast
    desk.shows("l-3")
    desk.primary.click()  # the button does what the swipe does
    desk.shows("l-4")
    desk.settles()
    assert decisions(project) == [
        ("l-1", "confirmed", {"label": "a"}),
        ("l-3", "confirmed", {"label": "a"}),
    ]


def test_without_an_answer_a_swipe_saves_nothing_and_reduced_motion_moves_nothing(
    open_browser: Open, live_world: World
) -> None:
    project = live_world.letters
    send(
        live_world,
        project,
        {"id": "b-1", "confidence": 0.2, "input": LETTER},
        {"id": "b-2", "confidence": 0.2},
    )
    desk = Desk(phone(open_browser, reduced_motion="reduce"), project).open()
    finger = Finger(desk.page)
    finger.drag((100, 300), (300, 300), lift=False)
    expect(desk.page.locator(".swipe-cue")).to_have_text("Save label")
    assert desk.here.evaluate("desk => getComputedStyle(desk).translate") == "none"
    finger.lift()
    desk.says("There is no answer yet")
    desk.shows("b-1")
    assert decisions(project) == []

"""Every page of the site map, at both widths and in both themes: axe finds nothing, it fits (also zoomed and narrow),
everything has a name, the keyboard reaches everything and one sees where it is, and nothing broke the content security policy.

`SHOTS=/some/folder` keeps a picture of each, to look at. `PAGES=item,datasets` looks at these only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.urls import URLPattern, URLResolver, resolve
from playwright.sync_api import Page

from labeling.web.urls import urlpatterns
from tests.journeys.axe import violations
from tests.journeys.showcase import build
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SIZES = {1440: 900, 390: 844}
NARROWER = {1440: [(720, 450)], 390: [(320, 640)]}
"""What is left of the window at 200 % zoom, and the narrowest that WCAG asks for (1.4.10)."""

NO_PAGES = {"media", "trust:csv", "trust:svg", "trust:groups", "dataset:choose-difference"}
"""Files, and what leads on to another page."""
ELSEWHERE = {"account:sign-out", "task:detail"}
"""A form without a page; tasks are looked at in their queues."""

DIALOGS = {"?": "Keys", "h": "Your last decisions", "g": "Guidelines of", "v": "Filter"}
"""What opens over the desk, by its key."""

SEEN_BY = {"rita": ("home", "overview", "trust"), "vic": ("home", "overview", "items")}
"""Pages that look different for reviewers and viewers."""

NAMELESS = """() => [...document.querySelectorAll("a, button, input, select, textarea, summary, dialog, nav, iframe, img")]
  .filter((element) => element.checkVisibility() && element.type !== "hidden" && !element.closest("[aria-hidden=true]"))
  .filter((element) => ![element.ariaLabel, element.title, element.alt, element.textContent, element.labels?.[0]?.textContent,
    document.getElementById(element.getAttribute("aria-labelledby"))?.textContent].some((name) => name?.trim()))
  .map((element) => element.outerHTML.slice(0, 120))"""
TOO_SMALL = """() => [...document.querySelectorAll("button, select, .btn, .label-row, .nav a, summary, input, .topbar a")]
  .filter((element) => element.checkVisibility() && element.type !== "hidden" && !element.closest(".sr, .skip-link"))
  .map((element) => [element.matches("[type=radio], [type=checkbox]") && element.labels[0] || element])
  .filter(([element]) => { const box = element.getBoundingClientRect(); return box.width < 24 || box.height < 24; })
  .map(([element]) => element.outerHTML.slice(0, 120))"""
TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
  [...document.body.querySelectorAll("*")].filter((element) => element.getBoundingClientRect().right > innerWidth + 1
    && element.checkVisibility() && !element.closest(".scroll-x, .nav, .tabs, pre, .sr, svg")).slice(0, 5).map((element) =>
      element.outerHTML.slice(0, 120)).concat(`${document.documentElement.scrollWidth} px`)"""
FOCUSED = """() => {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const box = element.getBoundingClientRect();
  const shown = element.matches(".sr-input") ? element.parentElement : element;
  const style = getComputedStyle(shown);
  const at = [box.left + Math.min(box.width, innerWidth) / 2, box.top + Math.min(box.height / 2, 60)];
  const top = document.elementFromPoint(...at);
  const onScreen = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  const mark = element.outerHTML.slice(0, 120);
  element.dataset.seen ??= String(window.seen = (window.seen ?? 0) + 1);
  return {
    mark, number: Number(element.dataset.seen), again: window.last === element.dataset.seen,
    isCovered: onScreen && top !== null && !shown.contains(top) && !top.contains(shown) && !element.labels?.[0]?.contains(top),
    isOffScreen: !onScreen,
    isBare: style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 1,
  };
}"""


def routes(patterns: list[Any] = urlpatterns, area: str = "") -> Iterator[str]:
    """The names of all routes that answer GET with a page, as `area:name`."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, f"{pattern.namespace}:" if pattern.namespace else area)
        elif isinstance(pattern, URLPattern) and "GET" in getattr(pattern.callback, "methods", {"GET"}):
            yield f"{area}{pattern.name}"


@pytest.fixture
def pages(live_world: World) -> dict[str, str]:
    found = build(live_world)
    seen = {
        resolve(url.partition("?")[0]).view_name
        for url in found.values()
        if not url.startswith("/projects/nope")
    }
    assert {*routes()} - seen == NO_PAGES | ELSEWHERE, "add the new page to the showcase"
    wanted = os.environ.get("PAGES", "").split(",")
    return {name: url for name, url in found.items() if wanted == [""] or name in wanted}


@pytest.mark.parametrize("width", SIZES)
def test_every_page(width: int, open_browser: Callable[..., Page], pages: dict[str, str]) -> None:
    problems: list[str] = []
    ada = open_browser("ada", width=width, height=SIZES[width], color_scheme="light", reduced_motion="reduce")
    stranger = open_browser(width=width, height=SIZES[width], color_scheme="light", reduced_motion="reduce")
    ada.route(
        "**/broken/", lambda route: route.fulfill(content_type="text/html", body=render_to_string("500.html"))
    )
    for name, url in {**pages, "broken": "/broken/"}.items():
        page = stranger if url.startswith(("/link/", "/account/sign-in/")) else ada
        page.set_viewport_size({"width": width, "height": SIZES[width]})
        page.emulate_media(color_scheme="light")
        page.goto(url)
        problems += look_at(page, name, width)
    if width == 1440 and "overview" in pages:
        problems += look_at_dialogs(ada, f"{pages['overview']}review/")
        for who, names in SEEN_BY.items():
            page = open_browser(who, color_scheme="light", reduced_motion="reduce")
            for name in names:
                page.goto(pages[name])
                problems += look_briefly(page, f"{name} as {who}")
    assert not problems, "\n" + "\n".join(problems)


def look_at(page: Page, name: str, width: int) -> Iterator[str]:
    """What is wrong with the page that is open."""
    where = f"{name} at {width}: "
    if not page.title().strip():
        yield where + "no title"
    if page.locator("h1:not(form[hidden] *)").count() != 1:
        yield where + "not one h1"
    if page.evaluate("document.getAnimations().length"):
        yield where + "something moves, and motion is not wanted"
    for check in (NAMELESS, TOO_SMALL, TOO_WIDE):
        yield from (where + str(found) for found in page.evaluate(check))
    keep_picture(page, name, width, "light")
    found = violations(page)
    if name == "components":  # several desks on one page are there only
        found = [line for line in found if not line.startswith("landmark-unique")]
    yield from (where + line for line in found)
    page.emulate_media(color_scheme="dark")
    keep_picture(page, name, width, "dark")
    yield from (where + "dark: " + found for found in violations(page, only_colour=True))
    for narrow, height in NARROWER[width]:
        page.set_viewport_size({"width": narrow, "height": height})
        yield from (f"{name} at {narrow}: wide: {found}" for found in page.evaluate(TOO_WIDE))
    if width == 1440:
        page.set_viewport_size({"width": width, "height": SIZES[width]})
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        yield from (f"{name} with large text: wide: {found}" for found in page.evaluate(TOO_WIDE))
        page.evaluate("document.documentElement.style.fontSize = ''")
        yield from (where + found for found in walk(page))


def look_at_dialogs(page: Page, desk: str) -> Iterator[str]:
    """What is wrong with the desk while one of its dialogs is open over it."""
    page.set_viewport_size({"width": 1440, "height": SIZES[1440]})
    page.emulate_media(color_scheme="light")
    page.goto(desk)
    page.locator("html[data-ready]").wait_for(state="attached")
    for key, title in DIALOGS.items():
        page.keyboard.press(key)
        page.locator("dialog[open]", has_text=title).wait_for()
        yield from look_briefly(page, f"dialog {title}")
        page.keyboard.press("Escape")
        page.locator("dialog[open]").wait_for(state="detached")


def look_briefly(page: Page, name: str) -> Iterator[str]:
    """What axe says, in both themes."""
    page.emulate_media(color_scheme="light")
    keep_picture(page, name.replace(" ", "-"), 1440, "light")
    yield from (f"{name}: {found}" for found in violations(page))
    page.emulate_media(color_scheme="dark")
    yield from (f"{name}: dark: {found}" for found in violations(page, only_colour=True))


def walk(page: Page) -> Iterator[str]:
    """Tab through the page: the first stop is the skip link, each is seen, in the order of the document, and none is a trap."""
    last, has_moved = (
        0,
        page.evaluate("document.activeElement !== document.body || !document.querySelector('header')"),
    )
    for stop in range(200):
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUSED)
        if found is None or found["number"] <= last:
            break
        last = found["number"]
        if stop == 0 and not has_moved and "skip-link" not in found["mark"]:
            yield f"the first stop is {found['mark']}"
        for flaw in ("isCovered", "isOffScreen", "isBare"):
            if found[flaw]:
                yield f"focus {flaw}: {found['mark']}"


def keep_picture(page: Page, name: str, width: int, theme: str) -> None:
    """Where SHOTS names a folder, the page as it looks now."""
    folder = os.environ.get("SHOTS")
    if folder:
        full = not name.startswith("review")
        page.screenshot(path=Path(folder) / f"{name}-{width}-{theme}.png", full_page=full)

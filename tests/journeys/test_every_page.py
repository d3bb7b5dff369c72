"""Every page at both widths and in both themes: it fits, it has a heading, and everything in it has a name.

`SHOTS=/some/folder` keeps a picture of each, to look at.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.journeys.showcase import build
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SIZES = {1440: 900, 390: 844}
NAMELESS = """() => [...document.querySelectorAll("a, button, input, select, textarea, summary, dialog, nav, iframe, img")]
  .filter((element) => element.checkVisibility() && element.type !== "hidden" && !element.closest("[aria-hidden=true]"))
  .filter((element) => ![element.ariaLabel, element.title, element.alt, element.textContent, element.labels?.[0]?.textContent,
    document.getElementById(element.getAttribute("aria-labelledby"))?.textContent].some((name) => name?.trim()))
  .map((element) => element.outerHTML.slice(0, 120))"""
TOO_SMALL = """() => [...document.querySelectorAll("button, select, .btn, .label-row, .nav a")]
  .filter((element) => element.checkVisibility() && !element.classList.contains("sr"))
  .filter((element) => { const box = element.getBoundingClientRect(); return box.width < 24 || box.height < 24; })
  .map((element) => element.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page(theme: str, open_browser: Callable[..., Page], live_world: World) -> None:
    pages = build(live_world)
    folder = os.environ.get("SHOTS")
    for width, height in SIZES.items():
        page = open_browser("ada", width=width, height=height, color_scheme=theme)
        for name, url in pages.items():
            page.goto(url)
            page.wait_for_load_state("networkidle")
            where = f"{name} at {width}"
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (
                f"{where} is wider than the window"
            )
            assert page.locator("h1:visible, h2:visible").count(), f"{where} has no heading"
            assert page.title().strip(), where
            assert page.evaluate(NAMELESS) == [], where
            assert page.evaluate(TOO_SMALL) == [], where
            if folder:
                full = not name.startswith("review")
                page.screenshot(path=Path(folder) / f"{name}-{width}-{theme}.png", full_page=full)

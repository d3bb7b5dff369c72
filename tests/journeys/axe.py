"""axe-core in a page: what it finds against WCAG 2.2 at level AA, in words that name the elements."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from playwright.sync_api import Page

SCRIPT = Path(sys.prefix) / "npm" / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OF_COLOUR = ["color-contrast", "link-in-text-block"]
"""The rules that a change of theme can break."""

# Preloading would fetch all stylesheets again, for experimental rules only, and against the content security policy.
_RUN = """async (only) => {
  const result = await axe.run(document, { runOnly: only, resultTypes: ["violations"], preload: false });
  return result.violations.flatMap((found) => found.nodes.map((node) =>
    `${found.id}: ${node.target.join(" ")} (${node.failureSummary.split("\\n").slice(1).join("; ").trim().slice(0, 200)})`));
}"""


@cache
def _source() -> str:
    return SCRIPT.read_text(encoding="utf-8")


def violations(page: Page, *, only_colour: bool = False) -> list[str]:
    """Everything axe objects to in the page as it is now."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(_source())
    rules = {"type": "rule", "values": OF_COLOUR} if only_colour else {"type": "tag", "values": TAGS}
    found: list[str] = page.evaluate(_RUN, rules)
    return found

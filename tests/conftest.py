"""What every test gets: the embedded database (reviewapp.stack.testing) and the browser rule."""

from __future__ import annotations

import os
import shutil

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
LONG = (
    "tests/chaos/",
    "tests/backup/test_drill.py",
    "tests/stack/",
    "tests/journeys/",
    "tests/api/test_schema.py",
    "tests/api/test_access.py",
    "tests/trust/test_life.py",
)
"""Where tests take ten seconds and more. They begin first, so that no process ends with one while the others have nothing left;
those that share an instance are beside each other then, and stay in one process."""


def find_browser() -> str | None:
    """The browser for page tests: CHROMIUM, or the first known name on PATH."""
    named = os.environ.get("CHROMIUM")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, BROWSERS)), None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long ones first. Without a browser, leave its tests out and say so; where one is required, fail."""
    items.sort(
        key=lambda item: next((turn for turn, place in enumerate(LONG) if place in item.nodeid), len(LONG))
    )
    browser_tests = [item for item in items if item.get_closest_marker("browser")]
    if not browser_tests or find_browser():
        return
    if os.environ.get("REVIEWAPP_REQUIRE_BROWSER") == "1":
        pytest.exit("REVIEWAPP_REQUIRE_BROWSER is 1, but no chromium is on PATH and CHROMIUM names none.", 1)
    config.get_terminal_writer().line(f"no chromium found: {len(browser_tests)} browser tests are left out")
    config.hook.pytest_deselected(items=browser_tests)
    items[:] = [item for item in items if item not in set(browser_tests)]


@pytest.fixture(scope="session")
def browser_path() -> str:
    """The browser's program; tests that use it carry the marker `browser`."""
    path = find_browser()
    assert path is not None, "a browser test must carry the marker `browser`"
    return path


@pytest.fixture(scope="session")
def django_db_modify_db_settings(database_server: None) -> None:
    """pytest-django asks for this before it makes the test database: the server must run by then."""

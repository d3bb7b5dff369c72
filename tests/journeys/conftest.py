"""A real browser on the running product. Each test gets a browser context of its own; errors in the page fail the test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from threading import Condition
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connections
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.world import World, live_world, world

__all__ = ["live_world", "world"]

_OF_ANSWERS = ("Failed to load resource", "htmx:afterRequest", "htmx:sendError", "htmx:sendAbort")


@pytest.fixture(scope="session")
def browser(browser_path: str) -> Iterator[Browser]:
    """One Chromium for all tests. Playwright's loop runs in this thread, which Django takes for asynchronous code.

    So while it runs Django uses connections of its own, which nobody finds once it has ended; a test database that somebody is
    connected to cannot be dropped.
    """
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser_path, args=args)
        yield chromium
        chromium.close()
        connections.close_all()


class Connected:
    """The connections of a live server, counted from when it accepts one to when it is done with it."""

    def __init__(self, server: Any) -> None:
        self._changed, self._count = Condition(), 0
        self._accept, self._serve = server.process_request, server.process_request_thread
        server.process_request, server.process_request_thread = self._begin, self._work

    def _begin(self, *connection: Any) -> None:
        with self._changed:
            self._count += 1
        self._accept(*connection)

    def _work(self, *connection: Any) -> None:
        try:
            self._serve(*connection)
        finally:
            with self._changed:
                self._count -= 1
                self._changed.notify_all()

    def wait_for_none(self) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._count == 0, 30), "a closed browser is still connected"


@pytest.fixture(scope="session")
def connected(live_server: Any) -> Connected:
    return Connected(live_server.thread.httpd)


@pytest.fixture
def open_browser(
    browser: Browser, live_server: Any, connected: Connected, live_world: World
) -> Iterator[Callable[..., Page]]:
    """Makes a page in which somebody is signed in: `open_browser("rita", width=390)`. Script errors fail the test."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def make(who: str | None = None, *, width: int = 1440, height: int = 900, **options: Any) -> Page:
        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": width, "height": height},
            locale="en-GB",
            timezone_id="UTC",
            has_touch=width < 500,
            **options,
        )
        contexts.append(context)
        if who:
            context.add_cookies([session_cookie(live_world, who, live_server.url)])
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
        page.on("console", lambda message: problems.append(message.text) if _is_problem(message) else None)
        return page

    yield make
    for context in contexts:
        _leave_quietly(context)
    connected.wait_for_none()  # the database is about to be emptied
    assert problems == []


def session_cookie(world: World, who: str, url: str) -> Any:
    """The cookie of a signed-in session, made without the sign-in page."""
    client = Client()
    client.force_login(world.person(who).user)
    name = django_settings.SESSION_COOKIE_NAME
    return {"name": name, "value": client.cookies[name].value, "url": url}


def _leave_quietly(context: BrowserContext) -> None:
    """Close a context whose pages give nothing back any more."""
    for page in context.pages:
        page.wait_for_load_state()  # where the test has just followed a link
        page.evaluate("() => { navigator.sendBeacon = () => true; }")
    context.close()


def _is_problem(message: Any) -> bool:
    """Errors of scripts, and whatever the content security policy has refused. Answers that were refused, or that never came
    because the page was left, are the tests' business."""
    return message.type == "error" and not any(text in message.text for text in _OF_ANSWERS)

"""The review desk as a reviewer meets it: what is on it, keys, and what was decided in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, Route, expect

from labeling.decisions.models import Decision
from labeling.projects.models import Project
from tests.world import World, a_row


def send(world: World, project: Project, *rows: dict[str, Any]) -> None:
    """Predictions of a model service, in the middle tier unless a row says otherwise."""
    answer = world.api("otto", at=project).predict([a_row(**row) for row in rows]).expect(200)
    assert answer["created"] == len(rows), answer


def intercept(page: Page, url: str, handler: Callable[[Route], None]) -> None:
    """Have requests of an open page handled, from now on until it closes.

    Chromium says that it intercepts before the page's requests go that way, and what is asked for while it is told to stop may
    hang: so this waits until a request is seen, and never stops. A handler lets pass what it does not want.
    """
    page.route("**/livez?seen", lambda route: route.fulfill(body="seen"))
    page.route(url, handler)
    page.wait_for_function("async () => await (await fetch('/livez?seen')).text() === 'seen'")


def failing_once(fail: Callable[[Route], None]) -> Callable[[Route], None]:
    """A handler that lets everything pass but the first request."""
    failed: list[Route] = []

    def handle(route: Route) -> None:
        if failed:
            route.continue_()
            return
        failed.append(route)
        fail(route)

    return handle


class Desk:
    """One reviewer's page."""

    def __init__(self, page: Page, project: Project) -> None:
        self.page, self.project = page, project

    def open(self, queue: str = "") -> Desk:
        """Go to the queue and wait for the scripts."""
        self.page.goto(f"/projects/{self.project.slug}/review/{queue}")
        expect(self.page.locator("html[data-ready]")).to_be_attached()
        return self

    @property
    def here(self) -> Any:
        return self.page.locator("form.desk:not([hidden])")

    @property
    def verdict(self) -> Any:
        return self.here.locator("[data-now]")

    @property
    def primary(self) -> Any:
        return self.here.locator("[data-primary]")

    def shows(self, item: str) -> None:
        """The item on the desk, exactly one."""
        expect(self.here).to_have_count(1)
        expect(self.here).to_have_attribute("data-item", item)

    def has_next(self) -> None:
        """The task after this one is at hand."""
        expect(self.page.locator("form.desk[hidden]")).to_have_count(1)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def says(self, text: str) -> None:
        """The toast."""
        expect(self.page.locator("#toasts")).to_contain_text(text)

    def settles(self) -> None:
        """Nothing is on its way any more."""
        self.page.wait_for_function(
            "() => !Object.keys(localStorage).some((key) => key.startsWith('reviewapp.unsent'))"
        )


def decisions(project: Project) -> list[tuple[str, str, Any]]:
    """What counts in the end, in order: item, verdict, output."""
    from labeling.ingestion.models import Item

    found = Decision.objects.filter(project=project, withdrawal=None).order_by("pk")
    keys = dict(Item.objects.filter(project_id=project.pk).values_list("pk", "key"))
    return [(keys[decision.item_id], decision.verdict, decision.output) for decision in found]

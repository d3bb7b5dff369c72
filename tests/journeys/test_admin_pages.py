"""Django's admin, as this product shows it: axe finds nothing in either theme and at either width, and nothing is cut off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse
from playwright.sync_api import Page

from labeling.projects.models import ApiKey, Membership, Project
from labeling.review.models import ReviewQueue
from tests.journeys.axe import violations
from tests.journeys.showcase import build
from tests.journeys.test_every_page import TOO_WIDE, keep_picture
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def pages(live_world: World) -> dict[str, str]:
    build(live_world)
    world = live_world
    project = Project.objects.get(slug="dispute-reasons")
    changed: list[Any] = [
        project,
        world.rita.user,
        Membership.objects.filter(project=project).first(),
        ReviewQueue.objects.filter(project=project).first(),
        ApiKey.objects.first(),
    ]
    found = {"index": reverse("admin:index")}
    for model in admin.site._registry:
        meta = model._meta
        found[str(meta.model_name)] = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    for thing in changed:
        meta = thing._meta
        name = f"admin:{meta.app_label}_{meta.model_name}"
        found[f"{meta.model_name}-change"] = reverse(f"{name}_change", args=[thing.pk])
        found[f"{meta.model_name}-history"] = reverse(f"{name}_history", args=[thing.pk])
    for model_name in ("apikey", "guidelines", "labelschema", "membership", "policyversion"):
        found[f"{model_name}-add"] = reverse(f"admin:labeling_{model_name}_add")
    found["password"] = reverse("admin:password_change")
    return found


def test_admin_pages(open_browser: Callable[..., Page], pages: dict[str, str]) -> None:
    problems: list[str] = []
    page = open_browser("ada", color_scheme="light", reduced_motion="reduce")
    for name, url in pages.items():
        page.set_viewport_size({"width": 1440, "height": 900})
        page.emulate_media(color_scheme="light")
        answer = page.goto(url)
        assert answer is not None
        assert answer.status == 200, url
        problems += (f"{name}: {found}" for found in violations(page))
        keep_picture(page, f"admin-{name}", 1440, "light")
        page.emulate_media(color_scheme="dark")
        problems += (f"{name}, dark: {found}" for found in violations(page, only_colour=True))
        page.set_viewport_size({"width": 390, "height": 844})
        problems += (f"{name} at 390, dark: {found}" for found in violations(page))
        problems += (f"{name} at 390: wide: {found}" for found in page.evaluate(TOO_WIDE))
        keep_picture(page, f"admin-{name}", 390, "dark")
    assert not problems, "\n" + "\n".join(problems)

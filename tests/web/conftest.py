"""The people of `tests.world`, each with a browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from tests.world import World, live_world, world

__all__ = ["live_world", "world"]

As = Callable[[str], Client]


@pytest.fixture
def as_(world: World) -> As:
    """`as_("rita")` is Rita's browser, signed in."""

    def browser(name: str) -> Client:
        client = Client()
        client.force_login(world.person(name).user)
        return client

    return browser

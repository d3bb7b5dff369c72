"""The people of `tests.world`."""

from tests.world import live_world, world

__all__ = ["live_world", "world"]

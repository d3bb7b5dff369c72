"""Long simulations of the trust mathematics are left out unless asked for: `pytest tests/trust -m statistics`."""

import json
from pathlib import Path

import pytest
from hypothesis import settings

from tests.world import world

__all__ = ["world"]

# The same examples on every machine, however slow it is.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


def pytest_configure(config):
    config.addinivalue_line("markers", "statistics: long simulation, run with `-m statistics`")


def pytest_collection_modifyitems(config, items):
    if "statistics" in config.option.markexpr:
        return
    long_ones = [item for item in items if item.get_closest_marker("statistics")]
    if long_ones:
        config.hook.pytest_deselected(items=long_ones)
        items[:] = [item for item in items if not item.get_closest_marker("statistics")]


@pytest.fixture(scope="session")
def known_answers():
    return json.loads(Path(__file__).with_name("known_answers.json").read_text())

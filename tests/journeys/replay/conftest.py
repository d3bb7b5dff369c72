"""What the journeys of replays get."""

from pathlib import Path
from typing import Any

import pytest

from tests.journeys.replay.replaying import Server, bootstrapped

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "data: reads the replay files of ../shared/data")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where the replay files are not, leave their tests out and say so."""
    left_out = {item for item in items if item.get_closest_marker("data")}
    if not left_out or DATA.is_dir():
        return
    config.get_terminal_writer().line(
        f"no {DATA.parent.name}/{DATA.name} beside the project: {len(left_out)} tests are left out"
    )
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def data() -> Path:
    """The folder of the replay files; tests that use it carry the marker `data`."""
    return DATA


@pytest.fixture
def server(live_server: Any, settings: Any, tmp_path: Path) -> Server:
    """The product behind a real socket, on the test database."""
    settings.REVIEWAPP_CREDENTIALS = tmp_path / "credentials.json"
    settings.REVIEWAPP_STORAGE = str(tmp_path / "storage")
    return bootstrapped(live_server.url, settings.REVIEWAPP_CREDENTIALS)

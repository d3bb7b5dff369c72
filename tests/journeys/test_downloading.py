"""An engineer publishes, watches the version appear, downloads it, and reads it with the lines that the page offers.

Lines run where their library is installed; `READERS=/path/to/python` runs all that this Python has.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect

from labeling.datasets.models import Dataset
from labeling.datasets.services import publish
from tests.journeys.desk import send
from tests.world import World

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MODULES = {
    "pandas": "pandas",
    "polars": "polars",
    "duckdb": "duckdb",
    "spark": "pyspark",
    "pyarrow": "pyarrow",
}


@pytest.mark.parametrize("width", [1440, 390])
def test_an_engineer_downloads_a_version(
    width: int, open_browser: Callable[..., Page], live_world: World, settings: Any, tmp_path: Path
) -> None:
    settings.REVIEWAPP_STORAGE = str(tmp_path / "storage")
    project = live_world.letters
    send(live_world, project, *({"id": f"m-{n}"} for n in range(12)))
    api = live_world.api("rita")
    for number, task in enumerate(api.claim(12)):
        api.decide(task, *(("confirmed",) if number else ("corrected", {"label": "b"}))).expect(201)

    page = open_browser("lea", width=width, permissions=["clipboard-read", "clipboard-write"])
    page.goto("/projects/letters/datasets/")
    expect(page.get_by_text("12 decisions wait for the next one")).to_be_visible()
    page.get_by_label("Note of the version").fill("for training run 7")
    page.keyboard.press("Enter")
    expect(page.locator("#dataset-state")).to_contain_text("Publishing now.")
    publish(Dataset.objects.get(project=project).pk)
    expect(page.locator("#dataset-state")).to_contain_text(
        "Nothing waits"
    )  # the page has asked again by itself
    expect(page.locator("#dataset-versions")).to_contain_text("for training run 7")

    if width == 1440:  # a dialog takes the focus and gives it back
        page.get_by_role("link", name="Keys").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog", name="Keys").get_by_role("button", name="Close")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("link", name="Keys")).to_be_focused()

    page.get_by_role("link", name="All about v1").focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("v1")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download Parquet").click()
    file = tmp_path / "by-click.parquet"
    download.value.save_as(file)
    assert pq.read_table(file).num_rows == 12

    page.get_by_role("button", name="Copy curl").click()
    expect(page.locator("#said")).to_have_text("Copied")
    curl = page.evaluate("navigator.clipboard.readText()")
    key = live_world.make_key("vic", "datasets:read")
    subprocess.run(
        ["sh", "-ec", curl],
        cwd=tmp_path,
        check=True,
        env={**os.environ, "REVIEWAPP_KEY": key},
        capture_output=True,
    )
    assert (tmp_path / "letters-v1.parquet").read_bytes() == file.read_bytes()

    python = os.environ.get("READERS", sys.executable)
    ran = [name for name, module in MODULES.items() if _has(python, module)]
    for name in ran:
        code = page.locator(f"#read-{name}").text_content()
        probe = f"{code}\nimport pathlib; pathlib.Path('rows').write_text(str({_ROWS[name]}))"
        done = subprocess.run(
            [python, "-c", probe], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{name}: {done.stderr[-2000:]}"
        rows = pq.read_table(file, filters=[("split", "=", "train")]).num_rows
        assert (tmp_path / "rows").read_text() == f"({rows}, ['a', 'b'])", name
    assert "pyarrow" in ran


_ROWS = {
    "pandas": "(len(train), sorted(set(records['y'])))",
    "polars": "(len(train), sorted(set(records['y'])))",
    "duckdb": "(len(train), sorted({*(row[2] for row in train.fetchall()), 'a', 'b'}))",
    "spark": "(train.count(), sorted(row.y for row in records.select('y').distinct().collect()))",
    "pyarrow": "(len(records), sorted({*y, 'a', 'b'}))",
}
"""How many rows each has for training, and the labels."""


def _has(python: str, module: str) -> bool:
    return (
        subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0
    )

"""`make screenshots`: the pictures in the README, taken from an instance with the demo in a home of its own.

The demo is the same at every start; what differs between two runs is what the clock and the threads of its simulated
reviewers decide. With `--url` and `--home` the pictures are taken from a running instance.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

PROJECT = Path(__file__).resolve().parent.parent
PICTURES = PROJECT / "docs" / "img"
READY = "All projects of the demo are ready."
READY_WITHIN_S = 600
STOP_WITHIN_S = 20
MOST_BYTES = 150_000


@dataclass(frozen=True)
class Shot:
    """One picture: its file, the page, and how it is looked at."""

    name: str
    path: str
    width: int = 1440
    height: int = 900
    theme: str = "light"


SHOTS = (
    Shot("projects", "/"),
    Shot("review", "/projects/invoices/review/"),
    Shot("confirmation-rates", "/projects/languages/trust/", height=1180),
    Shot("datasets", "/projects/biopsies/datasets/"),
    Shot("review-dark", "/projects/digits/review/", theme="dark"),
    Shot("review-phone", "/projects/languages/review/", width=390, height=844),
)


def main() -> int:
    """Take all pictures; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="the home of a running instance with the demo")
    parser.add_argument("--to", type=Path, default=PICTURES, help="the folder that the pictures go to")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    if options.home:
        return take_all(options.home, options.to)
    with tempfile.TemporaryDirectory(prefix="reviewapp-shots-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL's user enters it, or its data would lie elsewhere and stay
        with running(Path(folder) / "home") as home:
            return take_all(home, options.to)


@contextmanager
def running(home: Path) -> Iterator[Path]:
    """An instance of its own, stopped afterwards, once its demo is ready."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REVIEWAPP_")}
    environment |= {
        "REVIEWAPP_HOME": str(home),
        "REVIEWAPP_PORT": str(_free_port()),
        "REVIEWAPP_WORKERS": "2",
    }
    command = [sys.executable, "-m", "reviewapp.stack", "run"]
    process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        _wait_until_ready(process)
        yield home
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_WITHIN_S)


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    for line in process.stdout or ():
        print(line, end="", flush=True)
        if READY in line:
            return
        if time.monotonic() > deadline:
            break
    raise SystemExit("The instance ended, or its demo was not ready in time.")


def take_all(home: Path, folder: Path) -> int:
    """Every shot as a small file; 1 when one is too large."""
    signed_in = json.loads((home / "credentials.json").read_text(encoding="utf-8"))
    too_large = []
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=_chromium(), args=arguments)
        for shot in SHOTS:
            size = _save(_take(browser, signed_in, shot), folder / f"{shot.name}.webp")
            print(f"{shot.name}.webp {size // 1000} kB", flush=True)
            if size > MOST_BYTES:
                too_large.append(shot.name)
        browser.close()
    if too_large:
        print(f"Larger than {MOST_BYTES // 1000} kB: {', '.join(too_large)}", file=sys.stderr)
    return 1 if too_large else 0


def _take(browser: Browser, signed_in: dict[str, str], shot: Shot) -> bytes:
    context = browser.new_context(
        base_url=signed_in["url"],
        viewport={"width": shot.width, "height": shot.height},
        color_scheme="dark" if shot.theme == "dark" else "light",
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="UTC",
        has_touch=shot.width < 500,
        device_scale_factor=2 if shot.width < 500 else 1,
    )
    page = context.new_page()
    _sign_in(page, signed_in)
    page.goto(shot.path, wait_until="networkidle")
    picture = page.screenshot()
    context.close()  # a claim of the desk is given back when its page is left
    return picture


def _sign_in(page: Page, signed_in: dict[str, str]) -> None:
    page.goto("/account/sign-in/")
    page.fill("input[name=username]", signed_in["username"])
    page.fill("input[name=password]", signed_in["password"])
    page.press("input[name=password]", "Enter")
    page.wait_for_url(lambda url: "sign-in" not in url)


def _save(picture: bytes, path: Path) -> int:
    """As WebP, exact where that is small enough. The size in bytes."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.save(path, lossless=True, method=6, quality=100)
    if path.stat().st_size > MOST_BYTES:
        image.save(path, quality=80, method=6)
    return path.stat().st_size


def _chromium() -> str:
    named = os.environ.get("CHROMIUM")
    found = named or shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
    if not found:
        raise SystemExit("No chromium or chrome was found; name one with CHROMIUM=/path.")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())

"""Static files as browsers get them: for ever under a name with their hash, compressed, and not twice."""

from __future__ import annotations

import gzip
import re
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.stack.instance import Instance

pytestmark = pytest.mark.slow


def fetch(instance: Instance, path: str, **headers: str) -> tuple[int, Any, bytes]:
    """Status, headers and body as they were sent."""
    request = urllib.request.Request(f"http://127.0.0.1:{instance.port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_static_files_are_kept_for_ever_compressed_and_sent_once(running: Instance) -> None:
    status, headers, page = fetch(running, "/account/sign-in/", **{"Accept-Encoding": "gzip"})
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    paths = set(re.findall(r'(?:href|src)="(/static/[^"]+\.(?:css|js))"', gzip.decompress(page).decode()))
    assert len(paths) >= 2
    for path in paths:
        assert re.search(r"\.[0-9a-f]{12}\.(css|js)$", path), f"{path} has no hash in its name"
        status, headers, plain = fetch(running, path)
        assert status == 200
        assert "immutable" in headers["Cache-Control"]
        assert int(re.search(r"max-age=(\d+)", headers["Cache-Control"])[1]) >= 365 * 24 * 3600  # type: ignore[index]
        etag = headers["ETag"]

        status, headers, packed = fetch(running, path, **{"Accept-Encoding": "gzip"})
        if headers["Content-Encoding"] == "gzip":
            assert len(packed) < len(plain)
            assert gzip.decompress(packed) == plain
        else:  # not worth it
            assert len(plain) < 1_000

        assert fetch(running, path, **{"If-None-Match": etag})[0] == 304


def test_answers_of_the_api_and_pages_are_not_kept_for_others(running: Instance) -> None:
    _, headers, _ = fetch(running, "/account/sign-in/")
    assert "private" in headers["Cache-Control"] or "no-store" in headers["Cache-Control"]
    assert "Cookie" in headers["Vary"]

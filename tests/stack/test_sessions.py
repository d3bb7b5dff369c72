"""People stay signed in through a redeploy: another process, another supervisor, the same home."""

from __future__ import annotations

import json
import re

import httpx
import pytest

from tests.stack.instance import Instance

pytestmark = pytest.mark.slow


def test_a_session_and_a_form_survive_a_redeploy(instance: Instance) -> None:
    instance.start()
    known = json.loads(instance.home.credentials.read_text(encoding="utf-8"))
    with httpx.Client(base_url=f"http://127.0.0.1:{instance.port}") as browser:
        sign_in = browser.get("/account/sign-in/")
        body = {name: known[name] for name in ("username", "password")}
        browser.post("/account/sign-in/", data={**body, "csrfmiddlewaretoken": _token(sign_in.text)})
        form = browser.get("/projects/new/")
        assert form.status_code == 200

        instance.stop()
        instance.start()

        after = browser.get("/account/")
        assert after.status_code == 200, "signed out by the restart"
        assert known["username"] in after.text
        made = browser.post(
            "/projects/new/",
            data={
                "name": "Kept",
                "slug": "kept",
                "task_type": "text",
                "time_zone": "UTC",
                "csrfmiddlewaretoken": _token(form.text),
            },
        )
        assert (made.status_code, made.headers.get("Location")) == (302, "/projects/kept/"), made.text[:500]


def _token(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found is not None
    return found[1]

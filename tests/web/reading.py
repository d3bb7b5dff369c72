"""Reading pages the way a test does: as text, and the forms in them."""

from __future__ import annotations

import html
import re
from typing import Any

FRAGMENT = {"HX-Request": "true"}


def words_of(response: Any) -> str:
    """The text of a page or fragment, white space squeezed."""
    body = response.content.decode()
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", body, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body))).strip()


def desks_of(response: Any) -> list[dict[str, str]]:
    """What each desk of a page or fragment holds: task, item, kind, token."""
    found = []
    for form in re.findall(r'<form class="desk.*?</form>', response.content.decode(), flags=re.DOTALL):
        names = {
            name: html.unescape(value) for name, value in re.findall(r'data-(task|item|kind)="([^"]*)"', form)
        }
        token = re.search(r'name="token" value="([^"]*)"', form)
        found.append({**names, "token": token[1] if token else "", "html": form})
    return found


def desk_of(response: Any) -> dict[str, str]:
    """The only desk."""
    (desk,) = desks_of(response)
    return desk

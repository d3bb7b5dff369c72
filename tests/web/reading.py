"""Reading pages the way a test does: as text, and the forms in them."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
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


def fields_of(page: str, form: str) -> dict[str, list[str]]:
    """What a browser would send of the form with this id, untouched."""
    reader = _FormReader(form)
    reader.feed(page)
    return reader.fields


class _FormReader(HTMLParser):
    """Inputs, text areas and selects of one form; what stands in a template is not in it."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.fields: dict[str, list[str]] = {}
        self._form, self._inside, self._select, self._first = form, False, "", True

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._inside = given.get("id") == self._form
        if not self._inside:
            return
        name = given.get("name") or ""
        if tag == "select":
            self._select = name
            self.fields.setdefault(name, []).append("")
            self._first = True
        elif tag == "option" and self._select:
            if self._first or "selected" in given:
                self.fields[self._select][-1] = given.get("value") or ""
            self._first = False
        elif (
            tag == "input" and name and (given.get("type") not in ("checkbox", "radio") or "checked" in given)
        ):
            value = given.get("value")
            self.fields.setdefault(name, []).append(
                "on" if value is None and "checked" in given else value or ""
            )

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False

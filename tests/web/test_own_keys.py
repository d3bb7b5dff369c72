"""Moving keys: what can be, what cannot, and that the pages say it to the scripts."""

from __future__ import annotations

import html
import json
import re

import pytest

from labeling.projects.models import OwnKeys
from labeling.web.own_keys import COMMANDS, find_problems
from tests.web.conftest import As
from tests.web.reading import words_of

URL = "/account/keys/"


def form(**moved: str) -> dict[str, str]:
    return {f"key:{usual}": moved.get(usual, usual) for usual in COMMANDS}


def test_keys_are_kept_in_the_account_and_given_to_the_scripts(as_: As) -> None:
    rita = as_("rita")
    assert "data-keys" not in rita.get("/").content.decode()
    assert rita.post(URL, form(s="x", x="s", a="Ü")).status_code == 302
    found = re.search(r'data-keys="([^"]*)"', rita.get("/").content.decode())
    assert found is not None
    assert json.loads(html.unescape(found[1])) == {"s": "x", "x": "s", "a": "ü"}
    assert "usually S" in words_of(rita.get(URL))
    assert "data-keys" not in as_("rolf").get("/").content.decode()
    assert rita.post(URL, {"reset": "1"}).status_code == 302
    assert OwnKeys.objects.get().moved == {}


@pytest.mark.parametrize(
    ("moved", "words"),
    [
        ({"s": "x"}, "“x” is taken: none fits, or unreadable."),
        ({"s": "7"}, "Digits choose labels."),
        ({"s": "xy"}, "One character."),
        ({"s": "\u200b"}, "One character."),
    ],
)
def test_what_cannot_be_is_said_beside_its_command_and_nothing_is_saved(
    as_: As, moved: dict[str, str], words: str
) -> None:
    answer = as_("rita").post(URL, form(**moved))
    assert answer.status_code == 422
    assert words in words_of(answer)
    assert f'value="{moved["s"]}"' in answer.content.decode()
    assert not OwnKeys.objects.exists()


def test_the_usual_keys_do_not_collide() -> None:
    assert find_problems({}) == {}


def test_an_empty_key_is_the_usual_one(as_: As) -> None:
    assert as_("rita").post(URL, {}).status_code == 302
    assert OwnKeys.objects.get().moved == {}


def test_the_list_of_keys_has_every_command(as_: As) -> None:
    text = words_of(as_("rita").get("/keys/"))
    assert all(str(title) in text for title in COMMANDS.values())

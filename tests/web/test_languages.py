"""Pages speak another language when there is a catalogue for it; API answers stay English."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from labeling.errors import Sentence, quote, say
from labeling.management.commands import makemessages
from labeling.web.wording import in_language
from tests.world import World

GERMAN = {
    "": "Content-Type: text/plain; charset=UTF-8\n",
    "Projects": "Projekte",
    "There is no such project.": "Dieses Projekt gibt es nicht.",
    "There is a project {slug!r} already.": "Ein Projekt {slug!r} gibt es schon.",
    "{why}: {now}.": "{why} – {now}.",
    "The claim was lost": "Der Fall ist weg",
    "{who} holds this task now": "{who} hat ihn jetzt",
    "low may not be above high": "{lwo} ist verdreht",
}


def write_catalogue(folder: Path, texts: Mapping[str, str]) -> None:
    """A compiled catalogue as GNU gettext makes them: two tables of lengths and places, then the texts."""
    pairs = sorted((one.encode(), other.encode()) for one, other in texts.items())
    texts_at = 28 + 16 * len(pairs)
    tables: list[bytes] = []
    body = b""
    for column in (0, 1):
        for pair in pairs:
            tables.append(struct.pack("<2I", len(pair[column]), texts_at + len(body)))
            body += pair[column] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    folder.mkdir(parents=True)
    (folder / "django.mo").write_bytes(head + b"".join(tables) + body)


@pytest.fixture
def german(settings: Any, tmp_path: Path) -> Iterator[None]:
    """German beside English, as a browser asks for it."""
    write_catalogue(tmp_path / "de" / "LC_MESSAGES", GERMAN)
    settings.LOCALE_PATHS = [tmp_path]
    settings.LANGUAGES = [("en", "English"), ("de", "Deutsch")]
    yield
    translation.activate("en")


def test_a_page_is_in_the_language_the_browser_asks_for(world: World, german: None) -> None:
    page = world.browser("otto").client.get("/", headers={"Accept-Language": "de-AT, en;q=0.5"})
    assert page.headers["Content-Language"] == "de"
    text = page.content.decode()
    assert '<html lang="de">' in text
    assert "Projekte" in text
    assert "Projects" not in text.replace("/projects", "")
    assert b"Projects" in world.browser("otto").client.get("/").content


def test_errors_of_stages_are_in_that_language_on_pages(world: World, german: None) -> None:
    browser = world.browser("nora").client
    refused = browser.get("/projects/nope/", headers={"Accept-Language": "de"})
    assert refused.status_code == 404
    assert "Dieses Projekt gibt es nicht." in refused.content.decode()
    assert "There is no such project." in browser.get("/projects/nope/").content.decode()


def test_the_api_stays_english(world: World, german: None) -> None:
    world.make_project("disputes")
    body = {"slug": "disputes", "name": "x", "task_type": "text", "label_schema": {}}
    answer = world.api("ada").post("/projects/", body, **{"Accept-Language": "de"})
    problem = answer.expect_problem(409, "slug_taken")
    assert problem["detail"] == "There is a project 'disputes' already."


def test_sentences_inside_sentences_are_put_into_words_too(german: None) -> None:
    lost = say(
        "{why}: {now}.", why=say("The claim was lost"), now=say("{who} holds this task now", who="Rita")
    )
    assert lost == "The claim was lost: Rita holds this task now."
    with translation.override("de"):
        assert in_language(lost) == "Der Fall ist weg – Rita hat ihn jetzt."
        assert (
            in_language(say("There is a project {slug!r} already.", slug="{a}"))
            == "Ein Projekt '{a}' gibt es schon."
        )


def test_what_nobody_has_translated_or_translated_wrongly_stays_english(german: None) -> None:
    with translation.override("de"):
        assert in_language(say("{name} is missing", name="id")) == "id is missing"
        assert in_language(say("low may not be above high")) == "low may not be above high"
        assert in_language(quote("Projects {0}")) == "Projects {0}"
        assert in_language("plain") == "plain"


def test_sentences_are_collected_for_translators_and_survive_a_process() -> None:
    import pickle

    assert "--keyword=say" in makemessages.Command.xgettext_options
    kept = pickle.loads(pickle.dumps(say("{name} is missing", name="id")))
    assert isinstance(kept, Sentence)
    assert (kept, kept.template) == ("id is missing", "{name} is missing")

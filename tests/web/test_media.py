"""Media of an item have addresses that work for one person only, and nothing in them runs."""

from __future__ import annotations

import base64
import re

import pytest

from labeling.web.media import MediaLinks
from tests.web.conftest import As
from tests.world import World, a_row

SOUND = bytes(range(256)) * 40


def address(world: World, value: str, key: str = "audio", who: str = "rita") -> str:
    """Send an item and get the address that its page would name."""
    world.api("otto").predict(a_row(id="m-1", input={key: value})).expect(201)
    item = world.api("otto").story("m-1")["item_id"]
    source = MediaLinks("letters", item, world.person(who).user.pk).source_of(key, key, value)
    assert source
    return source


def uri(content_type: str, content: bytes) -> str:
    return f"data:{content_type};base64,{base64.b64encode(content).decode()}"


def test_the_person_it_was_made_for_gets_the_bytes(as_: As, world: World) -> None:
    url = address(world, uri("audio/mpeg", SOUND))
    answer = as_("rita").get(url)
    assert (answer.status_code, answer.content, answer.headers["Content-Type"]) == (200, SOUND, "audio/mpeg")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert "private" in answer.headers["Cache-Control"]


def test_nobody_else_does(as_: As, world: World) -> None:
    url = address(world, uri("audio/mpeg", SOUND))
    for name in ("rolf", "otto", "nora"):
        assert as_(name).get(url).status_code == 404
    assert as_("rita").get(url[:-3] + "x/").status_code == 404
    assert as_("rita").get(url.replace("letters", "nowhere")).status_code == 404


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=0-9", 206, SOUND[:10]),
        ("bytes=10230-", 206, SOUND[10230:]),
        ("bytes=99999-", 200, SOUND),
        ("lines=1", 200, SOUND),
    ],
)
def test_players_ask_for_parts(as_: As, world: World, asked: str, status: int, content: bytes) -> None:
    answer = as_("rita").get(address(world, uri("audio/mpeg", SOUND)), headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, content)


def test_an_svg_may_not_run_and_a_pdf_may_be_framed_by_us(as_: As, world: World) -> None:
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>" + b" " * 9_000
    answer = as_("rita").get(address(world, uri("image/svg+xml", svg), "image"))
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    answer = as_("rita").get(address_of_pdf(world))
    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"


def test_the_page_of_a_task_names_it(as_: As, world: World) -> None:
    value = uri("image/png", b"\x89PNG" + b"\0" * 9_000)
    world.api("otto").predict(a_row(input={"image": value})).expect(201)
    rita = as_("rita")
    (url,) = re.findall(
        r'src="(/projects/letters/media/[^"]+)"', rita.get("/projects/letters/review/").content.decode()
    )
    assert rita.get(url).content.startswith(b"\x89PNG")


def test_broken_base64_is_not_there(as_: As, world: World) -> None:
    assert as_("rita").get(address(world, "data:audio/mpeg;base64,A")).status_code == 404


def address_of_pdf(world: World) -> str:
    value = uri("application/pdf", b"%PDF-1.7")
    world.api("otto").predict(a_row(id="p-1", input={"pdf": value})).expect(201)
    item = world.api("otto").story("p-1")["item_id"]
    source = MediaLinks("letters", item, world.rita.user.pk).source_of("pdf", "pdf", value)
    assert source
    return source

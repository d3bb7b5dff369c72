"""How numbers, times, people and guidelines are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from labeling.templatetags import interface
from labeling.templatetags.markdown import markdown


@pytest.mark.parametrize(
    ("number", "text"), [(7, "7"), (1204, "1\u202f204"), (1_234_567, "1\u202f234\u202f567"), ("x", "x")]
)
def test_thousands_are_apart(number: object, text: str) -> None:
    assert interface.thin(number) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.81, "0.81"), (0.996, "0.99"), (1.0, "1.00"), (0.7, "0.70"), (0.29, "0.29"), (None, "")],
)
def test_a_confidence_is_never_rounded_up(value: float | None, text: str) -> None:
    assert interface.conf(value) == text


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (5, "5 s"),
        (14 * 60, "14 min"),
        (112 * 60, "1 h 52"),
        (3 * 86_400, "3 d"),
        (timedelta(hours=2, minutes=5), "2 h 05"),
        (-3, "0 s"),
        (None, ""),
    ],
)
def test_durations(span: object, text: str) -> None:
    assert interface.duration(span) == text  # type: ignore[arg-type]


def test_shares() -> None:
    assert interface.percent(0.0984, 1) == "9.8\u202f%"
    assert interface.points(0.5) == "50"
    assert interface.percent(None) == ""
    assert interface.seconds(2.14) == "2.1\u202fs"
    assert interface.seconds(34.4) == "34 s"
    assert interface.seconds(None) == ""


def test_moments_name_today(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
    monkeypatch.setattr(timezone, "now", lambda: now)
    assert ">today 09:41<" in interface.moment(datetime(2026, 11, 20, 9, 41, tzinfo=UTC))
    assert ">19 Nov 09:00<" in interface.moment(datetime(2026, 11, 19, 9, 0, tzinfo=UTC))
    assert ">19 Nov 2025 09:00<" in interface.moment(datetime(2025, 11, 19, 9, 0, tzinfo=UTC))
    assert interface.moment(None) == ""


@pytest.mark.parametrize(
    ("name", "text"), [("rita", "RI"), ("katrin.lang", "KL"), ("Tom Moor", "TM"), ("x", "X"), (None, "")]
)
def test_people_are_initials(name: str | None, text: str) -> None:
    assert interface.initials(name) == text


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("# What counts", "<h2>What counts</h2>"),
        ("one\ntwo\n\nthree", "<p>one<br>two</p>\n<p>three</p>"),
        ("- a\n- b\n  more", "<ul><li>a</li><li>b more</li></ul>"),
        ("1. a\n2. b", "<ol><li>a</li><li>b</li></ol>"),
        (
            "**bold** and *soft* and `**code**`",
            "<p><strong>bold</strong> and <em>soft</em> and <code>**code**</code></p>",
        ),
        ("```\n<b>\n```", '<pre class="code" tabindex="0">&lt;b&gt;</pre>'),
        ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
        ("snake_case_name 2*3*4", "<p>snake_case_name 2*3*4</p>"),
    ],
)
def test_guidelines_are_a_little_markdown(source: str, html: str) -> None:
    assert markdown(source) == html


def test_links_open_elsewhere() -> None:
    assert markdown("[x](https://e.org/a)") == (
        '<p><a href="https://e.org/a" rel="noopener noreferrer" target="_blank">x</a></p>'
    )

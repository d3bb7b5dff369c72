"""Inputs are shown as what they are, and nothing in them runs."""

from __future__ import annotations

from typing import Any

import pytest

from labeling.web.inputs import mark_spans, show_input, text_of_html
from labeling.web.media import MediaLinks
from labeling.web.tree import LONGEST_TEXT, MOST_ENTRIES, render_tree

LINKS = MediaLinks("letters", 7, 3)
PNG = "data:image/png;base64,iVBORw0KGgo="


def kinds(value: dict[str, Any], overlay: Any = None) -> list[str]:
    return [block.kind for block in show_input(value, LINKS, overlay=overlay)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"text": "Dear Sir"}, ["text"]),
        ({"subject": "Hello", "text": "Dear Sir"}, ["title", "text"]),
        ({"image": PNG}, ["image"]),
        ({"image": "https://example.org/a.png", "audio": "data:audio/mpeg;base64,AAAA"}, ["image", "audio"]),
        ({"video": "https://example.org/a.mp4"}, ["video"]),
        ({"pdf": "data:application/pdf;base64,AAAA"}, ["pdf"]),
        ({"pdf": "https://example.org/a.pdf"}, ["url"]),
        ({"html": "<p>Hi</p>", "url": "https://example.org"}, ["html", "url"]),
        ({"image": "javascript:alert(1)"}, ["unshown"]),
        ({"image": "data:text/html;base64,AAAA"}, ["unshown"]),
        ({"image": "http://example.org/a.png"}, ["unshown"]),
        ({"rows": [{"a": 1}, {"b": "x"}]}, ["table"]),
        ({"rows": [[1, 2], [3, 4]]}, ["table"]),
        ({"fields": {"a": 1}}, ["tree"]),
        ({"other": {"deep": [1, {"x": None}]}}, ["tree"]),
        ({"text": 5, "image": None}, ["tree"]),
        ({"lines": [{"text": "A", "box": [0, 0, 10, 5]}], "page": {"width": 20, "height": 30}}, ["paper"]),
        ({"lines": ["a", "b"]}, ["tree"]),
        ({"lines": [{"text": "A", "box": [9, 0, 1, 5]}]}, ["tree"]),
        ({}, []),
    ],
)
def test_each_key_is_shown_as_what_it_is(value: dict[str, Any], expected: list[str]) -> None:
    assert kinds(value) == expected


def test_large_pictures_get_an_address_and_small_ones_stay_in_the_page() -> None:
    (small,) = show_input({"image": PNG}, LINKS)
    assert small.value == PNG
    (large,) = show_input({"image": PNG + "A" * 9_000}, LINKS)
    assert large.value.startswith("/projects/letters/media/")


def test_a_picture_says_its_shape() -> None:
    assert show_input({"image": PNG, "width": 280, "height": 25}, LINKS)[0].shape == "wide"
    assert show_input({"image": PNG, "width": 8, "height": 8}, LINKS)[0].shape == "small"
    assert show_input({"image": PNG, "width": "x", "height": 0}, LINKS)[0].shape == ""


def test_boxes_are_fractions_of_the_picture() -> None:
    boxes = {"boxes": {"total": [10, 20, 30, 40]}}
    (block,) = show_input({"image": PNG, "width": 100, "height": 200}, LINKS, overlay=boxes)
    assert [(b.x, b.y, b.width, b.height, b.name) for b in block.boxes] == [(0.1, 0.1, 0.3, 0.2, "total")]
    (block,) = show_input({"image": PNG}, LINKS, overlay={"boxes": {"total": [0.1, 0.2, 0.3, 0.4]}})
    assert block.boxes[0].y == 0.2


def test_a_page_of_lines_marks_where_a_value_is_printed() -> None:
    lines = [{"text": "TOTAL EUR", "box": [0, 0, 50, 10]}, {"text": "39.91", "box": [60, 0, 90, 10]}]
    (block,) = show_input({"lines": lines}, LINKS, overlay={"fields": {"total": "39.91", "note": None}})
    assert [box.name for box in block.value.boxes] == ["total"]
    assert block.value.boxes[0].x == 56


def test_spans_cut_the_text_at_their_edges() -> None:
    spans = [
        {"start": 0, "end": 4, "label": "PER"},
        {"start": 2, "end": 6, "label": "LOC"},
        {"start": 9, "end": 99, "label": "X"},
    ]
    pieces = [(piece.text, piece.labels) for piece in mark_spans("Anna in Rome", spans)]
    assert pieces == [("An", "PER"), ("na", "PER, LOC"), (" i", "LOC"), ("n R", ""), ("ome", "X")]


def test_html_becomes_text() -> None:
    source = "<head><title>t</title></head><h1>Hi</h1><script>alert(1)</script><p>It&nbsp;<b>barks</b>.<br>Twice</p><style>p{}</style>"
    assert text_of_html(source) == "Hi\n\nIt\xa0barks.\nTwice"


def test_nothing_in_a_tree_is_markup() -> None:
    shown = render_tree({"<b>name</b>": ["<script>", {"x": "<i>"}], "table": [{"<u>": "</td>"}]})
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "<u>" not in shown
    assert "&lt;script&gt;" in shown


def test_long_things_are_cut_and_say_so() -> None:
    assert len(render_tree("x" * 10 * LONGEST_TEXT)) < LONGEST_TEXT + 20
    assert "1 more entry" in render_tree([{"a": [number]} for number in range(MOST_ENTRIES + 1)])
    assert "image/png, 1,000" in render_tree({"x": "data:image/png;base64," + "A" * 978}).replace(
        "1000", "1,000"
    )


def test_deep_trees_end() -> None:
    value: Any = "leaf"
    for _level in range(64):
        value = {"down": [value]}
    assert "leaf" in render_tree(value)


def test_numbers_stand_on_the_right() -> None:
    shown = render_tree([{"n": 1, "t": "x", "b": True}, {"n": None, "t": "y", "b": False}])
    assert shown.count('<td class="num">') == 2

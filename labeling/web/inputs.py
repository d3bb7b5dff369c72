"""An item's input as what it is: text, picture, sound, film, document, table, and a tree for the rest."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from django.utils.translation import gettext as _

from labeling.web.media import MediaLinks
from labeling.web.tree import is_scalar, is_table, render_table, render_tree

TITLES = ("subject", "title")
MEDIA = ("image", "audio", "video", "pdf")
MOST_CHARACTERS = 200_000
_WIDE = 4.0  # a strip such as one line of a scan is shown as wide as the column
_TINY = 64  # pixels; smaller pictures are enlarged

Input = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a picture or page: fractions or page units, and the field or label it belongs to."""

    x: float
    y: float
    width: float
    height: float
    name: str


@dataclass(frozen=True, slots=True)
class Line:
    """A printed line on a page."""

    x: float
    y: float
    size: float
    width: float
    text: str

    @property
    def fits(self) -> bool:
        """Whether letters stretched to the line's width still look like letters."""
        natural = 0.55 * self.size * len(self.text)
        return 0.6 <= self.width / natural <= 1.7 if natural else False


@dataclass(frozen=True, slots=True)
class Paper:
    """A page known only by its lines and their places."""

    width: float
    height: float
    lines: tuple[Line, ...]
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text and the labels the model put on it."""

    text: str
    labels: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """One part of an input; `kind` is the name of its template in `review/blocks/`."""

    kind: str
    name: str = ""
    value: Any = None
    shape: str = ""
    boxes: tuple[Box, ...] = ()

    @property
    def template(self) -> str:
        return f"review/blocks/{self.kind}.html"


def show_input(item_input: Input, links: MediaLinks, *, overlay: Input | None = None) -> tuple[Block, ...]:
    """The blocks of an input in reading order. `overlay` is the model's output, where it may be seen."""
    rest = dict(item_input)
    blocks = [*_texts(rest, overlay), *_media(rest, links, overlay), *_tables(rest, overlay)]
    if rest:
        blocks.append(Block("tree", value=render_tree(rest)))
    return tuple(blocks)


def _texts(rest: dict[str, Any], overlay: Input | None) -> list[Block]:
    blocks = []
    for name in TITLES:
        if isinstance(rest.get(name), str):
            blocks.append(Block("title", name, rest.pop(name)))
            break
    if isinstance(rest.get("text"), str):
        text = rest.pop("text")
        if overlay and overlay.get("spans"):
            blocks.append(Block("spans", "text", mark_spans(text, overlay["spans"])))
        else:
            blocks.append(_text_block("text", text))
    if isinstance(rest.get("html"), str):
        blocks.append(Block("html", "html", (text_of_html(rest["html"]), rest.pop("html")[:MOST_CHARACTERS])))
    if isinstance(rest.get("url"), str):
        blocks.append(Block("url", "url", rest.pop("url")))
    return blocks


def _text_block(name: str, text: str) -> Block:
    cut = len(text) - MOST_CHARACTERS
    if cut > 0:
        text = (
            text[:MOST_CHARACTERS] + "\n\n" + _("… %(count)d more characters are not shown.") % {"count": cut}
        )
    return Block("text", name, text, shape="short" if len(text) <= 120 else "")


def _media(rest: dict[str, Any], links: MediaLinks, overlay: Input | None) -> list[Block]:
    blocks = []
    for kind in MEDIA:
        value = rest.get(kind)
        if not isinstance(value, str):
            continue
        del rest[kind]
        source = links.source_of(kind, kind, value)
        if source is None:
            blocks.append(Block("unshown", kind, value[:80]))
        elif kind == "image":
            width, height = rest.pop("width", None), rest.pop("height", None)
            boxes = _picture_boxes(overlay, width, height) if overlay else ()
            blocks.append(Block("image", kind, source, _shape(width, height), boxes))
        elif kind == "pdf" and source.startswith("https://"):
            blocks.append(Block("url", kind, source))
        else:
            blocks.append(Block(kind, kind, source))
    return blocks


def _shape(width: Any, height: Any) -> str:
    if not _is_number(width) or not _is_number(height) or not height:
        return ""
    if width / height >= _WIDE:
        return "wide"
    return "small" if max(width, height) <= _TINY else ""


def _picture_boxes(overlay: Input, width: Any, height: Any) -> tuple[Box, ...]:
    """Boxes as fractions of the picture. Boxes of fields may be in pixels when the picture's size is known."""
    boxes = overlay.get("boxes")
    if isinstance(boxes, Mapping):
        scale = (
            (width, height) if _is_number(width) and _is_number(height) and width and height else (1.0, 1.0)
        )
        named = [(name, box) for name, box in boxes.items() if isinstance(box, Sequence) and len(box) == 4]
        is_fraction = all(side <= 1 for _name, box in named for side in box)
        sx, sy = (1.0, 1.0) if is_fraction else scale
        return tuple(Box(b[0] / sx, b[1] / sy, b[2] / sx, b[3] / sy, name) for name, b in named)
    if isinstance(boxes, list):
        return tuple(Box(b["x"], b["y"], b["width"], b["height"], b["label"]) for b in boxes)
    return ()


def _tables(rest: dict[str, Any], overlay: Input | None) -> list[Block]:
    blocks = []
    fields = rest.get("fields")
    if isinstance(fields, dict) and fields:
        blocks.append(Block("tree", "fields", render_tree(rest.pop("fields"))))
    elif is_table(fields):
        blocks.append(Block("table", "fields", render_table(rest.pop("fields"))))
    paper = _paper(rest.get("lines"), rest.get("page"), overlay)
    if paper:
        del rest["lines"]
        rest.pop("page", None)
        blocks.append(Block("paper", "lines", paper))
    tables = [key for key, value in rest.items() if is_table(value)]
    return blocks + [Block("table", name, render_table(rest.pop(name))) for name in tables]


def _paper(lines: Any, page: Any, overlay: Input | None) -> Paper | None:
    """A page drawn from lines `{"text", "box": [x0, y0, x1, y1]}`; none when they are something else."""
    if not isinstance(lines, list) or not lines:
        return None
    drawn = []
    for line in lines:
        box = line.get("box") if isinstance(line, dict) else None
        if (
            not isinstance(box, list)
            or len(box) != 4
            or not all(map(_is_number, box))
            or not isinstance(line.get("text"), str)
        ):
            return None
        x0, y0, x1, y1 = box
        if x1 <= x0 or y1 <= y0:
            return None
        drawn.append(
            Line(x0, round(y1 - (y1 - y0) * 0.22, 1), round((y1 - y0) * 0.8, 1), x1 - x0, line["text"])
        )
    edge = (max(line["box"][2] for line in lines) + 20, max(line["box"][3] for line in lines) + 20)
    width, height = edge
    if isinstance(page, Mapping) and _is_number(page.get("width")) and _is_number(page.get("height")):
        width, height = max(page["width"], 1), max(page["height"], 1)
    return Paper(width, height, tuple(drawn), _places(lines, overlay or {}))


def _places(lines: Sequence[Mapping[str, Any]], overlay: Input) -> tuple[Box, ...]:
    """Where the value of a field is printed: the lines that hold it, or that it holds."""
    fields = overlay.get("fields")
    if not isinstance(fields, Mapping):
        return ()
    boxes = []
    for name, value in fields.items():
        wanted = _squeeze(str(value)) if value not in (None, "") else ""
        for line in lines:
            text = _squeeze(line["text"])
            if wanted and text and (wanted in text or (len(text) >= 4 and text in wanted)):
                x0, y0, x1, y1 = line["box"]
                boxes.append(Box(x0 - 4, y0 - 2, x1 - x0 + 8, y1 - y0 + 4, name))
    return tuple(boxes)


def _squeeze(text: str) -> str:
    return re.sub(r"[\s.,;]+", "", text).casefold()


def mark_spans(text: str, spans: Sequence[Mapping[str, Any]]) -> tuple[Piece, ...]:
    """The text cut at the edges of spans; overlapping spans share a piece with all their labels."""
    edges = {0, len(text)}
    for span in spans:
        edges |= {min(span["start"], len(text)), min(span["end"], len(text))}
    cuts = sorted(edges)
    pieces = []
    for start, end in itertools.pairwise(cuts):
        labels = [span["label"] for span in spans if span["start"] <= start and end <= span["end"]]
        pieces.append(Piece(text[start:end], ", ".join(dict.fromkeys(labels))))
    return tuple(pieces)


class _TextOfHtml(HTMLParser):
    """Collects what a reader would read; scripts, styles and markup are left out."""

    _SILENT = ("script", "style", "template", "head")
    _BREAKS = (
        "p",
        "div",
        "br",
        "li",
        "tr",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "section",
        "article",
        "table",
        "ul",
        "ol",
    )

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.silent += tag in self._SILENT
        if tag in self._BREAKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self.silent = max(0, self.silent - (tag in self._SILENT))
        if tag in self._BREAKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.parts.append(data)


def text_of_html(source: str) -> str:
    """The text of a piece of HTML. It is never put into a page as HTML."""
    parser = _TextOfHtml()
    parser.feed(source[:MOST_CHARACTERS])
    parser.close()
    text = re.sub(r"[ \t\r\f\v]+", " ", "".join(parser.parts))
    return re.sub(r" ?\n ?(?:\n ?)+", "\n\n", text).strip()


def _is_number(value: Any) -> bool:
    return is_scalar(value) and isinstance(value, int | float) and not isinstance(value, bool)

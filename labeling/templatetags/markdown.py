"""The little Markdown that guidelines need: headings, paragraphs, lists, code, emphasis, links. HTML in it stays text."""

import re

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

_CODE = re.compile(r"`([^`]+)`")
_STRONG = re.compile(r"\*\*(\S(?:.*?\S)?)\*\*")
_EMPHASIS = re.compile(r"(?<![*\w])[*_](\S(?:.*?\S)?)[*_](?![*\w])")
_LINK = re.compile(r"\[([^\]]+)\]\((https?://[^\s)]+)\)")
_ITEM = re.compile(r"(?:[-*+]|(\d+)[.)])\s+(.*)")
_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_FENCE = re.compile(r"```.*")
_PLACE = re.compile(r'<h2 id="([^"]+)">(.*?)</h2>')
_TAG = re.compile(r"<[^>]+>")


@register.filter
def markdown(text: str, places: str = "") -> SafeString:
    """Markdown as HTML. Everything is escaped before any element is made. With `places`, headings can be linked to: `<places>-1`."""
    lines = escape(text.replace("\r\n", "\n")).split("\n")
    blocks: list[str] = []
    headings = 0
    while lines:
        line = lines[0]
        if not line.strip():
            lines.pop(0)
        elif _FENCE.fullmatch(line.strip()):
            blocks.append(_take_code(lines))
        elif heading := _HEADING.fullmatch(line.strip()):
            lines.pop(0)
            headings += 1
            place = f' id="{places}-{headings}"' if places else ""
            blocks.append(f"<h2{place}>{_inline(heading[2])}</h2>")
        elif _ITEM.match(line.strip()):
            blocks.append(_take_list(lines))
        else:
            blocks.append(_take_paragraph(lines))
    return mark_safe("\n".join(blocks))  # noqa: S308 - escaped above


@register.filter
def headings(html: SafeString) -> list[tuple[str, SafeString]]:
    """Place and words of each heading in what `markdown` made."""
    found = _PLACE.findall(html)
    return [(place, mark_safe(_TAG.sub("", words))) for place, words in found]  # noqa: S308 - escaped above


def _take_code(lines: list[str]) -> str:
    lines.pop(0)
    taken = []
    while lines and not _FENCE.fullmatch(lines[0].strip()):
        taken.append(lines.pop(0))
    del lines[:1]
    return '<pre class="code" tabindex="0">' + "\n".join(taken) + "</pre>"


def _take_list(lines: list[str]) -> str:
    found = _ITEM.match(lines[0].strip())
    kind = "ol" if found and found[1] else "ul"
    items: list[str] = []
    while lines and lines[0].strip():
        item = _ITEM.match(lines[0].strip())
        if item:
            items.append(item[2])
        elif lines[0].startswith(" "):
            items[-1] += " " + lines[0].strip()
        else:
            break
        lines.pop(0)
    return f"<{kind}>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + f"</{kind}>"


def _take_paragraph(lines: list[str]) -> str:
    taken = [lines.pop(0)]
    while (
        lines
        and lines[0].strip()
        and not _ITEM.match(lines[0].strip())
        and not _HEADING.fullmatch(lines[0].strip())
    ):
        taken.append(lines.pop(0))
    return f"<p>{_inline('<br>'.join(taken))}</p>"


def _inline(text: str) -> str:
    """Code first: what stands in it is not looked at again."""
    parts = _CODE.split(text)
    for index in range(0, len(parts), 2):
        part = _LINK.sub(r'<a href="\2" rel="noopener noreferrer" target="_blank">\1</a>', parts[index])
        parts[index] = _EMPHASIS.sub(r"<em>\1</em>", _STRONG.sub(r"<strong>\1</strong>", part))
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))

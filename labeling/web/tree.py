"""Any JSON value as a readable tree. Written out here, not in a template: an item may nest 64 deep."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

LONGEST_TEXT = 4_000
MOST_ENTRIES = 200
MOST_COLUMNS = 24

Scalar = str | int | float | bool | None


def is_scalar(value: Any) -> bool:
    """Whether the value is a single text, number, yes/no or nothing."""
    return value is None or isinstance(value, str | int | float)


def is_table(value: Any) -> bool:
    """A list of flat objects, or of flat lists, reads best as a table."""
    if not isinstance(value, list) or not value:
        return False
    if all(isinstance(row, dict) and row for row in value):
        columns = {name for row in value for name in row}
        return len(columns) <= MOST_COLUMNS and all(is_scalar(cell) for row in value for cell in row.values())
    return all(
        isinstance(row, list) and 1 < len(row) <= MOST_COLUMNS and all(map(is_scalar, row)) for row in value
    )


def render_tree(value: Any) -> SafeString:
    """The value as nested lists of names and values."""
    if isinstance(value, Mapping):
        return _record(value)
    if is_table(value):
        return render_table(value)
    if isinstance(value, list):
        return _list(value)
    return render_scalar(value)


def render_scalar(value: Any) -> SafeString:
    """One value; long texts are cut, data: URIs only named."""
    if value is None:
        return format_html('<span class="nil">{}</span>', _("nothing"))
    if isinstance(value, bool):
        return format_html("{}", _("yes") if value else _("no"))
    text = str(value)
    if text.startswith("data:") and len(text) > 200:
        head = text[5:60].split(";")[0].split(",")[0]
        return format_html(
            '<span class="nil">{}</span>',
            _("%(type)s, %(count)d characters") % {"type": head, "count": len(text)},
        )
    if text == "":
        return format_html('<span class="nil">{}</span>', _("empty"))
    return format_html("{}", text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …")


def render_table(rows: Sequence[Any]) -> SafeString:
    """Rows as a table: objects under their names, lists without a head."""
    names = list(dict.fromkeys(name for row in rows for name in row)) if isinstance(rows[0], dict) else []
    width = max((len(row) for row in rows), default=0)
    columns: list[Any] = names or list(range(width))
    numeric = {column for column in columns if _is_numeric(_cells(rows, column))}
    head = format_html_join("", "<th{}>{}</th>", ((_num(c in numeric), c) for c in names))
    body = format_html_join(
        "", "<tr>{}</tr>", ((_row(row, columns, numeric),) for row in rows[:MOST_ENTRIES])
    )
    note = _more(len(rows) - MOST_ENTRIES)
    return format_html(
        '<div class="scroll-x"><table class="table">{}<tbody>{}</tbody></table>{}</div>',
        format_html("<thead><tr>{}</tr></thead>", head) if names else "",
        body,
        note,
    )


def _row(row: Any, columns: Sequence[Any], numeric: set[Any]) -> SafeString:
    return format_html_join(
        "", "<td{}>{}</td>", ((_num(column in numeric), _cell(row, column)) for column in columns)
    )


def _cell(row: Any, column: Any) -> SafeString:
    present = column in row if isinstance(row, Mapping) else column < len(row)
    return render_scalar(row[column]) if present else SafeString("")


def _cells(rows: Sequence[Any], column: Any) -> Iterator[Any]:
    for row in rows:
        if column in row if isinstance(row, Mapping) else column < len(row):
            yield row[column]


def _is_numeric(cells: Iterator[Any]) -> bool:
    values = [cell for cell in cells if cell is not None]
    return bool(values) and all(
        isinstance(cell, int | float) and not isinstance(cell, bool) for cell in values
    )


def _num(is_number: bool) -> SafeString:
    return SafeString(' class="num"') if is_number else SafeString("")


def _record(value: Mapping[str, Any]) -> SafeString:
    if not value:
        return render_scalar("")
    entries = list(value.items())
    pairs = format_html_join(
        "", "<dt>{}</dt><dd>{}</dd>", ((k, render_tree(v)) for k, v in entries[:MOST_ENTRIES])
    )
    return format_html('<dl class="tree">{}</dl>{}', pairs, _more(len(entries) - MOST_ENTRIES))


def _list(value: Sequence[Any]) -> SafeString:
    if not value:
        return render_scalar("")
    if len(value) <= 12 and all(is_scalar(entry) and len(str(entry)) <= 24 for entry in value):
        return format_html_join(", ", "{}", ((render_scalar(entry),) for entry in value))
    entries = format_html_join("", "<li>{}</li>", ((render_tree(entry),) for entry in value[:MOST_ENTRIES]))
    return format_html("<ol>{}</ol>{}", entries, _more(len(value) - MOST_ENTRIES))


def _more(count: int) -> SafeString:
    if count <= 0:
        return SafeString("")
    text = ngettext("%(count)d more entry is not shown.", "%(count)d more entries are not shown.", count)
    return format_html('<p class="hint">{}</p>', text % {"count": count})

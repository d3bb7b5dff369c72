"""Words on pages go through gettext: text and named attributes of templates, labels of forms, messages of views."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))

SAME_IN_EVERY_LANGUAGE = {"reviewapp", "JSONL", "CSV", "SVG", "Parquet", "YYYY-MM-DD", "Europe/Berlin"}
CODE = {'input.amount 100.0 segment == "de"'}
NAMED = ("label", "help_text", "empty_label", "description")
INVENTED = {"we swapped the", "oaring", "O-ring", "and", "torqued", "it to", "eighteen", "Nm"}
"""A reading on the component sheet."""

_BLOCKS = re.compile(
    r"{%\s*comment\b.*?{%\s*endcomment\s*%}|{%\s*blocktranslate\b.*?{%\s*endblocktranslate\s*%}"
    r"|{%\s*block page_class\s*%}.*?{%\s*endblock\b.*?%}",
    re.DOTALL,
)
_CODE = re.compile(r"{#.*?#}|{%.*?%}|{{.*?}}", re.DOTALL)
_NAMES = re.compile(r'\b(?:aria-label|aria-description|title|placeholder|alt|data-copied)="([^"]*)"')
_NOT_READ = re.compile(r"<(script|style|pre|kbd)\b.*?</\1>|<!--.*?-->", re.DOTALL)
_TAG = re.compile(r"<[^>]*>", re.DOTALL)


def words_in(source: str) -> Iterator[str]:
    """What a reader would see that no translation can change."""
    plain = _CODE.sub(" ", _BLOCKS.sub(" ", source))
    seen = [*_NAMES.findall(plain), *_TAG.sub("\n", _NOT_READ.sub("\n", plain)).splitlines()]
    for line in seen:
        text = " ".join(re.sub(r"&\w+;", " ", line).split()).strip("·:,.() ")
        if re.search(r"[^\W\d_]{2}", text):
            yield text


@pytest.mark.parametrize(
    "template", TEMPLATES, ids=lambda path: path.relative_to(ROOT / "templates").as_posix()
)
def test_every_word_of_a_template_can_be_translated(template: Path) -> None:
    allowed = SAME_IN_EVERY_LANGUAGE | CODE | (INVENTED if template.name == "components.html" else set())
    assert [word for word in words_in(template.read_text(encoding="utf-8")) if word not in allowed] == []


def test_the_reader_of_templates_finds_what_is_forgotten() -> None:
    source = """<p title="Forgotten too">{% translate "Fine" %} {{ fine }} Forgotten {% blocktranslate %}Fine{% endblocktranslate %}</p>"""
    assert [*words_in(source)] == ["Forgotten too", "Forgotten"]


def codes_in(source: str) -> list[str]:
    """Values of closed lists that are shown as they are stored."""
    return re.findall(r"{{\s*([\w.]+\.(?:verdict|origin|state|change|purpose))\s*}}", source)


def test_values_of_closed_lists_are_shown_in_words() -> None:
    allowed = {"overview.state": "alert/list.html", "row.verdict": "trust/agreement_cells.html"}
    allowed |= {"row.change": "policy/preview.html"}  # words and numbers already; part of an address
    found = [
        f"{name}: {code}"
        for path in TEMPLATES
        for code in codes_in(path.read_text(encoding="utf-8"))
        if allowed.get(code) != (name := path.relative_to(ROOT / "templates").as_posix())
    ]
    assert found == []
    assert codes_in('{{ task.state }} {{ task.state|named:"state" }}') == ["task.state"]


def test_labels_and_messages_of_views_can_be_translated() -> None:
    literal = []
    folders = [ROOT / "labeling" / "web", ROOT / "labeling" / "admin"]
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            named = [word.value for word in node.keywords if word.arg in NAMED]
            if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "messages":
                named += node.args[1:]
            found = [
                ast.unparse(value) if isinstance(value, ast.JoinedStr) else value.value
                for value in named
                if isinstance(value, ast.JoinedStr)
                or (isinstance(value, ast.Constant) and isinstance(value.value, str))
            ]
            literal += [
                f"{path.name}:{node.lineno} {value!r}"
                for value in found
                if value not in SAME_IN_EVERY_LANGUAGE
            ]
    assert literal == []

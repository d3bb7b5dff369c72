"""What domain errors say can be translated: each is a `say` of a literal template whose places are all filled."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

from labeling import errors

ROOT = Path(__file__).resolve().parents[2]
ERRORS = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.LabelingError)
}


TAKE_SENTENCES = {"stored", "keep", "quote", "DeliveryError"}
"""Beside the errors: what puts a text into a row, or passes one on."""


def flaws(source: str) -> Iterator[str]:
    """Line and flaw of each text of a domain error that no translation can reach."""
    tree = ast.parse(source)
    kinds = ERRORS | {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) in ERRORS for base in node.bases)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        if name in kinds | {"FieldError", "invalid"}:
            place = 1 if name in kinds else 2
            details = [*node.args[place : place + 1], *(k.value for k in node.keywords if k.arg == "detail")]
            yield from (
                f"{node.lineno}: say() it: {ast.unparse(detail)}" for detail in details if _is_text(detail)
            )
        if name in TAKE_SENTENCES:
            yield from (
                f"{node.lineno}: say() it: {ast.unparse(text)}"
                for text in [*node.args, *(k.value for k in node.keywords)]
                if _is_text(text) and _has_words(text)
            )
        if name == "say" and isinstance(node.func, ast.Name):
            yield from _flaws_of_sentence(node)


def _has_words(node: ast.expr) -> bool:
    return any(
        isinstance(part, ast.Constant)
        and isinstance(part.value, str)
        and re.search(r"[^\W\d_]{2}", part.value)
        for part in ast.walk(node)
    )


def _is_text(node: ast.expr) -> bool:
    """A literal, or made of literals on the spot."""
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right)
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) or _is_text(node.orelse)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _flaws_of_sentence(node: ast.Call) -> Iterator[str]:
    template = node.args[0] if len(node.args) == 1 else None
    if not isinstance(template, ast.Constant) or not isinstance(template.value, str):
        yield f"{node.lineno}: the template is not a literal"
        return
    places = {name for _text, name, *_rest in string.Formatter().parse(template.value) if name is not None}
    given = {word.arg for word in node.keywords}
    if places != given:
        yield f"{node.lineno}: {template.value!r} has the places {sorted(places)} and the values {sorted(map(str, given))}"
    for word in node.keywords:
        if _is_text(word.value) and _has_words(word.value):
            yield f"{node.lineno}: say() the value of {word.arg!r} too"


def test_every_domain_error_can_be_translated() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{flaw}"
        for path in sorted((ROOT / "labeling").rglob("*.py"))
        for flaw in flaws(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_search_finds_what_is_forgotten() -> None:
    source = """
class DeepError(InvalidError): ...
raise errors.NotFoundError("gone", "It is gone.")
raise DeepError("gone", f"{name} is gone.", [FieldError("/a", "gone", "a " + name)])
raise invalid("/a", "gone", detail="it is gone")
raise invalid("/a", "gone", say(f"{name} is gone"))
raise invalid("/a", "gone", say("{name} is gone", nam=name))
raise invalid("/a", "gone", say("{name} is gone", name=name))
row.update(**stored(error="It is gone"))
row.update(**stored(error=""))
keep(row, error=quote(f"It is {gone}"))
keep(row, error=quote(f"{kind}: {error}"))
raise DeliveryError(f"It is {gone}")
say("{what} is gone", what="the label" if label else "the field")
"""
    assert sorted(int(flaw.partition(":")[0]) for flaw in flaws(source)) == [3, 4, 4, 5, 6, 7, 9, 11, 13, 14]

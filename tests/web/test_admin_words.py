"""Whatever the admin calls things can be translated: models, columns, fields, help texts, filters, actions, rows in words."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets, label_for_field
from django.db import models
from django.test import RequestFactory
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from labeling.admin.names import FIELDS, MODELS
from tests.world import World

PAGES = list(admin.site._registry.items())
OURS = [(model, page) for model, page in PAGES if model._meta.app_label == "labeling"]
NOT_NAMED = {"__str__", "action_checkbox"}
"""Columns under the model's own name, or under none."""


def names_shown(page: Any, request: Any) -> set[str]:
    """Columns, filters, and fields of the forms for a new row and for an old one."""
    listed = [*page.get_list_display(request), *page.get_list_filter(request)]
    forms = [flatten_fieldsets(page.get_fieldsets(request, row)) for row in (None, page.model())]
    shown = [getattr(name, "admin_order_field", name) for name in [*listed, *forms[0], *forms[1]]]
    return {name for name in shown if name not in NOT_NAMED}


def texts_of(page: Any, request: Any) -> Iterator[tuple[str, Any]]:
    """Each text of an admin's pages that is not a value, with its place."""
    meta = page.model._meta
    yield from [("name", meta.verbose_name), ("plural", meta.verbose_name_plural)]
    yield from [("search", page.search_help_text), ("empty", page.get_empty_value_display())]
    yield "app", meta.app_config.verbose_name
    fields = {field.name: field for field in meta.fields}
    for name in names_shown(page, request):
        yield name, label_for_field(name, page.model, page)
        if name in fields:
            yield f"{name}: help", fields[name].help_text
            yield from ((f"{name}: {value}", label) for value, label in fields[name].flatchoices)
    for row in (None, page.model()):
        for title, content in page.get_fieldsets(request, row):
            yield from [("fieldset", title), ("fieldset", content.get("description"))]
        for name, field in page.get_form(request, row).base_fields.items():
            yield from [(f"{name}: label", field.label or name), (f"{name}: help", field.help_text)]
    for name, (_action, _name, description) in page.get_actions(request).items():
        yield f"action {name}", description
    for inline in page.get_inline_instances(request):
        yield from texts_of(inline, request)


def flaws_of(page: Any, request: Any) -> list[str]:
    return [
        f"{page.model.__name__}, {place}: {text!r}"
        for place, text in texts_of(page, request)
        if re.search(r"[^\W\d_]{2}", str(text or "")) and not isinstance(text, Promise)
    ]


@pytest.fixture
def request_of_ada(world: World) -> Any:
    request = RequestFactory().get("/admin/")
    request.user = world.ada.user
    return request


def test_every_text_can_be_translated(request_of_ada: Any) -> None:
    assert [flaw for _model, page in PAGES for flaw in flaws_of(page, request_of_ada)] == []


def test_names_are_those_that_are_shown(request_of_ada: Any) -> None:
    assert {str(model._meta.model_name) for model, _page in OURS} == set(MODELS)
    columns = {
        name
        for model, page in OURS
        for name in names_shown(page, request_of_ada)
        if name in {field.name for field in model._meta.fields}
    }
    assert columns == set(FIELDS), "what is missing, or left over"


def test_the_search_finds_what_is_forgotten(request_of_ada: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, page = next((model, page) for model, page in OURS if model.__name__ == "ReviewQueue")
    assert flaws_of(page, request_of_ada) == []
    deadline = model._meta.get_field("deadline_seconds")
    monkeypatch.setattr(model._meta, "verbose_name", "forgotten")
    monkeypatch.setattr(deadline, "verbose_name", "forgotten")
    monkeypatch.setattr(deadline, "help_text", "forgotten")
    monkeypatch.setattr(type(page), "fieldsets", [("Forgotten", {"fields": page.fields})])
    places = {flaw.split(", ")[1].split(": '")[0] for flaw in flaws_of(page, request_of_ada)}
    assert places == {
        "name",
        "fieldset",
        "deadline_seconds",
        "deadline_seconds: label",
        "deadline_seconds: help",
    }


def plain_words(source: str, closed: set[str]) -> Iterator[str]:
    """What a `__str__` says that no translation can reach: words outside of gettext, values of closed lists."""
    tree = ast.parse(textwrap.dedent(source))
    reached = {
        id(part)
        for node in ast.walk(tree)
        for part in [
            *(node.args if isinstance(node, ast.Call) and ast.unparse(node.func) == "gettext" else []),
            *(node.keys if isinstance(node, ast.Dict) else []),
        ]
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in reached:
            yield from re.findall(r"[^\W\d_]{2,}", node.value)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self" and node.attr in closed:
            yield node.attr


def closed_lists_of(model: type[models.Model]) -> set[str]:
    return {field.name for field in model._meta.fields if field.choices}


def test_rows_are_told_in_words_that_can_be_translated() -> None:
    found = {
        model.__name__: [*plain_words(inspect.getsource(model.__str__), closed_lists_of(model))]
        for model, _page in OURS
    }
    assert {name: words for name, words in found.items() if words} == {}


def test_the_reader_of_rows_finds_what_is_forgotten() -> None:
    source = """
    def __str__(self):
        values = {"id": self.pk, "state": self.get_state_display()}
        return gettext("task %(id)s") % values + f"{self.name} v{self.pk} is {self.state}" + "gone"
    """
    assert sorted(plain_words(source, {"state"})) == ["gone", "is", "state"]


def test_names_follow_the_language() -> None:
    """They are looked up when they are shown, not when the admin is loaded."""
    assert {type(name) for names in MODELS.values() for name in names} == {type(gettext_lazy("a"))}
    assert {type(name) for name in FIELDS.values()} == {type(gettext_lazy("a"))}

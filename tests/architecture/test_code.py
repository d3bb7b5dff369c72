"""Rules of the house that a machine can check: imports, signals, savings, names."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.apps import apps
from django.db import models

ROOT = Path(__file__).parents[2]
LABELING = ROOT / "labeling"
STAGES = (
    "history",
    "projects",
    "ingestion",
    "routing",
    "review",
    "decisions",
    "datasets",
    "trust",
    "pipeline",
)
FILES = [path for path in sorted(LABELING.rglob("*.py")) if "migrations" not in path.parts]
STAGE_FILES = [path for path in FILES if path.relative_to(LABELING).parts[0] in STAGES]

LATE_IMPORTS = {
    "labeling/management/commands/demo.py",  # the demo's packages may not be installed
    "labeling/alerts/delivery.py",  # an HTTP client, 15 MB in each process, for the few alerts that go to a webhook
    "labeling/routing/conditions.py",  # the condition language, 25 MB, for the few policies that have a rule
}
NO_NAMES = {"utils", "helpers", "common", "core", "misc"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def modules_of(node: ast.AST) -> list[str]:
    """What an import statement imports."""
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def test_every_stage_is_there() -> None:
    assert {path.name for path in LABELING.iterdir() if (path / "__init__.py").exists()} >= set(STAGES)
    assert len(STAGE_FILES) > 50


@pytest.mark.slow
def test_imports_go_one_way() -> None:
    """In a process of its own: the tool switches off every logger that is there."""
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def late_imports(node: ast.AST, *, inside: bool = False) -> Iterator[int]:
    """The lines of imports within functions."""
    for child in ast.iter_child_nodes(node):
        if inside and modules_of(child):
            yield child.lineno  # type: ignore[attr-defined]
        yield from late_imports(
            child, inside=inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        )


def test_no_import_hides_in_a_function() -> None:
    files = [path for path in FILES if name_of(path) not in LATE_IMPORTS]
    assert [f"{name_of(path)}:{line}" for path in files for line in late_imports(tree_of(path))] == []


def test_no_signals() -> None:
    forbidden = {"django.dispatch", "django.db.models.signals"}
    found = [
        name_of(path)
        for path in FILES
        for node in ast.walk(tree_of(path))
        if forbidden & set(modules_of(node))
    ]
    assert found == []


def test_stages_know_no_http_and_no_celery() -> None:
    forbidden = ("django.http", "rest_framework", "celery", "kombu", "labeling.tasks")
    found = [
        f"{name_of(path)} imports {module}"
        for path in STAGE_FILES
        for node in ast.walk(tree_of(path))
        for module in modules_of(node)
        if module.startswith(forbidden)
    ]
    assert found == []


def test_no_model_saves_in_its_own_way() -> None:
    found = [
        f"{name_of(path)}: {node.name}.{item.name}"
        for path in FILES
        if path.name == "models.py"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, ast.FunctionDef) and item.name in ("save", "delete", "full_clean")
    ]
    assert found == []


def test_things_have_names() -> None:
    found = [name_of(path) for path in FILES if NO_NAMES & {*path.relative_to(ROOT).parts, path.stem}]
    assert found == []


def test_a_module_says_what_it_owns() -> None:
    """Also in one line; Django's own entry point and empty packages need not."""
    silent = [
        name_of(path)
        for path in FILES
        if path != LABELING / "apps.py" and tree_of(path).body and not ast.get_docstring(tree_of(path))
    ]
    assert silent == []


def test_foreign_keys_never_delete_what_people_did() -> None:
    """Decisions, versions and history outlive everything: what they point to is protected."""
    lasting = {
        "DatasetVersion",
        "Decision",
        "Guidelines",
        "HistoryEvent",
        "LabelSchema",
        "Outcome",
        "PolicyVersion",
        "Withdrawal",
    }
    found = [
        f"{model.__name__}.{field.name}"
        for model in apps.get_app_config("labeling").get_models()
        if model.__name__ in lasting
        for field in model._meta.get_fields()
        if isinstance(field, models.ForeignKey) and field.remote_field.on_delete is not models.PROTECT
    ]
    assert found == []

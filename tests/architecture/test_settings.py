"""Every setting is documented, every documented one exists, and only one module reads the environment."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest
from django.conf import settings

from reviewapp import env

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
READERS = {"reviewapp/env.py", "reviewapp/stack/__main__.py", "reviewapp/stack/testing.py"}
"""The settings' reader; the supervisor's start and the test stack prepare it for others."""


def read_variables() -> set[str]:
    """The names that reviewapp/env.py asks the environment for."""
    tree = ast.parse((ROOT / "reviewapp" / "env.py").read_text(encoding="utf-8"))
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in texts if re.fullmatch(r"(REVIEWAPP|DATABASE|REDIS|SECRET)_[A-Z_]+", text)}


def documented_variables() -> set[str]:
    """The first column of the table."""
    return set(re.findall(r"^\| `([A-Z_]+)` \|", DOCUMENT, re.MULTILINE))


def test_the_environment_has_as_many_fields_as_variables() -> None:
    assert len(read_variables()) == len(fields(env.Environment))


def test_each_setting_is_documented() -> None:
    assert read_variables() <= documented_variables()


def test_each_documented_setting_is_read() -> None:
    supervisor = (ROOT / "reviewapp" / "stack" / "orphans.py").read_text(encoding="utf-8")
    left = {name for name in documented_variables() - read_variables() if f'"{name}"' not in supervisor}
    assert left == set()


def test_the_documented_defaults_are_the_defaults() -> None:
    default = env.read({})
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| `([^`|]+)` \|", DOCUMENT, re.MULTILINE))
    assert rows["REVIEWAPP_HOST"] == default.host
    assert rows["REVIEWAPP_PORT"] == str(default.port)
    assert rows["REVIEWAPP_ENV"] == default.mode
    assert rows["REVIEWAPP_THREADS"] == str(default.threads)
    assert rows["REVIEWAPP_LOG_LEVEL"] == default.log_level
    assert rows["REVIEWAPP_ROLE"] == default.role
    assert rows["REVIEWAPP_RETAIN_INPUT_DAYS"] == str(default.retain_input_days)
    assert rows["REVIEWAPP_DEMO"] == str(int(default.demo))
    assert rows["REVIEWAPP_HOME"] == default.home.name


def environment_lines(path: Path) -> list[str]:
    """Where a module touches the environment, but for telling Django where its settings are."""
    text = path.read_text(encoding="utf-8")
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in (
            "os.environ",
            "os.environb",
            "os.getenv",
        ):
            line = text.splitlines()[node.lineno - 1]
            if "DJANGO_SETTINGS_MODULE" not in line:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


@pytest.mark.slow
def test_nothing_else_reads_the_environment() -> None:
    modules = [*(ROOT / "labeling").rglob("*.py"), *(ROOT / "reviewapp").rglob("*.py")]
    assert len(modules) > 100
    others = [path for path in modules if str(path.relative_to(ROOT)) not in READERS]
    assert [line for path in others for line in environment_lines(path)] == []


def test_what_must_be_so_is_so() -> None:
    assert settings.DEBUG is False
    assert settings.DATABASES["default"]["ENGINE"] == "reviewapp.postgresql"
    assert settings.USE_TZ is True
    assert settings.CELERY_TASK_IGNORE_RESULT is True


def test_what_rings_often_seldom_rings_together() -> None:
    periods = sorted(entry["schedule"] for entry in settings.CELERY_BEAT_SCHEDULE.values())
    often = [period for period in periods if period < 60]
    assert len(often) > 5
    for index, one in enumerate(often):
        for other in often[index + 1 :]:
            assert other % one > 0.05, f"{other} s is a multiple of {one} s"

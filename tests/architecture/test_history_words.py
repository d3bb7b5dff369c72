"""Whatever is recorded has words on pages: actions, subjects and details of the history, numbers of autonomy's log."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.db import models

from labeling.admin.people import UserAdmin
from labeling.alerts.models import Channel
from labeling.api.v1.projects import ProjectPatch
from labeling.decisions.models import Origin, Verdict
from labeling.history.queries import KINDS as FILTERED
from labeling.projects.models import Role, Scope
from labeling.review.models import TaskState
from labeling.routing.models import Overflowing
from labeling.web import autonomy_numbers, history_words
from labeling.web.names import NAMES

LABELING = Path(__file__).resolve().parents[2] / "labeling"
OF_NO_PROJECT = {"admin", "ledger"}
OF_MANY_NAMES = {"project.changed", "user.changed"}
OWN = {"action", "subject", "by", "project_id"}
ACTION = re.compile(r"[a-z_]+\.[a-z_]+")


@dataclass
class Recorded:
    """What a source records, as far as its text tells."""

    actions: set[str] = field(default_factory=set)
    subjects: set[str] = field(default_factory=set)
    details: set[str] = field(default_factory=set)
    of_changes: set[str] = field(default_factory=set)
    unknown: list[int] = field(default_factory=list)


def recorded_in(source: str) -> Recorded:
    """Calls of `record_event`, and of the function `_record` that a module may have for it."""
    found, tree = Recorded(), ast.parse(source)
    if "record_event(" not in source:
        return found
    for call in [node for node in ast.walk(tree) if isinstance(node, ast.Call)]:
        if ast.unparse(call.func) not in ("record_event", "_record"):
            continue
        named = {word.arg: word.value for word in call.keywords if word.arg}
        texts = [*call.args, *(value for name, value in named.items() if name == "action")]
        actions = {
            part.value
            for text in texts
            for part in ast.walk(text)
            if isinstance(part, ast.Constant) and isinstance(part.value, str) and ACTION.fullmatch(part.value)
        }
        found.actions |= actions
        if {"before", "after"} & set(named):
            found.of_changes |= actions
        found.details |= set(named) - OWN
        subject = ast.unparse(named["subject"]).lstrip("f'\"") if "subject" in named else ""
        found.subjects |= {subject.partition(":")[0]} if ":" in subject else set()
        passed_on = [ast.unparse(word.value) for word in call.keywords if word.arg is None]
        found.unknown += [call.lineno] * sum(text != "details" for text in passed_on)
    return found


def sources() -> Iterator[str]:
    for path in sorted(LABELING.rglob("*.py")):
        if "migrations" not in path.parts:
            yield path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    found = Recorded()
    for one in map(recorded_in, sources()):
        found.actions |= one.actions
        found.subjects |= one.subjects
        found.details |= one.details
        found.of_changes |= one.of_changes
        found.unknown += one.unknown
    return found


def test_every_action_has_words(recorded: Recorded) -> None:
    assert recorded.actions == set(history_words.ACTIONS)
    kinds = {action.partition(".")[0] for action in recorded.actions} - OF_NO_PROJECT
    assert kinds == set(FILTERED) == set(history_words.KINDS)


def test_every_subject_has_words(recorded: Recorded) -> None:
    assert recorded.subjects == set(history_words.SUBJECTS)


def test_every_detail_has_words(recorded: Recorded) -> None:
    assert recorded.unknown == [], "details whose names the text does not tell"
    assert recorded.details - history_words.NOT_TOLD <= set(history_words.DETAILS)


def test_every_change_says_of_what(recorded: Recorded) -> None:
    assert recorded.of_changes == set(history_words.ONE_VALUE) | OF_MANY_NAMES
    of_projects = set(ProjectPatch().fields)
    of_accounts = set(UserAdmin.fields) - set(UserAdmin.readonly_fields)
    named = of_projects | of_accounts | set(history_words.ONE_VALUE.values())
    assert named <= set(history_words.DETAILS)


def test_no_word_is_left_over(recorded: Recorded) -> None:
    of_changes = {
        *ProjectPatch().fields,
        *UserAdmin.fields,
        *history_words.ONE_VALUE.values(),
    }
    assert set(history_words.DETAILS) <= recorded.details | of_changes


def test_the_reader_finds_what_is_recorded() -> None:
    found = recorded_in(
        """
def act():
    record_event(action="thing.made" if new else "thing.renewed", subject=f"thing:{thing.pk}", by=by, colour=colour)
    record_event(action="thing.changed", subject=f"thing:{thing.pk}", by=by, before=1, after=2, **more)
    _record(user, "thing.lost", by, place=place)
def _record(user, action, by, **details):
    record_event(action=action, subject=f"user:{user}", by=by, **details)
"""
    )
    assert found.actions == {"thing.made", "thing.renewed", "thing.changed", "thing.lost"}
    assert found.subjects == {"thing", "user"}
    assert found.details == {"colour", "place", "before", "after"}
    assert found.of_changes == {"thing.changed"}
    assert found.unknown == [4]


def test_every_number_of_autonomy_has_words() -> None:
    told = {"policy"}
    for source in sources():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("self.tell", "looker.tell"):
                told |= {word.arg for word in node.keywords if word.arg and word.arg != "by"}
            if isinstance(node, ast.FunctionDef) and node.name == "numbers_of":
                told |= {
                    key.value
                    for part in ast.walk(node)
                    if isinstance(part, ast.Dict)
                    for key in part.keys
                    if isinstance(key, ast.Constant)
                }
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Signal"):
                told |= {
                    key.value
                    for part in ast.walk(node)
                    if isinstance(part, ast.Dict)
                    for key in part.keys
                    if isinstance(key, ast.Constant)
                }
    assert told == set(autonomy_numbers.NUMBERS)


@pytest.mark.parametrize(
    ("kind", "choices"),
    [
        ("channel", Channel),
        ("origin", Origin),
        ("overflow", Overflowing.Mode),
        ("role", Role),
        ("scope", Scope),
        ("state", TaskState),
        ("verdict", Verdict),
    ],
)
def test_every_value_of_a_closed_list_has_words(kind: str, choices: type[models.TextChoices]) -> None:
    assert set(NAMES[kind]) == set(choices.values)

"""Which tasks of a queue somebody wants to work on: by label, segment, model version, confidence, text.

A filter looks at the first waiting tasks only (20,000 of each priority; 2,000 where it must read inputs), so that a filter
that fits nothing costs no more in a long queue than in a short one. Tasks without a suggestion are never found by label
or confidence: that they are there would tell what the model said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from labeling.errors import invalid, say
from labeling.ingestion.models import ModelVersion
from labeling.projects.models import Project
from labeling.review.models import TaskKind

MOST_SEARCHED = 20_000
MOST_READ = 2_000
LONGEST_VALUE = 500
FIELDS = ("label", "segment", "model_version", "min_confidence", "max_confidence", "q")


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """What is wanted; empty values want everything. Confidences include both ends."""

    label: str | None = None
    segment: str | None = None
    model_version_id: int | None = None
    min_confidence: float | None = None
    max_confidence: float | None = None
    text: str | None = None

    def __bool__(self) -> bool:
        return self != EVERYTHING

    @property
    def searched(self) -> int:
        """How many waiting tasks of a priority are looked at."""
        return MOST_READ if self.text else MOST_SEARCHED

    def conditions(self) -> tuple[str, dict[str, Any]]:
        """SQL over a task called `seen`, and its values."""
        parts, values = ["true"], {}
        if self.label is not None or self.min_confidence is not None or self.max_confidence is not None:
            parts.append(f"seen.kind = '{TaskKind.REVIEW}'")
        for name, sql, value in (
            ("label", "seen.label = %(label)s", self.label),
            ("segment", "seen.segment = %(segment)s", self.segment),
            ("model_version", "seen.model_version_id = %(model_version)s", self.model_version_id),
            ("min_confidence", "seen.confidence >= %(min_confidence)s", self.min_confidence),
            ("max_confidence", "seen.confidence <= %(max_confidence)s", self.max_confidence),
            ("q", _HAS_TEXT, self.text.lower() if self.text else None),
        ):
            if value is not None:
                parts.append(sql)
                values[name] = value
        return " and ".join(parts), values


EVERYTHING = TaskFilter()
# A scalar subquery, so that it is asked row by row: a join would read the whole table of items.
_HAS_TEXT = """coalesce((select strpos(lower(item.key), %(q)s) > 0 or strpos(lower(item.input::text), %(q)s) > 0
                         from labeling_item item where item.id = seen.item_id), false)"""

# Like the claim without a filter, from each mark on; `seen` is a window over the partial index of what waits. Only rows
# that fit are locked, the first ones first, and no more than are wanted.
_FITTING = """
    select waiting.id, mark.priority, waiting.position
    from labeling_queuemark mark
    cross join lateral (
        select task.id, fitting.position
        from (
            select seen.id, seen.position
            from (
                select t.id, t.position, t.item_id, t.kind, t.label, t.segment, t.model_version_id, t.confidence
                from labeling_reviewtask t
                where t.queue_id = mark.queue_id and t.priority = mark.priority and t.state = 'waiting'
                  and t.position >= mark.low
                order by t.position
                limit %(searched)s
            ) seen
            where {conditions}
              and not exists (select from labeling_exclusion x where x.task_id = seen.id and x.user_id = %(user)s
                              and (x.until is null or x.until > %(now)s))
            order by seen.position
            offset 0
        ) fitting
        join labeling_reviewtask task on task.id = fitting.id
        where task.state = 'waiting'
        order by fitting.position
        limit %(count)s
        {lock}
    ) waiting
    where mark.queue_id = %(queue)s
    order by mark.priority desc, waiting.position
    limit %(count)s
"""


def fitting_tasks(only: TaskFilter, *, lock: bool) -> tuple[str, dict[str, Any]]:
    """SQL that gives the first waiting tasks that fit, and the filter's values."""
    conditions, values = only.conditions()
    locking = "for update of task skip locked" if lock else ""
    sql = _FITTING.format(conditions=conditions, lock=locking)
    return sql, {**values, "searched": only.searched}


def find_fitting(task_ids: Sequence[int], only: TaskFilter) -> set[int]:
    """Which of these tasks the filter lets through."""
    if not only:
        return set(task_ids)
    conditions, values = only.conditions()
    with connection.cursor() as cursor:
        cursor.execute(
            f"select seen.id from labeling_reviewtask seen where seen.id = any(%(ids)s) and {conditions}",
            {**values, "ids": list(task_ids)},
        )
        return {row[0] for row in cursor.fetchall()}


def read_filter(project: Project, given: Mapping[str, str], *, at: str = "") -> TaskFilter:
    """A filter from text values by the names in FIELDS; InvalidError that names the field, below the pointer `at`."""
    values = {name: text.strip() for name in FIELDS if (text := given.get(name) or "").strip()}
    for name, text in values.items():
        if len(text) > LONGEST_VALUE or "\x00" in text:
            raise invalid(
                f"{at}/{name}",
                "invalid",
                say(
                    "{name} has at most {longest_value} characters and no U+0000",
                    name=name,
                    longest_value=LONGEST_VALUE,
                ),
            )
    low, high = (_confidence(values, name, at) for name in ("min_confidence", "max_confidence"))
    if low is not None and high is not None and low > high:
        raise invalid(f"{at}/min_confidence", "out_of_range", say("min_confidence is above max_confidence"))
    return TaskFilter(
        label=values.get("label"),
        segment=values.get("segment"),
        model_version_id=_model_version(project, values.get("model_version"), at),
        min_confidence=low,
        max_confidence=high,
        text=values.get("q"),
    )


def _confidence(values: Mapping[str, str], name: str, at: str) -> float | None:
    if name not in values:
        return None
    try:
        number = float(values[name])
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise invalid(f"{at}/{name}", "out_of_range", say("{name} is a number from 0 to 1", name=name))
    return number


def _model_version(project: Project, name: str | None, at: str) -> int | None:
    """A model version by its name and version, as one text: `reader 2.1`."""
    if name is None:
        return None
    for version in ModelVersion.objects.filter(project=project):
        if str(version) == name:
            return version.pk
    raise invalid(
        f"{at}/model_version", "unknown", say("there is no model version {name!r} in this project", name=name)
    )

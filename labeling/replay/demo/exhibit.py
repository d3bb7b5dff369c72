"""What one demo project consists of: its description, the story of its thirty days, and its cases.

Nothing here imports the demo's packages: cases are made by another process (`labeling.replay.demo.pool`).
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from labeling.replay.mapping import Json

HISTORY_DAYS = 30


@dataclass(frozen=True, slots=True)
class Case:
    """One item that can be shown: its input, what each model version says of it, and what people know."""

    input: Json
    segment: str
    predictions: dict[str, Json]  # by model version: prediction, confidence and what else a row may carry
    truth: Json

    def to_line(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_line(cls, line: str | bytes) -> "Case":
        return cls(**json.loads(line))


@dataclass(frozen=True, slots=True)
class Chapter:
    """A stretch of the history: from which day on which model version answered, and what the policy said."""

    from_day: int
    model_version: str
    policy: Json = field(default_factory=dict)  # keys that change; the others stay as they are
    note: str = ""  # why, and what the dataset version at its end is called


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A model, its data and its story."""

    slug: str
    name: str
    task_type: str
    label_schema: Json
    guidelines: str
    model: str
    item: str  # what one item is called, the beginning of its id
    rows_a_day: int
    chapters: tuple[Chapter, ...]

    @property
    def history_size(self) -> int:
        """Rows of the simulated past."""
        return HISTORY_DAYS * self.rows_a_day

    def project_body(self) -> Json:
        """What the project is made from, beside its slug."""
        return {
            "name": self.name,
            "task_type": self.task_type,
            "label_schema": self.label_schema,
            "guidelines": self.guidelines,
            "simulation": True,
            "policy": self.chapters[0].policy,
        }

    @property
    def labels(self) -> list[Any]:
        return list(self.label_schema.get("labels", ()))

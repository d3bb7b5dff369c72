"""The review desk: everything one held task shows. Built here once, for the page and for its fragments.

Of tasks without a suggestion, nothing of the prediction is even read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labeling.history.actor import Actor
from labeling.projects.models import Project
from labeling.projects.queries import settled_output_schema
from labeling.review.claiming import show_claims
from labeling.review.claims import Claim
from labeling.routing.models import PolicyPeriod
from labeling.web.editors import Editors, FieldsAnswer, LabelChoice, TextAnswer
from labeling.web.inputs import Block, show_input
from labeling.web.media import MediaLinks
from labeling.web.outputs import describe
from labeling.web.suggestions import Suggestion, suggestion_of


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """One of the answers an adjudication is about, without saying whose."""

    number: int
    text: str
    body: str


@dataclass(frozen=True, slots=True)
class Desk:
    """A held task as a page or fragment shows it."""

    task: int
    token: str
    until: datetime
    queue: str
    kind: str
    task_type: str
    item: str
    segment: str | None
    arrived_at: datetime
    blocks: tuple[Block, ...]
    suggestion: Suggestion | None
    labels: LabelChoice | None
    text: TextAnswer | None
    fields: FieldsAnswer | None
    given: tuple[GivenAnswer, ...]
    note: str = ""
    is_first: bool = False
    is_hidden: bool = False

    @property
    def is_editable(self) -> bool:
        return self.task_type not in ("spans", "boxes")

    @property
    def has_title(self) -> bool:
        return any(block.kind == "title" for block in self.blocks)

    @property
    def main_blocks(self) -> tuple[Block, ...]:
        return tuple(block for block in self.blocks if not self._is_further(block))

    @property
    def further_blocks(self) -> tuple[Block, ...]:
        """Beside a text, tables and trees come after the editor, which belongs next to what is read."""
        return tuple(block for block in self.blocks if self._is_further(block))

    def _is_further(self, block: Block) -> bool:
        return self.text is not None and block.kind in ("tree", "table")

    @property
    def is_paper(self) -> bool:
        """A document fills the item's side; everything else is a column of reading."""
        return self.task_type == "fields" and any(
            block.kind in ("paper", "image", "pdf") for block in self.blocks
        )


def build_desks(
    project: Project,
    by: Actor,
    claims: Sequence[Claim],
    *,
    typed: Mapping[str, Any] | None = None,
    is_first: bool = False,
    is_hidden: bool = False,
) -> list[Desk]:
    """Desks for held tasks; the number of queries does not depend on how many. `typed` is a refused form's content."""
    if not claims:
        return []
    schema = settled_output_schema(project)
    shown = {task.task: task for task in show_claims(project, list(claims))}
    periods = PolicyPeriod.objects.in_bulk({c.prediction.period_id for c in claims if c.prediction})
    desks = []
    for claim in claims:
        task = shown[claim.task.pk]
        suggestion, probabilities = None, dict[str, float]()
        prediction = claim.prediction
        if prediction is not None:
            probabilities = (prediction.details or {}).get("probabilities") or {}
            suggestion = suggestion_of(task, prediction, periods[prediction.period_id], schema)
        form = Editors(task, schema, suggestion, probabilities, typed)
        links = MediaLinks(project.slug, claim.task.item_id, by.user_id)
        desks.append(
            Desk(
                task=task.task,
                token=task.token,
                until=task.expires_at,
                queue=claim.task.queue.slug,
                kind=task.kind,
                task_type=schema.task_type,
                item=task.item["id"],
                segment=task.item["segment"],
                arrived_at=claim.task.created_at,
                blocks=show_input(task.item["input"], links, overlay=task.prediction),
                suggestion=suggestion,
                labels=form.labels(),
                text=form.text(),
                fields=form.fields(),
                given=_given(schema.task_type, task.answers or []),
                note=(typed or {}).get("note", ""),
                is_first=is_first,
                is_hidden=is_hidden,
            )
        )
    return desks


def _given(task_type: str, answers: Sequence[Mapping[str, Any]]) -> tuple[GivenAnswer, ...]:
    return tuple(
        GivenAnswer(index + 1, describe(task_type, answer["output"]), json.dumps(answer["output"]))
        for index, answer in enumerate(answers)
    )

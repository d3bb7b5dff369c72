"""What changed between two versions, in words."""

import logging
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from labeling.datasets.differences import Difference, compare_versions
from labeling.datasets.models import Dataset
from labeling.datasets.storage import StorageError, open_storage
from labeling.errors import LabelingError
from labeling.projects.models import Project
from labeling.web.outputs import describe
from labeling.web.wording import in_language

logger = logging.getLogger(__name__)

SHOWN_CHANGES = 50


@dataclass(frozen=True, slots=True)
class Change:
    """A record that differs, with its labels in words."""

    record_id: str
    op: str
    before: str
    after: str
    split: str
    version: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """One page of the difference of two versions; `older` 0 is nothing at all, `only` the kind of change shown."""

    older: int
    newer: int
    only: str
    difference: Difference | None
    changes: list[Change]
    problem: str

    @property
    def total(self) -> int:
        """How many changes there are of the kind shown."""
        if self.difference is None:
            return 0
        counts = {name: getattr(self.difference, name) for name in ("added", "changed", "removed")}
        return counts[self.only] if self.only else sum(counts.values())


def compare(
    project: Project,
    dataset: Dataset,
    older: int,
    newer: int,
    *,
    only: str = "",
    after: str | None = None,
    limit: int = SHOWN_CHANGES,
) -> Comparison:
    """A storage that cannot be read costs this panel, not the page."""
    try:
        found = compare_versions(
            open_storage(), dataset, older, newer, only=only or None, after=after, limit=limit
        )
    except LabelingError as error:
        return Comparison(older, newer, only, None, [], in_language(error.detail))
    except StorageError as error:
        logger.warning("dataset storage: %s", error)
        return Comparison(
            older, newer, only, None, [], _("The storage of the dataset cannot be reached now.")
        )
    return Comparison(older, newer, only, found, [_change(project, change) for change in found.changes], "")


def _change(project: Project, change: dict[str, Any]) -> Change:
    def words(output: Any) -> str:
        return describe(project.task_type, output) if output is not None else ""

    return Change(
        change["record_id"],
        change["op"],
        words(change["previous_label"]),
        words(change["label"]),
        change["split"],
        change["version"],
    )

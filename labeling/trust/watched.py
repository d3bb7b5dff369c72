"""Labels that are watched for being missed: which they are, and how many of their cases were.

Watched are the labels for whose sake others have a limit of their own (`alpha_by_label`), and those so rare that the limit in
force would let every one of them pass.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from labeling.errors import say
from labeling.ids import moment_of
from labeling.projects.models import Project, TaskType
from labeling.projects.queries import get_schema_body
from labeling.trust import rows
from labeling.trust.asking import TrustQuery, Window
from labeling.trust.figures import Sums
from labeling.trust.folding import MAX_SLICE_VALUES, slice_value
from labeling.trust.missed_labels import LabelMisses, cannot_say, misses_of
from labeling.trust.models import SliceKind, SliceValue
from labeling.trust.timegrid import day_of

__all__ = ["ALL_TOGETHER", "MOST_WATCHED", "read_misses"]

MOST_WATCHED = 10
LEAST_LABELS = 500
ALL_TOGETHER = ""
"""The name under which all watched labels stand together."""

_DAY = timedelta(days=1)


def read_misses(
    project: Project,
    query: TrustQuery,
    window: Window,
    policy: Mapping[str, Any],
    chances: Mapping[int, float],
    *,
    versions: Sequence[int] | None,
    anchored: bool,
) -> Sequence[LabelMisses]:
    """The watched labels, then all of them together; empty where none is watched, and where such counts are not kept.

    `chances` are the rates of blind checks of the window's policy periods. Of a day, period and model version one row is read
    for each label, and there are at most ten. Counts of answers by true label may begin later
    than the project (`Project.truths_from`): then the window begins with the first whole day of theirs.
    """
    if project.task_type != TaskType.CLASSIFICATION or not window.whole_days:
        return []
    if query.about_people or query.segment is not None or query.label is not None:
        return []
    kept = _kept_labels(project)
    labels = _watched_by_policy(project, policy, kept) or _seldom_enough_to_look(kept)
    if not labels:
        return []
    zone = ZoneInfo(project.time_zone)
    first = day_of(moment_of(project.truths_from), zone) + _DAY if project.truths_from else window.first
    if first > window.last or (project.truths_from and project.simulation):
        why = say("answers are counted by true label from {first} on", first=first)
        return [cannot_say(label, why) for label in labels] if policy["alpha_by_label"] else []
    counts, truths = rows.read_truths(
        project.pk, (max(first, window.first), window.last), versions, [slice_value(name) for name in labels]
    )
    anchored = anchored or window.first < first
    complete = {name for name in labels if _is_complete(name, kept)}
    found = [
        misses_of(name, chances, counts, truths.get(slice_value(name), {}), anchored=anchored)
        if name in complete
        else cannot_say(name, say("beyond the {most} labels that are counted apart", most=MAX_SLICE_VALUES))
        for name in labels
    ]
    if not policy["alpha_by_label"]:
        found = _rare(found, policy["alpha"])
    if not found:
        return []
    together: dict[int, Sums] = {}
    for one in found:
        for period, sums in truths.get(slice_value(one.label), {}).items():
            together[period] = together.get(period, Sums()).plus(sums)
    return [*found, misses_of(ALL_TOGETHER, chances, counts, together, anchored=anchored)]


def _kept_labels(project: Project) -> dict[int, list[str]]:
    """True labels with counts of their own, by model version, those last seen first: they are the rarest."""
    values = SliceValue.objects.filter(project_id=project.pk, kind=SliceKind.TRUTH).order_by("-pk")
    kept: dict[int, list[str]] = {}
    for version, value in values.values_list("model_version_id", "value"):
        kept.setdefault(version, []).append(value)
    return kept


def _watched_by_policy(
    project: Project, policy: Mapping[str, Any], kept: Mapping[int, Sequence[str]]
) -> list[str]:
    """Labels without a limit of their own, where others have one; all, where each has one. At most ten, the rarest."""
    limits = policy["alpha_by_label"]
    if not limits:
        return []
    seen = list(dict.fromkeys(value for values in kept.values() for value in values))
    known = [str(name) for name in get_schema_body(project)["labels"]]  # type: ignore[attr-defined]
    rank = {value: place for place, value in enumerate(seen)}
    ordered = sorted(known, key=lambda name: rank.get(slice_value(name), -1)) if known else seen
    return ([name for name in ordered if name not in limits] or ordered)[:MOST_WATCHED]


def _seldom_enough_to_look(kept: Mapping[int, Sequence[str]]) -> list[str]:
    """All labels, where they are few enough to see which are rare."""
    seen = list(dict.fromkeys(value for values in kept.values() for value in values))
    return seen if 2 <= len(seen) <= MOST_WATCHED else []


def _rare(found: Sequence[LabelMisses], alpha: float) -> list[LabelMisses]:
    """Those of which every case could be missed at this limit, as soon as 500 labels tell how rare they are."""
    total = sum(one.cases for one in found)
    labels = sum(one.missed + one.found + one.by_people for one in found)
    return [one for one in found if one.cases <= alpha * total] if labels >= LEAST_LABELS else []


def _is_complete(name: str, kept: Mapping[int, Sequence[str]]) -> bool:
    """Whether no case of it was counted among "others", in any model version that has some."""
    value = slice_value(name)
    return all(value in values for values in kept.values() if len(values) >= MAX_SLICE_VALUES)

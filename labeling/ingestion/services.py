"""Writing items, predictions and their keys. Called by the pipeline inside its transaction."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection

from labeling.bulk import NULL, array, copy_lines, fetch_meanwhile, json_text, moment, text
from labeling.ingestion.candidates import Candidate, details_json
from labeling.ingestion.models import ModelVersion

ITEM_COLUMNS = ("id", "project_id", "key", "input", "received_at")
KEY_COLUMNS = (
    "key_hash",
    "project_id",
    "item_id",
    "input_hash",
    "model_version_id",
    "content_hash",
    "route",
    "policy_number",
)
PREDICTION_COLUMNS = (
    "id",
    "project_id",
    "item_id",
    "model_version_id",
    "output",
    "confidence",
    "label",
    "segment",
    "details",
    "occurred_at",
    "received_at",
    "route",
    "reason",
    "policy_number",
    "period_id",
    "audit_probability",
    "audited",
    "final_output",
)
FURTHER_KEY_COLUMNS = (
    "prediction_id",
    "item_id",
    "model_version_id",
    "content_hash",
    "route",
    "policy_number",
)
_MOST_CACHED_VERSIONS = 10_000
_encode = msgspec.json.Encoder().encode

_version_ids: dict[tuple[int, str, str], int] = {}


class RoutedPrediction(msgspec.Struct, gc=False):
    """A new prediction with the route it was given; what is stored of it."""

    id: int
    item_id: int
    project_id: int
    candidate: Candidate
    label: str | None
    route: str
    reason: str
    policy_number: int
    period_id: int
    audit_probability: float
    audited: bool
    final_output: dict[str, Any] | None
    received_at: datetime

    def as_known(self) -> "KnownItem":
        """What a later row of the same request finds."""
        c = self.candidate
        return KnownItem(
            self.item_id, c.input_hash, c.model_version_id, c.content_hash, self.route, self.policy_number
        )

    def item_values(self) -> list[Any]:
        """Column values of the item, in the order of ITEM_COLUMNS."""
        row = self.candidate.row
        return [
            self.item_id,
            self.project_id,
            row.id,
            msgspec.json.encode(row.input).decode(),
            self.received_at,
        ]

    def key_values(self) -> list[Any]:
        c = self.candidate
        return [
            c.key_hash,
            self.project_id,
            self.item_id,
            c.input_hash,
            c.model_version_id,
            c.content_hash,
            self.route,
            self.policy_number,
        ]

    def prediction_values(self) -> list[Any]:
        row = self.candidate.row
        details = details_json(row)
        return [
            self.id,
            self.project_id,
            self.item_id,
            self.candidate.model_version_id,
            msgspec.json.encode(row.prediction).decode(),
            row.confidence,
            self.label,
            row.segment,
            details.decode() if details else None,
            row.occurred_at,
            self.received_at,
            self.route,
            self.reason,
            self.policy_number,
            self.period_id,
            self.audit_probability,
            self.audited,
            msgspec.json.encode(self.final_output).decode() if self.final_output is not None else None,
        ]


def get_model_version_ids(project_id: int, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Ids of (model, version) pairs, made where new. Ids never change, so processes may remember them."""
    found = {}
    for name, version in set(pairs):
        known = _version_ids.get((project_id, name, version))
        if known is None:
            known, _ = _get_or_create_version(project_id, name, version)
            if len(_version_ids) >= _MOST_CACHED_VERSIONS:
                _version_ids.clear()
            _version_ids[project_id, name, version] = known
        found[name, version] = known
    return found


def _get_or_create_version(project_id: int, name: str, version: str) -> tuple[int, bool]:
    made, created = ModelVersion.objects.get_or_create(project_id=project_id, name=name, version=version)
    return made.pk, created


def copy_new_items(predictions: Sequence[RoutedPrediction], *, meanwhile: Callable[[], None]) -> None:
    """Items, keys and first predictions. Keys go in order of their hash, so that two batches cannot deadlock.

    While the server takes in one table's rows, those of the next are put together; while it takes in the last ones,
    `meanwhile` runs.
    """
    items: list[str] = []
    rows: list[str] = []
    keys = [_key_line(p) for p in predictions]
    keys.sort()  # each begins with its hash
    copy_lines(
        "labeling_itemkey",
        KEY_COLUMNS,
        keys,
        meanwhile=lambda: items.extend([_item_line(p) for p in predictions]),
    )
    copy_lines(
        "labeling_item",
        ITEM_COLUMNS,
        items,
        meanwhile=lambda: rows.extend([_prediction_line(p) for p in predictions]),
    )
    copy_lines("labeling_prediction", PREDICTION_COLUMNS, rows, meanwhile=meanwhile)


def copy_further_predictions(predictions: Sequence[RoutedPrediction]) -> None:
    """Predictions of known items, with their keys."""
    if not predictions:
        return
    in_key_order = sorted(predictions, key=lambda p: (p.item_id, p.candidate.model_version_id))
    keys = [
        f"{p.id}\t{p.item_id}\t{p.candidate.model_version_id}\t{p.candidate.content_hash}\t{p.route}\t{p.policy_number}"
        for p in in_key_order
    ]
    copy_lines("labeling_predictionkey", FURTHER_KEY_COLUMNS, keys)
    copy_lines("labeling_prediction", PREDICTION_COLUMNS, [_prediction_line(p) for p in predictions])


def find_keys(key_hashes: Sequence[str], *, meanwhile: Callable[[], None]) -> dict[str, "KnownItem"]:
    """What is known of these items, by key hash. `meanwhile` runs while the server looks; it may not ask the server."""
    rows = fetch_meanwhile(
        """
        select key_hash, item_id, input_hash, model_version_id, content_hash, route, policy_number
        from labeling_itemkey where key_hash = any(%s::uuid[])
        """,
        [array(key_hashes)],
        meanwhile,
    )
    return {row[0].hex: KnownItem(row[1], row[2].hex, row[3], row[4].hex, row[5], row[6]) for row in rows}


def find_further_keys(item_ids: Sequence[int]) -> dict[tuple[int, int], "KnownPrediction"]:
    """The further predictions of these items, by (item, model version)."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select item_id, model_version_id, prediction_id, content_hash, route, policy_number
            from labeling_predictionkey where item_id = any(%s)
            """,
            [list(item_ids)],
        )
        return {(row[0], row[1]): KnownPrediction(row[2], row[3].hex, row[4], row[5]) for row in cursor}


@dataclass(frozen=True, slots=True)
class KnownItem:
    """A row of the key table: an item and its first prediction."""

    item_id: int
    input_hash: str
    model_version_id: int
    content_hash: str
    route: str
    policy_number: int

    @property
    def first_prediction(self) -> "KnownPrediction":
        return KnownPrediction(self.item_id, self.content_hash, self.route, self.policy_number)


@dataclass(frozen=True, slots=True)
class KnownPrediction:
    """What is remembered of a prediction, for as long as its key is kept."""

    prediction_id: int
    content_hash: str
    route: str
    policy_number: int


# The values of `key_values`, `item_values` and `prediction_values` as COPY lines.


def _key_line(p: RoutedPrediction) -> str:
    c = p.candidate
    return (
        f"{c.key_hash}\t{p.project_id}\t{p.item_id}\t{c.input_hash}\t{c.model_version_id}\t{c.content_hash}"
        f"\t{p.route}\t{p.policy_number}"
    )


def _item_line(p: RoutedPrediction) -> str:
    row = p.candidate.row
    return f"{p.item_id}\t{p.project_id}\t{text(row.id)}\t{json_text(_encode(row.input))}\t{moment(p.received_at)}"


def _prediction_line(p: RoutedPrediction) -> str:
    row = p.candidate.row
    final = NULL if p.final_output is None else json_text(_encode(p.final_output))
    return (
        f"{p.id}\t{p.project_id}\t{p.item_id}\t{p.candidate.model_version_id}\t{json_text(_encode(row.prediction))}"
        f"\t{row.confidence!r}\t{text(p.label)}\t{text(row.segment)}\t{json_text(details_json(row))}"
        f"\t{moment(row.occurred_at)}\t{moment(p.received_at)}\t{p.route}\t{p.reason}\t{p.policy_number}\t{p.period_id}"
        f"\t{p.audit_probability!r}\t{'t' if p.audited else 'f'}\t{final}"
    )

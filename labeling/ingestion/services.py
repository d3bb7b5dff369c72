"""Writing items, predictions and their keys. Called by the pipeline inside its transaction."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from struct import Struct
from typing import Any

import msgspec
from django.db import connection

from labeling.bulk import (
    NULL_FIELD,
    Prepared,
    array,
    bytes_field,
    copy_rows,
    moment_field,
    text_field,
)
from labeling.ingestion.candidates import Candidate, details_json
from labeling.ingestion.decoding import Row
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
_KEYS = Prepared("""
select key_hash, item_id, input_hash, model_version_id, content_hash, route, policy_number
from labeling_itemkey where key_hash = any(%(keys)s::uuid[])
""")
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
            c.key_hash.hex(),
            self.project_id,
            self.item_id,
            c.input_hash.hex(),
            c.model_version_id,
            c.content_hash.hex(),
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


def get_model_version_ids(project_id: int, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Ids of (model, version) pairs, made where new. Ids never change, so processes may remember them."""
    found = {}
    for name, version in pairs:
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


def copy_items(
    project_id: int,
    rows: Iterable[tuple[int, Row]],
    received_at: datetime,
    *,
    meanwhile: Iterable[object],
) -> None:
    """New items under these ids; the server takes them in while `meanwhile` is run through (`bulk.copy_rows`)."""
    copy_rows("labeling_item", ITEM_COLUMNS, _item_rows(project_id, rows, received_at), meanwhile=meanwhile)


def copy_predictions(predictions: Iterable[RoutedPrediction], *, meanwhile: Iterable[object] = ()) -> None:
    """Predictions, without their keys."""
    copy_rows(
        "labeling_prediction", PREDICTION_COLUMNS, map(_prediction_row, predictions), meanwhile=meanwhile
    )


def copy_keys(rows: Iterable[bytes], *, meanwhile: Iterable[object]) -> None:
    """Keys of new items, `key_row` of each, which come in order of their hash, so that two batches cannot deadlock. IntegrityError
    when one of the items is known."""
    copy_rows("labeling_itemkey", KEY_COLUMNS, rows, meanwhile=meanwhile)


def copy_further_predictions(predictions: Sequence[RoutedPrediction]) -> None:
    """Predictions of known items, with their keys."""
    if not predictions:
        return
    in_key_order = sorted(predictions, key=lambda p: (p.item_id, p.candidate.model_version_id))
    copy_rows("labeling_predictionkey", FURTHER_KEY_COLUMNS, [_further_key_row(p) for p in in_key_order])
    copy_predictions(predictions)


def find_keys(key_hashes: Sequence[bytes], *, meanwhile: Callable[[], None]) -> dict[bytes, "KnownItem"]:
    """What is known of these items, by key hash. `meanwhile` runs while the server looks; it may not ask the server."""
    wanted = array([key_hash.hex() for key_hash in key_hashes])
    rows = _KEYS.fetch_meanwhile({"keys": wanted}, meanwhile)
    return {
        row[0].bytes: KnownItem(row[1], row[2].bytes, row[3], row[4].bytes, row[5], row[6]) for row in rows
    }


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
        return {(row[0], row[1]): KnownPrediction(row[2], row[3].bytes, row[4], row[5]) for row in cursor}


@dataclass(frozen=True, slots=True)
class KnownItem:
    """A row of the key table: an item and its first prediction."""

    item_id: int
    input_hash: bytes
    model_version_id: int
    content_hash: bytes
    route: str
    policy_number: int

    @property
    def first_prediction(self) -> "KnownPrediction":
        return KnownPrediction(self.item_id, self.content_hash, self.route, self.policy_number)


@dataclass(frozen=True, slots=True)
class KnownPrediction:
    """What is remembered of a prediction, for as long as its key is kept."""

    prediction_id: int
    content_hash: bytes
    route: str
    policy_number: int


# The values of `key_values`, `item_values` and `prediction_values` as binary rows. Each field is its length and its value.

_item_head = Struct(">hiqiq").pack
_key_head = Struct(">hi16siqiqi16siqi16s").pack
_further_key_head = Struct(">hiqiqiqi16s").pack
_prediction_head = Struct(">hiqiqiqiq").pack
_float_field = Struct(">id").pack
_int_field = Struct(">ii").pack
_numbers = Struct(">iiiqidi?").pack


def _item_rows(project_id: int, rows: Iterable[tuple[int, Row]], received_at: datetime) -> Iterator[bytes]:
    end = moment_field(received_at)
    for item_id, row in rows:
        head = _item_head(5, 8, item_id, 8, project_id)
        yield b"".join((head, bytes_field(row.id.encode()), bytes_field(_encode(row.input)), end))


def key_row(p: RoutedPrediction) -> bytes:
    """The key of a fingerprinted prediction that makes an item."""
    c = p.candidate
    head = _key_head(
        8,
        16,
        c.key_hash,
        8,
        p.project_id,
        8,
        p.item_id,
        16,
        c.input_hash,
        8,
        c.model_version_id,
        16,
        c.content_hash,
    )
    return head + text_field(p.route) + _int_field(4, p.policy_number)


def _further_key_row(p: RoutedPrediction) -> bytes:
    c = p.candidate
    head = _further_key_head(6, 8, p.id, 8, p.item_id, 8, c.model_version_id, 16, c.content_hash)
    return head + text_field(p.route) + _int_field(4, p.policy_number)


def _prediction_row(p: RoutedPrediction) -> bytes:
    row = p.candidate.row
    return b"".join(
        (
            _prediction_head(18, 8, p.id, 8, p.project_id, 8, p.item_id, 8, p.candidate.model_version_id),
            bytes_field(_encode(row.prediction)),
            _float_field(8, row.confidence),
            text_field(p.label),
            text_field(row.segment),
            bytes_field(details_json(row)),
            moment_field(row.occurred_at),
            moment_field(p.received_at),
            _why(p.route, p.reason, p.policy_number, p.period_id, p.audit_probability, p.audited),
            NULL_FIELD if p.final_output is None else bytes_field(_encode(p.final_output)),
        )
    )


@lru_cache(maxsize=4_096)
def _why(
    route: str, reason: str, policy_number: int, period_id: int, audit_probability: float, audited: bool
) -> bytes:
    """The fields that say why a prediction went where it did; the same few for most rows."""
    numbers = _numbers(4, policy_number, 8, period_id, 8, audit_probability, 1, audited)
    return text_field(route) + text_field(reason) + numbers

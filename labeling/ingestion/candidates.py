"""A checked row with its fingerprints: what idempotency compares. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from labeling.canonical import canonical_hash, text_hash
from labeling.ingestion.decoding import Row


@dataclass(slots=True)
class Candidate:
    """A row that may become a prediction. `index` is its place in the request."""

    index: int
    row: Row
    key_hash: str
    input_hash: str
    content_hash: str
    model_version_id: int = 0


def fingerprint(project_id: int, index: int, row: Row) -> Candidate:
    """Hash what the contract compares: input, prediction, confidence, segment, occurred_at, probabilities, explanation."""
    input_hash = canonical_hash(row.input)
    content = [
        input_hash,
        row.prediction,
        row.confidence,
        row.segment,
        row.occurred_at,
        row.probabilities,
        row.explanation,
    ]
    return Candidate(index, row, key_hash_of(project_id, row.id), input_hash, canonical_hash(content))


def key_hash_of(project_id: int, item_key: str) -> str:
    """The key of an item in the narrow table, as 32 hex digits."""
    return text_hash(f"{project_id}\x1f{item_key}")


def details_json(row: Row) -> bytes | None:
    """What a prediction carries beside its output, or none."""
    details: dict[str, Any] = {
        name: value
        for name in ("probabilities", "explanation", "latency_ms", "cost")
        if (value := getattr(row, name)) is not None
    }
    return msgspec.json.encode(details) if details else None


def timestamp(moment: datetime | None) -> str | None:
    """A moment as PostgreSQL reads it."""
    return moment.isoformat() if moment else None

"""A checked row with its fingerprints: what idempotency compares. Pure."""

from typing import Any

import msgspec

from labeling.canonical import bytes_hash, canonical_bytes, text_hash
from labeling.ingestion.decoding import Row


class Candidate(msgspec.Struct, gc=False):
    """A row that may become a prediction. `index` is its place in the request."""

    index: int
    row: Row
    key_hash: str
    input_hash: str
    content_hash: str
    model_version_id: int = 0


def fingerprint(project_id: int, index: int, row: Row) -> Candidate:
    """Hash what the contract compares: input, prediction, confidence, segment, occurred_at, probabilities, explanation."""
    input_hash = bytes_hash(canonical_bytes(row.input))
    # The canonical list of these, the input by its hash. The hash is put in afterwards: its digits look like exponents.
    rest = canonical_bytes(
        [
            row.prediction,
            row.confidence,
            row.segment,
            row.occurred_at,
            row.probabilities,
            row.explanation,
        ]
    )
    content_hash = bytes_hash(b'["%b",%b' % (input_hash.encode(), rest[1:]))
    return Candidate(index, row, key_hash_of(project_id, row.id), input_hash, content_hash)


def key_hash_of(project_id: int, item_key: str) -> str:
    """The key of an item in the narrow table, as 32 hex digits."""
    return text_hash(f"{project_id}\x1f{item_key}")


def details_json(row: Row) -> bytes | None:
    """What a prediction carries beside its output, or none."""
    if row.probabilities is row.explanation is row.latency_ms is row.cost is None:
        return None
    details: dict[str, Any] = {
        name: value
        for name in ("probabilities", "explanation", "latency_ms", "cost")
        if (value := getattr(row, name)) is not None
    }
    return msgspec.json.encode(details) if details else None

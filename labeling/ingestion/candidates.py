"""A checked row with its fingerprints: what idempotency compares. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from labeling.canonical import bytes_digest, canonical_lines
from labeling.ingestion.decoding import Row


class Candidate(msgspec.Struct, gc=False):
    """A row that may become a prediction. `index` is its place in the request.

    The hashes, 16 bytes each, are empty until `fingerprint` has filled them in: a row can be placed before.
    """

    index: int
    row: Row
    model_version_id: int
    key_hash: bytes = b""
    input_hash: bytes = b""
    content_hash: bytes = b""


def hash_keys(project_id: int, candidates: Iterable[Candidate]) -> None:
    """Hash the keys, by whose order they are written. Candidates that have theirs keep it."""
    for candidate in candidates:
        candidate.key_hash = candidate.key_hash or bytes_digest(_key(project_id, candidate.row.id))


def fingerprint(project_id: int, candidates: Sequence[Candidate]) -> None:
    """Hash keys and what the contract compares: input, prediction, confidence, segment, occurred_at, probabilities, explanation.

    Candidates that have their hashes keep them.
    """
    hash_keys(project_id, candidates)
    fresh = [candidate for candidate in candidates if not candidate.content_hash]
    inputs = canonical_lines([candidate.row.input for candidate in fresh])
    rests = canonical_lines([_compared(candidate.row) for candidate in fresh])
    for candidate, item_input, rest in zip(fresh, inputs, rests, strict=True):
        candidate.input_hash = bytes_digest(item_input)
        # The canonical list of all, the input by its hash. That is put in afterwards: its digits look like exponents.
        candidate.content_hash = bytes_digest(b'["%b",%b' % (candidate.input_hash.hex().encode(), rest[1:]))


def _compared(row: Row) -> tuple[Any, ...]:
    """What is compared beside the input."""
    return row.prediction, row.confidence, row.segment, row.occurred_at, row.probabilities, row.explanation


def key_hash_of(project_id: int, item_key: str) -> str:
    """The key of an item in the narrow table, as 32 hex digits."""
    return bytes_digest(_key(project_id, item_key)).hex()


def _key(project_id: int, item_key: str) -> bytes:
    return f"{project_id}\x1f{item_key}".encode()


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

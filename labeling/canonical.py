"""Canonical JSON: one byte string for each JSON value, whatever order or spelling it arrived in.

Object keys are sorted by code point, there is no white space, and numbers that are equal are written alike
(1.0 and 1, -0.0 and 0). The idea is RFC 8785's; numbers follow Python's shortest repr instead of ECMAScript's,
which changes the spelling of very large and very small ones and nothing else.
"""

import hashlib
import re
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder(order="sorted")
# How a float that is a whole number may be written: 1.0, or 1e16 from there on. Text may look like that too, then we walk
# for nothing.
_WHOLE_FLOAT = re.compile(rb"\.0(?![0-9])|[0-9]e[0-9+]")


def canonical_bytes(value: Any) -> bytes:
    """UTF-8 canonical JSON of a decoded JSON value."""
    encoded = _encoder.encode(value)
    return _encoder.encode(_whole_floats_as_ints(value)) if _WHOLE_FLOAT.search(encoded) else encoded


def canonical_hash(value: Any) -> str:
    """128-bit BLAKE2b of the canonical JSON, as 32 hex digits (fits a uuid column)."""
    return hashlib.blake2b(canonical_bytes(value), digest_size=16).hexdigest()


def text_hash(text: str) -> str:
    """128-bit BLAKE2b of a text's UTF-8, as 32 hex digits."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _whole_floats_as_ints(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole_floats_as_ints(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_floats_as_ints(item) for item in value]
    return value

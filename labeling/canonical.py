"""Canonical JSON: one byte string for each JSON value, whatever order or spelling it arrived in.

Object keys are sorted by code point, there is no white space, and numbers that are equal are written alike
(1.0 and 1, -0.0 and 0). The idea is RFC 8785's; numbers follow Python's shortest repr instead of ECMAScript's,
which changes the spelling of very large and very small ones and nothing else.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np

_DIGEST = hashlib.blake2b(digest_size=16)  # to be copied, which takes two thirds of what making one does
_encoder = msgspec.json.Encoder(order="sorted")
_encode = _encoder.encode
# How a float that is a whole number may be written: 1.0, or 1e16 from there on. Text may look like that too, then we walk
# for nothing. Patterns that begin with a fixed character are searched several times faster than one with alternatives.
_POINT_ZERO = re.compile(rb"\.0(?![0-9])")
_E_DIGIT = re.compile(rb"e[0-9+]")
_EXPONENT = re.compile(rb"[0-9]e[0-9+]")
_DIGIT_0, _LETTER_E = ord("0"), ord("e")
# From so many values on it costs less to encode and search them together.
_TOGETHER: Final = 16


def canonical_bytes(value: Any) -> bytes:
    """UTF-8 canonical JSON of a decoded JSON value."""
    encoded = _encode(value)
    return _encode(_whole_floats_as_ints(value)) if _may_hold_whole_floats(encoded) else encoded


def canonical_lines(values: Sequence[Any]) -> list[bytes]:
    """`canonical_bytes` of each of several values."""
    if len(values) < _TOGETHER:
        return [canonical_bytes(value) for value in values]
    together = _encoder.encode_lines(values)
    lines = together.splitlines()
    if not (_POINT_ZERO.search(together) or _may_hold_exponent(together)):
        return lines
    return [
        _encode(_whole_floats_as_ints(value)) if _may_hold_whole_floats(line) else line
        for value, line in zip(values, lines, strict=True)
    ]


def canonical_hash(value: Any) -> str:
    """128-bit BLAKE2b of the canonical JSON, as 32 hex digits (fits a uuid column)."""
    return bytes_digest(canonical_bytes(value)).hex()


def text_hash(text: str) -> str:
    """128-bit BLAKE2b of a text's UTF-8, as 32 hex digits."""
    return bytes_digest(text.encode()).hex()


def bytes_digest(encoded: bytes) -> bytes:
    """128-bit BLAKE2b of bytes, as 16 bytes."""
    state = _DIGEST.copy()
    state.update(encoded)
    return state.digest()


def _may_hold_whole_floats(encoded: bytes) -> bool:
    if _POINT_ZERO.search(encoded):
        return True
    return _E_DIGIT.search(encoded) is not None and _EXPONENT.search(encoded) is not None


def _may_hold_exponent(lines: bytes) -> bool:
    """Whether a digit stands before an e somewhere. In prose the pattern takes six times as long."""
    codes = np.frombuffer(lines, np.uint8)
    is_digit = codes[:-1] - _DIGIT_0 < 10  # what is below the digits becomes large
    return bool((is_digit & (codes[1:] == _LETTER_E)).any())


def _whole_floats_as_ints(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole_floats_as_ints(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_floats_as_ints(item) for item in value]
    return value

"""From the bytes of a request to checked rows. Pure.

The common case is one call into msgspec for the whole body. Only when that refuses something is each row looked at by
itself, to say exactly what is wrong with it.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from functools import lru_cache
from typing import Annotated, Any

import msgspec
import numpy as np

from labeling.errors import FieldError, InvalidError, Sentence, quote, say

MAX_ROW_BYTES = 8 * 1024 * 1024
MAX_STRING = 1024 * 1024
MAX_MEDIA_STRING = 8 * 1024 * 1024
MAX_DEPTH = 64
MAX_ID_LENGTH = 200
MEDIA_KEYS = frozenset({"image", "audio", "video", "pdf", "html"})
INT_LEAST, INT_MOST = -(2**63), 2**64 - 1

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_ARRAY = re.compile(rb"[ \t\r\n]*\[")
_BRACKETS_OR_TEXT = re.compile(r'[\[{]+|[\]}]+|"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_MOST_BRACKETS = 2_000_000
_DIGITS_AS_ZEROS = bytes.maketrans(b"0123456789", b"0" * 10)
_LONG_DIGITS = b"0" * 19
_NESTED = frozenset({dict, list})
_BACKSLASH, _ZERO = ord("\\"), ord("0")
# From so many bytes on, looking at many at once costs less.
_VECTOR_BYTES = 32 * 1024

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Row(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """One prediction as the contract describes it (section 4)."""

    id: str
    input: dict[str, Any]
    prediction: dict[str, Any]
    confidence: Share
    model: Name
    model_version: Annotated[str, msgspec.Meta(max_length=200)] = ""
    segment: Name | None = None
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    probabilities: dict[str, Share] | None = None
    explanation: Any = None
    latency_ms: Annotated[float, msgspec.Meta(ge=0)] | None = None
    cost: Annotated[float, msgspec.Meta(ge=0)] | None = None
    priority: Annotated[int, msgspec.Meta(ge=-100, le=100)] = 0


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be stored, with everything found wrong and its id where it has one."""

    errors: list[FieldError]
    id: str | None = None


class MalformedError(Exception):
    """The body as a whole is not what its type says. Carries a sentence and whether it is the JSON syntax."""

    def __init__(self, detail: str, code: str = "malformed") -> None:
        super().__init__(detail)
        self.code = code


_NAMES = ("id", "model", "model_version", "segment")
_row_decoder = msgspec.json.Decoder(Row)
_rows_decoder = msgspec.json.Decoder(list[Row])


def decode_one(body: bytes) -> Row | BadRow:
    """A single object."""
    try:
        row = _row_decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return _explain(_parse(body, number_is_syntax=False))
    # What counts is the row itself, not how spaciously it was written.
    return _finish(row, body if len(body) <= MAX_ROW_BYTES else msgspec.json.encode(row))


def decode_array(body: bytes) -> list[Row | BadRow]:
    """An array of objects. What stops it from being JSON raises MalformedError."""
    try:
        rows = _rows_decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return [_explain(value) for value in _parse_list(body)]
    if _needs_full_walk(body):
        return [_finish(row, msgspec.json.encode(row)) for row in rows]
    return [_finish(row, None) for row in rows]


def decode_lines(body: bytes, *, most: int) -> Iterator[Row | BadRow]:
    """NDJSON: one object a line, blank lines do not count. A broken line is that line's error alone."""
    count = 0
    for line in body.split(b"\n"):
        if not line.strip():
            continue
        count += 1
        if count > most:
            raise MalformedError(f"a request has at most {most} lines", "too_many_rows")
        try:
            yield decode_one(line)
        except MalformedError as error:
            yield BadRow([FieldError("", error.code, quote(str(error)))])


def decode_value(body: bytes) -> Any:
    """Any JSON value within the limits of the contract. Raises MalformedError, or InvalidError naming the places."""
    value = _parse(body, number_is_syntax=False)
    errors = find_problems(value)
    if errors:
        raise InvalidError("invalid", errors[0].detail, errors)
    return value


def starts_as_array(body: bytes) -> bool:
    """Whether the first character that is not white space opens an array."""
    return _ARRAY.match(body) is not None


def _parse(body: bytes, *, number_is_syntax: bool) -> Any:
    """Decode with the standard library, which tells more apart: it knows NaN and 1e400 for what they are.

    Raises MalformedError when it is not JSON at all. With `number_is_syntax`, NaN and Infinity are not JSON either.
    """

    def constant(name: str) -> float:
        if number_is_syntax:
            raise MalformedError(f"{name} is not JSON")
        return math.nan

    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedError(f"the body is not valid UTF-8 at byte {error.start}") from error

    def decode(part: str) -> Any:
        return json.loads(part, parse_constant=constant, parse_int=_integer)

    try:
        try:
            return decode(text)
        except RecursionError:
            return decode(_cut_deep(text))
    except json.JSONDecodeError as error:
        raise MalformedError(f"not JSON: {error.msg} at character {error.pos}") from error


def _integer(digits: str) -> int:
    """Python refuses to convert very many digits; they are out of range whatever they are."""
    return int(digits) if len(digits) <= 40 else INT_MOST + 1


def _cut_deep(text: str) -> str:
    """JSON with what lies far below the permitted depth replaced by an empty list, so that it can be decoded at all."""
    most = MAX_DEPTH + 2  # as deep as shows that it is too deep, whether in a row or in an array of rows
    pieces, depth, start = [], 0, 0
    for count, token in enumerate(_BRACKETS_OR_TEXT.finditer(text)):
        if count > _MOST_BRACKETS:
            raise MalformedError(f"nested deeper than {MAX_DEPTH}", "too_deep")
        first, size = token[0][0], len(token[0])
        if first in "[{":
            if depth <= most < depth + size:
                pieces.append(text[start : token.start() + most - depth])
            depth += size
        elif first in "]}":
            if depth - size <= most < depth:
                start = token.start() + depth - most
                pieces.append("[]")
            depth -= size
    return "".join(pieces) + (text[start:] if depth <= most else "")


def _parse_list(body: bytes) -> list[Any]:
    value = _parse(body, number_is_syntax=True)
    if not isinstance(value, list):
        raise MalformedError("expected an array")
    if any(_has_lone_surrogate(text) for text in _texts(value)):
        raise MalformedError("a text holds half of a surrogate pair")
    return value


def _explain(value: Any) -> Row | BadRow:
    """The row a decoded value is, or all that is wrong with it."""
    if not isinstance(value, dict):
        return BadRow([FieldError("", "wrong_type", say("a row is an object"))])
    errors = _walk(value, "", 1)
    names = set(Row.__struct_fields__)
    required = ("id", "input", "prediction", "confidence", "model")
    errors += [_missing(name) for name in required if name not in value]
    for name, part in value.items():
        if name not in names:
            errors.append(
                FieldError(f"/{_escape(name)}", "unknown_field", say("a row has no {name!r}", name=name[:50]))
            )
        elif not any(error.pointer.startswith(f"/{name}") for error in errors):
            errors += _explain_field(name, part)
    row_id = value.get("id")
    if errors:
        return BadRow(errors, row_id if isinstance(row_id, str) and not _has_lone_surrogate(row_id) else None)
    return _finish(msgspec.convert(value, Row), msgspec.json.encode(value))


_field_types = {field.name: field.type for field in msgspec.structs.fields(Row)}


def _explain_field(name: str, value: Any) -> list[FieldError]:
    try:
        msgspec.convert(value, _field_types[name])
    except msgspec.ValidationError as error:
        detail = str(error).split(" - at")[0].replace("`", "")
        return [
            FieldError(
                f"/{name}",
                "invalid",
                say("{name}: {detail}", name=name, detail=detail[:1].lower() + detail[1:]),
            )
        ]
    return _check_name(name, value)


def _finish(row: Row, encoded: bytes | None) -> Row | BadRow:
    """The checks that msgspec does not make. Without `encoded`, the row is known to need no full walk."""
    if encoded is None and _is_plain(row):
        return row
    errors = [*_check_name("id", row.id), *_check_model_names(row.model, row.model_version, row.segment)]
    if encoded is not None and len(encoded) > MAX_ROW_BYTES:
        errors.append(
            FieldError(
                "", "too_large", say("a row has at most {max_row_bytes} bytes", max_row_bytes=MAX_ROW_BYTES)
            )
        )
    if row.occurred_at is not None:
        errors += _to_utc(row)
    full = encoded is not None and _needs_full_walk(encoded)
    parts = (
        ("input", row.input),
        ("prediction", row.prediction),
        ("explanation", row.explanation),
        ("probabilities", row.probabilities),
    )
    for name, part in parts:
        if full:
            errors += _walk(part, f"/{name}", 2)
        elif part is not None and _depth_exceeds(part, MAX_DEPTH - 1):
            errors.append(
                FieldError(f"/{name}", "too_deep", say("nested deeper than {max_depth}", max_depth=MAX_DEPTH))
            )
    return BadRow(errors, row.id) if errors else row


def _is_plain(row: Row) -> bool:
    """Whether a row that needs no full walk is like nearly all of them: valid at a glance."""
    return (
        0 < len(row.id) <= MAX_ID_LENGTH
        and row.id.isprintable()
        and not row.id.isspace()
        and row.occurred_at is None
        and not _check_model_names(row.model, row.model_version, row.segment)
        and (_is_shallow(row.input) or not _depth_exceeds(row.input, MAX_DEPTH - 1))
        and (_is_shallow(row.prediction) or not _depth_exceeds(row.prediction, MAX_DEPTH - 1))
        and (row.explanation is None or not _depth_exceeds(row.explanation, MAX_DEPTH - 1))
    )


def find_problems(value: Any) -> list[FieldError]:
    """What is wrong with any decoded JSON value: depth, U+0000, surrogates, sizes, numbers."""
    return _walk(value, "", 1)


def _to_utc(row: Row) -> list[FieldError]:
    """The first and the last year are left out: in some time zone, a day of theirs is outside the calendar."""
    try:
        row.occurred_at = row.occurred_at.astimezone(UTC) if row.occurred_at else None
    except OverflowError:
        fits = False
    else:
        fits = row.occurred_at is None or MINYEAR < row.occurred_at.year < MAXYEAR
    return (
        []
        if fits
        else [FieldError("/occurred_at", "out_of_range", say("occurred_at is outside the calendar"))]
    )


def _check_name(name: str, value: Any) -> list[FieldError]:
    """What types do not say about the texts that name things."""
    if name not in _NAMES or value is None:
        return []
    if name == "id" and not 0 < len(value) <= MAX_ID_LENGTH:
        return [
            FieldError(
                "/id",
                "invalid_length",
                say("an id has 1 to {max_id_length} characters", max_id_length=MAX_ID_LENGTH),
            )
        ]
    if _CONTROL.search(value):
        return [
            FieldError(f"/{name}", "control_character", say("{name} holds a control character", name=name))
        ]
    if not value.strip() and name != "model_version":
        return [FieldError(f"/{name}", "blank", say("{name} is only white space", name=name))]
    return []


@lru_cache(maxsize=4_096)
def _check_model_names(model: str, version: str, segment: str | None) -> tuple[FieldError, ...]:
    """The same few come again and again."""
    named = zip(_NAMES[1:], (model, version, segment), strict=True)
    return tuple(error for name, value in named for error in _check_name(name, value))


def _needs_full_walk(encoded: bytes) -> bool:
    """Whether the bytes may hold U+0000, an integer outside 64 bits, or a text over the limit."""
    return len(encoded) > MAX_STRING or _may_hold_nul(encoded) or _may_hold_long_integer(encoded)


def _may_hold_nul(encoded: bytes) -> bool:
    if len(encoded) < _VECTOR_BYTES:
        return b"\\u0000" in encoded
    # Searching for the whole takes three times as long in a body that spells letters as \u00e9.
    codes = np.frombuffer(encoded, np.uint8)
    return bool(((codes[:-5] == _BACKSLASH) & (codes[2:-3] == _ZERO) & (codes[4:-1] == _ZERO)).any()) and (
        b"\\u0000" in encoded
    )


def _may_hold_long_integer(encoded: bytes) -> bool:
    """Whether as many digits stand together as an integer outside 64 bits has."""
    if len(encoded) < _VECTOR_BYTES:
        return _LONG_DIGITS in encoded.translate(_DIGITS_AS_ZEROS)
    run = np.frombuffer(encoded, np.uint8) - _ZERO < 10  # what is below the digits becomes large
    for step in (1, 2, 4, 8, 3):  # where 2, 4, 8, 16 and then 19 digits begin
        run = run[:-step] & run[step:]
        if not run.any():
            return False
    return True


def _is_shallow(value: dict[str, Any]) -> bool:
    """Whether no object or array lies deeper than in a value's own parts; a quick look at what nearly all are like."""
    for part in value.values():
        kind = type(part)
        if kind in _NESTED and not _NESTED.isdisjoint(map(type, part.values() if kind is dict else part)):
            return False
    return True


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value] if type(value) in _NESTED else []
    while level:
        if limit == 0:
            return True
        limit -= 1
        deeper: list[Any] = []
        for one in level:
            parts = one.values() if type(one) is dict else one
            if not _NESTED.isdisjoint(
                map(type, parts)
            ):  # most parts are scalars, and this runs for every row
                deeper += [part for part in parts if type(part) in _NESTED]
        level = deeper
    return False


def _walk(value: Any, pointer: str, depth: int) -> list[FieldError]:
    """Everything wrong with a value of any shape: depth, U+0000, surrogates, sizes, numbers. Not recursive."""
    errors: list[FieldError] = []
    todo = [(value, pointer, depth)]
    while todo and len(errors) < 20:
        value, pointer, depth = todo.pop()
        if isinstance(value, dict | list) and depth > MAX_DEPTH:
            errors.append(
                FieldError(
                    _top(pointer), "too_deep", say("nested deeper than {max_depth}", max_depth=MAX_DEPTH)
                )
            )
        elif isinstance(value, dict):
            for key, part in value.items():
                where = f"{pointer}/{_escape(key)}"
                errors += [
                    FieldError(pointer, code, say("a key {what}", what=what))
                    for code, what in _text_problems(key, MAX_STRING)
                ]
                todo.append((part, where, depth + 1))
        elif isinstance(value, list):
            todo += [(part, f"{pointer}/{index}", depth + 1) for index, part in enumerate(value)]
        else:
            errors += [
                FieldError(pointer, code, say("{pointer}: {what}", pointer=pointer, what=what))
                for code, what in _scalar_problems(value, pointer)
            ]
    return errors


def _scalar_problems(value: Any, pointer: str) -> list[tuple[str, Sentence]]:
    if isinstance(value, str):
        media = pointer.startswith("/input/") and pointer[7:] in MEDIA_KEYS
        return _text_problems(value, MAX_MEDIA_STRING if media else MAX_STRING)
    if isinstance(value, float) and not math.isfinite(value):
        return [("not_finite", say("is not a finite number"))]
    if isinstance(value, int) and not INT_LEAST <= value <= INT_MOST:
        return [("number_out_of_range", say("is an integer outside 64 bits"))]
    return []


def _text_problems(text: str, most: int) -> list[tuple[str, Sentence]]:
    problems = []
    if "\x00" in text:
        problems.append(("null_character", say("holds U+0000")))
    if _has_lone_surrogate(text):
        problems.append(("lone_surrogate", say("holds half of a surrogate pair")))
    if len(text) > most:
        problems.append(("too_long", say("has more than {most} characters", most=most)))
    return problems


def _has_lone_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value, keys too. Not recursive."""
    todo = [value]
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from value
            todo += value.values()
        elif isinstance(value, list):
            todo += value


def _missing(name: str) -> FieldError:
    return FieldError(f"/{name}", "required", say("{name} is missing", name=name))


def _escape(name: str) -> str:
    return name[:200].replace("~", "~0").replace("/", "~1").encode("utf-8", "replace").decode()


def _top(pointer: str) -> str:
    return "/" + pointer.split("/", 2)[1] if pointer else ""

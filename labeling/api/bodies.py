"""Reading request bodies: type, encoding and size are checked before anything is decoded."""

import zlib
from dataclasses import dataclass
from functools import lru_cache

from django.http import HttpRequest
from django.http.request import RawPostDataException, UnreadablePostError

MAX_BODY = 64 * 1024 * 1024
JSON_TYPE = "application/json"
NDJSON_TYPE = "application/x-ndjson"
_CHUNK = 1024 * 1024


@dataclass
class BodyError(Exception):
    """A body that is refused as a whole: HTTP status, stable code, one sentence."""

    status: int
    code: str
    detail: str


def read_body(request: HttpRequest) -> tuple[str, bytes]:
    """Media type and inflated body. Raises BodyError (400, 413, 415)."""
    kind, charset = _type_of(request.META.get("CONTENT_TYPE") or "")
    if kind not in (JSON_TYPE, NDJSON_TYPE):
        raise BodyError(415, "unsupported_media_type", f"send {JSON_TYPE} or {NDJSON_TYPE}")
    if charset not in ("", "utf-8", "utf8"):
        raise BodyError(415, "unsupported_media_type", "send UTF-8")
    encoding = (request.META.get("HTTP_CONTENT_ENCODING") or "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise BodyError(415, "unsupported_encoding", "Content-Encoding is gzip or nothing")
    if _declared_length(request) > MAX_BODY:
        raise _too_large()
    try:
        body = request.body
    except (UnreadablePostError, RawPostDataException) as error:
        raise BodyError(400, "malformed", "the body ended early") from error
    return kind, _inflate(body) if encoding == "gzip" else body


@lru_cache(maxsize=64)
def _type_of(header: str) -> tuple[str, str]:
    """Media type and charset, as they are compared."""
    kind, _, parameters = header.partition(";")
    return kind.strip().lower(), parameters.strip().lower().replace('"', "").removeprefix("charset=")


def _declared_length(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError as error:
        raise BodyError(400, "malformed", "Content-Length is not a number") from error


def _inflate(body: bytes) -> bytes:
    """Inflate piece by piece, so that a bomb is refused at the limit and not after it. A body may have several members."""
    inflater = zlib.decompressobj(wbits=31)
    pieces, size = [], 0
    try:
        while body:
            if inflater.eof:
                inflater = zlib.decompressobj(wbits=31)
            piece = inflater.decompress(body, _CHUNK)
            pieces.append(piece)
            size += len(piece)
            if size > MAX_BODY:
                raise _too_large()
            body = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    except zlib.error as error:
        raise BodyError(400, "malformed", "the body is not gzip") from error
    if not inflater.eof:
        raise BodyError(400, "malformed", "the gzip body ends early")
    return b"".join(pieces)


def _too_large() -> BodyError:
    return BodyError(413, "too_large", f"a body has at most {MAX_BODY} bytes, inflated")

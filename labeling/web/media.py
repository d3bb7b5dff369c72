"""Images, sound, film and documents inside an item: which may be shown, and from which address.

Small images stay in the page. Larger ones get an address of their own that only the person it was made for can use, so that
pages stay small and the browser can keep what it has seen.
"""

import base64
import binascii
import re
import urllib.parse
from dataclasses import dataclass
from typing import Any

from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.clickjacking import xframe_options_sameorigin

from labeling.errors import NotFoundError, say
from labeling.ingestion.models import Item
from labeling.projects.access import Permission, get_project
from labeling.web import actor_of
from labeling.web.page import page

SHOWN_IN_PAGE = 6_000  # characters of a data: URI
KINDS = {
    "image": (
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "image/avif",
        "image/bmp",
        "image/svg+xml",
    ),
    "audio": (
        "audio/mpeg",
        "audio/mp4",
        "audio/ogg",
        "audio/wav",
        "audio/x-wav",
        "audio/webm",
        "audio/flac",
        "audio/aac",
    ),
    "video": ("video/mp4", "video/webm", "video/ogg"),
    "pdf": ("application/pdf",),
}
_DATA_URI = re.compile(
    r"data:([\w.+-]+/[\w.+-]+)((?:;[\w.+-]+=[\w.+-]+)*)(;base64)?,", re.ASCII | re.IGNORECASE
)
_RANGE = re.compile(r"bytes=(\d+)-(\d*)\Z", re.ASCII)
_SALT = "labeling.web.media"
# Whatever the bytes are, nothing in them runs: an SVG opened by itself has no scripts and no origin.
_LOCKED = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


@dataclass(frozen=True, slots=True)
class MediaLinks:
    """Makes addresses for the media of one item and one person."""

    slug: str
    item_id: int
    user_id: int

    def source_of(self, kind: str, key: str, value: str) -> str | None:
        """What goes into `src`: the URI itself, an https address, or an address here; none when it is not shown."""
        if value.startswith("https://"):
            return value
        found = _DATA_URI.match(value)
        if not found or found[1].lower() not in KINDS[kind]:
            return None
        if kind == "image" and len(value) <= SHOWN_IN_PAGE:
            return value
        signed = signing.Signer(salt=_SALT).sign_object({"u": self.user_id, "i": self.item_id, "k": key})
        return reverse("media", args=[self.slug, signed])


@xframe_options_sameorigin
@page("GET")
def show(request: HttpRequest, slug: str, signed: str) -> HttpResponse:
    """One medium of an item, for the person whose page named it."""
    actor = actor_of(request)
    project = get_project(actor, slug, Permission.SEE)
    wanted = _read_signed(signed)
    if wanted["u"] != actor.user_id:
        raise _nothing()
    item = Item.objects.filter(pk=wanted["i"], project_id=project.pk).first()
    content_type, content = _decode(item.input.get(wanted["k"]) if item else None)
    response = _partial(request, content) if "Range" in request.headers else HttpResponse(content)
    response["Content-Type"] = content_type
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = "private, max-age=86400, immutable"
    if content_type in KINDS["pdf"]:  # the browser's own reader does not start in a sandbox
        response["Content-Security-Policy"] = "default-src 'none'; object-src 'self'; frame-ancestors 'self'"
    else:
        response["Content-Security-Policy"] = _LOCKED
    return response


def _read_signed(signed: str) -> dict[str, Any]:
    try:
        wanted: dict[str, Any] = signing.Signer(salt=_SALT).unsign_object(signed)
    except signing.BadSignature:
        raise _nothing() from None
    return wanted


def _decode(value: Any) -> tuple[str, bytes]:
    found = _DATA_URI.match(value) if isinstance(value, str) else None
    if found is None or found[1].lower() not in {name for names in KINDS.values() for name in names}:
        raise _nothing()
    raw = value[found.end() :]
    try:
        content = (
            base64.b64decode(urllib.parse.unquote(raw)) if found[3] else urllib.parse.unquote_to_bytes(raw)
        )
    except (binascii.Error, ValueError):
        raise _nothing() from None
    return found[1].lower(), content


def _partial(request: HttpRequest, content: bytes) -> HttpResponse:
    """One range, which is all that players ask for; anything else gets the whole."""
    found = _RANGE.match(request.headers["Range"])
    first = int(found[1]) if found else 0
    last = min(int(found[2]), len(content) - 1) if found and found[2] else len(content) - 1
    if not found or first > last:
        return HttpResponse(content)
    response = HttpResponse(content[first : last + 1], status=206)
    response["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
    return response


def _nothing() -> NotFoundError:
    return NotFoundError("not_found", say("There is no such medium, or it is not yours to see."))

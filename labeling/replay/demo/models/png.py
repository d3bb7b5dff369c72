"""Small grey pictures as PNG data URIs. Pure."""

import base64
import struct
import zlib
from collections.abc import Sequence

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREYSCALE = 0
_EIGHT_BITS = 8


def data_uri(rows: Sequence[bytes]) -> str:
    """A picture as `data:image/png`; each row is one byte per pixel, 0 black to 255 white."""
    return "data:image/png;base64," + base64.b64encode(png(rows)).decode()


def png(rows: Sequence[bytes]) -> bytes:
    """The file of an 8-bit greyscale picture."""
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), _EIGHT_BITS, _GREYSCALE, 0, 0, 0)
    pixels = b"".join(b"\x00" + row for row in rows)  # every row says: not filtered
    chunks = [_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(pixels, 6)), _chunk(b"IEND", b"")]
    return _SIGNATURE + b"".join(chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

"""JSON bodies on the paths that go through DRF: type, encoding, size and values as the contract's section 2 has them."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser

from labeling.api.bodies import JSON_TYPE, read_body
from labeling.ingestion.decoding import decode_value


class JsonParser(BaseParser):
    """DRF's own reads a body of any size, knows no gzip, and lets pass what cannot be stored or sent back."""

    media_type = JSON_TYPE

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The decoded body. Raises BodyError, MalformedError or InvalidError."""
        _, body = read_body((parser_context or {})["request"]._request)
        return decode_value(body)

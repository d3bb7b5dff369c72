"""Pages travel compressed; answers of the API do not, because compressing costs more than most of them take to make."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

_COMPRESSED = ("text/", "image/svg+xml")


class PageCompression(GZipMiddleware):
    """Django's own, for texts outside the API. Its random padding and the masked CSRF token keep lengths from telling secrets."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        kind = response.headers.get("Content-Type", "")
        if request.path.startswith("/api/") or not kind.startswith(_COMPRESSED):
            return response
        return super().process_response(request, response)

"""Smallest views: one inserts the row it is sent, one answers a constant page."""

import os

from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.floor.settings")

CONSTANT = HttpResponse(b"x" * 20_000, content_type="text/html").content


def insert(request: HttpRequest) -> HttpResponse:
    """One row in its own transaction, committed before the answer."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into bench_single (key, body) values (%s, %s)",
            [request.headers["X-Key"], request.body.decode()],
        )
    return HttpResponse(b'{"created":true}', content_type="application/json", status=201)


def constant(request: HttpRequest) -> HttpResponse:
    return HttpResponse(CONSTANT, content_type="text/html")


urlpatterns = [path("insert", insert), path("constant", constant)]
application = get_wsgi_application()

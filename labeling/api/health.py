"""Is the process alive, is it ready for work, and what can be measured: for load balancers and Prometheus."""

from collections.abc import Callable

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError as BrokerError
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from labeling.api.authentication import bearer_of
from labeling.api.measures import AutonomyCollector, QueueCollector, RateCollector
from labeling.api.problems import DATABASE_ERRORS
from reviewapp.celery import app

_MIGRATED = "migrations-applied"


@require_safe
def livez(request: HttpRequest) -> HttpResponse:
    """200 while the process answers at all."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when database and migrations are there; the broker is told about but stops nothing, it is only the bell."""
    checks = {"database": _check(_database), "migrations": _check(_migrations), "broker": _check(_broker)}
    ready = checks["database"] == "ok" and checks["migrations"] == "ok"
    return JsonResponse({"ready": ready, "checks": checks}, status=200 if ready else 503)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text. Queue figures come from the database at each scrape, so every process answers the same.

    401 without the token, where the settings name one: what waits tells a model service which of its results were drawn.
    """
    token = settings.REVIEWAPP_METRICS_TOKEN
    if token is not None and not constant_time_compare(bearer_of(request) or "", token):
        return HttpResponse(
            "401\n", status=401, headers={"WWW-Authenticate": "Bearer"}, content_type="text/plain"
        )
    registry = CollectorRegistry()
    for collector in (QueueCollector(), AutonomyCollector(), RateCollector()):
        registry.register(collector)
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _check(look: Callable[[], str]) -> str:
    try:
        return look()
    except (*DATABASE_ERRORS, BrokerError, OSError) as error:
        return f"failed: {type(error).__name__}"


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("select 1")
    return "ok"


def _migrations() -> str:
    if cache.get(_MIGRATED):
        return "ok"
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return "migrations are missing"
    cache.set(_MIGRATED, True, 60)
    return "ok"


def _broker() -> str:
    with app.connection_for_read(connect_timeout=1, transport_options={"max_retries": 1}) as broker:
        broker.ensure_connection(max_retries=1, timeout=1)
    return "ok"

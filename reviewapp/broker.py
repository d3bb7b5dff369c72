"""How the broker's address is spelled."""

from __future__ import annotations


def celery_broker_url(redis_url: str) -> str:
    """The same broker as Celery spells it: Unix sockets have a scheme of their own there."""
    if not redis_url.startswith("unix://"):
        return redis_url
    return redis_url.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=")

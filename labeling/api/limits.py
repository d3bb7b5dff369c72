"""How much a key may do each second, counted in the broker so that every process of every host counts together.

A key without a limit costs nothing here. While the broker cannot be asked, nothing is limited: a limit protects the service from
one client, and refusing everybody's predictions would be the greater harm. `docs/settings.md` says so to operators.
"""

import logging
import math
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from labeling.errors import BusyError, say
from labeling.projects.models import ApiKey

logger = logging.getLogger(__name__)
PATIENCE_S = 0.5
ASK_AGAIN_S = 1.0

# The generic cell rate algorithm (a token bucket that stores one number): KEYS[1] holds until when the past is paid for, in
# microseconds of the broker's clock. A second's worth may come at once. What costs more than that is let in when nothing is
# owed, and what follows waits until it is paid for. Returns 0, or after how many microseconds to try again.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local owed = math.max(tonumber(redis.call('GET', KEYS[1]) or 0) - now, 0)
local cost = tonumber(ARGV[1])
if owed > 0 and owed + cost > 1000000 then
    return math.ceil(math.min(owed, owed + cost - 1000000))
end
redis.call('SET', KEYS[1], string.format('%d', now + owed + cost), 'PX', math.ceil((owed + cost) / 1000) + 1)
return 0
"""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a key with limits may do a second; none: as much as it likes."""

    digest: str
    requests: int | None
    rows: int | None

    def take_request(self) -> None:
        """Count one request. Raises BusyError when it is one too many."""
        self._take("requests", self.requests, 1)

    def take_rows(self, count: int) -> None:
        """Count the rows of a request, whatever becomes of them. Raises BusyError when they are too many."""
        self._take("rows", self.rows, count)

    def _take(self, what: str, most: int | None, count: int) -> None:
        if most is None:
            return
        wait_us = _counter().take(
            f"reviewapp:limit:{what}:{self.digest}", math.ceil(count * 1_000_000 / most)
        )
        if wait_us > 0:
            raise BusyError(
                "rate_limited",
                say(
                    "This key may send {most} {what} a second. Nothing was stored: send it again later.",
                    most=most,
                    what=what,
                ),
                extra={"retry_after": math.ceil(wait_us / 1_000_000)},
            )


def allowance_of(key: ApiKey) -> Allowance | None:
    """The limits of a key, or none. They are given with the key and never change, so they may be remembered."""
    if key.requests_per_second is None and key.rows_per_second is None:
        return None
    return Allowance(key.digest, key.requests_per_second, key.rows_per_second)


class _Counter:
    """The broker as this process asks it; after a failure it is left alone for a moment."""

    def __init__(self, url: str) -> None:
        client = redis.Redis.from_url(
            url,
            socket_timeout=PATIENCE_S,
            socket_connect_timeout=PATIENCE_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._script: Any = client.register_script(_TAKE)
        self._silent_until = 0.0

    def take(self, name: str, cost_us: int) -> int:
        """Take this much of the allowance; 0, or after how many microseconds to try again."""
        if time.monotonic() < self._silent_until:
            return 0
        try:
            return int(self._script(keys=[name], args=[cost_us]))
        except (redis.RedisError, OSError) as error:
            logger.warning("limits of keys are not applied, the broker cannot be asked: %s", error)
            self._silent_until = time.monotonic() + ASK_AGAIN_S
            return 0


@cache
def _counter() -> _Counter:
    return _Counter(settings.REDIS_URL)

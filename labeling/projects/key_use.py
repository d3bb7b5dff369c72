"""When a key was used last, to within a few minutes: most requests write nothing about it."""

import time
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from labeling.projects.models import ApiKey

APART_S = 300
_MOST = 10_000
_noted: dict[int, float] = {}


def note_key_use(key_id: int) -> None:
    """Write down that the key is in use, unless this process did within the last five minutes."""
    now = time.monotonic()
    if now - _noted.get(key_id, -APART_S) < APART_S:
        return
    if len(_noted) >= _MOST:
        _noted.clear()
    _noted[key_id] = now
    old = Q(last_used_at=None) | Q(last_used_at__lt=Now() - timedelta(seconds=APART_S))
    ApiKey.objects.filter(old, pk=key_id).update(last_used_at=Now())

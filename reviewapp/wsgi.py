"""The web application, for any WSGI server. `reviewapp.server` is the one that `make run` starts."""

from __future__ import annotations

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reviewapp.settings")

application = get_wsgi_application()

# What is loaded now lives for ever: the collector need not look through it again, nor as often as every 700 objects,
# of which one batch of predictions makes tens of thousands. Frozen before a server forks, it also stays shared by its workers.
# The oldest generation is small then, and looked through often enough that requests caught by a collection leave nothing behind.
_ = get_resolver().url_patterns
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 10, 10)

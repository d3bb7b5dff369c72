"""The web application as granian's workers load it."""

from __future__ import annotations

import gc
import multiprocessing
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from reviewapp.stack.parent_death import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reviewapp.settings")

# A granian worker outlives a killed master and keeps the port. The master itself may import this too.
if multiprocessing.parent_process() is not None:
    die_with_parent()

application = get_wsgi_application()

# What is loaded now lives for ever: the collector need not look through it again, nor as often as every 700 objects,
# of which one batch of predictions makes tens of thousands.
_ = get_resolver().url_patterns
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 100)

"""The web application as granian's workers load it."""

from __future__ import annotations

import multiprocessing
import os

from django.core.wsgi import get_wsgi_application

from reviewapp.stack.parent_death import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reviewapp.settings")

# A granian worker outlives a killed master and keeps the port. The master itself may import this too.
if multiprocessing.parent_process() is not None:
    die_with_parent()

application = get_wsgi_application()

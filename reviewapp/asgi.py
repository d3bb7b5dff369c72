"""The web application for ASGI servers. `make run` uses WSGI: measured, it carries more here."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reviewapp.settings")

application = get_asgi_application()

"""The Celery application of beat, which rings by name and by the clock: it loads neither Django nor the tasks."""

from __future__ import annotations

from celery import Celery

app = Celery("reviewapp", set_as_current=False)
app.config_from_object("reviewapp.settings", namespace="CELERY")

"""The Celery application: workers start from here. Beat has one of its own (`reviewapp.beat`)."""

from __future__ import annotations

import gc
import os
from typing import Any

from celery import Celery
from celery.signals import worker_before_create_process, worker_process_init
from kombu.transport.redis import Channel

from reviewapp.stack.parent_death import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reviewapp.settings")

# A broker that goes away while messages are unacknowledged ends the worker: to put them back, kombu wants a connection from a
# channel that has none any more. Nothing needs them: the sweeps ring again for whatever was not done.
Channel.do_restore = False

app = Celery("reviewapp")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


_forked_by: int | None = None


@worker_process_init.connect  # type: ignore[untyped-decorator]
def _end_with_the_worker(**_signal: Any) -> None:
    """A pool process must not go on with its task when its worker was killed: the task is delivered again."""
    die_with_parent(parent=_forked_by)


@worker_before_create_process.connect  # type: ignore[untyped-decorator]
def _keep_shared(**_signal: Any) -> None:
    """What is loaded now stays shared with the pool processes: no collector of theirs writes into it. They know whose they are."""
    global _forked_by  # noqa: PLW0603
    _forked_by = os.getpid()
    gc.collect()
    gc.freeze()

"""Loaded by every Python process of an instance under fire (it is first on PYTHONPATH): changes the product from outside.

The file named by CHAOS_CONTROL says at any moment how far the clock of the leases is off, how often a decision commits late,
and which protocols are broken. Without that variable nothing happens. The product itself has no switch for any of this.
"""

import importlib.abc
import importlib.util
import json
import os
import random
import sys
import time
from datetime import timedelta

CONTROL = os.environ.get("CHAOS_CONTROL", "")
_seen = [0, {}]


def control():
    """What the file says now; what it said last while it is being replaced."""
    try:
        written_at = os.stat(CONTROL).st_mtime_ns
        if written_at != _seen[0]:
            with open(CONTROL, encoding="utf-8") as file:
                _seen[:] = [written_at, json.load(file)]
    except (OSError, ValueError):
        pass
    return _seen[1]


def is_broken(protocol):
    return protocol in control().get("broken", ())


class _JumpingClock:
    """`django.utils.timezone`, with another idea of now."""

    def __init__(self, timezone):
        self._timezone = timezone

    def __getattr__(self, name):
        return getattr(self._timezone, name)

    def now(self):
        return self._timezone.now() + timedelta(seconds=control().get("clock", 0))


def change_claims(services):
    """Leases follow the jumping clock. Broken `token`: whoever once held a task may still decide it."""
    services.timezone = _JumpingClock(services.timezone)
    checked = services.require_held

    def require_held(task, token, by):
        if not is_broken("token") or task.state != services.TaskState.CLAIMED:
            checked(task, token, by)

    services.require_held = require_held


def change_batches(batches):
    """Broken `rows`: a publication takes what comes after the last published row, instead of claiming the rows that wait."""
    claimed = batches.claim_rows

    def claim_rows(dataset_id, publication_id):
        if not is_broken("rows"):
            return claimed(dataset_id, publication_id)
        with batches.connection.cursor() as cursor:
            cursor.execute(
                "update labeling_waitingdecision set publication_id = %s where dataset_id = %s and publication_id is null"
                " and id > (select coalesce(max(id), 0) from labeling_datasetentry where dataset_id = %s)",
                [publication_id, dataset_id, dataset_id],
            )
            return cursor.rowcount

    batches.claim_rows = claim_rows


def change_datasets(services):
    """Broken `sweep`: nobody looks for publications whose bell was lost."""
    due = services.publish_due
    services.publish_due = lambda *given, **named: [] if is_broken("sweep") else due(*given, **named)


def change_recording(recording):
    """Some decisions commit late: what they offer to the dataset appears after rows with larger numbers."""
    written = recording.write_decision

    def write_decision(**named):
        written(**named)
        if random.random() < control().get("late", 0):
            time.sleep(random.uniform(0.05, control().get("late_s", 0.4)))

    recording.write_decision = write_decision


CHANGES = {
    "labeling.review.services": change_claims,
    "labeling.datasets.batches": change_batches,
    "labeling.datasets.services": change_datasets,
    "labeling.pipeline.recording": change_recording,
}


class _Changer(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports a module as usual, then applies the change to it."""

    def __init__(self):
        self._usual = {}

    def find_spec(self, name, path=None, target=None):
        if name not in CHANGES or name in self._usual:
            return None
        self._usual[name] = None  # the search below comes by here again
        spec = importlib.util.find_spec(name)
        self._usual[name] = spec.loader
        spec.loader = self
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        self._usual[module.__name__].exec_module(module)
        CHANGES[module.__name__](module)


if CONTROL:
    sys.meta_path.insert(0, _Changer())

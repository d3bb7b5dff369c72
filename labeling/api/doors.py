"""The way in for predictions: which key may write to which project, and the rules to route with.

What is remembered here can be out of date; every write compares it with the database in the same statement, and a write
that fails the comparison comes back here for a fresh one. So a process never acts on an old policy or a revoked key.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from rest_framework.exceptions import AuthenticationFailed

from labeling.api.authentication import actor_of_key, find_key
from labeling.api.limits import Allowance, allowance_of
from labeling.errors import BusyError, say
from labeling.history.actor import Actor
from labeling.pipeline.placing import Door, StaleRulesError
from labeling.projects.access import Permission, get_project
from labeling.projects.key_use import note_key_use
from labeling.projects.services import digest_of
from labeling.review.models import ReviewQueue
from labeling.review.tasks import DEFAULT_QUEUE
from labeling.routing.queries import load_rules

_MOST = 1_000
_MOST_TRIES = 5
T = TypeVar("T")

_remembered: dict[tuple[str, str], tuple[Door, Allowance | None]] = {}


class Doorway:
    """The door of a request: remembered for keys, fresh for signed-in people. `allowance` is the key's limits, if it has any;
    known once the door is open."""

    def __init__(self, slug: str, *, plain_key: str | None = None, actor: Actor | None = None) -> None:
        self._slug = slug
        self._plain_key = plain_key
        self._actor = actor
        self.allowance: Allowance | None = None
        self._memory = (digest_of(plain_key), slug) if plain_key else None
        self._door: Door | None = None

    def open(self) -> Door:
        """The door as remembered, or a fresh one. Raises the errors of authentication and access."""
        return self._door or self._open_remembered() or self._open_fresh()

    def _open_remembered(self) -> Door | None:
        known = _remembered.get(self._memory) if self._memory else None
        if known is not None:
            self._door, self.allowance = known
            if self._door.key_id is not None:
                note_key_use(self._door.key_id)  # a fresh door's key was looked up, which notes it too
        return self._door

    def through(self, write: Callable[[Door], T]) -> T:
        """Write through the door; while the rules turn out to be out of date, load them anew and write again."""
        door = self.open()
        for _ in range(_MOST_TRIES):
            try:
                return write(door)
            except StaleRulesError:
                door = self._open_fresh()
        raise BusyError(
            "rules_changing", say("The rules of this project are being changed right now; send it again.")
        )

    def _open_fresh(self) -> Door:
        if self._memory:
            _remembered.pop(self._memory, None)
        actor = self._actor or self._actor_of_key()
        project = get_project(actor, self._slug, Permission.INGEST)
        self._door = door = Door(load_rules(project.pk), _queue_id(project.pk), actor.key_id)
        if self._memory:
            if len(_remembered) >= _MOST:
                _remembered.clear()
            _remembered[self._memory] = door, self.allowance
        return door

    def _actor_of_key(self) -> Actor:
        key = find_key(self._plain_key or "")
        if key is None:
            raise AuthenticationFailed("The API key is unknown or revoked.", code="key_invalid")
        self.allowance = allowance_of(key)
        return actor_of_key(key)


@lru_cache(maxsize=_MOST)
def _queue_id(project_id: int) -> int:
    return ReviewQueue.objects.get(project_id=project_id, slug=DEFAULT_QUEUE).pk

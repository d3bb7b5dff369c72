"""Every endpoint of the API: as Django knows them, and as this table says who may use them.

A new path fails `test_access.test_every_endpoint_is_in_the_table` until it has a row here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.urls import URLPattern, URLResolver

from labeling.alerts.models import AlertKind
from labeling.alerts.services import add_recipient, raise_alert
from labeling.api.v1.urls import urlpatterns
from labeling.datasets.models import Dataset
from labeling.datasets.services import publish, set_tag
from labeling.errors import say
from labeling.projects.invitations import invite
from labeling.projects.models import ApiKey
from tests.world import World, a_row

METHODS = ("get", "post", "put", "patch", "delete")


def list_endpoints(patterns: Any = urlpatterns, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(method, route) of everything below /api/v1/."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from list_endpoints(pattern.url_patterns, route)
        else:
            assert isinstance(pattern, URLPattern)
            callback: Any = pattern.callback
            view = getattr(callback, "cls", None) or callback.view_class
            yield from ((method.upper(), route) for method in METHODS if hasattr(view, method))


@dataclass(frozen=True)
class Permission:
    """The members and the scopes that may. Ada may everything; a stranger finds nothing."""

    members: frozenset[str]
    scopes: frozenset[str]
    hides: bool = True  # a stranger gets 404; what belongs to no project is 403


def _permission(members: str, scopes: str, **more: Any) -> Permission:
    return Permission(frozenset(members.split()), frozenset(scopes.split()), **more)


ANY = "ingest review datasets:read manage"
SEE = _permission("otto lea rita vic", ANY)
SEE_WORK = _permission("otto lea rita vic", "review manage")
READ_ITEMS = _permission("otto lea vic", "ingest datasets:read manage")
READ_TRUST = _permission("otto lea rita vic", "ingest datasets:read manage")
READ_DATASETS = _permission("otto lea vic", "datasets:read manage")
INGEST = _permission("otto lea", "ingest")
REVIEW = _permission("otto lea rita", "review")
LEAD_REVIEW = _permission("otto lea", "review")
LEAD = _permission("otto lea", "manage")
OWN = _permission("otto", "manage")
ADMIN = _permission("", "manage", hides=False)
EVERYBODY = _permission("otto lea rita vic nora", ANY, hides=False)
MANAGERS = _permission("otto lea rita vic nora", "manage", hides=False)
PUBLIC = None

_PROJECT = "projects/<str:slug>/"
_MEMBER = f"{_PROJECT}members/<str:username>/"
_TASK = "tasks/<int:task_id>/"
_DATASET = f"{_PROJECT}datasets/<str:dataset>/"
_VERSION = f"{_DATASET}versions/<str:version>/"


@dataclass(frozen=True)
class Endpoint:
    """A method on a path, who may use it, and a body that is good."""

    method: str
    route: str
    permission: Permission | None
    body: dict[str, Any] | None = field(default=None, hash=False)

    def __str__(self) -> str:
        return f"{self.method} {self.route}"


ENDPOINTS = [
    Endpoint("GET", "schema/", PUBLIC),
    Endpoint("GET", "docs/", PUBLIC),
    Endpoint("GET", "projects/", EVERYBODY),
    Endpoint(
        "POST", "projects/", ADMIN, {"slug": "new", "name": "New", "task_type": "text", "label_schema": {}}
    ),
    Endpoint("GET", _PROJECT, SEE),
    Endpoint("PATCH", _PROJECT, LEAD, {"name": "Post"}),
    Endpoint("GET", f"{_PROJECT}queues/", SEE_WORK),
    Endpoint("PATCH", f"{_PROJECT}queues/<str:queue>/", LEAD, {"deadline_seconds": 3600}),
    Endpoint("GET", f"{_PROJECT}policy/", SEE),
    Endpoint("PUT", f"{_PROJECT}policy/", LEAD, {"high": 0.9}),
    Endpoint("GET", f"{_PROJECT}policy/versions/", SEE),
    Endpoint("POST", f"{_PROJECT}policy/simulate/", LEAD, {"high": 0.9}),
    Endpoint("GET", f"{_PROJECT}members/", LEAD),
    Endpoint("POST", f"{_PROJECT}members/", OWN, {"username": "vic", "role": "reviewer"}),
    Endpoint("PATCH", _MEMBER, OWN, {"role": "viewer"}),
    Endpoint("DELETE", _MEMBER, OWN),
    Endpoint("POST", f"{_MEMBER}password-link/", OWN, {}),
    Endpoint("POST", f"{_MEMBER}deactivate/", OWN, {}),
    Endpoint("POST", f"{_MEMBER}reactivate/", OWN, {}),
    Endpoint("GET", f"{_PROJECT}invitations/", LEAD),
    Endpoint("POST", f"{_PROJECT}invitations/", OWN, {"name": "Somebody", "role": "reviewer"}),
    Endpoint("DELETE", f"{_PROJECT}invitations/<int:invitation_id>/", OWN),
    Endpoint("POST", f"{_PROJECT}invitations/<int:invitation_id>/renew/", OWN, {}),
    Endpoint("POST", "invitations/accept/", PUBLIC, {"token": "?"}),
    Endpoint("POST", "password-links/use/", PUBLIC, {"token": "?", "password": "?"}),
    Endpoint("GET", "keys/", MANAGERS),
    Endpoint("POST", "keys/", OWN, {"name": "k", "scopes": ["ingest"], "project": "letters"}),
    Endpoint("DELETE", "keys/<int:key_id>/", OWN),
    Endpoint("GET", f"{_PROJECT}predictions/", READ_ITEMS),
    Endpoint("POST", f"{_PROJECT}predictions/", INGEST, a_row(id="one more")),
    Endpoint("GET", f"{_PROJECT}predictions/<path:key>/", READ_ITEMS),
    Endpoint("GET", f"{_PROJECT}outcomes/", READ_ITEMS),
    Endpoint("GET", f"{_PROJECT}trust/", READ_TRUST),
    Endpoint("POST", f"{_PROJECT}autonomy/stop/", LEAD, {"reason": "wrong labels"}),
    Endpoint("POST", f"{_PROJECT}autonomy/resume/", LEAD, {"reason": "mended"}),
    Endpoint("POST", f"{_PROJECT}autonomy/lower/", LEAD, {"level": 0, "reason": "fewer checks"}),
    Endpoint("POST", f"{_PROJECT}autonomy/accept/", LEAD, {"level": 0, "reason": "agreed"}),
    Endpoint("GET", f"{_PROJECT}autonomy/events/", READ_TRUST),
    Endpoint("POST", f"{_PROJECT}tasks/claim/", REVIEW, {"count": 1}),
    Endpoint("POST", f"{_TASK}decision/", REVIEW, {"token": "?", "verdict": "confirmed"}),
    Endpoint("POST", f"{_TASK}reopen/", REVIEW, {}),
    Endpoint("POST", f"{_TASK}heartbeat/", REVIEW, {"token": "?"}),
    Endpoint("POST", f"{_TASK}release/", REVIEW, {"token": "?"}),
    Endpoint("POST", f"{_TASK}skip/", REVIEW, {"token": "?"}),
    Endpoint("POST", f"{_TASK}take-back/", LEAD_REVIEW, {}),
    Endpoint("GET", f"{_PROJECT}claims/", LEAD_REVIEW),
    Endpoint("POST", "decisions/<int:decision_id>/undo/", REVIEW, {}),
    Endpoint("GET", "alerts/", EVERYBODY),
    Endpoint("POST", "alerts/<int:alert_id>/acknowledge/", LEAD),
    Endpoint("POST", "alerts/test/", ADMIN),
    Endpoint("GET", "alerts/recipients/", ADMIN),
    Endpoint("POST", "alerts/recipients/", ADMIN, {"channel": "email", "address": "ops@example.org"}),
    Endpoint("DELETE", "alerts/recipients/<int:recipient_id>/", ADMIN),
    Endpoint("GET", _DATASET, READ_DATASETS),
    Endpoint("GET", f"{_DATASET}versions/", READ_DATASETS),
    Endpoint("POST", f"{_DATASET}versions/", LEAD, {}),
    Endpoint("GET", f"{_DATASET}publications/<int:publication>/", READ_DATASETS),
    Endpoint("GET", _VERSION, READ_DATASETS),
    Endpoint("GET", f"{_VERSION}records/", READ_DATASETS),
    Endpoint("GET", f"{_VERSION}diff/<str:newer>/", READ_DATASETS),
    Endpoint("POST", f"{_VERSION}tags/", LEAD, {"tag": "gold"}),
    Endpoint("DELETE", f"{_VERSION}tags/<str:tag>/", LEAD),
    Endpoint("POST", f"{_VERSION}verify/", LEAD, {}),
]

_PARAMETER = re.compile(r"<(\w+):(\w+)>")


class Place:
    """A world in which every parameter of every path names something that is there."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.other = world.make_project("parcels")
        otto, rita = world.api("otto"), world.api("rita")
        otto.predict([a_row(id="x"), a_row(id="y"), a_row(id="z")]).expect(200)
        decision = rita.decide(rita.claim_one(), "confirmed").expect(201)["decision"]
        dataset = Dataset.objects.get(project=world.letters)
        publication = publish(dataset.pk)
        assert publication is not None
        set_tag(dataset=dataset, number=1, name="silver", by=world.otto.actor)
        task = rita.claim_one()
        self.token = task["token"]
        self.values = {
            "slug": "letters",
            "queue": "default",
            "username": "rolf",
            "invitation_id": invite(
                project=world.letters, name="Somebody", role="reviewer", by=world.otto.actor
            )[0].pk,
            "key_id": ApiKey.objects.get(
                prefix=world.make_key("otto", "ingest", project=world.letters)[:12]
            ).pk,
            "alert_id": raise_alert(
                kind=AlertKind.QUEUE_TOO_OLD,
                subject="queue:q",
                detail=say("Old."),
                project_id=world.letters.pk,
            ),
            "recipient_id": add_recipient(
                channel="email", address="lea@example.org", kinds=[], project=None, by=world.ada.actor
            ).pk,
            "key": "x",
            "task_id": task["task"],
            "decision_id": decision,
            "dataset": "main",
            "version": "1",
            "newer": "latest",
            "tag": "silver",
            "publication": publication.pk,
        }

    def path(self, route: str, **instead: str) -> str:
        """The address of a route; `instead` replaces every parameter of a type."""
        filled = _PARAMETER.sub(lambda m: instead.get(m[1], str(self.values[m[2]])), route)
        return f"/{filled}"

    def body(self, endpoint: Endpoint) -> Any:
        if endpoint.body and endpoint.body.get("token") == "?":
            return {**endpoint.body, "token": self.token}
        return endpoint.body

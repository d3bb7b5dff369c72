"""Times on every page of a project are in its zone, also where that zone has another day than the server."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from django.test import Client

from labeling.projects.models import Project
from tests.journeys.showcase import build
from tests.world import World

AHEAD = "Pacific/Kiritimati"  # UTC+14
BEHIND = "Pacific/Niue"  # UTC-11: at any moment, one of the two has another day than UTC
TIME = re.compile(r'<time datetime="([^"]+)" title="[^"]*">([^<]+)</time>')


def test_times_are_in_the_zone_of_the_project(world: World) -> None:
    pages = {name: url for name, url in build(world).items() if url.startswith("/projects/dispute-reasons/")}
    client = Client()
    client.force_login(world.ada.user)
    days = set()
    for zone, offset in ((AHEAD, "+14:00"), (BEHIND, "-11:00")):
        Project.objects.update(time_zone=zone)
        with_times = set()
        for name, url in pages.items():
            for exact, shown in TIME.findall(client.get(url).content.decode()):
                with_times.add(name)
                assert exact.endswith(offset), f"{name}: {exact}"
                moment = datetime.fromisoformat(exact)
                assert f"{moment:%H:%M}" in shown, f"{name}: {exact} is shown as {shown}"
                days.add(moment.date() - moment.astimezone(UTC).date())
        assert {"item", "history", "datasets", "dataset-version", "dataset-record", "policy"} <= with_times
    assert any(days), "no zone had another day"

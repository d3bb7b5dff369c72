"""The demo on a running product, through the public API alone; safe to start again at any point."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from labeling.datasets.models import Dataset, DatasetEntry
from labeling.datasets.services import publish
from labeling.ingestion.models import Item
from labeling.replay.client import Patience, StoppedError
from labeling.replay.corrections import LEAD, Lead, make_lead_key
from labeling.replay.demo.exhibit import Chapter, Exhibit
from labeling.replay.demo.exhibits import EXHIBITS
from labeling.replay.demo.fair import Fair
from labeling.replay.demo.show import ENOUGH_WAITING, Show
from labeling.replay.mapping import Truth
from tests.journeys.replay.replaying import Server, ledger_is_whole, table_counts

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

CHAPTERS = (
    Chapter(0, "1", {"high": 0.95, "low": 0.6, "audit_rate": 0.5}, "The beginning"),
    Chapter(10, "1", {"high": 0.85}, "Lower"),
    Chapter(20, "2", note="Version 2"),
)
# Two rows a day, so that the past is short; the cases are those of the real exhibit.
DIGITS = replace(EXHIBITS[0], rows_a_day=2, chapters=CHAPTERS)
TINY = replace(EXHIBITS[0], rows_a_day=1, chapters=(Chapter(0, "1", {"sentinel_rate": 0}, "All"),))
PATH = "/projects/digits"
STARTED = f"""
import sys
from dataclasses import replace
from pathlib import Path
from labeling.replay.client import Patience
from labeling.replay.demo.exhibits import EXHIBITS
from labeling.replay.demo.exhibit import Chapter
from labeling.replay.demo.fair import Fair
exhibit = replace(EXHIBITS[0], rows_a_day=2, chapters={CHAPTERS!r})
with Fair([exhibit], sys.argv[1], sys.argv[2], Patience(20), print, Path(sys.argv[3])) as fair:
    fair.open()
    fair.fill()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the cases are kept; made by the first test that needs them."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(autouse=True)
def publisher(server: Server) -> Iterator[None]:
    """Publishes what is asked for, as the worker of a running instance does."""
    ended = threading.Event()

    def publish_all() -> None:
        while not ended.wait(0.1):
            for dataset in Dataset.objects.all():
                if dataset.publications.filter(state="queued").exists():
                    publish(dataset.pk)
        connection.close()

    worker = threading.Thread(target=publish_all)
    worker.start()
    yield
    ended.set()
    worker.join()


@pytest.fixture
def show(server: Server, folder: Path) -> Iterator[Show]:
    with open_show(server, folder) as opened:
        yield opened


def open_show(server: Server, folder: Path, exhibit: Exhibit = DIGITS) -> Show:
    return Show(exhibit, server.url, server.credentials.api_key, Patience(20.0), lambda line: None, folder)


def project(server: Server, slug: str = "digits") -> Any:
    return server.call("GET", f"/projects/{slug}/").json()


def waiting(server: Server) -> int:
    rows = server.call("GET", f"{PATH}/queues/").json()["results"]
    return sum(queue["waiting"] for queue in rows)


def story_told(server: Server) -> None:
    """Everything of a past of sixty rows is there, once."""
    policies = server.call("GET", f"{PATH}/policy/versions/").json()["results"]
    assert [(p["number"], p["high"], p["note"]) for p in policies] == [(2, 0.85, "Lower"), (1, 0.95, "")]
    shown = [server.call("GET", f"{PATH}/predictions/digit-{n:06d}/") for n in (1, 20, 21, 40, 41, 60)]
    predictions = [answer.json()["predictions"][0] for answer in shown]
    assert [p["policy_version"] for p in predictions] == [1, 1, 2, 2, 2, 2]
    assert [p["model_version"] for p in predictions] == ["1", "1", "1", "1", "2", "2"]
    assert project(server)["simulation"] is True
    assert project(server)["notice"] == ""
    assert ENOUGH_WAITING <= waiting(server) < ENOUGH_WAITING + 10
    assert ledger_is_whole()


def test_a_past_with_simulated_people_and_a_queue_for_real_ones(
    server: Server, show: Show, folder: Path
) -> None:
    show.open()
    assert "thirty days" in project(server)["notice"]
    show.fill()

    story_told(server)
    versions = server.call("GET", f"{PATH}/datasets/main/versions/").json()["results"]
    assert [v["note"] for v in versions] == ["Version 2", "Lower", "The beginning"]
    before = table_counts()
    with open_show(server, folder) as again:
        again.open()
        assert again.replay_history() is None
        again.fill_queue()
    assert table_counts() == before


def test_a_lead_corrects_what_was_published_wrongly(server: Server, show: Show, folder: Path) -> None:
    show.open()
    show.fill()
    path = f"{PATH}/datasets/main/versions/"
    (entry,) = DatasetEntry.objects.filter(op="a").order_by("pk")[:1]
    item = Item.objects.get(pk=entry.item_id).key
    said = server.call("GET", f"{PATH}/predictions/{item}/").json()["accepted_label"]["output"]["label"]
    right = next(digit for digit in "123" if digit != said)
    work = replace(show._work(), truths={item: Truth({"label": right})})
    _, key = make_lead_key(show._api, "digits")
    with show._connect(key) as api:
        assert Lead(show._api, api, work).correct([item], at_most=3) == 1
        assert Lead(show._api, api, work).correct([item], at_most=3) == 0

    publish(Dataset.objects.get(project__slug="digits").pk)
    newest = server.call("GET", path).json()["results"][0]
    assert (newest["added"], newest["changed"]) == (0, 1)
    decided = server.call("GET", f"{PATH}/predictions/{item}/").json()["decisions"][-1]
    assert (decided["decided_by"], decided["output"]) == (LEAD, {"label": right})


def test_killed_in_the_middle_it_goes_on_where_it_was(server: Server, show: Show, folder: Path) -> None:
    show.open()
    show._get_story()
    command = [sys.executable, "-c", STARTED, server.url, server.credentials.api_key, str(folder)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3], stdout=subprocess.DEVNULL) as started:
        deadline = time.monotonic() + 60
        while not Item.objects.filter(key="digit-000025").exists():
            assert time.monotonic() < deadline
            assert started.poll() is None
            time.sleep(0.05)
        os.kill(started.pid, signal.SIGKILL)

    show.fill()

    story_told(server)
    left = [key for key in server.call("GET", "/keys/").json()["results"] if key["name"].startswith("replay")]
    assert all(key["revoked_at"] for key in left[:3])


def test_a_new_demo_stands_beside_the_old_one_and_takes_over_its_stream(server: Server, folder: Path) -> None:
    patience = Patience(20.0)
    with (
        Fair([TINY], server.url, server.credentials.api_key, patience, lambda line: None, folder) as fair,
        open_show(server, folder, TINY) as newer,
    ):
        fair.open()
        fair.fill()
        newer.open(anew=True)
        assert newer.slug == "digits-2"
        stop = threading.Timer(1.0, patience.stopping.set)
        with pytest.raises(StoppedError):
            fair_streams_until(server, fair, stop)

    assert project(server)["name"] == "Handwritten digits (earlier demo)"
    assert project(server, "digits-2")["notice"] == ""
    assert server.call("GET", "/projects/digits-2/predictions/digit-000031/").status_code == 200


def fair_streams_until(server: Server, fair: Fair, stop: threading.Timer) -> None:
    """Stream in this thread; another one stops it when the newer project has been filled."""

    def watch() -> None:
        while server.call("GET", "/projects/digits-2/").json()["notice"]:
            time.sleep(0.1)
        stop.start()

    threading.Thread(target=watch, daemon=True).start()
    fair.stream()


def test_the_command_leaves_a_demo_behind(
    server: Server, monkeypatch: pytest.MonkeyPatch, settings: Any, folder: Path
) -> None:
    settings.REVIEWAPP_HOME = folder.parent
    monkeypatch.setattr("labeling.management.commands.demo.EXHIBITS", (TINY,))
    said = StringIO()

    call_command("demo", recreate=True, stdout=said, stderr=StringIO())

    assert said.getvalue().splitlines()[-2:] == [
        f"Handwritten digits: ready at {server.url}/projects/digits/",
        "All projects of the demo are ready.",
    ]
    assert waiting(server) >= ENOUGH_WAITING

"""The demo on a running product, through the public API alone; safe to start again at any point."""

import threading
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from labeling.replay.client import Patience, StoppedError
from labeling.replay.demo.show import ENOUGH_WAITING, Show
from tests.journeys.replay.replaying import Server, ledger_is_whole, table_counts

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def exhibit() -> Any:
    """The digits with a short past."""
    pytest.importorskip("sklearn")
    from labeling.replay.demo.digits import Digits

    digits = Digits()
    digits.history_size = 60
    return digits


@pytest.fixture
def show(server: Server, exhibit: Any) -> Iterator[Show]:
    with open_show(server, exhibit) as opened:
        yield opened


def open_show(server: Server, exhibit: Any) -> Show:
    return Show(exhibit, server.url, server.credentials.api_key, Patience(20.0), lambda line: None)


def waiting(server: Server, slug: str = "digits") -> int:
    queues = server.call("GET", f"/projects/{slug}/queues/").json()
    rows = queues["results"] if isinstance(queues, dict) else queues
    return sum(queue["waiting"] for queue in rows)


def test_a_past_with_simulated_people_and_a_queue_for_real_ones(
    server: Server, exhibit: Any, show: Show
) -> None:
    show.open()
    history = show.replay_history()
    show.fill_queue()

    assert history is not None
    assert (history["created"], history["left_open"]) == (60, 0)
    assert sum(history["decisions"].values()) > 20
    assert server.call("GET", "/projects/digits/").json()["simulation"] is True
    assert ENOUGH_WAITING <= waiting(server) < ENOUGH_WAITING + 10
    assert ledger_is_whole()

    before = table_counts()
    with open_show(server, exhibit) as again:
        again.open()
        assert again.replay_history() is None
        again.fill_queue()
    assert table_counts() == before


def test_a_start_that_was_cut_off_goes_on_where_it_was(server: Server, exhibit: Any, show: Show) -> None:
    show.open()
    created_at = server.call("GET", "/projects/digits/").json()["created_at"]
    from datetime import datetime

    first = [exhibit.show(number, datetime.fromisoformat(created_at)).row for number in range(25)]
    server.call("POST", "/projects/digits/predictions/", first)

    history = show.replay_history()

    assert history is not None
    assert (history["created"], history["duplicates"], history["conflicts"]) == (35, 25, 0)
    assert history["left_open"] == 0


def test_a_new_demo_stands_beside_the_old_one_and_takes_over_its_stream(
    server: Server, exhibit: Any, show: Show
) -> None:
    exhibit.history_size = 5
    show.open()
    show.replay_history()
    with open_show(server, exhibit) as newer:
        newer.open(anew=True)
        assert newer.slug == "digits-2"
    show.stream()  # returns at once: a newer demo is there

    names = {p["slug"]: p["name"] for p in server.call("GET", "/projects/").json()["results"]}
    assert names == {"digits": "Handwritten digits (earlier demo)", "digits-2": "Handwritten digits"}
    show.open()
    assert show.slug == "digits-2"


def test_the_stream_ends_when_it_is_asked_to(server: Server, exhibit: Any) -> None:
    exhibit.history_size = 5
    patience = Patience(20.0)
    timer = threading.Timer(2.0, patience.stopping.set)
    timer.start()
    with Show(exhibit, server.url, server.credentials.api_key, patience, lambda line: None) as show:
        show.open()
        show.replay_history()
        with pytest.raises(StoppedError):
            show.stream()
    timer.join()

    assert waiting(server) > 0


def test_the_command_leaves_a_demo_behind(
    server: Server, monkeypatch: pytest.MonkeyPatch, exhibit: Any
) -> None:
    monkeypatch.setattr(type(exhibit), "history_size", 20)
    said = StringIO()

    call_command("demo", recreate=True, stdout=said, stderr=StringIO())

    assert said.getvalue().startswith(
        f"The demo is at {server.url}/projects/digits/ (history: 20 predictions"
    )
    assert waiting(server) >= ENOUGH_WAITING

"""Requests are repeated while the server is away, and only then."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from labeling.replay.client import Api, Patience, ReplayError, ServerAwayError, StoppedError
from labeling.replay.sender import Sender, batched

Handler = Callable[[httpx.Request], httpx.Response]


@dataclass
class QuickPatience(Patience):
    """Does not wait; remembers for how long it would have."""

    waits: list[float] = field(default_factory=list)

    def pause(self, seconds: float) -> None:
        self.waits.append(seconds)
        super().pause(0)


def connect(handler: Handler, patience: Patience, clock: Callable[[], float] = lambda: 0.0) -> Api:
    return Api("http://review.test/", "secret", patience, transport=httpx.MockTransport(handler), clock=clock)


def answering(*answers: int | Exception) -> Handler:
    """A server that gives these answers in turn."""
    left = iter(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, json={"code": "x", "path": request.url.path})

    return handle


def test_a_request_carries_the_key_and_the_version_of_the_api() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == "Bearer secret"
        return httpx.Response(200, json={"path": request.url.path})

    with connect(handle, QuickPatience()) as api:
        assert api.get("/projects/").body == {"path": "/api/v1/projects/"}


def test_connection_errors_and_server_errors_are_tried_again_with_growing_pauses() -> None:
    patience = QuickPatience()

    with connect(answering(httpx.ConnectError("no"), httpx.ReadError("cut"), 503, 500, 201), patience) as api:
        assert api.post("/x/", {}).status == 201

    assert patience.waits == [0.1, 0.2, 0.4, 0.8]
    assert patience.retries == 4


def test_a_client_error_is_an_answer() -> None:
    patience = QuickPatience()

    with connect(answering(409), patience) as api:
        answer = api.post("/x/", {})

    assert (answer.status, answer.code, patience.retries) == (409, "x", 0)
    with pytest.raises(ReplayError, match="answered with 409"):
        answer.expect(200)


def test_the_server_says_when_to_come_back() -> None:
    patience = QuickPatience()

    def handle(request: httpx.Request) -> httpx.Response:
        if not patience.waits:
            return httpx.Response(503, headers={"Retry-After": "1"})
        return httpx.Response(200, text="fine")

    with connect(handle, patience) as api:
        assert api.get("/x/").body == "fine"
    assert patience.waits == [1.0]


def test_patience_ends_when_the_server_stays_away() -> None:
    ticks = iter(range(0, 1000, 50))

    away = connect(answering(*[503] * 9), QuickPatience(120), lambda: float(next(ticks)))
    with away as api, pytest.raises(ServerAwayError, match=r"away for 120 s \(GET /x/: it answers 503\)"):
        api.get("/x/")


def test_asking_to_stop_ends_the_waiting() -> None:
    patience = QuickPatience()
    patience.stopping.set()

    with connect(answering(503), patience) as api, pytest.raises(StoppedError):
        api.get("/x/")


def test_batches_are_bounded_by_rows_and_bytes() -> None:
    assert [len(batch) for batch in batched(({"id": n} for n in range(5)), 2)] == [2, 2, 1]
    assert [len(batch) for batch in batched(({"text": "x" * 3_000_000} for _ in range(3)), 100)] == [1, 1, 1]
    assert list(batched([], 2)) == []


def sender(api: Api, patience: Patience, said: list[str], **more: float) -> Sender:
    return Sender(
        api, "p", patience, wait_for_people=lambda: None, report=said.append, clock=lambda: 0.0, **more
    )


def test_the_sender_counts_routes_and_names_what_was_not_taken() -> None:
    results = [
        {"index": 0, "id": "1", "status": "created", "route": "auto"},
        {"index": 1, "id": "2", "status": "duplicate", "route": "review"},
        {"index": 2, "id": "3", "status": "conflict"},
        {"index": 3, "id": "4", "status": "invalid", "errors": [{"pointer": "/confidence"}]},
    ]
    answer = {"created": 1, "duplicates": 1, "conflicts": 1, "invalid": 1, "results": results}
    patience, said = QuickPatience(), []

    with connect(lambda request: httpx.Response(200, json=answer), patience) as api:
        totals = sender(api, patience, said).send_all({"id": str(n)} for n in range(4))

    assert (totals.sent, totals.created, totals.duplicates, totals.conflicts, totals.invalid) == (
        4,
        1,
        1,
        1,
        1,
    )
    assert totals.routes == {"auto": 1, "review": 1}
    assert said == ['row 3: conflict ""', 'row 4: invalid [{"pointer": "/confidence"}]']


def refused_answer(rows: list[Any], *, taken: int) -> dict[str, Any]:
    """The first so many rows are created, the others refused."""
    results = [
        {"index": n, "id": row["id"], "status": "created", "route": "review"}
        if n < taken
        else {"index": n, "id": row["id"], "status": "refused", "errors": []}
        for n, row in enumerate(rows)
    ]
    return {"created": taken, "duplicates": 0, "conflicts": 0, "invalid": 0, "results": results}


def test_refused_rows_are_sent_again_until_they_are_taken() -> None:
    patience, said, asked = QuickPatience(), list[str](), list[list[str]]()

    def serve(request: httpx.Request) -> httpx.Response:
        rows = json.loads(request.content)
        asked.append([row["id"] for row in rows])
        return httpx.Response(200, json=refused_answer(rows, taken=1))

    with connect(serve, patience) as api:
        totals = sender(api, patience, said).send_all({"id": str(n)} for n in range(3))

    assert asked == [["0", "1", "2"], ["1", "2"], ["2"]]
    assert (totals.sent, totals.created, totals.refused, totals.invalid) == (3, 3, 3, 0)
    assert said == []


def test_a_sender_that_is_always_refused_gives_up() -> None:
    patience = QuickPatience()
    patience.seconds = 0.0

    with (
        connect(
            lambda request: httpx.Response(200, json=refused_answer(json.loads(request.content), taken=0)),
            patience,
        ) as api,
        pytest.raises(ReplayError, match="refuses new reviews"),
    ):
        sender(api, patience, []).send_all([{"id": "1"}])


def test_a_rate_spreads_the_rows_over_time() -> None:
    answer = {"created": 2, "duplicates": 0, "conflicts": 0, "invalid": 0, "results": []}
    patience = QuickPatience()

    with connect(lambda request: httpx.Response(200, json=answer), patience) as api:
        sender(api, patience, [], rate=8.0).send_all({"id": n} for n in range(6))

    assert patience.waits == [0.0, 0.25, 0.5]


def test_a_refused_batch_ends_the_replay_with_its_reason() -> None:
    problem = {"status": 403, "code": "scope_missing", "detail": "This key needs the scope ingest."}
    patience = QuickPatience()

    with (
        connect(lambda request: httpx.Response(403, json=problem), patience) as api,
        pytest.raises(
            ReplayError, match=r"predictions/ was answered with 403\. This key needs the scope ingest"
        ),
    ):
        sender(api, patience, []).send_all([{"id": 1}])

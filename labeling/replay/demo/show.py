"""Keeps one exhibit on show: makes its project, replays its history, then streams so that its queue is alive."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count, takewhile

from labeling.replay.answers import Habits
from labeling.replay.client import Api, Patience
from labeling.replay.demo.exhibit import Exhibit
from labeling.replay.mapping import Json, Truth
from labeling.replay.projects import ensure_project, get_load, list_all
from labeling.replay.reviewers import Crew, Work
from labeling.replay.run import Rehearsal
from labeling.replay.sender import Sender

MOST_WAITING = 200
ENOUGH_WAITING = 40
STREAM_SECONDS = 5.0
_BATCH = 10
_REVIEWERS = 3
_HABITS = Habits(false_accept=0.05, false_correct=0.01)

Report = Callable[[str], None]


class Show:
    """One exhibit on one instance. Every step may be repeated; a restart goes on where the last run was."""

    def __init__(self, exhibit: Exhibit, url: str, api_key: str, patience: Patience, report: Report) -> None:
        self._exhibit, self._url, self._patience, self._report = exhibit, url, patience, report
        self._connections = ExitStack()
        self._api = self._connections.enter_context(self._connect(api_key))
        self.slug = exhibit.slug
        self._opened_at = datetime.now(UTC)

    def __enter__(self) -> "Show":
        return self

    def __exit__(self, *_: object) -> None:
        self._connections.close()

    def open(self, *, anew: bool = False) -> None:
        """Find the project of the exhibit or make it. Work is never deleted: anew means a further project, and the one
        before says in its name that it is an earlier one."""
        slugs = self._own_slugs()
        body = self._exhibit.project_body()
        if anew and slugs:
            self._api.send(
                "PATCH", f"/projects/{slugs[-1]}/", {"name": f"{body['name']} (earlier demo)"}
            ).expect(200)
            slugs.append(f"{self._exhibit.slug}-{len(slugs) + 1}")
        self.slug = slugs[-1] if slugs else self._exhibit.slug
        ensure_project(self._api, self.slug, body)
        self._opened_at = datetime.fromisoformat(
            self._api.get(f"/projects/{self.slug}/").expect(200)["created_at"]
        )

    def replay_history(self) -> Json | None:
        """The past, with simulated reviewers; None when an earlier run went beyond it."""
        if first_missing(self._is_sent) > self._exhibit.history_size:
            return None
        past = [self._exhibit.show(number, self._opened_at) for number in range(self._exhibit.history_size)]
        truths: dict[str, Truth] = {shown.row["id"]: shown.truth for shown in past}
        body = self._exhibit.project_body()
        work = Work(
            self.slug,
            body["task_type"],
            body["label_schema"].get("labels", []),
            truths,
            _HABITS,
            timed=True,
        )
        crew = Crew(self._api, self._connect, work, self._patience, _REVIEWERS)
        rehearsal = Rehearsal(self._api, self.slug, crew, self._patience, self._report, only_own_claims=True)
        rehearsal.run(iter([shown.row for shown in past]))
        # The first version, so that there is something to look at before the schedule makes one.
        self._api.post(f"/projects/{self.slug}/datasets/main/versions/", {"note": "The simulated history"})
        return rehearsal.summary()

    def fill_queue(self) -> None:
        """Send until there is enough to review for somebody who comes now."""
        rows = self._coming_rows()
        while get_load(self._api, self.slug).waiting < ENOUGH_WAITING:
            self._send([next(rows) for _ in range(_BATCH)])

    def stream(self) -> None:
        """One prediction every few seconds, none while much waits; returns when a newer demo has taken over."""
        rows = self._coming_rows()
        while self._own_slugs()[-1] == self.slug:
            waiting = get_load(self._api, self.slug).waiting
            if waiting < MOST_WAITING:
                self._send([next(rows) for _ in range(_BATCH if waiting < ENOUGH_WAITING else 1)])
            self._patience.pause(STREAM_SECONDS)

    def _connect(self, api_key: str) -> Api:
        return Api(self._url, api_key, self._patience)

    def _send(self, rows: list[Json]) -> None:
        Sender(
            self._api, self.slug, self._patience, wait_for_people=lambda: None, report=self._report
        ).send_all(rows)

    def _coming_rows(self) -> Iterator[Json]:
        number = first_missing(self._is_sent)
        while True:
            yield self._exhibit.show(number, self._opened_at).row
            number += 1

    def _is_sent(self, number: int) -> bool:
        answer = self._api.get(f"/projects/{self.slug}/predictions/{self._exhibit.item_id(number)}/")
        answer.expect(200, 404)
        return answer.status == 200

    def _own_slugs(self) -> list[str]:
        """The demo's projects on this instance, oldest first: `digits`, `digits-2`, ..."""
        there = {project["slug"] for project in list_all(self._api, "/projects/")}
        return list(takewhile(there.__contains__, map(self._slug, count(1))))

    def _slug(self, number: int) -> str:
        return self._exhibit.slug if number == 1 else f"{self._exhibit.slug}-{number}"


def first_missing(is_there: Callable[[int], bool]) -> int:
    """The smallest number that is not there, when all before it are: asks about twice its logarithm many times."""
    if not is_there(0):
        return 0
    there, missing = 0, 1
    while is_there(missing):
        there, missing = missing, missing * 2
    while missing - there > 1:
        middle = (there + missing) // 2
        there, missing = (middle, missing) if is_there(middle) else (there, middle)
    return missing

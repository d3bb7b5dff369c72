"""Keeps one exhibit on show: makes its project, replays its history, then sends so that its queue is alive."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count, takewhile
from pathlib import Path

from labeling.replay.answers import Habits
from labeling.replay.client import Api, Patience
from labeling.replay.corrections import Lead, make_lead_key
from labeling.replay.demo.exhibit import Chapter, Exhibit
from labeling.replay.demo.pool import Pool, make_pool
from labeling.replay.demo.story import Story
from labeling.replay.mapping import Json, Truth
from labeling.replay.projects import ensure_policy, ensure_project, get_load, list_all
from labeling.replay.reviewers import Crew, Work
from labeling.replay.run import Rehearsal
from labeling.replay.sender import Sender

MOST_WAITING = 200
ENOUGH_WAITING = 40
PUBLISHED_WITHIN_SECONDS = 60.0
WEIGHED_WITHIN_SECONDS = 6.0  # counts are folded every 2 s and weighed every 3 s
_BATCH = 10
_REVIEWERS = 3
_MOST_CORRECTED = 8
_HABITS = Habits(false_accept=0.04, false_correct=0.01)
_POLL_SECONDS = 0.3
_LOOK_SECONDS = 1.0
_PROGRESS_SECONDS = 15.0
_NEXT = "The demo fills this project with thirty days of history as soon as its model is trained."

Report = Callable[[str], None]


class Show:
    """One exhibit on one instance. Every step may be repeated; a restart goes on where the last run was."""

    def __init__(
        self, exhibit: Exhibit, url: str, api_key: str, patience: Patience, report: Report, folder: Path
    ) -> None:
        self._exhibit, self._url, self._patience, self._report = exhibit, url, patience, report
        self._folder = folder
        self._connections = ExitStack()
        self._api = self._connections.enter_context(Api(url, api_key, patience))
        self.slug = exhibit.slug
        self._opened_at = datetime.now(UTC)
        self._story: Story | None = None
        self._next: int | None = None

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
            earlier = {"name": f"{body['name']} (earlier demo)", "notice": ""}
            self._api.send("PATCH", f"/projects/{slugs[-1]}/", earlier).expect(200)
            slugs.append(f"{self._exhibit.slug}-{len(slugs) + 1}")
        self.slug = slugs[-1] if slugs else self._exhibit.slug
        ensure_project(self._api, self.slug, body)
        if self.slug not in slugs or anew:
            self._tell(_NEXT)
        self._opened_at = datetime.fromisoformat(
            self._api.get(f"/projects/{self.slug}/").expect(200)["created_at"]
        )
        self._next = None

    def fill(self) -> None:
        """All that is there before somebody comes: the past, and enough work for now."""
        if self.replay_history() is not None:
            self._report(f"{self._exhibit.name}: ready at {self._url}/projects/{self.slug}/")
        self.fill_queue()
        self._tell("")

    def replay_history(self) -> Json | None:
        """The past, chapter by chapter, with simulated reviewers; None when an earlier run went beyond it."""
        story = self._get_story()
        sent = first_missing(self._is_sent)
        if sent > self._exhibit.history_size:
            return None
        work = self._work()
        crew = Crew(self._api, self._connect, work, self._patience, _REVIEWERS)
        rehearsal = Rehearsal(
            self._api,
            self.slug,
            crew,
            self._patience,
            lambda line: self._report(f"{self._exhibit.name}: {line}"),
            only_own_claims=True,
            progress_seconds=_PROGRESS_SECONDS,
        )
        rehearsal.run(self._acts(story, sent))
        return rehearsal.summary()

    def fill_queue(self) -> None:
        """Send until there is enough to review for somebody who comes now."""
        while get_load(self._api, self.slug).waiting < ENOUGH_WAITING:
            self._send(_BATCH)

    def step(self) -> None:
        """One more prediction, a handful while little waits, none while much does."""
        waiting = get_load(self._api, self.slug).waiting
        if waiting < MOST_WAITING:
            self._send(_BATCH if waiting < ENOUGH_WAITING else 1)

    def is_overtaken(self) -> bool:
        """Whether a newer demo of the same exhibit is there."""
        return self._own_slugs()[-1] != self.slug

    def _acts(self, story: Story, sent: int) -> Iterator[Iterator[Json]]:
        """The rows of each chapter, after its policy is in force; a chapter that is decided becomes a dataset version."""
        chapters = self._exhibit.chapters
        for place, chapter in enumerate(chapters):
            numbers = story.numbers_of(chapter)
            if sent >= numbers.stop and place + 1 < len(chapters):
                continue  # an earlier run was further
            self._tell(
                f"Thirty days of history are being replayed by simulated people: day {chapter.from_day + 1}."
            )
            ensure_policy(self._api, self.slug, chapter.policy, chapter.note)
            if chapter.policy.get("autonomy", "off") != "off":
                self._wait_for_controller()
            yield (
                story.show(number, self._opened_at).row
                for number in range(max(numbers.start, sent), numbers.stop)
            )
            if place:
                self._correct(story, chapters[place - 1])
            self._publish(chapter)

    def _wait_for_controller(self) -> None:
        """Give it the time to weigh what is known already; what it then allows is its own affair."""
        for _ in range(int(WEIGHED_WITHIN_SECONDS / _LOOK_SECONDS)):
            if self._api.get(f"/projects/{self.slug}/trust/").expect(200)["autonomy"]["level"]:
                return
            self._patience.pause(_LOOK_SECONDS)

    def _correct(self, story: Story, chapter: Chapter) -> None:
        """A lead finds some of what people let pass in a published chapter: the next version says it differently."""
        identifier, key = make_lead_key(self._api, self.slug)
        try:
            with self._connect(key) as lead:
                wrong = (n for n in story.numbers_of(chapter) if not story.is_right(n))
                Lead(self._api, lead, self._work()).correct(
                    map(story.item_id, wrong), at_most=_MOST_CORRECTED
                )
        finally:
            self._api.send("DELETE", f"/keys/{identifier}/").expect(200, 204, 404)

    def _publish(self, chapter: Chapter) -> None:
        """Make a version of what the chapter's decisions said, and wait for it: the next must not join it."""
        path = f"/projects/{self.slug}/datasets/main"
        asked = self._api.post(f"{path}/versions/", {"note": chapter.note}).expect(200, 202)
        for _ in range(int(PUBLISHED_WITHIN_SECONDS / _POLL_SECONDS)):
            if "publication" not in asked:
                return
            state = self._api.get(f"{path}/publications/{asked['publication']}/").expect(200)["state"]
            if state not in ("queued", "open"):
                return
            self._patience.pause(_POLL_SECONDS)

    def _tell(self, notice: str) -> None:
        """Say on the project's pages what is going on."""
        self._api.send("PATCH", f"/projects/{self.slug}/", {"notice": notice}).expect(200)

    def _connect(self, key: str) -> Api:
        return Api(self._url, key, self._patience)

    def _work(self) -> Work:
        return Work(
            self.slug, self._exhibit.task_type, self._exhibit.labels, self._truths(), _HABITS, timed=True
        )

    def _truths(self) -> dict[str, Truth]:
        story = self._get_story()
        return {
            story.item_id(number): story.show(number, self._opened_at).truth
            for number in range(self._exhibit.history_size)
        }

    def _get_story(self) -> Story:
        if self._story is None:
            said = f"{self._exhibit.name}: training its models"
            pool = Pool(make_pool(self._exhibit.slug, self._folder, lambda: self._report(said)))
            self._connections.callback(pool.close)
            self._story = Story(self._exhibit, pool)
        return self._story

    def _send(self, rows: int) -> None:
        number = first_missing(self._is_sent) if self._next is None else self._next
        story = self._get_story()
        sender = Sender(
            self._api, self.slug, self._patience, wait_for_people=lambda: None, report=self._report
        )
        sender.send_all([story.show(number + more, self._opened_at).row for more in range(rows)])
        self._next = number + rows

    def _is_sent(self, number: int) -> bool:
        item = self._get_story().item_id(number)
        answer = self._api.get(f"/projects/{self.slug}/predictions/{item}/")
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

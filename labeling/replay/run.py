"""One replay from beginning to end: the model service sends, the people decide, a summary comes out."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from labeling.replay.answers import Habits
from labeling.replay.client import Api, Patience
from labeling.replay.mapping import Json, request_of
from labeling.replay.mistakes import degraded
from labeling.replay.projects import Load, ensure_project, get_lease_seconds, get_load
from labeling.replay.reviewers import Crew, Work
from labeling.replay.sender import Sender, Sent
from labeling.replay.source import ReplayFile, Survey

_POLL_SECONDS = 0.2
_STALLED_AFTER = 5.0
_LEASE_GRACE = 60.0
_PROGRESS_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line asks for."""

    file: Path
    project: str
    url: str
    api_key: str
    rate: float | None = None
    reviewers: int = 0
    habits: Habits = field(default_factory=Habits)
    limit: int | None = None
    repeat: int = 1
    degrade: float = 0.0
    seed: int = 0
    policy: Json | None = None
    ahead: int = 0
    patience: Patience = field(default_factory=Patience)


def run_replay(options: Options, report: Callable[[str], None]) -> Json:
    """Replay a file; the summary. Lines about the progress go to `report`."""
    source = ReplayFile(options.file, options.limit)
    survey = source.survey()
    body = {
        "name": options.project.replace("-", " ").capitalize(),
        "task_type": survey.schema.task_type,
        "label_schema": survey.schema.as_label_schema(),
        "simulation": True,
    }
    with Api(options.url, options.api_key, options.patience) as api:
        ensure_project(api, options.project, body, options.policy)
        crew = make_crew(api, options, survey)
        rehearsal = Rehearsal(api, options.project, crew, options.patience, report, ahead=options.ahead)
        rehearsal.run(iter([request_rows(source, survey, options)]), rate=options.rate)
        return {"project": options.project, "file": options.file.name, **rehearsal.summary()}


def make_crew(api: Api, options: Options, survey: Survey) -> Crew:
    """The reviewers of a replay, who know the file's truths."""
    schema = survey.schema
    work = Work(
        options.project, schema.task_type, schema.sorted_labels, survey.truths, options.habits, options.seed
    )
    return Crew(
        api, lambda key: Api(options.url, key, options.patience), work, options.patience, options.reviewers
    )


def request_rows(source: ReplayFile, survey: Survey, options: Options) -> Iterator[Json]:
    """The rows to post; from the middle of the run on as a model would send them that has become worse."""
    schema, middle = survey.schema, survey.rows * options.repeat // 2
    for count, record in enumerate(source.rows(options.repeat)):
        row = request_of(record)
        if options.degrade and count >= middle:
            row = degraded(row, schema.task_type, schema.sorted_labels, options.degrade, options.seed)
        yield row


class Rehearsal:
    """Sender and reviewers at work on one project at the same time.

    With `ahead` the sender waits while more tasks than that are open, as long as somebody works on them: what people decide
    can then change how later rows are routed. With `only_own_claims` it is over when nothing waits for the crew, whatever
    other people hold.
    """

    def __init__(
        self,
        api: Api,
        project: str,
        crew: Crew,
        patience: Patience,
        report: Callable[[str], None],
        *,
        ahead: int = 0,
        only_own_claims: bool = False,
        progress_seconds: float = _PROGRESS_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api, self._project, self._crew, self._patience = api, project, crew, patience
        self._report, self._ahead, self._clock = report, ahead, clock
        self._only_own_claims, self._progress_seconds = only_own_claims, progress_seconds
        self._started = self._reported = clock()
        self._sent = Sent()
        self._left = Load(0, 0)

    def run(self, acts: Iterator[Iterator[Json]], rate: float | None = None) -> None:
        """Send the rows of each act and wait for the people; whatever happens, nobody is left behind working.

        What `acts` does between two of them happens after all of the first is decided and before any of the next is sent.
        """
        sender = Sender(
            self._api,
            self._project,
            self._patience,
            rate=rate,
            wait_for_people=self._hold_back,
            report=self._report,
        )
        self._sent = sender.totals
        try:
            for rows in acts:
                sender.send_all(rows)
                if self._crew.size:
                    self._left = self._wait_until_done()
        except BaseException:
            self._patience.stopping.set()
            raise
        finally:
            self._crew.finish()
        self._crew.raise_errors()

    def summary(self) -> Json:
        """Everything that was counted, as one JSON object."""
        board = self._crew.board
        counted: dict[str, Any] = asdict(self._sent)
        counted["routes"] = _sorted(self._sent.routes)
        counted["decisions"] = _sorted(board.decisions)
        counted["problems"] = _sorted(board.problems)
        counted["left_open"] = self._left.total
        counted["retries"] = self._patience.retries
        counted["seconds"] = round(self._clock() - self._started, 1)
        return counted

    def _hold_back(self) -> None:
        """Before each batch: let people in once there is work, and do not run away from them."""
        self._crew.raise_errors()
        self._show_progress(None)
        if not self._crew.size:
            return
        if self._sent.created or self._sent.refused:
            self._crew.start()
        if not self._ahead or not self._crew.is_working:
            return
        load = get_load(self._api, self._project)
        while load.waiting > self._ahead and not self._crew.is_idle:
            self._patience.pause(_POLL_SECONDS)
            self._crew.raise_errors()
            self._show_progress(load)
            load = get_load(self._api, self._project)

    def _wait_until_done(self) -> Load:
        """Until no task is open. Tasks whose claim was lost with an answer come back when their lease ends."""
        crew = self._crew
        longest = get_lease_seconds(self._api, self._project) + _LEASE_GRACE
        done, since = -1, self._clock()
        while True:
            crew.raise_errors()
            load = get_load(self._api, self._project)
            if self._only_own_claims:
                load = Load(load.waiting, 0)
            if not load.total and (not crew.is_working or crew.is_idle):
                return load
            if load.total:
                crew.start()
            if crew.board.touched != done:
                done, since = crew.board.touched, self._clock()
            quiet = self._clock() - since
            if quiet > longest or (quiet > _STALLED_AFTER and not load.claimed and crew.is_idle):
                self._report(f"{load.waiting} waiting and {load.claimed} claimed tasks are for somebody else")
                return load
            self._show_progress(load)
            self._patience.pause(_POLL_SECONDS)

    def _show_progress(self, load: Load | None) -> None:
        if self._clock() - self._reported < self._progress_seconds:
            return
        self._reported = self._clock()
        queue = f", {load.waiting} waiting, {load.claimed} claimed" if load else ""
        self._report(f"{self._sent.sent} sent, {self._crew.board.decided} decided{queue}")


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items()))

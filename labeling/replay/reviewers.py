"""The people of a replay: threads that claim and decide over the API, each with a name and a key of its own."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from labeling.replay.answers import Habits, answer_task
from labeling.replay.client import Answer, Api, Patience, StoppedError
from labeling.replay.mapping import Json, Truth
from labeling.replay.mistakes import seeded
from labeling.replay.projects import make_member_key
from labeling.replay.source import item_of

_IDLE_FIRST = 0.1
_IDLE_LONGEST = 1.0
_TYPICAL_SECONDS = 4.0


@dataclass(frozen=True)
class Work:
    """What every reviewer knows: the project, the truth of its items, and how they work."""

    project: str
    task_type: str
    labels: Sequence[str]
    truths: dict[str, Truth]
    habits: Habits = field(default_factory=Habits)
    seed: int = 0
    timed: bool = False
    claim_count: int = 5


@dataclass
class Board:
    """What the reviewers did so far, written by their threads and read by the others."""

    decisions: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    errors: list[Exception] = field(default_factory=list)
    idle: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def decided(self) -> int:
        with self.lock:
            return sum(self.decisions.values())

    @property
    def touched(self) -> int:
        """How many tasks somebody did something with; rises while there is any progress."""
        with self.lock:
            return sum(self.decisions.values()) + sum(self.problems.values())

    def count(self, counter: Counter[str], name: str) -> None:
        with self.lock:
            counter[name] += 1

    def set_idle(self, name: str, idle: bool) -> None:
        with self.lock:
            (self.idle.add if idle else self.idle.discard)(name)


class Reviewer(threading.Thread):
    """One person: claims a few tasks, answers each, and asks again."""

    def __init__(self, name: str, api: Api, work: Work, board: Board, patience: Patience) -> None:
        super().__init__(name=name, daemon=True)
        self._api, self._work, self._board, self._patience = api, work, board, patience
        self._skipped: set[int] = set()
        self.finished = threading.Event()

    def run(self) -> None:
        """Work until told to finish. What goes wrong is left on the board, for the one who waits for the thread."""
        pause = _IDLE_FIRST
        try:
            while not self.finished.is_set():
                busy = self.work_once()
                self._board.set_idle(self.name, not busy)
                if busy:
                    pause = _IDLE_FIRST
                else:
                    self.finished.wait(pause)
                    pause = min(_IDLE_LONGEST, pause * 2)
        except StoppedError:
            return  # the one who asked for it says so
        except Exception as error:  # the edge of the thread: the main one raises it
            self._board.errors.append(error)
        finally:
            self._board.set_idle(self.name, True)

    def work_once(self) -> bool:
        """Claim some tasks and answer them; whether there were any."""
        tasks = self._claim()
        self._decide_all(tasks)
        return bool(tasks)

    def _claim(self) -> list[Json]:
        answer = self._api.post(
            f"/projects/{self._work.project}/tasks/claim/", {"count": self._work.claim_count}
        )
        tasks: list[Json] = answer.expect(200)["tasks"]
        # With nothing else left the server offers again what somebody skipped; who has nothing to say about it, waits.
        self._give_back([task for task in tasks if task["task"] in self._skipped])
        return [task for task in tasks if task["task"] not in self._skipped]

    def _decide_all(self, tasks: Sequence[Json]) -> None:
        for place, task in enumerate(tasks):
            if self.finished.is_set() or self._patience.stopping.is_set():
                self._give_back(tasks[place:])
                return
            self._decide(task)

    def _give_back(self, tasks: Sequence[Json]) -> None:
        for task in tasks:
            self._api.post(f"/tasks/{task['task']}/release/", {"token": task["token"]}).expect(200, 204, 409)

    def _decide(self, task: Json) -> None:
        work = self._work
        truth = item_of(task["item"]["id"], work.truths)
        if truth is None:
            self._board.count(self._board.problems, "unknown_items")
            self._skip(task, "not in the replayed file")
            return
        rng = seeded(work.seed, self.name, task["item"]["id"], task["kind"])
        answer = answer_task(
            task_type=work.task_type, task=task, truth=truth, labels=work.labels, habits=work.habits, rng=rng
        )
        body: dict[str, Any] = {"token": task["token"], "verdict": answer.verdict}
        if answer.output is not None:
            body["output"] = answer.output
        if work.timed:
            body["seconds"] = round(rng.lognormvariate(0, 0.5) * _TYPICAL_SECONDS, 1)
        self._note(task, answer.verdict, self._api.post(f"/tasks/{task['task']}/decision/", body))

    def _note(self, task: Json, verdict: str, answer: Answer) -> None:
        board = self._board
        if answer.status in (200, 201):
            board.count(board.decisions, verdict)
        elif answer.status == 409:
            board.count(board.problems, answer.code or "conflict")
        elif answer.status == 422:
            board.count(board.problems, "refused")
            self._skip(task, "the truth does not fit the label schema")
        else:
            answer.expect(200, 201)

    def _skip(self, task: Json, reason: str) -> None:
        path, body = f"/tasks/{task['task']}/skip/", {"token": task["token"], "reason": reason}
        self._api.post(path, body).expect(200, 201, 204, 409)
        self._skipped.add(task["task"])


class Crew:
    """Gives each reviewer a membership and a key, starts them, and takes the keys back at the end."""

    def __init__(
        self, owner: Api, connect: Callable[[str], Api], work: Work, patience: Patience, size: int
    ) -> None:
        self.board = Board()
        self._owner, self._connect, self._work, self._patience = owner, connect, work, patience
        self._names = [f"simulated-reviewer-{number}" for number in range(1, size + 1)]
        self._threads: list[Reviewer] = []
        self._keys: list[int] = []
        self._connections = ExitStack()

    @property
    def size(self) -> int:
        return len(self._names)

    @property
    def is_working(self) -> bool:
        return bool(self._threads)

    @property
    def is_idle(self) -> bool:
        """Whether everybody asked for work and got none the last time."""
        with self.board.lock:
            return len(self.board.idle) == len(self._threads)

    def start(self) -> None:
        """Let people in, once; before the first piece of work there is nobody, so a replay of old rows leaves no trace."""
        if self._threads:
            return
        for name in self._names:
            api = self._connections.enter_context(self._connect(self._key_for(name)))
            self._threads.append(Reviewer(name, api, self._work, self.board, self._patience))
        for thread in self._threads:
            thread.start()

    def raise_errors(self) -> None:
        """What went wrong in a reviewer's thread, raised in this one."""
        if self.board.errors:
            raise self.board.errors[0]

    def finish(self) -> None:
        """Send everybody home, wait for them, and revoke their keys."""
        for thread in self._threads:
            thread.finished.set()
        for thread in self._threads:
            thread.join()
        self._connections.close()
        with suppress(StoppedError):  # asked to stop while the server is away: its keys outlive the replay
            while self._keys:
                self._owner.send("DELETE", f"/keys/{self._keys[-1]}/").expect(200, 204, 404)
                self._keys.pop()

    def _key_for(self, name: str) -> str:
        identifier, key = make_member_key(self._owner, self._work.project, name, "reviewer")
        self._keys.append(identifier)
        return key

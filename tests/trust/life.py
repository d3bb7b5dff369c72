"""A whole life over the real API: a project earns autonomy, a degraded stretch takes it away, clean traffic earns it again.

    make trust-life DATA=/path/to/replay-files

The people know the truth but err; true errors among automatic results are counted from the file, never from the product.
Prints a table, writes it to bench/results/trust-life.json, and exits 1 when a promise does not hold. `test_life.py` lives a
shorter one with made-up traffic.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from labeling.decisions.diffing import equal
from labeling.decisions.slips import another_output
from labeling.replay.answers import Habits
from labeling.replay.client import Api, Patience
from labeling.replay.mapping import Truth, request_of, truth_of
from labeling.replay.mistakes import seeded
from labeling.replay.projects import ensure_project, get_load
from labeling.replay.reviewers import Crew, Work

BATCH = 100
AHEAD = 100
REPORT_EVERY = 1_000
POLICY = {
    "autonomy": "on",
    "low": 0.0,
    "autonomy_min_interval": "0",
    "audits_per_day_max": 1_000_000,
}
HABITS = Habits(false_accept=0.05, false_correct=0.005)
REPEATS = 8
DEGRADED_SHARE = 0.15


class People(Protocol):
    """Who answers what waits."""

    def keep_up(self) -> None:
        """Called after each batch of predictions."""

    def finish(self) -> None:
        """Answer all that can be answered, until the controller has seen it."""


@dataclass
class Stretch:
    """What happened while a part of the traffic came in; `wrong` counts by the truth of the file, `at` in predictions."""

    name: str
    alpha: float
    predictions: int = 0
    automatic: int = 0
    wrong: int = 0
    first_step_at: int | None = None
    step_back_at: int | None = None
    highest_level: int = 0
    level: int = 0
    certified_level: int = 0
    share: float = 0.0
    reachable_share: float = 0.0
    upper: float | None = None
    epoch: int | None = None
    sentinels: int = 0
    sentinels_missed: int = 0
    seconds: float = 0.0

    @property
    def error(self) -> float:
        return self.wrong / self.automatic if self.automatic else 0.0

    def see(self, scope: dict[str, Any] | None) -> None:
        """What the product says after the predictions so far."""
        if scope is None:
            return
        if self.epoch is not None and scope["epoch"] != self.epoch and self.step_back_at is None:
            self.step_back_at = self.predictions
        if scope["level"] and self.first_step_at is None:
            self.first_step_at = self.predictions
        self.epoch, self.level, self.certified_level = (
            scope["epoch"],
            scope["level"],
            scope["certified_level"],
        )
        self.highest_level = max(self.highest_level, self.level)
        self.share, self.reachable_share = scope["share"], scope["reachable_share"]
        self.upper = scope["auto_error_upper"]
        self.sentinels, self.sentinels_missed = scope["sentinels"], scope["sentinels_missed"]


@dataclass
class Life:
    """A project, its people, and the rows that come in again and again under new ids."""

    api: Api
    project: str
    alpha: float
    rows: Sequence[dict[str, Any]]
    people: People
    say: Callable[[str], None] = lambda line: None
    truths: dict[str, Truth] = field(init=False)
    labels: list[str] = field(init=False)
    sent: int = 0
    epoch: int | None = None
    priority: int = 0

    def __post_init__(self) -> None:
        self.truths = {str(row["id"]): truth_of(row) for row in self.rows}
        self.labels = labels_of(self.truths)

    def live(self, name: str, predictions: int, *, degrade: float = 0.0, until: Callable[[Stretch], bool] = lambda _: False) -> Stretch:  # fmt: skip
        """Send so many predictions while people work, or until something has happened; then all that is open is worked off."""
        stretch = Stretch(name, self.alpha, epoch=self.epoch)
        began = time.monotonic()
        traffic = islice(self._traffic(degrade), predictions)
        while batch := list(islice(traffic, BATCH)):
            answers = self.api.post(f"/projects/{self.project}/predictions/", batch).expect(200)["results"]
            for row, answer in zip(batch, answers, strict=True):
                self._count(stretch, row, answer)
            self.people.keep_up()
            stretch.see(self.scope())
            if stretch.predictions % REPORT_EVERY == 0:
                self.say(_progress(stretch))
            if until(stretch):
                break
        self.people.finish()
        stretch.see(self.scope())
        stretch.seconds = time.monotonic() - began
        self.epoch = stretch.epoch
        self.say(_progress(stretch))
        return stretch

    def scope(self) -> dict[str, Any] | None:
        scopes = self.api.get(f"/projects/{self.project}/trust/").expect(200)["autonomy"].get("scopes")
        return scopes[0] if scopes else None

    def _traffic(self, degrade: float) -> Iterator[dict[str, Any]]:
        """The rows in their order, round and round; a degraded share says something else, however sure the model is."""
        while True:
            turn, place = divmod(self.sent, len(self.rows))
            self.sent += 1
            row = request_of(self.rows[place])
            row |= {"id": f"{row['id']}~{turn + 1}", "priority": self.priority}
            rng = seeded("life", row["id"])
            if degrade and rng.random() < degrade:
                row["prediction"] = another_output("classification", row["prediction"], self.labels, rng)
                row.pop("probabilities", None)
            yield row

    def _count(self, stretch: Stretch, row: dict[str, Any], answer: dict[str, Any]) -> None:
        stretch.predictions += 1
        if answer["route"] == "auto":
            truth = self.truths[row["id"].rpartition("~")[0]]
            stretch.automatic += 1
            stretch.wrong += not equal("classification", row["prediction"], truth.output)


@dataclass
class CrewAtWork:
    """People in threads of their own; predictions wait for them, so that labels are never far behind."""

    api: Api
    project: str
    crew: Crew
    patience: Patience

    def keep_up(self) -> None:
        self.crew.start()
        while get_load(self.api, self.project).waiting > AHEAD:
            self.patience.pause(0.1)
            self.crew.raise_errors()

    def finish(self) -> None:
        since, done = time.monotonic(), -1
        while get_load(self.api, self.project).total:
            self.crew.raise_errors()
            if self.crew.board.touched != done:
                done, since = self.crew.board.touched, time.monotonic()
            if time.monotonic() - since > 20:
                break  # what is left is for people who had a part in it already
            self.patience.pause(0.2)
        self.patience.pause(5.0)  # the controller looks every three seconds


@contextmanager
def life_over_http(url: str, key: str, slug: str, rows: Sequence[dict[str, Any]], policy: dict[str, Any], say: Callable[[str], None]) -> Iterator[Life]:  # fmt: skip
    """A project marked as a simulation, with four people at work."""
    patience = Patience(120.0)
    with Api(url, key, patience) as api:
        truths = {str(row["id"]): truth_of(row) for row in rows}
        begin(api, slug, labels_of(truths), policy)
        work = Work(slug, "classification", labels_of(truths), truths, HABITS, seed=1, claim_count=20)
        crew = Crew(api, lambda own: Api(url, own, patience), work, patience, size=4)
        try:
            yield Life(api, slug, policy["alpha"], rows, CrewAtWork(api, slug, crew, patience), say)
        finally:
            crew.finish()


def begin(api: Api, slug: str, labels: Sequence[str], policy: dict[str, Any]) -> None:
    """Make the project."""
    body = {
        "name": slug,
        "task_type": "classification",
        "label_schema": {"labels": list(labels)},
        "simulation": True,
    }
    ensure_project(api, slug, body, {**POLICY, **policy})


def labels_of(truths: dict[str, Truth]) -> list[str]:
    return sorted({str(truth.output["label"]) for truth in truths.values()})


def read_rows(path: Path, limit: int | None = None) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in islice(lines, limit)]


# --- the lives, and what they promise ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Promise:
    """A sentence, and whether it held."""

    what: str
    held: bool


def live_news(life: Life, repeats: int) -> tuple[list[Stretch], list[Promise]]:
    """So many times the file: half of it clean, then degraded until the step back, then clean again."""
    whole = repeats * len(life.rows)
    clean = life.live("news: clean", whole // 2)
    bad = life.live(
        "news: degraded", whole // 8, degrade=DEGRADED_SHARE, until=lambda s: s.step_back_at is not None
    )
    again = life.live("news: clean again", whole - life.sent)
    return [clean, bad, again], [
        *promises_of_a_life(clean, bad, again),
        Promise("at least 200 wrong test items were answered", again.sentinels >= 200),
        Promise(
            "half of the news is automatic, before and after the step back",
            min(clean.share, again.share) >= 0.5,
        ),
    ]


def promises_of_a_life(clean: Stretch, bad: Stretch, again: Stretch) -> list[Promise]:
    """What must hold of every project that earns, loses and earns again."""
    return [
        Promise("clean traffic climbs to the certified level", clean.level == clean.certified_level > 0),
        Promise("nothing stepped back while it was clean", clean.step_back_at is None),
        Promise("true error of the clean stretch at most alpha", clean.error <= clean.alpha),
        Promise("the degraded stretch was stepped back from", bad.step_back_at is not None),
        Promise("clean traffic climbs again", again.level == again.certified_level > 0),
        Promise("true error of the second clean stretch at most alpha", again.error <= again.alpha),
    ]


def live_cards_at_2(life: Life, predictions: int) -> tuple[list[Stretch], list[Promise]]:
    """A model that is wrong too often even where it is surest."""
    only = life.live("cards, alpha 2 %", predictions)
    return [only], [
        Promise("cards at 2 % never leave level 0", only.highest_level == 0 and only.automatic == 0),
        Promise("and say that nothing is within reach", only.reachable_share == 0.0),
    ]


def live_cards_at_15(life: Life, most: int) -> tuple[list[Stretch], list[Promise]]:
    """The same model where more errors are bearable: until half is automatic, and some time at work after that."""
    climb = life.live("cards, alpha 15 %", most, until=lambda s: s.level > 0 and s.share >= 0.5)
    work = life.live("the same, at work", 2_000)
    automatic, wrong = climb.automatic + work.automatic, climb.wrong + work.wrong
    return [climb, work], [
        Promise("cards at 15 % become at least half automatic", climb.level > 0 and climb.share >= 0.5),
        Promise("true error of the cards at most alpha", wrong <= life.alpha * automatic and automatic > 0),
        Promise("at least 200 wrong test items were answered", work.sentinels >= 200),
    ]


def _progress(stretch: Stretch) -> str:
    return (
        f"{time.strftime('%H:%M:%S')} {stretch.name}: {stretch.predictions} sent, level {stretch.level}, "
        f"{stretch.share:.0%} of {stretch.reachable_share:.0%}, {stretch.wrong} of {stretch.automatic} wrong, "
        f"{stretch.sentinels} test items"
    )


def table(stretches: Sequence[Stretch]) -> str:
    """One line a stretch."""
    head = (
        f"{'stretch':<20}{'alpha':>6}{'sent':>8}{'auto':>8}{'wrong':>7}{'error':>8}{'first step':>12}"
        f"{'step back':>11}{'share':>7}{'reach':>7}{'at most':>9}{'tests':>7}{'passed':>8}{'s':>7}"
    )
    lines = [
        f"{s.name:<20}{s.alpha:>6.0%}{s.predictions:>8}{s.automatic:>8}{s.wrong:>7}{s.error:>8.2%}"
        f"{s.first_step_at or '-':>12}{s.step_back_at or '-':>11}{s.share:>7.0%}{s.reachable_share:>7.0%}"
        f"{'-' if s.upper is None else f'{s.upper:.2%}':>9}{s.sentinels:>7}{s.sentinels_missed:>8}{s.seconds:>7.0f}"
        for s in stretches
    ]
    return "\n".join([head, *lines])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with news-routing.jsonl.gz and card-risk.jsonl.gz")
    parser.add_argument("--repeat", type=int, default=REPEATS, help="how many times the news come in")
    parser.add_argument("--cards", type=int, default=20_000, help="at most so many at alpha 15 %%")
    parser.add_argument("--only", choices=["news", "cards"])
    args = parser.parse_args()
    from tests.stack.instance import Instance

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    stretches: list[Stretch] = []
    promises: list[Promise] = []
    with tempfile.TemporaryDirectory(prefix="trust-life-") as folder:
        instance = Instance(Path(folder) / "home")
        try:
            instance.start()
            credentials = json.loads((instance.home.path / "credentials.json").read_text())
            url, key = credentials["url"], credentials["api_key"]
            for slug, name, policy, living in _lives(args.repeat, args.cards, args.only):
                rows = read_rows(args.data / f"{name}.jsonl.gz")
                with life_over_http(url, key, slug, rows, policy, say) as life:
                    found, kept = living(life)
                stretches += found
                promises += kept
        finally:
            if instance.process is not None and instance.process.poll() is None:
                instance.stop()
            instance.clean_up()
    broken = [promise.what for promise in promises if not promise.held]
    figures = {
        "stretches": [{**asdict(stretch), "error": stretch.error} for stretch in stretches],
        "promises": [asdict(promise) for promise in promises],
    }
    Path("bench/results").mkdir(parents=True, exist_ok=True)
    Path("bench/results/trust-life.json").write_text(json.dumps(figures, indent=1))
    print(table(stretches))
    for promise in promises:
        print(f"{'held  ' if promise.held else 'BROKEN'} {promise.what}")
    return 1 if broken else 0


def _lives(
    repeats: int, cards: int, only: str | None
) -> Iterator[tuple[str, str, dict[str, Any], Callable[[Life], Any]]]:
    """(project, file, policy, life)."""
    if only != "cards":
        yield (
            "news-routing",
            "news-routing",
            {"alpha": 0.02, "sentinel_rate": 0.03},
            lambda life: live_news(life, repeats),
        )
    if only != "news":
        policy = {"alpha": 0.02, "sentinel_rate": 0.1}
        yield "card-risk-2", "card-risk", policy, lambda life: live_cards_at_2(life, 1_500)
        policy = {"alpha": 0.15, "sentinel_rate": 0.1}
        yield "card-risk-15", "card-risk", policy, lambda life: live_cards_at_15(life, cards)


if __name__ == "__main__":
    sys.exit(main())

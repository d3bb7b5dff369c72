"""A whole life over the real API: a project earns autonomy, a degraded stretch takes it away, clean traffic earns it again.

    make trust-life DATA=/path/to/replay-files        prints the figures as JSON and writes them to bench/results/trust-life.json

The people know the truth but err, the model's true errors among automatic results are counted from the file, never from the
product. Used in a shortened version by `test_life.py`.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from labeling.decisions.diffing import equal
from labeling.decisions.slips import another_output
from labeling.replay.answers import Habits
from labeling.replay.client import Api, Patience
from labeling.replay.mapping import Truth, request_of, truth_of
from labeling.replay.mistakes import seeded
from labeling.replay.projects import ensure_project, get_load
from labeling.replay.reviewers import Crew, Work

BATCH = 100
AHEAD = 250
POLICY = {
    "autonomy": "on",
    "low": 0.0,
    "autonomy_min_interval": "0",
    "audits_per_day_max": 1_000_000,
    "sentinel_rate": 0.04,
}
HABITS = Habits(false_accept=0.05, false_correct=0.005)


@dataclass
class Stretch:
    """What happened while a part of the traffic came in; `wrong` counts by the file's truth."""

    name: str
    predictions: int = 0
    automatic: int = 0
    wrong: int = 0
    highest_share: float = 0.0
    share_at_end: float = 0.0
    epoch_at_end: int = 0
    reachable_share: float = 0.0
    upper: float | None = None
    predictions_to_first_step: int | None = None
    predictions_to_step_back: int | None = None
    wrong_until_step_back: int | None = None
    routes: list[tuple[int, float]] = field(default_factory=list)

    @property
    def error(self) -> float | None:
        return self.wrong / self.automatic if self.automatic else None

    def as_json(self) -> dict[str, Any]:
        return {**self.__dict__, "error": self.error, "routes": None}


@dataclass
class Life:
    """A project and its people."""

    api: Api
    project: str
    truths: dict[str, Truth]
    labels: Sequence[str]
    crew: Crew
    patience: Patience
    say: Callable[[str], None] = lambda line: None
    turn: int = 0

    def live(self, name: str, rows: Sequence[dict[str, Any]], *, degrade: float = 0.0, until: Callable[[Stretch], bool] | None = None) -> Stretch:  # fmt: skip
        """Send rows (under new ids) while people work; afterwards what is open is worked off."""
        self.turn += 1
        stretch = Stretch(name)
        epoch = self.autonomy()["epoch"]
        for batch in _batches(self._rows(rows, degrade)):
            answers = self.api.post(f"/projects/{self.project}/predictions/", batch).expect(200)["results"]
            for row, answer in zip(batch, answers, strict=True):
                self._note(stretch, row, answer)
            self.crew.start()
            self._let_people_work()
            now = self.autonomy()
            share = now["share"] if now["level"] else 0.0
            stretch.highest_share = max(stretch.highest_share, share)
            if now["level"] and stretch.predictions_to_first_step is None:
                stretch.predictions_to_first_step = stretch.predictions
            if (
                now["epoch"] not in (epoch, None)
                and epoch is not None
                and stretch.predictions_to_step_back is None
            ):
                stretch.predictions_to_step_back = stretch.predictions
                stretch.wrong_until_step_back = stretch.wrong
            epoch = epoch or now["epoch"]
            if until is not None and until(stretch):
                break
        self._work_off()
        now = self.autonomy()
        stretch.share_at_end = now["share"] if now["level"] else 0.0
        stretch.epoch_at_end, stretch.reachable_share = now["epoch"], now["reachable_share"]
        stretch.upper = now["auto_error_upper"]
        self.say(f"{name}: {json.dumps(stretch.as_json())}")
        return stretch

    def autonomy(self) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"/projects/{self.project}/trust/").expect(200)["autonomy"]
        return found

    def main_scope(self) -> dict[str, Any]:
        found: dict[str, Any] = self.autonomy()["scopes"][0]
        return found

    def _rows(self, rows: Sequence[dict[str, Any]], degrade: float) -> Iterator[dict[str, Any]]:
        """The rows under new ids; of a degraded stretch this share says something else, however sure the model is."""
        for record in rows:
            row = request_of(record)
            row["id"] = f"{record['id']}~{self.turn + 1}"
            rng = seeded("life", row["id"])
            if degrade and rng.random() < degrade:
                row["prediction"] = another_output("classification", row["prediction"], self.labels, rng)
                row.pop("probabilities", None)
            yield row

    def _note(self, stretch: Stretch, row: dict[str, Any], answer: dict[str, Any]) -> None:
        stretch.predictions += 1
        if answer["route"] == "auto":
            truth = self.truths[row["id"].rpartition("~")[0]]
            stretch.automatic += 1
            stretch.wrong += not equal("classification", row["prediction"], truth.output)

    def _let_people_work(self) -> None:
        while get_load(self.api, self.project).waiting > AHEAD and not self.crew.is_idle:
            self.patience.pause(0.1)
            self.crew.raise_errors()

    def _work_off(self) -> None:
        since, done = time.monotonic(), -1
        while get_load(self.api, self.project).total:
            self.crew.raise_errors()
            if self.crew.board.touched != done:
                done, since = self.crew.board.touched, time.monotonic()
            if time.monotonic() - since > 20:
                break  # what is left is for people who had a part in it already
            self.patience.pause(0.2)
        self.patience.pause(5.0)  # a look of the controller


def begin(url: str, key: str, slug: str, rows: Sequence[dict[str, Any]], policy: dict[str, Any], *, reviewers: int = 4, say: Callable[[str], None] = lambda line: None) -> Life:  # fmt: skip
    """Make the project, marked as a simulation, and its people."""
    patience = Patience(60.0)
    api = Api(url, key, patience)
    truths = {str(row["id"]): truth_of(row) for row in rows}
    labels = sorted({str(truth.output["label"]) for truth in truths.values()})
    body = {
        "name": slug,
        "task_type": "classification",
        "label_schema": {"labels": labels},
        "simulation": True,
    }
    ensure_project(api, slug, body, {**POLICY, **policy})
    work = Work(slug, "classification", labels, truths, HABITS, seed=1)
    crew = Crew(api, lambda own: Api(url, own, patience), work, patience, reviewers)
    return Life(api, slug, truths, labels, crew, patience, say)


def read_rows(path: Path, limit: int | None = None) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in islice(lines, limit)]


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def run_news(
    url: str, key: str, rows: Sequence[dict[str, Any]], say: Callable[[str], None]
) -> dict[str, Any]:
    """Eight times the file: four clean, two degraded (or until the step back), two clean again."""
    life = begin(url, key, "news-routing", rows, {}, say=say)
    try:
        clean = life.live("clean", [*rows] * 1)
        while life.turn < 4:
            more = life.live(f"clean {life.turn + 1}", rows)
            clean.automatic, clean.wrong = clean.automatic + more.automatic, clean.wrong + more.wrong
            clean.share_at_end = more.share_at_end
            clean.predictions += more.predictions
            clean.highest_share = max(clean.highest_share, more.highest_share)
            clean.predictions_to_first_step = (
                clean.predictions_to_first_step or more.predictions_to_first_step
            )
            clean.upper, clean.reachable_share = more.upper, more.reachable_share
        certified = life.main_scope()
        bad = life.live(
            "degraded", rows, degrade=0.15, until=lambda s: s.predictions_to_step_back is not None
        )
        stepped_back = life.main_scope()
        again = [life.live(f"clean again {turn}", rows) for turn in range(1, 3)]
        figures = {
            "clean": clean.as_json(),
            "certified": certified,
            "degraded": bad.as_json(),
            "after_step_back": stepped_back,
            "clean_again": [stretch.as_json() for stretch in again],
            "sentinels": life.main_scope()["sentinels"],
            "sentinels_missed": life.main_scope()["sentinels_missed"],
        }
    finally:
        life.crew.finish()
    return figures


def run_cards(
    url: str, key: str, rows: Sequence[dict[str, Any]], say: Callable[[str], None]
) -> dict[str, Any]:
    """The same model at two limits: at 2 % nothing can be automatic, at 15 % half and more."""
    figures = {}
    for slug, alpha in (("card-risk-2", 0.02), ("card-risk-15", 0.15)):
        life = begin(url, key, slug, rows, {"alpha": alpha, "sentinel_rate": 0.1}, say=say)
        try:
            stretch = life.live(slug, rows)
            figures[slug] = {**stretch.as_json(), "scope": life.main_scope()}
        finally:
            life.crew.finish()
    return figures


def main() -> None:
    data = Path(sys.argv[1])
    cards = int(sys.argv[2]) if len(sys.argv) > 2 else 6_000
    from tests.stack.instance import Instance

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="trust-life-") as folder:
        instance = Instance(Path(folder) / "home")
        instance.start()
        try:
            credentials = json.loads((instance.home.path / "credentials.json").read_text())
            url, key = credentials["url"], credentials["api_key"]
            figures = {
                "card-risk": run_cards(url, key, read_rows(data / "card-risk.jsonl.gz", cards), say),
                "news-routing": run_news(url, key, read_rows(data / "news-routing.jsonl.gz"), say),
            }
        finally:
            instance.stop()
    text = json.dumps(figures, indent=1)
    Path("bench/results").mkdir(parents=True, exist_ok=True)
    Path("bench/results/trust-life.json").write_text(text)
    print(text)


if __name__ == "__main__":
    main()

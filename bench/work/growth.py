"""Growth: what each operation takes with ten thousand, a million and ten million predictions stored."""

from __future__ import annotations

import json
import random
import time

from bench.load import MakeStep, Samples, Step, run_load
from bench.place import Headers, Place
from bench.wire import Wire, request
from bench.work.ingestion import Target, send_batches, send_singles
from bench.work.publishing import Publisher
from bench.work.reading import PAGE, get_page, sign_in
from bench.work.review import decide_and_take

STEPS = (10_000, 1_000_000, 10_000_000)
# {operation: {rows stored: {"p50_ms", "p99_ms"}}}
Figures = dict[str, dict[str, dict[str, float]]]


def steps(rows: int) -> list[int]:
    """The sizes at which growth is measured on the way to `rows`."""
    return [*(step for step in STEPS if step < rows), rows]


def read_feed_anywhere(port: int, slug: str, headers: Headers, last: int) -> Step:
    """Pages of the feed that begin at random places."""
    rng = random.Random(7)
    wire = Wire(port)

    def step(_number: int) -> bool:
        after = rng.randrange(max(1, last - PAGE))
        path = f"/api/v1/projects/{slug}/outcomes/?after={after}&limit={PAGE}"
        status, answer = wire.ask(request("GET", path, headers=headers))
        return status == 200 and bool(json.loads(answer)["results"])

    return step


class Growth:
    """Measures every operation once for each size; one client, so that nothing but the size can make it slower."""

    def __init__(self, place: Place, slug: str, *, quick: bool) -> None:
        self._place = place
        self._slug = slug
        self._seconds = 0.5 if quick else 10.0
        self._publications = 2 if quick else 30
        self._publisher: Publisher | None = None
        self.figures: Figures = {}

    def measure(self, rows: int) -> None:
        """Add the figures at this size. RuntimeError when an operation is refused: it would be fast."""
        place, slug, headers = self._place, self._slug, self._place.headers()
        target = Target(place.port, f"/api/v1/projects/{slug}/predictions/", headers)
        page = f"/projects/{slug}/review/default/"
        bodies = max(5, int(self._seconds * 8))
        self._warm_up(target, rows, bodies)
        self._load("batch", rows, send_batches, [target, rows, bodies], seconds=60.0)
        self._load("single", rows, send_singles, [target, rows])
        self._load(
            "claim_and_decide", rows, decide_and_take, [place.port, slug, [place.credentials.api_key], []]
        )
        self._load("task_page", rows, get_page, [place.port, page, {"Cookie": sign_in(place)}])
        self._load("feed_page", rows, read_feed_anywhere, [place.port, slug, headers, self._last_outcome()])
        self._publish(rows)

    def _warm_up(self, target: Target, rows: int, most: int) -> None:
        """Batches that are not counted: a process of the database maps each page of the shared buffers when it first touches it,
        and has mapped all that it uses when it has run for a while. Fewer rows than are stored."""
        bodies = min(most, max(5, rows // 20_000))
        run_load(send_batches, [target, -rows, bodies], connections=1, seconds=60.0)

    def _load(
        self,
        operation: str,
        rows: int,
        make_step: MakeStep,
        arguments: list[object],
        seconds: float | None = None,
    ) -> None:
        samples = run_load(make_step, arguments, connections=1, seconds=seconds or self._seconds)
        if samples.errors:
            raise RuntimeError(f"{operation} with {rows:,} rows stored: {samples.errors} were refused")
        self._keep(operation, rows, samples)

    def _publish(self, rows: int) -> None:
        if self._publisher is None:
            decisions = 100 * (self._publications + 1) * len(STEPS)
            self._publisher = Publisher(self._place, "bench-growth", decisions=decisions, first_piece=360)
        self._publisher.publish(100)
        found = Samples([self._publisher.publish(100) for _ in range(self._publications)])
        self._keep("publish_100", rows, found)

    def _keep(self, operation: str, rows: int, samples: Samples) -> None:
        figures = {"p50_ms": samples.percentile_ms(50), "p99_ms": samples.percentile_ms(99)}
        self.figures.setdefault(operation, {})[str(rows)] = figures

    def _last_outcome(self) -> int:
        time.sleep(3)  # what was ingested just now gets its numbers
        with self._place.connect() as connection:
            row = connection.execute(
                "select last_number from labeling_feedhead join labeling_project p on p.id = project_id where slug = %s",
                [self._slug],
            ).fetchone()
        assert row is not None
        return int(row[0])

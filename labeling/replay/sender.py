"""The model service of a replay: posts rows in order, in arrays, at a chosen pace."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from labeling.replay.client import Api, Patience, ReplayError
from labeling.replay.mapping import Json

BATCH_ROWS = 200
_BATCH_BYTES = 4 * 1024 * 1024
_BATCHES_A_SECOND = 4
_SHOWN_ERRORS = 5
_REFUSED_PAUSE_S = 2.0


@dataclass
class Sent:
    """What became of the rows."""

    sent: int = 0
    created: int = 0
    duplicates: int = 0
    conflicts: int = 0
    invalid: int = 0
    refused: int = 0
    routes: Counter[str] = field(default_factory=Counter)


class Sender:
    """Posts batches and counts the answers. `wait_for_people` is asked before each batch and may hold it back."""

    def __init__(
        self,
        api: Api,
        project: str,
        patience: Patience,
        *,
        rate: float | None = None,
        wait_for_people: Callable[[], None],
        report: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.totals = Sent()
        self._api, self._project, self._patience = api, project, patience
        self._rate = rate
        self._wait_for_people, self._report, self._clock = wait_for_people, report, clock

    def send_all(self, rows: Iterable[Json]) -> Sent:
        """Post every row; with a rate, row n not before n/rate seconds after the first."""
        most = (
            BATCH_ROWS if self._rate is None else max(1, min(BATCH_ROWS, int(self._rate / _BATCHES_A_SECOND)))
        )
        started = self._clock()
        for batch in batched(rows, most):
            self._wait_for_people()
            if self._rate is not None:
                self._patience.pause(max(0.0, started + self.totals.sent / self._rate - self._clock()))
            self._post(batch)
            self.totals.sent += len(batch)
        return self.totals

    def _post(self, batch: list[Json]) -> None:
        """Post rows; those refused as too many reviews wait are sent again until people have made room.

        ReplayError when they make none for as long as the server may be away.
        """
        stuck_since = self._clock()
        while batch:
            answer = self._api.post(f"/projects/{self._project}/predictions/", batch).expect(200)
            self._count(answer)
            refused = [batch[one["index"]] for one in answer["results"] if one["status"] == "refused"]
            if len(refused) < len(batch):
                stuck_since = self._clock()
            batch = refused
            if batch:
                self.totals.refused += len(batch)
                if self._clock() - stuck_since >= self._patience.seconds:
                    raise ReplayError(
                        f"{self._project} refuses new reviews: too many wait and nobody decides."
                    )
                self._wait_for_people()
                self._patience.pause(_REFUSED_PAUSE_S)

    def _count(self, answer: Any) -> None:
        totals = self.totals
        totals.created += answer["created"]
        totals.duplicates += answer["duplicates"]
        totals.conflicts += answer["conflicts"]
        for result in answer["results"]:
            if result["status"] in ("created", "duplicate"):
                totals.routes[result["route"]] += 1
            elif result["status"] != "refused":
                self._complain(result)
        totals.invalid += answer["invalid"]

    def _complain(self, result: Json) -> None:
        """Name the first rows that were not taken; the summary has the counts of all."""
        if self.totals.conflicts + self.totals.invalid <= _SHOWN_ERRORS:
            self._report(f"row {result.get('id')}: {result['status']} {json.dumps(result.get('errors', ''))}")


def batched(rows: Iterable[Json], most: int) -> Iterator[list[Json]]:
    """Arrays of at most `most` rows that stay well below what one request may hold."""
    batch: list[Json] = []
    size = 0
    for row in rows:
        row_size = len(json.dumps(row))
        if batch and (len(batch) >= most or size + row_size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += row_size
    if batch:
        yield batch

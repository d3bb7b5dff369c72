"""From ledger entries to the rows of a version: reads the contents, hashes, counts, writes the segment."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from labeling.datasets import manifest
from labeling.datasets.batches import Payload, read_payloads
from labeling.datasets.models import Dataset, DatasetVersion, Publication
from labeling.datasets.segments import Row, SegmentFile, digest_row, keep_segment, new_segment
from labeling.datasets.storage import Storage
from labeling.decisions.diffing import core_output
from labeling.decisions.models import Origin
from labeling.errors import ConflictError, say

SIGN_OF_LIFE_S = 30.0
_SIGN_EVERY_ROWS = 500


@dataclass(frozen=True, slots=True)
class WrittenRows:
    """A version's rows, written and hashed: what the commit needs to know of them."""

    file: SegmentFile
    digests: dict[int, bytes]
    digest: bytes
    steps: dict[str, int]
    counts: manifest.Counts
    schema_number: int

    def version_fields(self) -> dict[str, Any]:
        """The columns of the version that follow from its rows. Labels and splits with no record left are left out."""
        return {
            "digest": self.digest.hex(),
            "added": self.steps[manifest.ADD],
            "changed": self.steps[manifest.CHANGE],
            "removed": self.steps[manifest.REMOVE],
            "rows_live": self.counts.rows,
            "split_counts": {name: count for name, count in sorted(self.counts.splits.items()) if count},
            "label_counts": {name: count for name, count in sorted(self.counts.labels.items()) if count},
            "schema_number": self.schema_number,
        }


class RowBuilder:
    """Writes the rows of one publication. `still_mine` is asked now and then, and raises when another worker was faster."""

    def __init__(self, dataset: Dataset, publication: Publication, *, still_mine: Callable[[], None]) -> None:
        if publication.number is None or publication.seed is None:
            raise ConflictError("not_open", say("Only an open publication can be written."))
        self._dataset = dataset
        self._salt = bytes(dataset.split_salt)
        self._task_type = dataset.project.task_type
        self._number = publication.number
        self._seed = bytes(publication.seed)
        self._still_mine = still_mine
        self._pseudonyms: dict[int, str] = {}
        parent = DatasetVersion.objects.filter(dataset=dataset, number=self._number - 1).first()
        self._chain = manifest.VersionDigest(self._number, bytes.fromhex(parent.digest) if parent else b"")
        self._counts = manifest.Counts(
            rows=parent.rows_live if parent else 0,
            splits=dict(parent.split_counts) if parent else {},
            labels=dict(parent.label_counts) if parent else {},
        )
        self._steps = dict.fromkeys(manifest.ROW_OPS, 0)
        self._digests: dict[int, bytes] = {}

    def write(
        self,
        storage: Storage,
        entries: Sequence[manifest.Entry],
        sizes: dict[int, int],
        pause: Callable[[str], None],
    ) -> WrittenRows:
        """The segment on the storage, with everything that is worked out of its rows on the way."""
        changing = [entry for entry in entries if entry.op in manifest.ROW_OPS]
        folder = self._dataset.folder
        with new_segment(storage, folder) as segment:
            for row in self._rows(changing, sizes):
                segment.add(row)
            pause("half_written")
            file = keep_segment(storage, segment, folder, self._number, self._number)
        return WrittenRows(
            file=file,
            digests=self._digests,
            digest=self._chain.digest(),
            steps=self._steps,
            counts=self._counts,
            schema_number=self._dataset.project.schema_number,
        )

    def _rows(self, entries: Sequence[manifest.Entry], sizes: dict[int, int]) -> Iterator[Row]:
        signed_at = time.monotonic()
        for place, (entry, payload) in enumerate(read_payloads(entries, sizes)):
            if place % _SIGN_EVERY_ROWS == 0 and time.monotonic() - signed_at > SIGN_OF_LIFE_S:
                self._still_mine()
                signed_at = time.monotonic()
            row = self._row(entry, payload)
            row["row_digest"] = digest = digest_row(row)
            self._digests[entry.offer.sequence] = digest
            self._chain.add(digest)
            self._count(entry, row)
            yield row

    def _row(self, entry: manifest.Entry, payload: Payload) -> Row:
        """One row as the segment's columns hold it. A removal says what was taken away, by whom and when."""
        row: Row = {
            "record_id": entry.offer.record_id,
            "version": self._number,
            "input": None,
            "label": None,
            "previous_label": one_line(payload.previous_label),
            "predicted_label": None,
            "confidence": None,
            "model": None,
            "model_version": None,
            "decision_id": entry.offer.decision_id,
            "decided_by": self._pseudonym(payload.decided_by),
            "decided_at": payload.decided_at,
            "policy_version": None,
            "origin": Origin.HUMAN.value,
            "split": entry.split,
            "segment": payload.segment,
            "op": manifest.OP_NAMES[entry.op],
            "supersedes": entry.supersedes,
            "salt": manifest.row_salt(self._seed, entry.offer.sequence),
        }
        if entry.op != manifest.REMOVE:
            row |= {
                "input": one_line(payload.input),
                "label": one_line(payload.label),
                "predicted_label": self._predicted(payload.predicted),
                "confidence": payload.confidence,
                "model": payload.model,
                "model_version": payload.model_version,
                "policy_version": payload.policy_number,
            }
        return row

    def _count(self, entry: manifest.Entry, row: Row) -> None:
        self._steps[entry.op] += 1
        before, after = (
            manifest.labels_in(self._task_type, msgspec.json.decode(row[name]) if row[name] else None)
            for name in ("previous_label", "label")
        )
        self._counts.count_row(entry.op, entry.split, before=before, after=after)

    def _pseudonym(self, user_id: int) -> str:
        if user_id not in self._pseudonyms:
            self._pseudonyms[user_id] = manifest.pseudonym(user_id, salt=self._salt)
        return self._pseudonyms[user_id]

    def _predicted(self, text: str | None) -> str | None:
        """The model's output as a label, without the confidences that only a prediction carries."""
        if text is None:
            return None
        return msgspec.json.encode(core_output(self._task_type, msgspec.json.decode(text))).decode()


def one_line(text: str | None) -> str | None:
    """JSON text without line breaks: it may have been sent with some, and JSON Lines has none."""
    if text is None or ("\n" not in text and "\r" not in text):
        return text
    return msgspec.json.format(text, indent=-1)

"""Is a version still what was published? The files are, byte by byte, and the rows give the same chain of digests."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

from labeling.datasets.manifest import VersionDigest
from labeling.datasets.models import Dataset, DatasetSegment, DatasetVersion
from labeling.datasets.segments import digest_row, read_batches
from labeling.datasets.storage import Storage, StorageError, open_storage
from labeling.errors import Sentence, say


@dataclass(slots=True)
class Verification:
    """What was looked at, and everything that is wrong with it, one sentence each."""

    number: int
    digest: str
    files: int = 0
    rows: int = 0
    problems: list[Sentence] = field(default_factory=list)

    @property
    def is_intact(self) -> bool:
        return not self.problems


def verify_version(*, dataset: Dataset, number: int, full: bool = False) -> Verification:
    """Check a version and all before it, on which it stands.

    Always: the sha256 of each file, and the chain of digests over the row digests stored in the files. With `full`, each
    row's digest is worked out again from its contents; that takes about 20 times as long.
    """
    version = DatasetVersion.objects.get(dataset=dataset, number=number)
    found = Verification(number=number, digest=version.digest)
    storage = open_storage()
    segments = DatasetSegment.objects.filter(dataset=dataset, state=DatasetSegment.State.LIVE, lo__lte=number)
    readable = []
    for segment in segments.order_by("lo"):
        found.files += 1
        if _is_intact(storage, segment, found):
            readable.append(segment)
    if found.is_intact:
        expected = DatasetVersion.objects.filter(dataset=dataset, number__lte=number).order_by("number")
        digests = expected.values_list("number", "digest").iterator()
        _verify_chain(storage, readable, number, digests, found, full=full)
    return found


def _is_intact(storage: Storage, segment: DatasetSegment, found: Verification) -> bool:
    try:
        now = storage.sha256(segment.path)
    except StorageError as error:
        found.problems.append(say("{path} cannot be read: {error}", path=segment.path, error=error.detail))
        return False
    if now != segment.sha256:
        found.problems.append(
            say(
                "{path} has the sha256 {now}, but {then} was published.",
                path=segment.path,
                now=now,
                then=segment.sha256,
            )
        )
        return False
    return True


def _verify_chain(
    storage: Storage,
    segments: list[DatasetSegment],
    number: int,
    published: Iterator[tuple[int, str]],
    found: Verification,
    *,
    full: bool,
) -> None:
    """Walk the rows in order; at the end of each version, the digest so far must be the published one."""
    parent = b""
    rows = _read_digests(storage, segments, number, found, full=full)
    for version, group in groupby(rows, key=itemgetter(0)):
        chain = VersionDigest(version, parent)
        for _version, digest in group:
            chain.add(digest)
            found.rows += 1
        parent = chain.digest()
        if next(published, None) != (version, parent.hex()):
            found.problems.append(
                say("The rows of v{version} do not give the digest that was published.", version=version)
            )
            return
    missing = [left for left, _digest in published]
    if missing:
        found.problems.append(
            say(
                "The rows of {count} versions are missing, from v{first} on.",
                count=len(missing),
                first=missing[0],
            )
        )


def _read_digests(
    storage: Storage, segments: list[DatasetSegment], number: int, found: Verification, *, full: bool
) -> Iterator[tuple[int, bytes]]:
    columns = None if full else ["version", "row_digest"]
    for segment in segments:
        for batch in read_batches(storage, segment.path, columns):
            for row in batch.to_pylist():
                if row["version"] > number:
                    return
                if full and digest_row(row) != row["row_digest"]:
                    found.problems.append(
                        say(
                            "The row {record!r} of v{version} has another digest.",
                            record=row["record_id"],
                            version=row["version"],
                        )
                    )
                yield row["version"], row["row_digest"]

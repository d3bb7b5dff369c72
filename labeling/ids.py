"""Time-ordered bigint ids: 32 bits of seconds since 2025, then 20 bits that are unique within the second.

52 bits in all, so that they survive a JSON reader that only knows doubles. Payload tables are partitioned by ranges of
these ids. The low bits come from blocks of 256 that PostgreSQL hands out; the second is the database's clock at the moment
of handing out, so two processes can never make the same id (4,096 blocks, about a million ids, in one second would have to
be exceeded). Blocks older than a second are thrown away, which keeps ids in order of time to about a second.
"""

import threading
import time
from datetime import UTC, datetime, timedelta

from django.db import models
from django.db.models import Func

from labeling.bulk import Prepared

ID_EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
SECOND_BITS = 20
BLOCK_SIZE = 256
_BLOCK_SECONDS = 1.0
_ID_EPOCH_UNIX = int(ID_EPOCH.timestamp())

_TAKE_BLOCKS = Prepared("""
select (floor(extract(epoch from clock_timestamp()))::bigint - %(epoch)s::bigint) << 20
       | ((nextval('labeling_id_block') %% 4096) * 256)
from generate_series(1, %(blocks)s::int)
""")


class NextId(Func):
    """Database default for ids that nobody needs to know before the row is written.

    They come from a sequence of their own: a table takes its ids either here or from `take_ids`, never from both.
    """

    function = "labeling_next_id"
    output_field = models.BigIntegerField()


def first_id_at(moment: datetime) -> int:
    """The smallest id that can be made at `moment`; the bounds of partitions are such ids."""
    return int((moment - ID_EPOCH).total_seconds()) << SECOND_BITS


def moment_of(identifier: int) -> datetime:
    """When an id was made, to the second."""
    return ID_EPOCH + timedelta(seconds=identifier >> SECOND_BITS)


def block_start(identifier: int) -> int:
    """The first id of the block that this one is from. A block belongs to one thread, which hands its ids out in rising order
    and writes what they are for before it takes the next: an id before one that is in a table is in use by now, or never."""
    return identifier - identifier % BLOCK_SIZE


class _Blocks(threading.local):
    """What is left of this thread's last block."""

    def __init__(self) -> None:
        self.next = 0
        self.end = 0
        self.taken_at = 0.0


_blocks = _Blocks()


def take_ids(count: int) -> list[int]:
    """`count` new ids in rising order, at the price of at most one round trip."""
    fresh = time.monotonic() - _blocks.taken_at < _BLOCK_SECONDS
    if fresh and _blocks.end - _blocks.next >= count:
        start = _blocks.next
        _blocks.next += count
        return list(range(start, start + count))
    blocks = -(-count // BLOCK_SIZE)
    starts = sorted(row[0] for row in _TAKE_BLOCKS.fetchall({"epoch": _ID_EPOCH_UNIX, "blocks": blocks}))
    ids = [start + offset for start in starts for offset in range(BLOCK_SIZE)]
    used = ids[:count]
    if count < len(ids):
        _blocks.next, _blocks.end, _blocks.taken_at = ids[count], starts[-1] + BLOCK_SIZE, time.monotonic()
    return used

"""The feed of final outcomes: writing batches, numbering them, reading them.

Writers add one batch row per transaction. `number_outcomes`, under a lock on the project's head row, gives committed batches
their numbers: dense whatever the order of commits, and never waiting for a transaction that is still open.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection, transaction
from msgspec import UNSET, UnsetType

from labeling.bulk import Prepared, array
from labeling.decisions.diffing import core_output
from labeling.decisions.models import FeedHead, OutcomeBatch

MOST_BATCHES = 5_000


class FeedEntry(msgspec.Struct, frozen=True, gc=False):
    """One outcome of the feed, as it is sent."""

    cursor: int
    id: str | None
    output: dict[str, Any] | None
    origin: str
    verdict: str | UnsetType
    decided_at: datetime
    model: str | None
    model_version: str | None
    revision: int


_ADD = Prepared("""
insert into labeling_outcomebatch (project_id, of_predictions, entries, size)
values (%(project)s, %(of_predictions)s, %(ids)s::bigint[], %(size)s)
""")


def add_outcomes(project_id: int, *, ids: Sequence[int], of_predictions: bool) -> None:
    """Append the outcomes of this transaction to the feed, in this order."""
    if ids:
        values = {
            "project": project_id,
            "of_predictions": of_predictions,
            "ids": array(ids),
            "size": len(ids),
        }
        _ADD.run(values)


def number_outcomes(project_id: int, *, wait: bool = True) -> int:
    """Give numbers to what is committed and has none; returns how many outcomes got one.

    Batches take their id from a sequence as they are written. A later revision of an item is written after the earlier one
    has committed, so numbering by id keeps the revisions of an item in order.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "select last_number from labeling_feedhead where project_id = %s for update"
            + ("" if wait else " skip locked"),
            [project_id],
        )
        head = cursor.fetchone()
        if head is None:
            return 0
        cursor.execute(
            """
            with fresh as (
                select id, size, sum(size) over (order by id) - size as before
                from (select id, size from labeling_outcomebatch
                      where project_id = %(project)s and first_number is null order by id limit %(most)s) batch
            ), numbered as (
                update labeling_outcomebatch batch set first_number = %(last)s + 1 + fresh.before
                from fresh where batch.id = fresh.id returning batch.size
            )
            select coalesce(sum(size), 0) from numbered
            """,
            {"project": project_id, "most": MOST_BATCHES, "last": head[0]},
        )
        added = int(cursor.fetchone()[0])
        if added:
            FeedHead.objects.filter(project_id=project_id).update(last_number=head[0] + added)
    return added


def number_all_outcomes() -> int:
    """Number what waits in every project; run by the sweep."""
    with connection.cursor() as cursor:
        cursor.execute("select distinct project_id from labeling_outcomebatch where first_number is null")
        projects = [row[0] for row in cursor.fetchall()]
    return sum(number_outcomes(project, wait=False) for project in projects)


# Entries of the batches after the cursor. Numbers are dense: the batches of a page begin with the one that holds the first
# number wanted, and end with the last number that fits. `of_predictions` entries are final at once, revision 1 of their item;
# the others are rows of their own. Items and predictions may be gone by retention, then the entry says so with a null output.
READ = """
with batch as (
    select first_number, entries, of_predictions from labeling_outcomebatch
    where project_id = %(project)s and first_number <= %(after)s + %(limit)s and first_number >= coalesce((
        select max(first_number) from labeling_outcomebatch
        where project_id = %(project)s and first_number <= %(after)s + 1), 0)
), entry as materialized (
    select batch.first_number + e.place - 1 as number, batch.of_predictions, e.id
    from batch cross join lateral unnest(batch.entries) with ordinality as e(id, place)
    where batch.first_number + e.place - 1 > %(after)s
    order by 1 limit %(limit)s
)
select entry.number, item.key,
       (case when entry.of_predictions then coalesce(p.final_output, p.output) else o.output end)::text,
       case when not entry.of_predictions then o.origin when p.route = 'auto' then 'auto' else 'fallback' end,
       o.verdict, coalesce(o.decided_at, p.received_at), version.name, version.version, coalesce(o.revision, 1)
from entry
left join labeling_outcome o on o.id = case when not entry.of_predictions then entry.id end
left join labeling_prediction p on p.id = case when entry.of_predictions then entry.id else o.prediction_id end
left join labeling_item item on item.id = coalesce(o.item_id, p.item_id)
left join labeling_modelversion version on version.id = p.model_version_id
order by entry.number
"""


def read_outcomes(project_id: int, task_type: str, *, after: int, limit: int) -> list[FeedEntry]:
    """Outcomes with numbers above `after`, in order. Numbers what is committed first, so a reader sees it at once."""
    unnumbered = OutcomeBatch.objects.filter(project_id=project_id, first_number=None)
    if unnumbered.exists():
        # Another reader may be numbering them: wait, or this one would be told that nothing is new.
        number_outcomes(project_id)
    with connection.cursor() as cursor:
        cursor.execute(READ, {"project": project_id, "after": after, "limit": limit})
        rows = cursor.fetchall()
    return [
        FeedEntry(number, key, _label(task_type, output), origin, verdict or UNSET, *rest)
        for number, key, output, origin, verdict, *rest in rows
    ]


def _label(task_type: str, output: str | None) -> dict[str, Any] | None:
    """A label without what only a prediction carries."""
    return None if output is None else core_output(task_type, msgspec.json.decode(output))

"""Reading queues."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.utils import timezone

from labeling.projects.models import Project

MOST_COUNTED = 100_000


@dataclass(frozen=True, slots=True)
class QueueState:
    """How much waits in a queue. `waiting` is counted up to 100,000; beyond that the number says "at least"."""

    slug: str
    name: str
    leads_only: bool
    waiting: int
    claimed: int
    oldest_at: datetime | None

    @property
    def oldest_age_seconds(self) -> float | None:
        """How long the first in line has been waiting."""
        return (timezone.now() - self.oldest_at).total_seconds() if self.oldest_at else None


# Both counts run over partial indexes that hold only what waits or is claimed.
_STATES = """
select queue.slug, queue.name, queue.leads_only,
       (select count(*) from (select 1 from labeling_reviewtask t where t.queue_id = queue.id and t.state = 'waiting'
                              limit %(most)s) waiting),
       (select count(*) from (select 1 from labeling_reviewtask t where t.queue_id = queue.id and t.state = 'claimed'
                              limit %(most)s) claimed),
       (select min(first.created_at) from labeling_queuemark mark cross join lateral
            (select t.created_at from labeling_reviewtask t
             where t.queue_id = queue.id and t.priority = mark.priority and t.state = 'waiting'
               and t.position >= mark.low
             order by t.position limit 1) first
        where mark.queue_id = queue.id)
from labeling_reviewqueue queue where queue.project_id = %(project)s order by queue.leads_only, queue.slug
"""


def list_queues(project: Project) -> list[QueueState]:
    """The queues of a project with what waits in them."""
    with connection.cursor() as cursor:
        cursor.execute(_STATES, {"project": project.pk, "most": MOST_COUNTED})
        return [QueueState(*row) for row in cursor.fetchall()]

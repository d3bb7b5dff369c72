"""What Prometheus is told: queues, from partial indexes that hold only what waits or is claimed."""

from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from labeling.projects.models import Project
from labeling.review.queries import list_queues


class QueueCollector(Collector):
    """Waiting, claimed and oldest age of each queue."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        names = ["project", "queue"]
        waiting = GaugeMetricFamily("reviewapp_queue_waiting", "Review tasks that wait", labels=names)
        claimed = GaugeMetricFamily(
            "reviewapp_queue_claimed", "Review tasks that a person holds", labels=names
        )
        oldest = GaugeMetricFamily(
            "reviewapp_queue_oldest_seconds", "Age of the oldest waiting task", labels=names
        )
        now = datetime.now(UTC)
        for project in Project.objects.order_by("pk"):
            for queue in list_queues(project):
                where = [project.slug, queue.slug]
                waiting.add_metric(where, queue.waiting)
                claimed.add_metric(where, queue.claimed)
                oldest.add_metric(where, (now - queue.oldest_at).total_seconds() if queue.oldest_at else 0)
        yield from (waiting, claimed, oldest)

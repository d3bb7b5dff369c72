"""What Prometheus is told. Queues come from partial indexes, rates from day rows, autonomy from the controller's rows."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.db import connection
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from labeling.ids import first_id_at
from labeling.projects.models import Project
from labeling.review.models import ReviewQueue
from labeling.review.queries import list_queues
from labeling.routing.models import Overflowing, Stop
from labeling.routing.queries import read_overflow
from labeling.trust.holding import state_of
from labeling.trust.ladder import warned
from labeling.trust.models import AutonomyEvent, AutonomyScope


class QueueCollector(Collector):
    """Waiting, claimed and oldest age of each queue; what overflow rules do."""

    def collect(self) -> Iterator[Metric]:
        names = ["project", "queue"]
        waiting = GaugeMetricFamily("reviewapp_queue_waiting", "Review tasks that wait", labels=names)
        claimed = GaugeMetricFamily(
            "reviewapp_queue_claimed", "Review tasks that a person holds", labels=names
        )
        oldest = GaugeMetricFamily(
            "reviewapp_queue_oldest_seconds", "Age of the oldest waiting task", labels=names
        )
        overflow = GaugeMetricFamily(
            "reviewapp_overflow_active",
            "Whether the overflow rule of this mode acts",
            labels=["project", "mode"],
        )
        expired = CounterMetricFamily(
            "reviewapp_lease_expiries", "Claims that ran out and went back into their queue", labels=names
        )
        answered = CounterMetricFamily(
            "reviewapp_overflow_answered", "Reviews that the fallback has answered", labels=["project"]
        )
        now = datetime.now(UTC)
        modes, totals = read_overflow()
        expiries = dict(ReviewQueue.objects.values_list("pk", "lease_expiries"))
        for project in Project.objects.order_by("pk"):
            for mode in Overflowing.Mode:
                overflow.add_metric([project.slug, mode.value], int(modes.get(project.pk) == mode))
            answered.add_metric([project.slug], totals.get(project.pk, 0))
            for queue in list_queues(project):
                where = [project.slug, queue.slug]
                waiting.add_metric(where, queue.waiting)
                expired.add_metric(where, expiries[queue.id])
                claimed.add_metric(where, queue.claimed)
                oldest.add_metric(where, (now - queue.oldest_at).total_seconds() if queue.oldest_at else 0)
        yield from (waiting, claimed, oldest, expired, overflow, answered)


class AutonomyCollector(Collector):
    """Per project and model version: what is automatic, how much is checked, how often it had to step back."""

    def collect(self) -> Iterator[Metric]:
        names = ["project", "model_version", "label_group"]
        gauges = {
            name: GaugeMetricFamily(f"reviewapp_autonomy_{name}", text, labels=names)
            for name, text in (
                ("level", "Level of automation in force"),
                ("share", "Share of the traffic that the level automates"),
                ("certified_share", "Share of the traffic that is certified"),
                ("audit_rate", "Share of automatic results that is checked blind"),
                ("warned", "1 while checks are raised"),
                ("epoch", "Epoch of the evidence"),
            )
        }
        alarms = CounterMetricFamily(
            "reviewapp_autonomy_alarms", "Step-backs since the project began", labels=names
        )
        stopped = GaugeMetricFamily(
            "reviewapp_autonomy_stopped", "1 while the kill switch is on", labels=["project"]
        )
        now = datetime.now(UTC)
        told = Counter(
            AutonomyEvent.objects.filter(kind="alarm").values_list(
                "project_id", "model_version_id", "label_group"
            )
        )
        scopes = AutonomyScope.objects.select_related("project", "model_version").order_by("pk")
        for scope in scopes:
            state = state_of(scope)
            where = [scope.project.slug, str(scope.model_version), scope.label_group]
            values = {
                "level": state.level,
                "share": state.share,
                "certified_share": state.certified_share,
                "audit_rate": state.audit_rate or 0.0,
                "warned": int(warned(state, now=now)),
                "epoch": state.epoch,
            }
            for name, value in values.items():
                gauges[name].add_metric(where, value)
            alarms.add_metric(where, told[scope.project_id, scope.model_version_id, scope.label_group])
        stops = set(Stop.objects.filter(ended_at=None).values_list("project__slug", flat=True))
        for slug in Project.objects.order_by("pk").values_list("slug", flat=True):
            stopped.add_metric([slug], int(slug in stops))
        yield from (*gauges.values(), alarms, stopped)


# Sums of the last seven days; Prometheus divides. Waiting times are those of what was decided in the last hour.
_WEEK = """
    select project.slug, sum(total), sum(auto), sum(review), sum(fallback), sum(confirmed), sum(corrected), sum(audit_due),
           sum(audit_done), sum(audit_err)
    from labeling_trustday day join labeling_project project on project.id = day.project_id
    where day.day > current_date - 7 or project.simulation group by 1 order by 1
"""
_WAITS = """
    select project.slug, count(*),
           percentile_cont(0.5) within group (order by extract(epoch from decision.decided_at - task.created_at)),
           percentile_cont(0.5) within group (order by decision.seconds),
           percentile_cont(array[0.5, 0.95]) within group (order by extract(epoch from decision.claimed_at - task.created_at)),
           percentile_cont(array[0.5, 0.95]) within group (order by extract(epoch from decision.decided_at - decision.claimed_at))
    from labeling_decision decision
    join labeling_reviewtask task on task.id = decision.task_id
    join labeling_project project on project.id = decision.project_id
    where decision.id >= %(since)s group by 1 order by 1
"""


class RateCollector(Collector):
    """Counts behind the rates, and how long work takes."""

    def collect(self) -> Iterator[Metric]:
        counts = GaugeMetricFamily(
            "reviewapp_week_predictions",
            "Predictions of the last seven days by what became of them",
            labels=["project", "what"],
        )
        names = (
            "total", "auto", "review", "fallback", "confirmed", "corrected", "audit_due", "audit_done", "audit_err",
        )  # fmt: skip
        decided = GaugeMetricFamily(
            "reviewapp_hour_decisions", "Decisions of the last hour", labels=["project"]
        )
        waited = GaugeMetricFamily(
            "reviewapp_seconds_to_decision", "Median from task to decision, last hour", labels=["project"]
        )
        worked = GaugeMetricFamily(
            "reviewapp_seconds_of_work",
            "Median from claim to decision as people report it, last hour",
            labels=["project"],
        )
        quantiles = ["project", "quantile"]
        to_claim = GaugeMetricFamily(
            "reviewapp_seconds_to_claim", "From task to claim, of the last hour's decisions", labels=quantiles
        )
        from_claim = GaugeMetricFamily(
            "reviewapp_seconds_from_claim_to_decision",
            "From claim to decision, of the last hour's decisions",
            labels=quantiles,
        )
        with connection.cursor() as cursor:
            cursor.execute(_WEEK)
            for slug, *sums in cursor.fetchall():
                for name, value in zip(names, sums, strict=True):
                    counts.add_metric([slug, name], float(value))
            cursor.execute(_WAITS, {"since": first_id_at(datetime.now(UTC) - timedelta(hours=1))})
            for slug, count, wait, work, *spans in cursor.fetchall():
                decided.add_metric([slug], count)
                waited.add_metric([slug], float(wait))
                if work is not None:
                    worked.add_metric([slug], float(work))
                for family, values in zip((to_claim, from_claim), spans, strict=True):
                    for quantile, value in zip(("0.5", "0.95"), values or (), strict=False):
                        family.add_metric([slug, quantile], float(value))
        yield from (counts, decided, waited, worked, to_claim, from_claim)

"""Measures folding and reading, beside a PostgreSQL of its own:

    REVIEWAPP_ALLOWED_HOSTS=testserver .venv/bin/python -m reviewapp.stack.testing \\
        .venv/bin/python manage.py shell -v 0 -c "from tests.trust.measure import main; main()"

Prints deltas per second, and for a year of ten million predictions a month the rows read, and wall and CPU milliseconds of the
page, the API and their reports. Not a test: it asserts nothing.
"""

import random
import time
from datetime import UTC, datetime, timedelta
from functools import partial

from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from labeling.trust.asking import TrustQuery
from labeling.trust.buckets import bucket_center
from labeling.trust.deltas import Tally, append_delta, cell_entry, place_of
from labeling.trust.queries import get_trust_report
from labeling.trust.services import compare_rollups, fold_deltas
from tests.trust.history import History, live_at_random

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def seconds(work):
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def milliseconds(work, times=15):
    began = time.process_time()
    found = sorted(seconds(work)[0] for _ in range(times))
    cpu = (time.process_time() - began) / times
    return f"median {1000 * found[times // 2]:.1f} ms, best {1000 * found[0]:.1f} ms, CPU {1000 * cpu:.1f} ms"


def rows_read():
    with connection.cursor() as cursor:
        cursor.execute("select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_xact_user_tables")
        return int(cursor.fetchone()[0])


def any_place(history, chance):
    return place_of(
        moment=NOW - timedelta(minutes=chance.random() * 90),
        zone=history.zone,
        period=history.period.pk,
        mv=history.version.pk,
        confidence=chance.random(),
        segment=chance.choice("abcdefg"),
        label=str(chance.randrange(20)),
    )


def measure_folding(history):
    chance = random.Random(1)
    with transaction.atomic():
        for _ in range(20_000):
            append_delta(
                history.project.pk, [cell_entry(any_place(history, chance), {"total": 1, "review": 1})]
            )
    took, folded = seconds(fold_deltas)
    print(f"fold, one entry a delta: {folded / took:,.0f} deltas/s")
    took = 0.0
    for _ in range(40):
        places = [any_place(history, chance) for _ in range(1_000)]
        took += seconds(partial(leave_rows, history, places))[0]
    print(f"leave a delta of 1,000 rows: {1000 * took / 40:.2f} ms")
    took, folded = seconds(fold_deltas)
    print(f"fold, 1,000 rows a delta: {1000 * folded / took:,.0f} rows/s")


def leave_rows(history, places):
    tally = Tally()
    for place in places:
        tally.add(place, {"total": 1, "auto": 1})
    append_delta(history.project.pk, tally.entries())


def fill_a_year(history):
    for number in range(365):
        tally = Tally()
        for bucket in range(58):
            confidence = bucket_center(bucket)
            route = "auto" if confidence >= 0.95 else "review" if confidence >= 0.7 else "fallback"
            counts = {"total": 5_700, route: 5_700}
            if route == "auto":
                counts |= {"audit_due": 285, "audit_done": 280, "audit_err": 3}
            elif route == "review":
                counts |= {"confirmed": 4_900, "corrected": 700}
            else:
                counts |= {"fallback_manual": 5_700, "shadow_done": 5_000, "shadow_err": 3_000}
            place = place_of(
                moment=NOW - number * DAY,
                zone=history.zone,
                period=history.period.pk,
                mv=history.version.pk,
                confidence=confidence,
                segment=f"segment {bucket % 12}",
                label=f"label {bucket % 20}",
            )
            tally.add(place, counts)
        append_delta(history.project.pk, tally.entries())
    took, _ = seconds(fold_deltas)
    print(f"fold a year of days, 58 entries each: {took:.2f} s")
    with connection.cursor() as cursor:
        cursor.execute("vacuum analyze")


def measure_reading(history):
    client = Client()
    client.force_login(history.person("olga", "owner"))
    start = (NOW - 89 * DAY).date()
    for name, query in (
        ("90 days by day", {"start": start}),
        ("90 days by week", {"start": start, "every": "week"}),
        ("90 days by model version", {"start": start, "by": "model_version"}),
        ("90 days by segment", {"start": start, "by": "segment"}),
        ("90 days by band", {"start": start, "by": "band"}),
        ("a year by week", {"every": "week"}),
    ):
        with transaction.atomic():
            before = rows_read()
            get_trust_report(history.project, TrustQuery(**query))
            read = rows_read() - before
        took = milliseconds(partial(get_trust_report, history.project, TrustQuery(**query)))
        print(f"report, {name}: {read} rows read, {took}")
    for path in ("/projects/news/trust/", f"/api/v1/projects/news/trust/?from={start}"):
        with transaction.atomic(), CaptureQueriesContext(connection) as captured:
            before = rows_read()
            assert client.get(path).status_code == 200
            read = rows_read() - before
        print(
            f"{path}: {len(captured)} statements, {read} rows read, {milliseconds(partial(client.get, path))}"
        )


def measure_recounting():
    history = History("counted")
    count = len(live_at_random(history, 1, events=3_000))
    fold_deltas()
    took, found = seconds(lambda: compare_rollups(history.project))
    print(f"recount of {count} predictions: {took:.2f} s, {len(found)} differences")


def main():
    call_command("migrate", verbosity=0)
    news = History()
    measure_folding(news)
    fill_a_year(news)
    measure_reading(news)
    measure_recounting()

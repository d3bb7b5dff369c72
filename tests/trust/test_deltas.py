"""Deltas and their folder: nothing is lost, nothing counted twice, and all of it equals a recount."""

import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, connections, transaction

from labeling.trust.deltas import Place, Tally, append_delta, cell_entry, place_of
from labeling.trust.models import (
    ReviewerDay,
    SliceKind,
    SliceValue,
    TrustCell,
    TrustDay,
    TrustDelta,
    TrustHour,
    TrustSlice,
    TrustWeek,
)
from labeling.trust.services import compare_rollups, ensure_folded, fold_deltas, rebuild_rollups
from labeling.trust.timegrid import day_of, day_start, hour_of, intervals, keys_of
from tests.trust.history import T0, History, live_at_random

UTC_ZONE = ZoneInfo("UTC")


def a_place(**changes):
    return Place("2025-03-03T09:00:00+00:00", "2025-03-03", 1, 1, 21, None, None)._replace(**changes)


def totals(model=TrustDay):
    rows = model.objects.all()
    return sum(row.total for row in rows), sum(row.review for row in rows)


# --- Entries ---------------------------------------------------------------------------------------------------


def test_place_of_names_hour_day_and_bucket_of_the_prediction():
    place = place_of(
        moment=datetime(2025, 1, 1, 20, 10, tzinfo=UTC),
        zone=ZoneInfo("Asia/Kolkata"),
        period=7,
        mv=3,
        confidence=0.5,
        segment="x",
        label=None,
    )
    assert place == Place("2025-01-01T19:30:00+00:00", "2025-01-02", 7, 3, 17, "x", None)


def test_tally_adds_up_equal_places():
    tally = Tally()
    for _ in range(3):
        tally.add(a_place(), {"total": 1, "review": 1})
    tally.add(a_place(bucket=22), {"total": 1, "auto": 1})
    assert tally.entries() == [
        cell_entry(a_place(), {"total": 3, "review": 3}),
        cell_entry(a_place(bucket=22), {"total": 1, "auto": 1}),
    ]


@pytest.mark.parametrize(
    "entry",
    [
        {**cell_entry(a_place(), {}), "totl": 1},
        {"day": "2025-03-03", "period": 1, "mv": 1, "bucket": 1, "total": 1},
        {"reviewer": 1, "day": "2025-03-03", "reviewed": 1},
        {"reviewer": 1, "queue": 1, "day": "2025-03-03", "total": 1},
    ],
)
def test_append_delta_refuses_what_the_folder_would_not_know(entry):
    with pytest.raises(ValueError, match="trust delta entry"):
        append_delta(1, [entry])


@pytest.mark.django_db
def test_append_delta_leaves_one_row_and_none_for_nothing():
    append_delta(1, [])
    assert not TrustDelta.objects.exists()
    append_delta(1, [cell_entry(a_place(), {"total": 1}), cell_entry(a_place(bucket=3), {"total": 1})])
    assert TrustDelta.objects.count() == 1


# --- Clocks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "moment", "hour", "day"),
    [
        ("UTC", "2025-06-01T10:59:59Z", "2025-06-01T10:00:00+00:00", "2025-06-01"),
        ("Asia/Kolkata", "2025-06-01T18:29:59Z", "2025-06-01T17:30:00+00:00", "2025-06-01"),
        ("Asia/Kolkata", "2025-06-01T18:30:00Z", "2025-06-01T18:30:00+00:00", "2025-06-02"),
        ("Asia/Kathmandu", "2025-06-01T18:20:00Z", "2025-06-01T18:15:00+00:00", "2025-06-02"),
        # The hour from two to three happens twice in Berlin: two hours, told apart.
        ("Europe/Berlin", "2025-10-26T00:30:00Z", "2025-10-26T00:00:00+00:00", "2025-10-26"),
        ("Europe/Berlin", "2025-10-26T01:30:00Z", "2025-10-26T01:00:00+00:00", "2025-10-26"),
        # Havana skips midnight: the day begins with the skip.
        ("America/Havana", "2025-03-09T05:10:00Z", "2025-03-09T05:00:00+00:00", "2025-03-09"),
    ],
)
def test_keys_of_follow_the_projects_clock(zone, moment, hour, day):
    assert keys_of(datetime.fromisoformat(moment), ZoneInfo(zone)) == (hour, day)


@pytest.mark.parametrize(
    "zone", ["UTC", "Asia/Kolkata", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe"]
)
def test_days_tile_time_and_hours_stay_inside_their_day(zone):
    zone_info = ZoneInfo(zone)
    moment, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    while moment < end:
        day = day_of(moment, zone_info)
        start, following = day_start(day, zone_info), day_start(day + timedelta(days=1), zone_info)
        assert start <= moment < following
        assert start <= hour_of(moment, zone_info) <= moment
        moment += timedelta(minutes=30)


def test_weeks_are_cut_by_the_ends_and_days_of_change_are_longer():
    zone = ZoneInfo("Europe/Berlin")
    first, last = datetime(2025, 10, 22).date(), datetime(2025, 10, 29).date()
    weeks = list(intervals(first, last, "week", zone))
    assert [(w.start.isoformat(), w.end.isoformat()) for w in weeks] == [
        ("2025-10-21T22:00:00+00:00", "2025-10-26T23:00:00+00:00"),
        ("2025-10-26T23:00:00+00:00", "2025-10-29T23:00:00+00:00"),
    ]
    days = list(intervals(first, last, "day", zone))
    assert [(d.end - d.start) // timedelta(hours=1) for d in days] == [24, 24, 24, 24, 25, 24, 24, 24]


# --- Folding ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_folding_counts_in_every_table_and_takes_back():
    place = a_place(segment="north", label=None)
    append_delta(5, [cell_entry(place, {"total": 2, "review": 2, "confirmed": 2})])
    append_delta(5, [cell_entry(place, {"confirmed": -1, "corrected": 1})])
    assert fold_deltas() == 2
    for model in (TrustHour, TrustDay, TrustCell, TrustWeek):
        row = model.objects.get(project_id=5)
        assert (row.total, row.review, row.confirmed, row.corrected) == (2, 2, 1, 1)
    assert TrustWeek.objects.get().week.isoformat() == "2025-03-03"
    slices = {(row.kind, row.value): row.confirmed for row in TrustSlice.objects.all()}
    assert slices == {(SliceKind.SEGMENT, "north"): 1, (SliceKind.LABEL_NONE, ""): 1}
    assert not TrustDelta.objects.exists()
    assert fold_deltas() == 0


@pytest.mark.django_db
def test_who_tells_no_seconds_is_counted_beside_who_does():
    """Whole and broken numbers in one batch once stopped the folder, and with it every count there was."""
    history = History()
    others = history.person("rolf", "reviewer")
    told = {"reviewer": history.rita.pk, "queue": 4, "day": "2025-03-03", "reviewed": 1, "seconds": 2.5}
    silent = {"reviewer": others.pk, "queue": 4, "day": "2025-03-03", "reviewed": 1}
    append_delta(history.project.pk, [told, silent])
    assert fold_deltas() == 1
    assert sorted(ReviewerDay.objects.values_list("reviewed", "seconds")) == [(1, 0.0), (1, 2.5)]


@pytest.mark.django_db
def test_reviewer_entries_are_counted_by_day_and_queue():
    history = History()
    entry = {"reviewer": history.rita.pk, "queue": 4, "day": "2025-03-03", "reviewed": 1, "seconds": 2.5}
    append_delta(5, [entry | {"confirmed": 1}])
    append_delta(5, [entry | {"corrected": 1}])
    fold_deltas()
    row = ReviewerDay.objects.get()
    assert (row.reviewed, row.confirmed, row.corrected, row.seconds) == (2, 1, 1, 5.0)


@pytest.mark.django_db
def test_one_hour_spelled_two_ways_is_one_row():
    append_delta(5, [cell_entry(a_place(hour="2025-03-03T09:30:00+00:00"), {"total": 1})])
    append_delta(5, [cell_entry(a_place(hour="2025-03-03T15:00:00+05:30"), {"total": 1})])
    fold_deltas()
    assert TrustHour.objects.get().total == 2


@pytest.mark.django_db
def test_the_first_fifty_values_are_kept_apart_and_the_rest_together():
    for number in range(60):
        append_delta(5, [cell_entry(a_place(segment=f"s{number}", label="other"), {"total": 1})])
    fold_deltas()
    append_delta(5, [cell_entry(a_place(segment="s59"), {"total": 1})])
    append_delta(5, [cell_entry(a_place(segment="s1"), {"total": 1})])
    append_delta(5, [cell_entry(a_place(segment="s59", mv=2), {"total": 1})])
    fold_deltas()
    of_first = TrustSlice.objects.filter(model_version_id=1)
    assert of_first.filter(kind=SliceKind.SEGMENT).count() == 50
    assert of_first.get(kind=SliceKind.SEGMENT_OTHER).total == 11
    assert of_first.get(kind=SliceKind.SEGMENT, value="s1").total == 2
    assert of_first.get(kind=SliceKind.LABEL, value="other").total == 60
    assert TrustSlice.objects.get(model_version_id=2, kind=SliceKind.SEGMENT).value == "s59"
    assert SliceValue.objects.filter(kind=SliceKind.SEGMENT).count() == 51


@pytest.mark.django_db
def test_a_segment_too_long_for_an_index_is_cut_and_does_not_stop_the_folder():
    append_delta(5, [cell_entry(a_place(segment="é" * 100_000), {"total": 1})])
    assert fold_deltas() == 1
    assert TrustSlice.objects.get(kind=SliceKind.SEGMENT).value == "é" * 200


# --- Concurrency -----------------------------------------------------------------------------------------------


class InThread(threading.Thread):
    """Runs with a database connection of its own; `join` raises what went wrong."""

    def __init__(self, work):
        super().__init__()
        self.work, self.error = work, None
        self.start()

    def run(self):
        try:
            self.work()
        except BaseException as error:
            self.error = error
        finally:
            connections.close_all()

    def join(self, timeout=30):
        super().join(timeout)
        assert not self.is_alive()
        if self.error:
            raise self.error


@pytest.mark.django_db(transaction=True)
def test_a_delta_that_commits_late_under_a_small_id_is_folded_later():
    written, may_commit = threading.Event(), threading.Event()

    def slow_writer():
        with transaction.atomic():
            append_delta(5, [cell_entry(a_place(), {"total": 1, "review": 1})])
            written.set()
            assert may_commit.wait(20)

    slow = InThread(slow_writer)
    assert written.wait(20)
    append_delta(5, [cell_entry(a_place(), {"total": 1, "review": 1})])
    assert fold_deltas() == 1
    assert totals() == (1, 1)
    may_commit.set()
    slow.join()
    assert fold_deltas() == 1
    assert totals() == (2, 2)


@pytest.mark.django_db(transaction=True)
def test_while_one_folds_the_other_leaves_at_once_and_a_reader_waits():
    append_delta(5, [cell_entry(a_place(), {"total": 1})])
    holding, may_go = threading.Event(), threading.Event()

    def holder():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(%s, %s)", (0x7472, 1))
            holding.set()
            assert may_go.wait(20)

    other = InThread(holder)
    assert holding.wait(20)
    assert fold_deltas() == 0
    assert ensure_folded(5, seconds=0.1) is False
    assert TrustDelta.objects.count() == 1
    may_go.set()
    assert ensure_folded(5, seconds=10) is True
    other.join()
    assert totals()[0] == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_writers_and_folders_at_once_lose_and_double_nothing():
    writers, each = 4, 60
    done = threading.Event()

    def write(number):
        for step in range(each):
            with transaction.atomic():
                append_delta(5, [cell_entry(a_place(bucket=step % 9, segment=f"s{step % 70}"), {"total": 1})])
                if step % 7 == 0:
                    time.sleep(0.002)

    def fold():
        while not done.is_set():
            fold_deltas(batch=11)

    folders = [InThread(fold) for _ in range(2)]
    threads = [InThread(lambda number=number: write(number)) for number in range(writers)]
    for thread in threads:
        thread.join()
    done.set()
    for thread in folders:
        thread.join()
    fold_deltas()
    for model in (TrustHour, TrustDay, TrustCell, TrustWeek):
        assert totals(model)[0] == writers * each
    assert (
        sum(TrustSlice.objects.filter(kind__startswith="segment").values_list("total", flat=True))
        == writers * each
    )
    assert SliceValue.objects.filter(kind=SliceKind.SEGMENT).count() == 50


FOLDERS = """
import os, signal
import django; django.setup()
from django.conf import settings
settings.DATABASES["default"]["NAME"] = {name!r}
from django.db import connection
from labeling.trust.services import fold_deltas

def die_before(last):
    steps = iter(range(1, 1000))
    def wrapper(execute, sql, params, many, context):
        if next(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(sql, params, many, context)
    return wrapper

for last in range(1, 100):
    child = os.fork()
    if child == 0:
        with connection.execute_wrapper(die_before(last)):
            fold_deltas(batch=4)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    print("killed" if os.WIFSIGNALED(status) else "finished", flush=True)
    if not os.WIFSIGNALED(status):
        break
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_a_folder_killed_before_any_of_its_statements_loses_and_doubles_nothing():
    history = History()
    for step in range(10):
        entry = {"reviewer": history.rita.pk, "queue": 4, "day": "2025-03-03", "reviewed": 1}
        append_delta(5, [cell_entry(a_place(bucket=step % 5, segment="x"), {"total": 1}), entry])
    program = FOLDERS.format(name=connection.settings_dict["NAME"])
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        env=os.environ,
        timeout=60,
        check=True,
        text=True,
    )
    ends = done.stdout.split()
    assert ends.count("killed") > 10
    assert ends[-1] == "finished"
    assert totals()[0] == totals(TrustHour)[0] == totals(TrustCell)[0] == totals(TrustWeek)[0] == 10
    assert TrustSlice.objects.get(kind=SliceKind.SEGMENT).total == ReviewerDay.objects.get().reviewed == 10
    assert not TrustDelta.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_ensure_folded_waits_for_no_delta_of_later():
    append_delta(5, [cell_entry(a_place(), {"total": 1})])
    append_delta(6, [cell_entry(a_place(), {"total": 1})])
    assert ensure_folded(5)
    assert ensure_folded(5)
    assert TrustDay.objects.get(project_id=5).total == 1


# --- Equal to a recount ----------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(6))
def test_rollups_and_unfolded_deltas_equal_a_recount_of_random_histories(seed):
    zone = ["UTC", "Asia/Kolkata", "America/Havana"][seed % 3]
    history = History(time_zone=zone)
    routed = live_at_random(history, seed)
    assert compare_rollups(history.project) == []
    fold_deltas(batch=40)
    history.route("review", segment="late")
    assert compare_rollups(history.project) == []
    fold_deltas()
    assert compare_rollups(history.project) == []
    assert sum(TrustDay.objects.values_list("total", flat=True)) == len(routed) + 1


@pytest.mark.django_db
def test_simulated_projects_count_by_occurred_at():
    history = History(simulation=True)
    history.route("review", occurred_at=datetime(2014, 5, 6, tzinfo=UTC))
    history.route("review")
    fold_deltas()
    assert [str(row.day) for row in TrustDay.objects.order_by("day")] == ["2014-05-06", "2025-03-03"]
    assert compare_rollups(history.project) == []


@pytest.mark.django_db
def test_settled_predictions_are_in_no_count():
    history = History()
    history.route("review")
    fold_deltas()
    prediction = history.route("review").prediction
    TrustDelta.objects.all().delete()
    type(prediction).objects.create(
        **{
            **{f.attname: getattr(prediction, f.attname) for f in prediction._meta.fields},
            "id": prediction.pk + 1,
            "route": "settled",
        }
    )
    differences = compare_rollups(history.project)
    assert {d.counter for d in differences} == {"total", "review"}
    assert all(d.recounted - d.rolled_up == 1 for d in differences if d.table == "day")


@pytest.mark.django_db
def test_compare_names_what_is_wrong_and_rebuild_repairs_it():
    history = History()
    live_at_random(history, 3)
    fold_deltas()
    row = TrustCell.objects.order_by("pk").first()
    assert row is not None
    TrustCell.objects.filter(pk=row.pk).update(total=row.total + 2)
    (difference,) = compare_rollups(history.project)
    assert (difference.table, difference.counter) == ("cell", "total")
    assert difference.rolled_up - difference.recounted == 2
    assert "cell" in str(difference)
    rebuild_rollups(history.project)
    assert compare_rollups(history.project) == []


@pytest.mark.django_db(transaction=True)
def test_rebuild_after_a_change_of_time_zone():
    history = History(time_zone="UTC")
    history.route("review", at=T0.replace(hour=23))
    fold_deltas()
    history.project.time_zone = "Asia/Kolkata"
    history.project.save(update_fields=["time_zone"])
    assert compare_rollups(history.project)
    rebuild_rollups(history.project)
    assert compare_rollups(history.project) == []
    assert str(TrustDay.objects.get().day) == "2025-03-04"

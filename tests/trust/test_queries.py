"""Series and windows: equal to a hand count, cut by the project's clock, read from a bounded number of rows."""

import csv
import io
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.errors import InvalidError
from labeling.trust.asking import TrustQuery, read_query
from labeling.trust.models import ReviewerDay, TrustCell, TrustDay, TrustWeek
from labeling.trust.queries import get_trust_report
from labeling.trust.rates import clopper_pearson, confidence_sequence, upper_bound_below, weighted_bounds
from labeling.trust.services import fold_deltas
from labeling.trust.timegrid import week_of
from tests.trust.history import T0, History, live_at_random

pytestmark = pytest.mark.django_db

NOW = datetime(2025, 3, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def history():
    return History()


def ask(history, now=NOW, **query):
    fold_deltas()
    return get_trust_report(history.project, TrustQuery(**query), now=now)


def by_start(report, name):
    return {
        point.start.isoformat(): (point.rates[name].count, point.rates[name].n) for point in report.series
    }


# --- Against a hand count --------------------------------------------------------------------------------------


def test_days_equal_a_hand_count(history):
    for number in range(4):
        routed = history.route("review", at=T0)
        history.answer(routed, "corrected" if number == 0 else "confirmed")
    history.route("auto", at=T0)
    history.route("review", at=T0 + 2 * DAY)  # nobody has looked at it yet
    report = ask(history)
    assert by_start(report, "review_rate") == {
        "2025-03-03T00:00:00+00:00": (4, 5),
        "2025-03-05T00:00:00+00:00": (1, 1),
    }
    assert by_start(report, "confirmation_rate") == {
        "2025-03-03T00:00:00+00:00": (3, 4),
        "2025-03-05T00:00:00+00:00": (0, 0),
    }
    first = report.series[0]
    assert first.end - first.start == DAY
    rate = first.rates["confirmation_rate"]
    assert (rate.low, rate.high) == pytest.approx(clopper_pearson(4, 3))
    assert "not for decisions" in rate.note
    now = report.now["confirmation_rate"]
    assert (now.value, now.method) == (0.75, "confidence_sequence")
    assert (now.low, now.high) == pytest.approx(confidence_sequence(4, 3))


def test_a_late_label_belongs_to_the_day_of_its_prediction_and_undo_takes_it_back(history):
    routed = history.route("review", at=T0)
    decision = history.answer(routed, "confirmed")  # decided in 2026, by the clock of this machine
    assert by_start(ask(history), "confirmation_rate") == {"2025-03-03T00:00:00+00:00": (1, 1)}
    history.undo(routed, decision)
    history.answer(routed, "corrected")
    assert by_start(ask(history), "confirmation_rate") == {"2025-03-03T00:00:00+00:00": (0, 1)}


def test_hours_and_weeks(history):
    for hours in (0, 0, 1, 30, 24 * 8):
        history.route("review", at=T0 + timedelta(hours=hours, minutes=20))
    assert by_start(ask(history, every="hour"), "review_rate") == {
        "2025-03-03T09:00:00+00:00": (2, 2),
        "2025-03-03T10:00:00+00:00": (1, 1),
        "2025-03-04T15:00:00+00:00": (1, 1),
        "2025-03-11T09:00:00+00:00": (1, 1),
    }
    weeks = ask(history, every="week", start=date(2025, 3, 4))
    assert by_start(weeks, "review_rate") == {
        "2025-03-04T00:00:00+00:00": (1, 1),
        "2025-03-10T00:00:00+00:00": (1, 1),
    }
    assert weeks.series[0].end == datetime(2025, 3, 10, tzinfo=UTC)


def test_days_of_a_half_hour_zone_begin_at_half_past():
    history = History(time_zone="Asia/Kolkata")
    history.route("review", at=datetime(2025, 3, 3, 18, 29, tzinfo=UTC))
    history.route("auto", at=datetime(2025, 3, 3, 18, 30, tzinfo=UTC))
    assert by_start(ask(history), "review_rate") == {
        "2025-03-02T18:30:00+00:00": (1, 1),
        "2025-03-03T18:30:00+00:00": (0, 1),
    }
    hours = ask(history, every="hour", start=datetime(2025, 3, 3, 18, 30, tzinfo=UTC))
    assert by_start(hours, "review_rate") == {"2025-03-03T18:30:00+00:00": (0, 1)}


def test_the_day_on_which_the_clock_goes_back_has_25_hours():
    history = History(time_zone="Europe/Berlin")
    for hour in range(30):
        history.route("review", at=datetime(2025, 10, 25, 22, tzinfo=UTC) + timedelta(hours=hour))
    now = datetime(2025, 11, 1, tzinfo=UTC)
    assert [n for _, n in by_start(ask(history, now), "review_rate").values()] == [25, 5]
    assert len(ask(history, now, every="hour").series) == 30


def test_routes_add_up_to_exactly_one_on_every_point_of_a_random_history(history):
    live_at_random(history, 5)
    report = ask(history, every="hour")
    for rates in [point.rates for point in report.series] + [report.now]:
        parts = [rates[name] for name in ("review_rate", "automation_rate", "fallback_rate")]
        assert sum(part.count for part in parts) == parts[0].n
        if parts[0].n:
            assert parts[0].value + parts[1].value + parts[2].value == 1.0


def test_a_window_is_the_sum_of_its_days_however_it_is_cut(history):
    live_at_random(history, 7, days=40)
    for start, end in ((0, 40), (3, 3), (2, 11), (6, 8), (1, 38)):
        first, last = T0.date() + start * DAY, T0.date() + end * DAY
        report = ask(history, start=first, end=last, now=NOW + 40 * DAY)
        rows = TrustDay.objects.filter(day__gte=first, day__lte=last)
        for name in ("total", "auto", "confirmed", "corrected", "audit_done", "audit_err"):
            assert getattr(report.counts, name) == sum(getattr(row, name) for row in rows)


# --- By and filters --------------------------------------------------------------------------------------------


def test_by_segment_tells_a_segment_called_other_from_the_rest(history):
    history.route("review", segment="other")
    history.route("review", segment=None)
    history.route("auto", segment="north")
    report = ask(history, by="segment")
    assert {(p.key, p.key_kind): p.rates["review_rate"].count for p in report.series} == {
        ("other", "value"): 1,
        (None, "none"): 1,
        ("north", "value"): 0,
    }
    assert report.now["review_rate"].n == 3
    assert {(p.key, p.rates["review_rate"].n) for p in report.totals} == {
        ("other", 1),
        (None, 1),
        ("north", 1),
    }


def test_by_model_version_label_and_band(history):
    second = history.model("reader", "2")
    history.route("review", label="a", confidence=0.8)
    history.route("auto", label="b", confidence=0.99, version=second)
    assert {p.key for p in ask(history, by="model_version").series} == {"reader 1", "reader 2"}
    assert {p.key for p in ask(history, by="label").series} == {"a", "b"}
    assert {p.key: p.rates["automation_rate"].value for p in ask(history, by="band").series} == {
        "0.731-0.881": 0.0,
        "0.982-0.993": 1.0,
    }


def test_filters_restrict_series_and_window(history):
    second = history.model("reader", "2")
    history.route("review", segment="north", label="a")
    history.route("auto", segment="south", label="a", version=second)
    for query, counted in (
        ({"model_version": "reader 2"}, (0, 1)),
        ({"segment": "north"}, (1, 1)),
        ({"label": "a"}, (1, 2)),
        ({"segment": "north", "model_version": "reader 2"}, None),
        ({"segment": "nowhere"}, None),
    ):
        report = ask(history, **query)
        assert list(by_start(report, "review_rate").values()) == ([counted] if counted else [])
        assert (report.now["review_rate"].count, report.now["review_rate"].n) == (counted or (0, 0))


def test_reviewers_are_counted_by_the_day_of_their_decision(history):
    sam = history.person("sam", "reviewer")
    for number in range(3):
        history.answer(history.route("review"), "confirmed" if number else "corrected", by=history.rita)
    history.answer(history.route("review"), "rejected", by=sam)
    report = ask(history, by="reviewer", now=datetime.now(UTC))
    rita, other = report.series
    assert (rita.key, rita.rates["confirmation_rate"].count, rita.rates["confirmation_rate"].n) == (
        "rita",
        2,
        3,
    )
    assert (other.key, other.rates["reject_rate"].value) == ("sam", 1.0)
    assert rita.rates["reviewer_false_accept_rate"].value is None
    assert report.people["rita"].corrected == 1
    alone = ask(history, reviewer="sam", now=datetime.now(UTC))
    assert alone.series[0].key is None
    assert alone.now["reject_rate"].n == 1


# --- What a window may claim -----------------------------------------------------------------------------------


def test_only_a_window_that_begins_where_looking_began_may_decide(history):
    for day in range(10):
        history.answer(history.route("review", at=T0 + day * DAY), "confirmed")
    history.open_period(at=T0 + 6 * DAY, audit_rate=0.2)
    methods = {
        start: ask(history, start=start).now["confirmation_rate"].method
        for start in (None, date(2025, 1, 1), date(2025, 3, 3), date(2025, 3, 5), date(2025, 3, 9))
    }
    assert methods == {
        None: "confidence_sequence",
        date(2025, 1, 1): "confidence_sequence",
        date(2025, 3, 3): "confidence_sequence",
        date(2025, 3, 5): "clopper_pearson",
        date(2025, 3, 9): "confidence_sequence",
    }


def test_errors_among_automatic_results_are_weighted_by_period_and_bucket(history):
    def batch(count, errors, confidence):
        for number in range(count):
            routed = history.route("auto", confidence=confidence, audited=True)
            history.answer(routed, "labelled", agreed=number >= errors)

    history.open_period(audit_rate=0.5)
    batch(10, 2, 0.96)
    for _ in range(10):
        history.route("auto", confidence=0.96)
    batch(5, 0, 0.999)
    history.open_period(at=T0 + DAY, audit_rate=0.05)
    batch(4, 2, 0.96)
    for _ in range(36):
        history.route("auto", confidence=0.96)
    rate = ask(history).now["auto_error_rate"]
    assert rate.value == pytest.approx((20 * 2 / 10 + 5 * 0 / 5 + 40 * 2 / 4) / 65)
    assert (rate.n, rate.count, rate.method) == (19, 4, "weighted_e_process")
    assert (rate.low, rate.high) == pytest.approx(
        weighted_bounds([(0.1, 10, 2), (0.1, 5, 0), (1.0, 4, 2)], 0.025, 0.025)
    )


def test_the_upper_bound_counts_from_the_beginning_of_the_epoch(history):
    for number in range(30):
        history.answer(history.route("auto", audited=True), "labelled", agreed=number > 9)
    history.open_period(at=T0 + DAY, epoch=2, audit_rate=0.2)
    for number in range(60):
        history.answer(history.route("auto", audited=True, at=T0 + DAY), "labelled", agreed=number > 0)
    history.open_period(at=T0 + 2 * DAY, epoch=2, audit_rate=0.05)
    for _ in range(40):
        history.answer(history.route("auto", audited=True, at=T0 + 2 * DAY), "labelled", agreed=True)
    report = ask(history, start=date(2025, 3, 5))
    upper = report.now["auto_error_upper"]
    assert (upper.n, upper.count) == (100, 1)
    assert upper.value == pytest.approx(upper_bound_below(100, 1, 0.05))
    assert report.autonomy.auto_error_upper == upper.value
    assert (report.autonomy.epoch, report.autonomy.audit_rate, report.autonomy.alpha) == (2, 0.05, 0.02)
    assert (report.autonomy.level, report.autonomy.certified_share, report.autonomy.warned) == (
        0,
        None,
        False,
    )


def test_an_empty_project_says_nothing(history):
    report = ask(history)
    assert report.is_empty
    assert report.series == []
    assert all(rate.value is None and rate.n == 0 for rate in report.now.values())
    assert report.autonomy.share is None


def test_simulated_history_far_back_is_the_default_window():
    history = History(simulation=True)
    history.route("review", occurred_at=datetime(2012, 7, 9, 5, tzinfo=UTC))
    report = ask(history)
    assert report.window.first == date(2012, 7, 9)
    assert by_start(report, "review_rate") == {"2012-07-09T00:00:00+00:00": (1, 1)}


# --- Refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"from": "yesterday"}, "/from"),
        ({"from": "2025-02-30"}, "/from"),
        ({"to": "2025-03-03T10:00:00"}, "/to"),
        ({"to": "20250303"}, "/to"),
        ({"from": "0001-01-01"}, "/from"),
        ({"to": "9999-12-31T23:59:59-14:00"}, "/to"),
        ({"every": "month"}, "/every"),
        ({"by": "colour"}, "/by"),
        ({"segment": "a\x00b"}, "/segment"),
        ({"label": "x" * 2_000}, "/label"),
        ({"by": "segment", "every": "hour"}, "/every"),
        ({"by": "segment", "label": "a"}, "/by"),
        ({"segment": "a", "label": "a"}, "/label"),
        ({"by": "reviewer", "model_version": "reader 1"}, "/model_version"),
        ({"by": "band", "reviewer": "rita"}, "/by"),
    ],
)
def test_a_question_that_cannot_be_understood_names_its_field(params, pointer):
    with pytest.raises(InvalidError) as refused:
        read_query(params)
    assert [error.pointer for error in refused.value.errors] == [pointer]


def test_moments_and_dates_are_understood():
    assert read_query({}) == TrustQuery()
    query = read_query({"from": "2025-03-03", "to": "2025-03-04T10:30:00.5 05:30", "every": "hour", "by": ""})
    assert query.start == date(2025, 3, 3)
    assert query.end == datetime(2025, 3, 4, 5, 0, 0, 500_000, tzinfo=UTC)
    assert read_query({"from": "2025-03-03T00:00Z"}).start == datetime(2025, 3, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"start": date(2025, 3, 5), "end": date(2025, 3, 4)}, "/to"),
        ({"start": T0, "end": T0}, "/to"),
        ({"model_version": "reader 9"}, "/model_version"),
    ],
)
def test_a_question_that_cannot_be_answered_names_its_field(history, query, pointer):
    with pytest.raises(InvalidError) as refused:
        ask(history, **query)
    assert [error.pointer for error in refused.value.errors] == [pointer]


# --- What it costs ---------------------------------------------------------------------------------------------


def fill(history, days, times=1):
    """Every bucket of every day, as a project with ten million predictions a year (or so many times more) has them."""
    counts = {
        "total": 500,
        "auto": 300,
        "review": 150,
        "fallback": 50,
        "fallback_manual": 50,
        "audit_due": 15,
    }
    counts |= {
        "audit_done": 15,
        "audit_err": 1,
        "confirmed": 100,
        "corrected": 40,
        "shadow_done": 30,
        "shadow_err": 20,
    }
    counts = {name: times * count for name, count in counts.items()}
    place = {
        "project_id": history.project.pk,
        "period_id": history.period.pk,
        "model_version_id": history.version.pk,
    }
    dates = [T0.date() + number * DAY for number in range(days)]
    of_day = {name: 58 * count for name, count in counts.items()}
    TrustDay.objects.bulk_create(TrustDay(**place, day=day, **of_day) for day in dates)
    TrustCell.objects.bulk_create(
        TrustCell(**place, day=day, bucket=bucket, **counts) for day in dates for bucket in range(58)
    )
    weeks = {}
    for day in dates:
        weeks[week_of(day)] = weeks.get(week_of(day), 0) + 1
    TrustWeek.objects.bulk_create(
        TrustWeek(**place, week=week, bucket=bucket, **{name: n * count for name, count in counts.items()})
        for week, n in weeks.items()
        for bucket in range(58)
    )


def rows_read():
    with connection.cursor() as cursor:
        cursor.execute("select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_xact_user_tables")
        return int(cursor.fetchone()[0])


@pytest.mark.slow
@pytest.mark.parametrize("query", [{}, {"every": "week"}, {"by": "model_version"}, {"by": "band"}])
def test_a_hundred_million_predictions_are_read_from_less_than_ten_thousand_rows(history, query):
    fill(history, 100, times=40)
    with connection.cursor() as cursor:
        cursor.execute("analyze labeling_trustday, labeling_trustcell, labeling_trustweek")
    start = T0.date() + 5 * DAY
    before = rows_read()
    report = get_trust_report(
        history.project, TrustQuery(start=start, end=start + 89 * DAY, **query), now=NOW + 365 * DAY
    )
    assert report.counts.total == 90 * 58 * 20_000 > 1e8
    assert rows_read() - before < 10_000


@pytest.mark.slow
@pytest.mark.parametrize("params", [{}, {"by": "model_version"}, {"by": "reviewer"}, {"by": "band"}])
def test_the_whole_page_reads_less_than_ten_thousand_rows_and_says_what_the_api_says(history, client, params):
    fill(history, 100, times=40)
    ReviewerDay.objects.bulk_create(
        ReviewerDay(
            project_id=history.project.pk,
            day=T0.date() + number * DAY,
            reviewer=history.rita,
            queue_id=history.queue.pk,
            reviewed=60,
            confirmed=50,
            corrected=10,
        )
        for number in range(100)
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "analyze labeling_trustday, labeling_trustcell, labeling_trustweek, labeling_reviewerday"
        )
    client.force_login(history.person("lea", "lead"))
    start = T0.date() + 5 * DAY
    asked = {"from": start.isoformat(), "to": (start + 89 * DAY).isoformat(), **params}
    before = rows_read()
    page = client.get("/projects/news/trust/", asked)
    assert rows_read() - before < 10_000
    assert page.status_code == 200
    told = client.get("/api/v1/projects/news/trust/", asked).json()
    lines = list(
        csv.DictReader(io.StringIO(client.get("/projects/news/trust/rates.csv", asked).content.decode()))
    )
    assert len(lines) == sum(len(point["rates"]) for point in told["series"])
    for line, (name, rate) in zip(
        lines, [pair for point in told["series"] for pair in point["rates"].items()], strict=True
    ):
        assert (line["rate"], line["n"], line["value"]) == (
            name,
            str(rate["n"]),
            str(rate["value"] if rate["value"] is not None else ""),
        )


def test_the_number_of_statements_is_the_same_for_ten_days_and_twenty(history):
    fill(history, 20)
    counts = []
    for days in (10, 20):
        for query in ({}, {"by": "model_version"}, {"every": "week"}):
            with CaptureQueriesContext(
                connection,
            ) as captured:
                get_trust_report(
                    history.project, TrustQuery(end=T0.date() + (days - 1) * DAY, **query), now=NOW
                )
            counts.append(len(captured))
    assert set(counts) == {10}

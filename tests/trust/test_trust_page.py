"""The page "Confirmation rates": never a rate without range, count and population; filters, downloads, refusals."""

import csv
import io
import random
import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labeling.ingestion.models import ModelVersion
from labeling.routing.models import PolicyVersion
from labeling.trust.asking import TrustQuery
from labeling.trust.changes import list_changes
from labeling.trust.figures import Rate
from labeling.trust.models import ReviewerDay
from labeling.trust.queries import get_trust_report, latest_of, weeks_of
from labeling.trust.services import fold_deltas
from labeling.web import trust_charts, trust_words
from tests.trust.history import History, live_at_random

pytestmark = pytest.mark.django_db

PAGE = "/projects/news/trust/"
DAY = timedelta(days=1)


def ago(days, hour=9):
    today = timezone.now().replace(hour=hour, minute=0, second=0, microsecond=0)
    return today - days * DAY


@pytest.fixture
def history():
    return History()


@pytest.fixture
def visit(history, client):
    """Open a page as a person with a role in the project (or none)."""

    def visiting(path=PAGE, params=None, *, role="owner", name=None):
        name = name or role or "nora"
        person = history.person(name, role) if role else get_user_model().objects.create_user("nora")
        client.force_login(person)
        response = client.get(path, params or {})
        response.text_of_page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))
        return response

    return visiting


def reviewed(history, *, days, confirmed=8, corrected=4, **fields):
    """On each day a dozen reviews, an automatic result, and a fallback."""
    for day in range(days):
        done = {"review": confirmed + corrected, "confirmed": confirmed, "corrected": corrected}
        history.count(at=ago(day), total=confirmed + corrected, **done, **fields)
        history.count(at=ago(day), confidence=0.97, total=1, auto=1, **fields)
        history.count(at=ago(day), confidence=0.3, total=1, fallback=1, fallback_manual=1, **fields)


# --- What is shown ---------------------------------------------------------------------------------------------


def test_both_rates_stand_side_by_side_with_range_count_and_population(history, visit):
    reviewed(history, days=2)
    response = visit()
    assert response.status_code == 200
    text = response.text_of_page
    low, high = trust_words.bounds(*_range(history, "confirmation_rate"))
    assert f"66.7 % {low} % to {high} % 16 of 24 reviewed" in text
    assert "24 of 28 predictions" in text
    assert "reviewed items only" in text
    assert "not audited: nothing can be said" in text
    html = response.content.decode()
    assert html.count('role="img" aria-label="Review rate: ') == 1
    assert html.count('role="img" aria-label="Confirmation rate: ') == 1
    assert 'class="line c-review"' in html
    assert 'class="band f-confirm"' in html


def _range(history, name):
    rate = get_trust_report(history.project, TrustQuery()).now[name]
    return rate.low, rate.high


def test_a_number_opens_into_what_it_is_made_of_by_a_plain_link(history, visit):
    reviewed(history, days=1)
    closed = visit().content.decode()
    assert 'href="?explain=confirmation_rate#now"' in closed
    assert "Do not read it as accuracy." not in closed.partition("print-only method")[0]
    for name, told in (
        ("confirmation_rate", "Do not read it as accuracy."),
        ("review_rate", "Do not read it as quality."),
        ("automation_rate", "Do not read it as success."),
        ("fallback_rate", "Review, automatic and fallback add up to all."),
        ("model_error_rate", "The only line to compare over time."),
        ("served_error_rate", "Do not read it as quality of the model."),
        ("auto_error_upper", "An upper bound, not an estimate."),
    ):
        opened = visit(params={"explain": name, "segment": ""})
        assert told in opened.text_of_page
        assert 'aria-expanded="true"' in opened.content.decode()
    assert visit(params={"explain": "nothing"}).status_code == 200


def test_few_are_too_few_to_say_but_their_range_is_shown(history, visit):
    history.answer(history.route("review", at=ago(0)), "confirmed")
    text = visit().text_of_page
    assert "too few to say" in text
    assert "1 of 1 reviewed" in text


def test_checked_errors_are_an_upper_bound_with_its_limit(history, visit):
    for _ in range(30):
        history.answer(history.route("auto", audited=True, at=ago(0)), "labelled", agreed=True)
    text = visit().text_of_page
    upper = get_trust_report(history.project, TrustQuery()).now["auto_error_upper"].value
    assert f"at most {trust_words.at_most(upper)}".replace("\u202f", " ") in text
    assert "limit 2 %, true at every look 0 of 30 labels" in text
    assert "model error, all predictions" in text


def test_a_long_history_shows_its_last_week_as_now_and_its_weeks_as_a_table(history, visit):
    reviewed(history, days=20)
    response = visit()
    assert "56 of 84 reviewed" in response.text_of_page  # seven days
    assert "By week" in response.text_of_page
    columns = "Decisions Sent to people Confirmed unchanged Automatic Model error Wrong after serving"
    assert columns in response.text_of_page
    assert "All 20 days" in response.text_of_page
    every_day = visit(params={"points": "all"}).content.decode()
    assert every_day.partition('id="table"')[2].count("<tr>") == 21


def test_an_empty_project_says_what_would_be_here(visit):
    response = visit()
    assert response.status_code == 200
    assert "No rates yet" in response.text_of_page
    assert "How to send one" in response.text_of_page


def test_simulated_work_is_never_shown_as_if_it_were_real(client):
    history = History("sim", simulation=True)
    history.route("review", occurred_at=datetime(2014, 5, 6, tzinfo=UTC))
    client.force_login(history.person("olga", "owner"))
    response = client.get("/projects/sim/trust/")
    assert "simulation" in response.content.decode()
    assert "6 May 2014" in response.content.decode()
    assert b"simulated data" in client.get("/projects/sim/trust/rates.svg").content


def test_the_page_needs_no_script_and_no_inline_style(history, visit):
    reviewed(history, days=3)
    html = visit(params={"by": "segment"}).content.decode()
    main = html[html.index("<main") : html.index("</main>")]
    assert "<script" not in main
    assert "style=" not in main
    assert " on" + "click" not in main


# --- Filters ---------------------------------------------------------------------------------------------------


def test_filters_restrict_everything_and_stay_visible(history, visit):
    second = history.model("reader", "2")
    reviewed(history, days=1, segment="north")
    reviewed(history, days=1, confirmed=12, corrected=0, segment="south", version=second)
    text = visit(params={"segment": "south"}).text_of_page
    assert "12 of 12 reviewed" in text
    html = visit(params={"model_version": "reader 2"}).content.decode()
    assert re.search(r'<option value="reader 2"\s+selected', html)
    assert re.search(r'<span class="filter is-on">Model\s+<b>reader 2</b>', html)


def test_a_table_by_segment_names_those_without_one(history, visit):
    reviewed(history, days=1, segment="north")
    reviewed(history, days=1)
    text = visit(params={"by": "segment"}).text_of_page
    assert "By segment" in text
    assert "north" in text
    assert "none given" in text


def test_leads_see_figures_of_all_and_everybody_else_only_their_own(history, visit):
    history.person("sam", "reviewer")
    for number in range(12):
        history.answer(
            history.route("review", at=ago(0)), "confirmed" if number else "corrected", seconds=3.0
        )
    params = {"by": "reviewer", "to": timezone.now().date().isoformat()}
    text = visit(params=params, role="lead").text_of_page
    assert "rita 12 3.0 s 91.7 %" in text
    assert "no ranking" in text
    one = visit(params={"reviewer": "rita", "to": params["to"]}, role="lead")
    assert "Confirmed unchanged by rita" in one.text_of_page
    for params in ({"by": "reviewer"}, {"reviewer": "rita"}, {"reviewer": "rita", "by": "reviewer"}):
        assert visit(params=params, role="viewer").status_code == 403
    filters = visit(role="viewer").content.decode().partition('name="by"')[0]
    assert 'name="reviewer"' not in filters


def test_own_figures_end_yesterday_so_that_no_answer_moves_them(history, visit):
    history.answer(history.route("review", at=ago(0)), "confirmed", seconds=3.0)
    fold_deltas()
    ReviewerDay.objects.create(
        project_id=history.project.pk,
        day=ago(1).date(),
        reviewer=history.rita,
        queue_id=history.queue.pk,
        reviewed=40,
        confirmed=30,
        corrected=10,
        sentinels=20,
        sentinels_missed=2,
    )
    for params in ({"reviewer": "rita"}, {"reviewer": "rita", "from": ago(0).date().isoformat()}):
        own = visit(params={**params, "to": ago(0).date().isoformat()}, role="reviewer", name="rita")
        assert "rita 40 – 75.0 %" in own.text_of_page
        assert "10.0 %" in own.text_of_page
        assert "Your own figures end yesterday" in own.text_of_page
        assert visit(params=params, role="reviewer").status_code == 403  # somebody else's


def test_the_reliability_curve_says_how_honest_the_confidence_is(history, visit):
    for confidence, right, wrong in ((0.75, 30, 30), (0.85, 50, 10), (0.93, 58, 2)):
        counts = {"total": right + wrong, "review": right + wrong, "confirmed": right, "corrected": wrong}
        history.count(at=ago(0), confidence=confidence, **counts)
    history.count(at=ago(0), confidence=0.99, total=900, auto=900, audit_due=40, audit_done=40, audit_err=1)
    fold_deltas()
    found = get_trust_report(history.project, TrustQuery()).reliability
    assert [(group.n, group.right) for group in found.groups] == [(60, 30), (60, 50), (60, 58), (40, 39)]
    page = visit()
    assert "50 of 60" in page.text_of_page
    assert "83.3 %" in page.text_of_page
    lines = list(csv.DictReader(io.StringIO(visit(PAGE + "reliability.csv").content.decode())))
    assert [(line["labelled"], line["right"]) for line in lines] == [
        ("60", "30"),
        ("60", "50"),
        ("60", "58"),
        ("40", "39"),
    ]
    assert "Is the confidence honest?" in visit(PAGE + "rates.svg").content.decode()
    assert 'id="honesty"' not in visit(params={"segment": "north"}).content.decode()


def test_a_printed_page_can_be_defended(history, visit):
    reviewed(history, days=2)
    html = visit(params={"segment": ""}).content.decode()
    assert "data-print" in html
    head, _, method = html.partition("print-only method")
    assert re.search(r"News · .* made \d+ \w+ \d{4} \d\d:\d\d UTC by owner", re.sub(r"\s+", " ", head))
    for title in (
        "Sent to people before use",
        "Model error",
        "Wrong after serving",
        "Fallback",
        "Wrong among automatic",
    ):
        assert title in method


@pytest.mark.parametrize(
    "params",
    [
        {"from": "last week"},
        {"from": "2025-03-02", "to": "2025-03-01"},
        {"by": "label", "segment": "a"},
        {"every": "x"},
    ],
)
def test_a_filter_that_makes_no_sense_is_said_at_the_filters_and_kept(history, visit, params):
    reviewed(history, days=1)
    response = visit(params=params)
    assert response.status_code == 422
    html = response.content.decode()
    assert 'class="error" role="alert"' in html
    if "from" in params:
        assert f'value="{params["from"]}"' in html


# --- Who may ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [PAGE, PAGE + "rates.csv", PAGE + "rates.svg", PAGE + "reliability.csv"])
def test_members_may_strangers_find_nothing_and_others_sign_in_first(history, visit, client, path):
    reviewed(history, days=1)
    assert client.get(path).status_code == 302
    assert visit(path, role="reviewer").status_code == 200
    assert visit(path, role=None).status_code == 404
    assert client.post(path).status_code == 405


# --- Downloads -------------------------------------------------------------------------------------------------


def test_csv_has_one_rate_a_line_with_all_that_makes_it_readable(history, visit):
    reviewed(history, days=2, segment="=1+1")
    response = visit(PAGE + "rates.csv", {"by": "segment"})
    assert response["Content-Disposition"].endswith('.csv"')
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    of_rate = [row for row in rows if row["rate"] == "confirmation_rate"]
    assert len(of_rate) == 2
    assert of_rate[0]["key"] == "'=1+1"
    assert (of_rate[0]["count"], of_rate[0]["n"]) == ("8", "12")
    assert of_rate[0]["population"] == "reviewed predictions that people finished"
    assert of_rate[0]["method"] == "clopper_pearson"
    assert "not for decisions" in of_rate[0]["note"]


def test_svg_is_a_picture_that_explains_itself(history, visit):
    history.project.name = "News <b>& views</b>"
    history.project.save()
    reviewed(history, days=4)
    response = visit(PAGE + "rates.svg")
    assert response["Content-Type"] == "image/svg+xml"
    root = ElementTree.fromstring(response.content)
    texts = " ".join(text.strip() for text in root.itertext() if text.strip())
    assert "News <b>& views</b>: Confirmation rates" in texts
    assert "Review rate" in texts
    assert "Of those reviewed" in texts
    assert {element.tag.partition("}")[2] for element in root.iter()} <= {
        "svg", "title", "rect", "text", "tspan", "line", "path", "circle"
    }  # fmt: skip


def test_a_download_refuses_what_the_page_refuses(history, visit):
    reviewed(history, days=1)
    assert visit(PAGE + "rates.csv", {"from": "x"}).status_code == 422
    assert visit(PAGE + "rates.csv", {"by": "reviewer"}, role="reviewer").status_code == 403


# --- What changed ----------------------------------------------------------------------------------------------


def test_changes_of_policy_and_model_are_flags_with_their_words(history, visit):
    history.period.started_at = ago(30)
    reviewed(history, days=20)
    PolicyVersion.objects.create(
        project=history.project, number=2, note="label a always goes to people", body={}
    )
    history.open_period(at=ago(12), policy_number=2, audit_rate=0.2, reason="policy v2")
    history.open_period(at=ago(6), policy_number=2, audit_rate=0.05, epoch=2, reason="drift")
    second = history.model("reader", "2")
    ModelVersion.objects.filter(pk=second.pk).update(first_seen_at=ago(2))
    ModelVersion.objects.filter(pk=history.version.pk).update(first_seen_at=ago(40))
    fold_deltas()
    report = get_trust_report(history.project, TrustQuery())
    told = [trust_words.change_text(change) for change in list_changes(history.project, report.window)]
    assert told == [
        "Policy v2: label a always goes to people. Blind checks 5\u202f% to 20\u202f%",
        "Epoch 2 begins at level 0. Blind checks 20\u202f% to 5\u202f%. drift",
        "Model reader 2: first prediction",
    ]
    html = visit(params={"from": report.window.first.isoformat()}).content.decode()
    assert re.findall(r'<text class="flag-t" y="4">(\w)</text>', html) == ["A", "B", "C"] * 2
    assert "label a always goes to people" in html


def test_in_a_simulation_a_change_stands_where_it_was_first_counted():
    history = History(simulation=True)
    for day in range(4):
        history.route("review", occurred_at=datetime(2014, 5, 1 + day, 8, tzinfo=UTC))
        if day == 1:
            PolicyVersion.objects.create(project=history.project, number=2, body={})
            history.open_period(at=timezone.now(), policy_number=2)
    fold_deltas()
    report = get_trust_report(history.project, TrustQuery())
    (change,) = list_changes(history.project, report.window)
    assert (change.at, change.policy_number) == (datetime(2014, 5, 3, tzinfo=UTC), 2)


def test_flags_that_stand_close_share_a_letter_and_the_oldest_are_only_counted(history):
    reviewed(history, days=30)
    for number in range(30, 0, -1):
        history.open_period(at=ago(number - 1) + timedelta(hours=1), audit_rate=number / 100)
    fold_deltas()
    report = get_trust_report(history.project, TrustQuery())
    flags, earlier = trust_charts.flags_of(list_changes(history.project, report.window), report.window)
    assert [flag.letter for flag in flags] == list("ABCDEFGHIJKL")
    assert sum(len(flag.changes) for flag in flags) + earlier == 30
    assert all(len(flag.changes) == 2 for flag in flags)


# --- Numbers, words, lines -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0 %"), (0.0004, "< 0.1 %"), (0.0983, "9.8 %"), (0.99991, "> 99.9 %"), (1.0, "100.0 %")],
)
def test_nearly_nothing_is_not_nothing(value, text):
    assert trust_words.rate_text(value) == text.replace(" ", "\u202f")


def test_bounds_are_rounded_outwards():
    assert trust_words.bounds(0.0939, 0.1031) == ("9.3", "10.4")
    assert trust_words.bounds(0.093, 0.103) == ("9.3", "10.3")
    assert trust_words.at_most(0.01601) == "1.7\u202f%"
    assert trust_words.at_most(0.0043) == "0.43\u202f%"
    assert trust_words.at_most(0.00431) == "0.44\u202f%"


def test_gaps_stay_gaps_and_lonely_points_are_dots(history):
    for day in (9, 8, 5, 2, 1, 0):
        history.route("review", at=ago(day))
    fold_deltas()
    report = get_trust_report(history.project, TrustQuery())
    axis = trust_charts.axis_to_one(report.series, "review_rate")
    found = trust_charts.trace(report.series, "review_rate", report.window, axis, css="review", title="")
    assert found.line.count("M") == found.band.count("Z") == 2
    assert len(found.dots) == 1
    for part in (found.line, found.band):
        numbers = [float(number) for number in re.findall(r"[\d.]+", part)]
        assert all(0 <= number <= 1000 for number in numbers)


@pytest.mark.parametrize(("least", "base"), [(0.97, 0.9), (0.85, 0.8), (0.61, 0.6), (0.3, 0.0)])
def test_an_axis_begins_as_high_as_the_whole_band_allows(least, base):
    point = _Point({"x": Rate(0.98, least, 1.0, 10, 9, "", "")})
    assert trust_charts.axis_to_one([point], "x").base == base


class _Point:
    def __init__(self, rates):
        self.rates = rates


def test_weeks_and_last_days_are_regrouped_without_reading_again(history):
    reviewed(history, days=25)
    fold_deltas()
    zone = history.zone
    report = get_trust_report(history.project, TrustQuery())
    with CaptureQueriesContext(connection) as captured:
        weeks = weeks_of(report, zone)
        latest = latest_of(report, zone, days=7)
    assert len(captured) == 0
    asked = get_trust_report(history.project, TrustQuery(every="week", start=report.window.first))
    assert [(p.start, p.end, p.rates) for p in weeks] == [(p.start, p.end, p.rates) for p in asked.series]
    assert latest.rates["confirmation_rate"].n == 7 * 12
    assert latest.rates["confirmation_rate"].method == "clopper_pearson"


# --- What it costs ---------------------------------------------------------------------------------------------


def test_the_number_of_statements_is_the_same_for_ten_days_and_twenty(history, visit, client):
    reviewed(history, days=20, confirmed=1, corrected=1)
    visit()
    counts = []
    for days in (10, 20):
        params = {"from": ago(days - 1).date().isoformat(), "to": ago(0).date().isoformat()}
        with CaptureQueriesContext(connection) as captured:
            assert client.get(PAGE, params).status_code == 200
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 28


# --- Anything at all -------------------------------------------------------------------------------------------

_TIMES = [
    "",
    "2025-03-01",
    "2025-03-05T10:30:00Z",
    "2025-03-05T10:30:00+05:30",
    "1900-01-01",
    "2199-12-31",
    "0000-00-00",
]
_ANYTHING = {
    "from": [*_TIMES, "2025-03-05T25:00:00Z"],
    "to": [*_TIMES, "９９９９-01-01"],
    "every": ["", "hour", "day", "week", "bad"],
    "by": ["", "segment", "label", "band", "model_version", "reviewer", "zzz"],
    "segment": ["", "", "", "north", "\x00", "é" * 300],
    "label": ["", "", "", "a", "'"],
    "model_version": ["", "", "reader 1", "nope"],
    "reviewer": ["", "", "", "rita", "nobody"],
    "explain": ["", "review_rate", "x"],
    "points": ["", "all"],
}


@pytest.mark.slow
def test_no_question_makes_the_server_fail(history, client):
    live_at_random(history, 3)
    empty = History("empty", time_zone="Australia/Lord_Howe")
    client.force_login(history.person("olga", "owner"))
    empty.person("olga", "owner")
    chance, answered = random.Random(0), set()
    for _ in range(300):
        params = {name: chance.choice(values) for name, values in _ANYTHING.items() if chance.random() < 0.5}
        slug = chance.choice(["news", "news", "empty"])
        pages = [f"/projects/{slug}/trust/{part}" for part in ("", "rates.csv", "rates.svg")]
        path = chance.choice([*pages, f"/api/v1/projects/{slug}/trust/"])
        answered.add(client.get(path, params).status_code)
    assert answered == {200, 422}

"""Cases of a rare label that were missed: counted by what people said, shown with what they are made of, read from few rows."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from labeling.ids import first_id_at, moment_of
from labeling.projects.models import LabelSchema, Project
from labeling.routing.models import PolicyVersion
from labeling.trust import watched
from labeling.trust.asking import TrustQuery
from labeling.trust.models import SliceKind, TrustSlice
from labeling.trust.queries import get_trust_report
from labeling.trust.services import compare_rollups, fold_deltas
from tests.trust.history import POLICY, T0, History
from tests.world import World, a_row

pytestmark = pytest.mark.django_db

SCHEMA = {"labels": ["fraud", "legit"]}
EVERYTHING_CHECKED = {"audit_rate": 1.0, "sentinel_rate": 0, "alpha_by_label": {"legit": 0.002}}


@pytest.fixture
def cards(world: World) -> Project:
    """All automatic results are checked; fraud is what must not be missed."""
    return world.make_project("cards", label_schema=SCHEMA, policy=EVERYTHING_CHECKED)


def predict(world: World, cards: Project, label: str, *, confidence: float = 0.99, **more: Any) -> None:
    row = a_row(prediction={"label": label}, confidence=confidence, **more)
    world.api("otto", at=cards).predict(row).expect(201)


def by_truth() -> dict[str, tuple[int, int, int, int]]:
    """(checked, missed, confirmed, corrected) by true label."""
    fold_deltas()
    found: dict[str, tuple[int, int, int, int]] = {}
    for one in TrustSlice.objects.filter(kind=SliceKind.TRUTH):
        counts = (one.audit_done, one.audit_err, one.confirmed, one.corrected)
        found[one.value] = tuple(map(sum, zip(counts, found.get(one.value, (0, 0, 0, 0)), strict=True)))
    return found


def test_answers_are_counted_by_the_label_that_settled_them(world: World, cards: Project) -> None:
    rita, rolf = world.api("rita", at=cards), world.api("rolf", at=cards)
    predict(world, cards, "legit")
    rita.decide(rita.claim_one(), "labelled", {"label": "fraud"}).expect(201)
    assert by_truth() == {"fraud": (1, 1, 0, 0)}, "a missed fraud, before a second person has looked"
    rolf.decide(rolf.claim_one(), "labelled", {"label": "legit"}).expect(201)
    assert by_truth() == {"fraud": (0, 0, 0, 0), "legit": (1, 0, 0, 0)}, (
        "the second person's label is the true one"
    )
    assert compare_rollups(cards) == []


def test_undoing_and_changing_ones_mind_moves_the_case(world: World, cards: Project) -> None:
    rita = world.api("rita", at=cards)
    predict(world, cards, "legit", confidence=0.8)
    decided = rita.decide(rita.claim_one(), "corrected", {"label": "fraud"}).expect(201)
    assert by_truth() == {"fraud": (0, 0, 0, 1)}
    rita.undo(decided["decision"]).expect(200)
    assert by_truth() == {"fraud": (0, 0, 0, 0)}
    task = rita.claim_one()
    rita.decide(task, "confirmed").expect(201)
    assert by_truth() == {"fraud": (0, 0, 0, 0), "legit": (0, 0, 1, 0)}
    again = rita.post(f"/tasks/{task['task']}/reopen/", {}).expect(200)
    rita.decide(again, "rejected").expect(201)
    assert by_truth() == {"fraud": (0, 0, 0, 0), "legit": (0, 0, 0, 0)}, (
        "what cannot be labelled has no true label"
    )
    assert compare_rollups(cards) == []


def test_a_late_label_counts_on_the_day_and_in_the_period_of_its_prediction() -> None:
    history = History()
    routed = history.route("auto", label="legit", audited=True)
    history.open_period(at=T0 + timedelta(days=9))
    history.answer(routed, "labelled", agreed=False, said="fraud")
    fold_deltas()
    (row,) = TrustSlice.objects.filter(kind=SliceKind.TRUTH)
    assert (row.day, row.period_id, row.value) == (T0.date(), routed.prediction.period_id, "fraud")
    assert (row.audit_done, row.audit_err, row.total, row.auto) == (1, 1, 0, 0)


def test_what_was_answered_before_the_upgrade_is_not_counted_until_all_is_counted_again() -> None:
    history = History()
    history.project.truths_from = first_id_at(timezone.now()) + 2**40
    history.project.save(update_fields=["truths_from"])
    routed = history.route("auto", label="legit", audited=True)
    history.answer(routed, "labelled", agreed=False, said="fraud")
    fold_deltas()
    TrustSlice.objects.filter(kind=SliceKind.TRUTH).delete()  # the release before has written none
    assert compare_rollups(history.project) == []
    call_command("rebuild_rates", history.project.slug)
    history.project.refresh_from_db()
    assert TrustSlice.objects.filter(kind=SliceKind.TRUTH).count() == 1
    assert compare_rollups(history.project) == []
    with pytest.raises(CommandError, match="no project 'nowhere'"):
        call_command("rebuild_rates", "nowhere")


# --- what is read and told ---------------------------------------------------------------------------------------


@pytest.fixture
def history() -> History:
    """Two policy periods, a fifth and a twentieth checked, in which 35 of about 90 frauds were missed."""
    history = History()
    LabelSchema.objects.create(project=history.project, number=1, body=SCHEMA)
    limited = POLICY | {"alpha_by_label": {"legit": 0.002}}
    PolicyVersion.objects.create(project=history.project, number=2, body=limited)
    history.project.policy_number = 2
    history.project.save()
    history.period.audit_rate = 0.2
    for rate, checked, missed in ((0.2, 200, 3), (0.05, 50, 1)):
        history.open_period(at=T0, audit_rate=rate)
        history.count(total=1000, auto=1000, audit_due=checked, label="legit")
        history.count(audit_done=missed, audit_err=missed, label="legit", truth="fraud")
        history.count(audit_done=checked - missed - (rate == 0.2), label="legit", truth="legit")
        history.count(total=500, review=500, label="legit")
        history.count(confirmed=475, label="legit", truth="legit")
        history.count(corrected=25, label="legit", truth="fraud")
    history.count(audit_done=1, label="fraud", truth="fraud")
    fold_deltas()
    return history


def put_in_force(history: History, body: dict[str, Any]) -> None:
    PolicyVersion.objects.create(project=history.project, number=3, body=body)
    history.project.policy_number = 3


def with_labels(history: History, labels: list[str]) -> None:
    LabelSchema.objects.create(project=history.project, number=2, body={"labels": labels})
    history.project.schema_number = 2


def test_the_report_weights_each_case_by_its_chance_to_be_seen(history: History) -> None:
    report = get_trust_report(history.project, TrustQuery())
    (fraud,) = report.misses
    assert fraud.label == "fraud"
    # seen 3 at one in five, 1 at one in twenty: 35; one found in a check of the second period counts for 20, people had 50
    assert fraud.rate.value == pytest.approx(35 / (35 + 20 + 50), rel=0.02)
    assert (fraud.rate.n, fraud.rate.count, fraud.rate.method) == (55, 4, "weighted_e_process")
    assert report.now["miss_rate"].value == fraud.rate.value
    picked = get_trust_report(history.project, TrustQuery(start=T0.date() - timedelta(days=3)))
    assert picked.misses[0].rate == fraud.rate, "before the first prediction is no choice"


def test_what_a_constant_answered_counts_for_all_that_nobody_was_drawn_for(history: History) -> None:
    before = get_trust_report(history.project, TrustQuery()).misses[0]
    history.open_period(at=T0, audit_rate=0.0)
    history.count(total=400, fallback=400, shadow_of=400, shadow_due=20, label="legit")
    fold_deltas()
    (unlooked,) = get_trust_report(history.project, TrustQuery()).misses
    assert (unlooked.answered, unlooked.rate.value) == (400, before.rate.value)
    assert "the fallback answered 400" in unlooked.rate.note
    history.count(shadow_done=1, shadow_err=1, shadow_served_err=1, label="legit", truth="fraud")
    history.count(shadow_done=19, label="legit", truth="legit")
    fold_deltas()
    (looked,) = get_trust_report(history.project, TrustQuery()).misses
    assert (looked.answered, looked.shadowed, looked.by_people, looked.open) == (0, 1, 50, 0)
    assert looked.cases == pytest.approx(before.cases + 400 / 20)
    assert looked.rate.value == pytest.approx(before.rate.value * before.cases / looked.cases)
    assert looked.rate.low > unlooked.rate.low


@pytest.mark.parametrize(
    "query", [TrustQuery(label="legit"), TrustQuery(segment="x"), TrustQuery(every="hour", start=T0)]
)
def test_where_such_counts_are_not_kept_nothing_is_said(history: History, query: TrustQuery) -> None:
    report = get_trust_report(history.project, query)
    assert report.misses == []
    assert "miss_rate" not in report.now


def test_after_an_upgrade_the_counts_begin_with_their_first_whole_day(history: History) -> None:
    project = history.project
    project.truths_from = first_id_at(T0 - timedelta(days=5))
    assert get_trust_report(project, TrustQuery()).misses[0].rate.value == pytest.approx(1 / 3, rel=0.02)
    project.truths_from = first_id_at(T0)
    end = T0.date()
    (silent,) = get_trust_report(project, TrustQuery(end=end)).misses
    assert (silent.rate.value, silent.rate.note) == (
        None,
        f"answers are counted by true label from {end + timedelta(days=1)} on",
    )


def test_without_limits_of_their_own_labels_are_watched_that_are_rare(history: History) -> None:
    put_in_force(history, POLICY | {"alpha": 0.05})
    assert [one.label for one in get_trust_report(history.project, TrustQuery()).misses] == ["fraud"]


def test_control_a_label_that_is_not_rare_is_not_watched(history: History) -> None:
    put_in_force(history, POLICY | {"alpha": 0.02})
    assert get_trust_report(history.project, TrustQuery()).misses == []


def test_of_many_labels_the_ten_seen_last_are_watched(history: History) -> None:
    labels = ["legit", *(f"l{number}" for number in range(20))]
    with_labels(history, labels)
    for name in labels[1:]:
        history.count(confirmed=1, truth=name)
        fold_deltas()
    shown = [one.label for one in get_trust_report(history.project, TrustQuery()).misses]
    assert shown == [f"l{number}" for number in range(19, 9, -1)]


def test_a_case_that_may_be_among_the_others_is_not_guessed(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "MAX_SLICE_VALUES", 2)
    with_labels(history, ["fraud", "legit", "new"])
    told = {one.label: one.rate for one in get_trust_report(history.project, TrustQuery()).misses}
    assert told["fraud"].value is not None
    assert (told["new"].value, told["new"].note) == (None, "beyond the 2 labels that are counted apart")


def test_the_api_and_the_page_tell_it(world: World, cards: Project) -> None:
    rita = world.api("rita", at=cards)
    for said in ("fraud", "legit", "legit", "legit"):
        predict(world, cards, "legit")
        rita.decide(rita.claim_one(), "labelled", {"label": said}).expect(201)
    predict(world, cards, "fraud", confidence=0.8)
    rita.decide(rita.claim_one(), "confirmed").expect(201)
    answer = world.api("otto", at=cards).get("/projects/cards/trust/").expect(200)
    (miss,) = answer["miss_rates"]
    assert (miss["label"], miss["cases"], miss["checked"], miss["automatic"]) == ("fraud", 2.0, 4, 4)
    assert (miss["rate"]["value"], miss["rate"]["n"], miss["rate"]["count"]) == (0.5, 2, 1)
    assert "fraud" in miss["rate"]["population"]
    assert answer["now"]["miss_rate"]["value"] == 0.5

    client = Client()
    client.force_login(world.otto.user)
    page = client.get("/projects/cards/trust/").content.decode()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "Rare labels that were missed" in text
    assert "too few to say" in text
    for part in ("1 missed, seen in 4 blind checks of 4 automatic results", "about 2 cases: 1 labelled by people",
                 "predictions whose true label is fraud", "Horvitz–Thompson",
                 "Do not take a small number for safety before its range is small."):  # fmt: skip
        assert text.count(part) == 2, "on the page, and in print"


def test_a_project_without_rare_labels_says_nothing_and_reads_nothing(world: World) -> None:
    world.api("otto").predict(a_row()).expect(201)
    answer = world.api("otto").get("/projects/letters/trust/").expect(200)
    assert answer["miss_rates"] == []
    assert "miss_rate" not in answer["now"]


def test_an_upgrade_counts_from_an_hour_later_on() -> None:
    """Until then processes of the release before may still write answers without their true label."""
    history = History()
    migration = import_module("labeling.migrations.0028_truths")
    (statement,) = [one.sql for one in migration.Migration.operations if hasattr(one, "sql")]
    with connection.cursor() as cursor:
        cursor.execute(statement)
    history.project.refresh_from_db()
    later = moment_of(history.project.truths_from) - timezone.now()
    assert timedelta(minutes=59) < later < timedelta(minutes=61)

"""The controller over real rows: it climbs, steps back, obeys people, and writes down why."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest
from django.utils import timezone

from labeling.alerts.models import Alert
from labeling.errors import ConflictError
from labeling.history.models import HistoryEvent
from labeling.ingestion.models import Prediction
from labeling.projects.models import Project
from labeling.review.models import ReviewTask
from labeling.routing.models import PolicyPeriod
from labeling.routing.queries import load_rules
from labeling.trust.buckets import bucket_center
from labeling.trust.certificates import main_certificate, read_certificates
from labeling.trust.deltas import append_delta, cell_entry, place_of
from labeling.trust.holding import state_of
from labeling.trust.ladder import LEAST_AUDITS_PER_DAY
from labeling.trust.looking import look_at_project, look_at_projects
from labeling.trust.models import AutonomyEvent, AutonomyScope
from labeling.trust.scope_rows import read_counts
from labeling.trust.services import fold_deltas
from labeling.trust.steering import accept_level, lower_level, resume_automatic, stop_automatic
from tests.world import World, a_row

pytestmark = pytest.mark.django_db
ON = {
    "autonomy": "on",
    "low": 0,
    "assumed_false_accept": 0.0,
    "sentinel_rate": 0,
    "audits_per_day_max": 100_000,
    "autonomy_min_interval": "0",
}
HIGH, LOW = range(40, 58), range(8, 40)


class Scope:
    """Counts of a model version's predictions, as routing would have left them."""

    def __init__(self, world: World, project: Project, version: str = "1") -> None:
        self.project, self.world = project, world
        world.api("otto", at=project).predict(a_row(confidence=0.5, model_version=version)).expect(201)
        self.version = Prediction.objects.latest("pk").model_version_id
        self.now = timezone.now()

    def come(
        self,
        buckets=(*LOW, *HIGH),
        each: int = 40,
        wrong: dict[int, int] | None = None,
        segment=None,
        label: str = "a",
    ) -> None:
        """`each` predictions of every bucket; `wrong` of them, by bucket, are found wrong by whoever looks."""
        rules = load_rules(self.project.pk)
        period = rules.period_of(self.version, "a")
        for bucket in buckets:
            confidence, errors = bucket_center(bucket), (wrong or {}).get(bucket, 0)
            if confidence >= period.high:
                audits = round(each * period.audit_rate)
                bad = min(errors, audits)
                counts = {
                    "total": each,
                    "auto": each,
                    "audit_due": audits,
                    "audit_done": audits,
                    "audit_err": bad,
                }
            else:
                counts = {"total": each, "review": each, "confirmed": each - errors, "corrected": errors}
            place = place_of(
                moment=self.now, zone=UTC, period=period.period_id, mv=self.version,
                confidence=confidence, segment=segment, label=label,
            )  # fmt: skip
            append_delta(self.project.pk, [cell_entry(place, counts)])
        fold_deltas()

    def look(self, after: timedelta = timedelta(minutes=1)):
        self.now += after
        look_at_project(self.project.pk, now=self.now)
        return self.state

    @property
    def row(self) -> AutonomyScope:
        return AutonomyScope.objects.get(project=self.project, model_version_id=self.version, label_group="")

    @property
    def state(self):
        return state_of(self.row)

    @property
    def period(self) -> PolicyPeriod:
        rules = load_rules(self.project.pk)
        return PolicyPeriod.objects.get(pk=rules.period_of(self.version, "a").period_id)

    def kinds(self) -> list[str]:
        return list(AutonomyEvent.objects.order_by("pk").values_list("kind", flat=True))


@pytest.fixture
def scope(world: World) -> Scope:
    return Scope(world, world.make_project("earned", policy=ON, simulation=True))


def climbed(scope: Scope) -> Scope:
    scope.come(each=100)
    scope.look()
    return scope


def test_clean_evidence_is_followed_by_the_next_prediction(scope: Scope) -> None:
    epoch = Project.objects.get(pk=scope.project.pk).routing_epoch
    assert scope.period.high > 1
    state = climbed(scope).state
    assert state.level > 5
    assert scope.period.level == state.level
    assert scope.period.high == pytest.approx(read_certificates(scope.project)[0].as_json()["cut_off"])
    assert Project.objects.get(pk=scope.project.pk).routing_epoch == epoch + 1
    api = scope.world.api("otto", at=scope.project)
    assert api.predict(a_row(confidence=0.999, model_version="1")).expect(201)["route"] == "auto"
    stored = Prediction.objects.latest("pk")
    assert (stored.period_id, stored.audit_probability) == (scope.period.pk, scope.period.audit_rate)
    assert stored.audit_probability > 0
    assert scope.kinds() == ["epoch", "levels", "certified", "up"]
    up = AutonomyEvent.objects.get(kind="up")
    assert up.period_id == scope.period.pk
    assert up.numbers["alpha"] == 0.02
    assert up.numbers["labelled"] == 5000
    assert max(up.numbers["log_e"]) > 3.2
    (certificate,) = read_certificates(scope.project)
    assert certificate.upper < 0.02, "what is certified is said to be under the limit"


def test_a_look_that_is_repeated_adds_nothing(scope: Scope) -> None:
    climbed(scope)
    state, periods = scope.row.state, PolicyPeriod.objects.count()
    for _ in range(3):
        look_at_project(scope.project.pk, now=scope.now)
    assert scope.row.state == state
    assert PolicyPeriod.objects.count() == periods


def test_without_known_reviewers_nothing_is_earned(world: World) -> None:
    project = world.make_project("unknown", policy={**ON, "assumed_false_accept": None}, simulation=True)
    scope = climbed(Scope(world, project))
    assert (scope.state.level, scope.state.certified) == (0, 0)
    assert main_certificate(read_certificates(project)).step.needs == "sentinels"


def test_errors_among_automatic_results_step_everything_back(scope: Scope) -> None:
    climbed(scope)
    before = scope.row.evidence_from
    scope.come(HIGH, each=200, wrong=dict.fromkeys(HIGH, 20))
    state = scope.look()
    assert (state.level, state.epoch, state.levels) == (0, 2, ())
    assert state.cool_down_left == 1000
    assert scope.period.high > 1
    assert scope.row.evidence_from > before
    alarm = AutonomyEvent.objects.get(kind="alarm")
    assert alarm.numbers["shiryaev_roberts"] < alarm.numbers["threshold"], (
        "as it stood before the last audits"
    )
    assert alarm.numbers["last_wrong"] > 10
    assert Alert.objects.get(closed_at=None).kind == "trust_alarm"
    api = scope.world.api("otto", at=scope.project)
    assert api.predict(a_row(confidence=0.999, model_version="1")).expect(201)["route"] == "review"

    scope.come(each=10)  # 500 in the cool-down: none of them counts
    assert scope.look().cool_down_left < 1000
    scope.come(each=20)
    assert (scope.look().cool_down_left, scope.state.levels) == (0, ())
    assert "cool_down_over" in scope.kinds()
    scope.come(each=100)
    assert scope.look().level > 5, "clean traffic earns it again"
    assert not Alert.objects.filter(closed_at=None).exists()
    assert scope.state.epoch == 2
    assert read_certificates(scope.project)[0].as_json()["levels"][0]["evidence"] == 1


def test_counts_of_the_old_epoch_never_come_back(scope: Scope) -> None:
    climbed(scope)
    scope.come(HIGH, each=200, wrong=dict.fromkeys(HIGH, 20))
    scope.look()
    scope.come(each=30)
    scope.look()
    scope.look()
    assert sum(scope.row.arrived) == 0
    assert scope.state.seen == (0,) * 58


def test_a_new_model_version_begins_a_new_epoch_at_level_0(scope: Scope) -> None:
    climbed(scope)
    other = Scope(scope.world, scope.project, version="2")
    other.now = scope.now
    fold_deltas()
    assert other.look().epoch == 2
    assert (other.state.level, scope.state.level > 0) == (0, True)
    assert other.period.high > 1
    assert scope.period.level == scope.state.level


def test_a_new_label_schema_begins_a_new_epoch(scope: Scope) -> None:
    climbed(scope)
    api = scope.world.api("otto", at=scope.project)
    api.patch(f"/projects/{scope.project.slug}/", {"label_schema": {"labels": ["a", "b", "c", "d"]}}).expect(
        200
    )
    assert (scope.look().level, scope.state.epoch) == (0, 2)
    assert scope.period.high > 1


class TestPolicies:
    def test_a_policy_that_promises_the_same_keeps_what_was_earned(self, scope: Scope) -> None:
        climbed(scope)
        level, high = scope.state.level, scope.period.high
        scope.world.api("otto", at=scope.project).put("/projects/earned/policy/", {**ON, "low": 0.01}).expect(
            200
        )
        assert (scope.period.level, scope.period.high, scope.period.policy_number) == (level, high, 2)
        assert scope.look().level == level

    def test_a_stricter_one_is_weighed_anew_before_it_lets_anything_through(self, scope: Scope) -> None:
        climbed(scope)
        level = scope.state.level
        api = scope.world.api("otto", at=scope.project)
        api.put("/projects/earned/policy/", {**ON, "alpha": 0.0015}).expect(200)
        assert scope.period.high > 1
        assert scope.look().level < level

    def test_off_shows_the_certificate_and_rules_by_the_threshold(self, world: World) -> None:
        policy = {**ON, "autonomy": "off", "high": 0.9, "audit_rate": 0.5}
        scope = climbed(Scope(world, world.make_project("off", policy=policy, simulation=True)))
        assert (scope.state.level, scope.state.certified > 3) == (0, True)
        assert scope.period.high == 0.9
        certificate = read_certificates(scope.project)[0].as_json()
        assert certificate["auto_error_upper"] < 0.02
        assert certificate["next_step"]["needs"] == "switch_on"

    def test_suggest_waits_for_a_person(self, world: World) -> None:
        scope = climbed(
            Scope(world, world.make_project("asks", policy={**ON, "autonomy": "suggest"}, simulation=True))
        )
        proposed = scope.state.proposed
        assert (scope.state.level, scope.period.high > 1) == (0, True)
        with pytest.raises(ConflictError, match="above"):
            accept_level(scope.project, level=proposed + 1, by=world.lea.actor)
        accept_level(scope.project, level=proposed, by=world.lea.actor)
        assert (scope.state.level, scope.period.level) == (proposed, proposed)
        scope.come(each=10)
        assert scope.look().level == proposed
        assert AutonomyEvent.objects.get(kind="accepted").by == world.lea.user

    def test_a_label_with_a_limit_of_its_own_is_a_scope_of_its_own(self, world: World) -> None:
        project = world.make_project("rare", policy={**ON, "alpha_by_label": {"a": 0.002}}, simulation=True)
        scope = Scope(world, project)
        scope.come(each=30)
        look_at_project(project.pk, now=scope.now)
        groups = {s.label_group: state_of(s) for s in AutonomyScope.objects.all()}
        assert set(groups) == {"", "a"}
        assert sum(groups["a"].seen) == 1501
        assert (sum(groups[""].seen), groups["a"].level) == (0, 0), "1,500 labels are too few for 0.2 %"


class TestPeople:
    def test_the_kill_switch_rules_at_once_and_until_it_is_taken_back(self, scope: Scope) -> None:
        climbed(scope)
        level = scope.state.level
        stop_automatic(scope.project, reason="fraud was applied unseen", by=scope.world.lea.actor)
        api = scope.world.api("otto", at=scope.project)
        assert api.predict(a_row(confidence=0.999, model_version="1")).expect(201)["route"] == "review"
        assert scope.look().level == 0
        api.put("/projects/earned/policy/", {**ON, "autonomy": "off"}).expect(200)
        assert api.predict(a_row(confidence=0.999, model_version="1")).expect(201)["route"] == "review", (
            "a stop outlives every policy"
        )
        api.put("/projects/earned/policy/", ON).expect(200)
        resume_automatic(scope.project, by=scope.world.lea.actor, reason="mended")
        assert scope.look().level == level
        assert {"stopped", "resumed"} <= set(scope.kinds())
        assert HistoryEvent.objects.filter(action__startswith="autonomy.").count() == 2

    def test_one_model_version_may_be_stopped(self, scope: Scope) -> None:
        climbed(scope)
        other = Scope(scope.world, scope.project, version="2")
        scope.world.api("otto", at=scope.project).put(
            "/projects/earned/policy/", {**ON, "autonomy": "off", "high": 0.9}
        ).expect(200)
        stop_automatic(
            scope.project, reason="this one", by=scope.world.lea.actor, version=scope.row.model_version
        )
        api = scope.world.api("otto", at=scope.project)
        routes = [
            api.predict(a_row(confidence=0.999, model_version=v)).expect(201)["route"] for v in ("1", "2")
        ]
        assert routes == ["review", "auto"]
        assert other.period.high == 0.9
        resume_automatic(scope.project, by=scope.world.lea.actor, version=scope.row.model_version)
        assert api.predict(a_row(confidence=0.999, model_version="1")).expect(201)["route"] == "auto"

    def test_they_lower_and_stay_obeyed_but_cannot_raise(self, scope: Scope) -> None:
        climbed(scope)
        level = scope.state.level
        with pytest.raises(ConflictError, match="above what is certified"):
            lower_level(scope.project, level=99, reason="more", by=scope.world.lea.actor)
        lower_level(scope.project, level=1, reason="wary", by=scope.world.lea.actor)
        assert (scope.state.level, scope.period.level) == (1, 1)
        scope.come(each=20)
        assert scope.look().level == 1
        resume_automatic(scope.project, by=scope.world.lea.actor)
        assert scope.look().level == level


def test_a_bad_segment_goes_back_to_review(scope: Scope) -> None:
    climbed(scope)
    # So many that no order of the sixteen wrong ones raises the alarm of the whole scope: with 2,000 each, one in forty did.
    scope.come(HIGH, each=100_000, segment="north")
    scope.come(range(50, 58), each=400, wrong=dict.fromkeys(range(50, 58), 2), segment="south")
    state = scope.look()
    assert (state.level > 0, scope.row.forced_segments) == (True, ["south"])
    api = scope.world.api("otto", at=scope.project)
    routes = {
        segment: api.predict(a_row(confidence=0.9999, model_version="1", segment=segment)).expect(201)[
            "route"
        ]
        for segment in ("north", "south")
    }
    assert routes == {"north": "auto", "south": "review"}
    event = AutonomyEvent.objects.get(kind="segment")
    assert event.numbers["segment"] == "south"


def test_changed_confidences_raise_audits_and_nothing_else(scope: Scope) -> None:
    climbed(scope)
    scope.come(HIGH, each=2)
    level = scope.look().level
    quiet = scope.state.audit_wanted
    scope.come(range(30, 35), each=300)
    state = scope.look()
    assert AutonomyEvent.objects.filter(kind="drift").exists()
    assert (state.level, state.epoch) == (level, 1)
    assert (quiet, state.audit_wanted) == (0.05, 0.2)


def test_changed_labels_raise_audits_and_nothing_else(scope: Scope) -> None:
    scope.come(each=50)
    scope.come(each=50, label="b")
    scope.look()
    level = scope.look().level
    scope.come(each=25)
    scope.come(each=25, label="b")
    assert not scope.look().warned_until, "the same mixture"
    scope.come(each=45, label="b")
    state = scope.look()
    (event,) = AutonomyEvent.objects.filter(kind="drift")
    assert event.numbers["signal"] == "labels"
    assert event.numbers["effect"] > 0.2
    assert (state.level, state.epoch, state.audit_wanted) == (level, 1, 0.2)
    assert Alert.objects.filter(detail__contains="redicted labels").exists()


def test_changed_calibration_raises_audits_and_nothing_else(scope: Scope) -> None:
    scope.come(each=100, wrong=dict.fromkeys(LOW, 30))
    scope.look()
    level = scope.look().level
    scope.come(each=60)
    state = scope.look()
    signals = {event.numbers["signal"]: event.numbers for event in AutonomyEvent.objects.filter(kind="drift")}
    assert signals["calibration"]["effect"] > 0.1
    assert set(signals) == {"calibration"}
    assert (level > 0, state.level, state.epoch, state.audit_wanted) == (True, level, 1, 0.2)


def test_audits_in_peoples_hands_hold_up_nothing_and_those_left_open_do(scope: Scope) -> None:
    climbed(scope)
    api = scope.world.api("otto", at=scope.project)
    while ReviewTask.objects.filter(purpose="audit").count() < LEAST_AUDITS_PER_DAY:
        api.predict([a_row(confidence=0.9999, model_version="1") for _ in range(20)]).expect(200)
    due = ReviewTask.objects.filter(purpose="audit").count()
    fold_deltas()

    def share_open(after: timedelta) -> float:
        now = timezone.now() + after
        return read_counts(scope.project.pk, scope.version, "", since=0, now=now).open_audits()

    assert share_open(timedelta(0)) == (due - LEAST_AUDITS_PER_DAY) / due < 0.5
    assert share_open(timedelta(days=1, minutes=1)) == 1.0


def test_audits_that_nobody_answers_are_errors_after_seven_days(scope: Scope) -> None:
    climbed(scope)
    api = scope.world.api("otto", at=scope.project)
    api.predict([a_row(confidence=0.9999, model_version="1") for _ in range(500)]).expect(200)
    due = ReviewTask.objects.filter(purpose="audit").count()
    assert due >= 3
    scope.now = timezone.now()
    scope.look()
    assert read_certificates(scope.project)[0].audited == 0
    look_at_project(scope.project.pk, now=timezone.now() + timedelta(days=8))
    certificate = read_certificates(scope.project, now=timezone.now() + timedelta(days=8))
    assert scope.state.epoch == 2 or certificate[0].audited_wrong == due


def test_only_what_has_changed_is_looked_at_again(scope: Scope) -> None:
    noon = scope.now
    scope.come(each=1)
    assert look_at_projects(noon) == 1
    assert look_at_projects(noon) == 1, "the scope was made by the first look"
    assert look_at_projects(noon) == 0
    scope.come(each=1)
    assert look_at_projects(noon) == 1
    assert look_at_projects(noon + timedelta(minutes=11)) == 1


def test_a_correction_that_decides_about_the_next_level_is_settled_by_a_second_person(world: World) -> None:
    project = world.make_project("candidates", policy={**ON, "autonomy": "suggest"}, simulation=True)
    climbed(Scope(world, project))
    api, rita, rolf = (world.api(name, at=project) for name in ("otto", "rita", "rolf"))
    for confidence, asked in ((0.9999, True), (0.02, False)):
        sent = api.predict(a_row(confidence=confidence, model_version="1")).expect(201)
        task = next(t for t in rita.claim(9) if t["confidence"] == confidence)
        rita.decide(task, "corrected", {"label": "b"}).expect(201)
        stored = Prediction.objects.get(pk=sent["prediction_id"])
        settling = ReviewTask.objects.filter(prediction_id=stored.pk, purpose="adjudication")
        assert settling.exists() == asked
    assert len(api.outcomes()) == 2, "the reviewer's label counts meanwhile"
    (task,) = [t for t in rolf.claim(9) if t["kind"] == "adjudication"]
    rolf.decide(task, "labelled", {"label": "a"}).expect(201)
    assert api.outcomes()[-1]["output"] == {"label": "a"}


def test_a_project_that_cannot_be_looked_at_holds_up_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = world.make_project("aaa")
    for project in (broken, world.letters):
        world.api("otto", at=project).predict(a_row()).expect(201)
    fold_deltas()
    looked = []

    def look(project_id: int, **_: object) -> None:
        if project_id == broken.pk:
            raise ZeroDivisionError
        looked.append(project_id)

    monkeypatch.setattr("labeling.trust.looking.look_at_project", look)
    assert look_at_projects() == 1
    assert looked == [world.letters.pk]

"""What the counts say of `low`: read from few rows, since it was last changed, shown to leads as a draft and saved by nobody else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from labeling.errors import Sentence
from labeling.pipeline import placing
from labeling.projects.models import Project
from labeling.routing.models import PolicyVersion
from labeling.routing.policy import DEFAULTS
from labeling.templatetags.interface import THIN_SPACE
from labeling.trust.buckets import bucket_edges, bucket_of
from labeling.trust.low import DAYS, ProposedLow, read_proposed_low
from labeling.trust.services import fold_deltas
from tests.trust.history import T0, History
from tests.web.reading import words_of
from tests.world import World, a_row

pytestmark = pytest.mark.django_db

AT = bucket_of(0.7)
BELOW, TOP = bucket_edges(AT)
BAD = {"total": 100, "review": 100, "confirmed": 10, "corrected": 90}
BLIND = {"total": 100, "fallback": 100, "fallback_manual": 100, "shadow_done": 100, "shadow_err": 10}
DAY = timedelta(days=1)


@pytest.fixture
def history() -> History:
    history = History()
    put_policy(history)
    return history


def put_policy(history: History, **changes: Any) -> None:
    """The next version of the policy, in force."""
    number = history.project.policy_number + 1
    PolicyVersion.objects.create(project=history.project, number=number, body={**DEFAULTS, **changes})
    history.project.policy_number = number
    history.project.save(update_fields=["policy_number"])


def proposed(history: History) -> ProposedLow | None:
    fold_deltas()
    return read_proposed_low(history.project)


def test_raised_with_what_it_would_move(history: History) -> None:
    history.count(confidence=0.71, **BAD)
    history.count(confidence=0.71, at=T0 + DAY, total=20, review=20)
    history.count(confidence=0.99, total=120, auto=120)
    found = proposed(history)
    assert found is not None
    assert (found.proposal.raises, found.proposal.low) == (True, TOP)
    assert (found.rate.n, found.rate.count, found.rate.value) == (100, 10, 0.1)
    assert (found.moved, found.total, found.days) == (120, 240, 2)
    assert (found.share, found.per_day) == (0.5, 60.0)
    assert found.model_version == str(history.version)


def test_lowered_by_what_people_labelled_without_a_suggestion(history: History) -> None:
    history.count(confidence=0.69, **BLIND)
    history.count(confidence=0.8, total=100, review=100, confirmed=90, corrected=10)
    found = proposed(history)
    assert found is not None
    assert (found.proposal.raises, found.proposal.low) == (False, BELOW)
    assert (found.rate.n, found.rate.count) == (100, 90)
    assert found.share == 0.5


def test_nothing_is_proposed_without_evidence(history: History) -> None:
    assert proposed(history) is None
    history.count(confidence=0.71, total=100, review=100, confirmed=1, corrected=2)
    assert proposed(history) is None


def test_only_what_came_since_low_was_changed_is_evidence(history: History) -> None:
    history.count(confidence=0.71, **BAD)
    history.open_period(at=T0 + DAY, low=0.6)
    put_policy(history, low=0.6)
    assert proposed(history) is None, "labels from under another threshold"
    history.count(confidence=0.61, at=T0 + DAY, **BAD)
    history.open_period(at=T0 + 2 * DAY, low=0.6, high=0.9)
    history.count(confidence=0.61, at=T0 + 2 * DAY, **BAD)
    found = proposed(history)
    assert found is not None
    assert found.rate.n == 200, "another period with the same low goes on"
    history.open_period(at=T0 + 3 * DAY, low=0.7)
    put_policy(history, low=0.7)
    assert proposed(history) is None, "back at the old one, nothing old comes back"


def test_it_is_about_the_version_with_most_traffic(history: History) -> None:
    history.count(confidence=0.71, **BAD)
    newer = history.model("reader", "2")
    history.count(confidence=0.71, version=newer, total=900, review=900, confirmed=80, corrected=20)
    assert proposed(history) is None
    history.count(confidence=0.71, at=T0 + (DAYS + 1) * DAY, total=50, review=50)
    found = proposed(history)
    assert found is not None, "the newer one is no longer in use"
    assert (found.moved, found.total, found.days) == (50, 50, 1), "traffic is that of the last weeks"


def test_few_statements_whatever_the_days(history: History) -> None:
    statements = []
    for days in (1, 20):
        for day in range(days):
            history.count(confidence=0.71, at=T0 + day * DAY, **BAD)
        fold_deltas()
        with CaptureQueriesContext(connection) as seen:
            assert read_proposed_low(history.project)
        statements.append(len(seen))
    assert statements == [4, 4]


def test_the_population_is_told_in_words(history: History) -> None:
    history.count(confidence=0.71, **BAD)
    found = proposed(history)
    assert found is not None
    assert found.rate.population == "reviewed predictions of a confidence from 0.7 to 0.7311"
    assert not isinstance(found.rate.population, Sentence), "a plain text, as of every other rate"


# --- where a lead decides ----------------------------------------------------------------------------------------

POLICY = {"low": 0.5, "high": 0.95, "sentinel_rate": 0}


@pytest.fixture
def notes(world: World) -> Project:
    """A project in which people have corrected forty suggestions just above `low`."""
    notes = world.make_project("notes", policy=POLICY)
    world.api("otto", at=notes).predict([a_row(confidence=0.55) for _ in range(40)]).expect(200)
    rita = world.api("rita", at=notes)
    for _ in range(40):
        rita.decide(rita.claim_one(), "corrected", {"label": "b"}).expect(201)
    return notes


def read(world: World, name: str, path: str) -> Any:
    client = Client()
    client.force_login(world.person(name).user)
    return client.get(f"/projects/notes/{path}")


def test_leads_are_told_and_offered_a_draft(world: World, notes: Project) -> None:
    top = bucket_edges(bucket_of(0.5))[1]
    for path in ("policy/", "autonomy/"):
        answer = read(world, "lea", path)
        text = words_of(answer)
        assert "Of 40 suggestions" in text
        assert "people left 0 unchanged" in text
        assert "100.0 % of the traffic, about 40 a day" in text.replace(THIN_SPACE, " ")
        assert f"/projects/notes/policy/?low={top:.12g}" in answer.content.decode()
    for path in ("policy/", "autonomy/"):
        assert "Of 40 suggestions" not in words_of(read(world, "vic", path)), "only who decides is asked"


def test_the_draft_has_that_low_and_nothing_is_saved(world: World, notes: Project) -> None:
    page = read(world, "lea", "policy/?low=0.5621765009").content.decode()
    assert 'value="0.5621765009"' in page
    assert "Low from 0.50 to 0.5621765009" in page
    notes.refresh_from_db()
    assert notes.policy_number == 1
    for wrong in ("7", "-1", "nan", "high", "", "0.5"):
        page = read(world, "lea", f"policy/?low={wrong}").content.decode()
        assert 'value="0.50"' in page
        assert "Low from" not in page


def test_where_the_fallback_answers_by_itself_it_says_who_will_still_look(world: World) -> None:
    constant = {"mode": "constant", "output": {"label": "c"}}
    notes = world.make_project("notes", policy={**POLICY, "fallback": constant})
    world.api("otto", at=notes).predict([a_row(confidence=0.55) for _ in range(20)]).expect(200)
    rita = world.api("rita", at=notes)
    for _ in range(20):
        rita.decide(rita.claim_one(), "corrected", {"label": "b"}).expect(201)
    assert "people go on labelling 5 %, drawn at random" in words_of(read(world, "lea", "policy/"))


def test_what_was_drawn_of_a_constants_answers_brings_the_band_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "SHADOW_RATE", 0.5)
    constant = {"mode": "constant", "output": {"label": "c"}}
    notes = world.make_project("notes", policy={**POLICY, "low": 0.9, "fallback": constant})
    world.api("otto", at=notes).predict([a_row(confidence=0.89) for _ in range(80)]).expect(200)
    rita = world.api("rita", at=notes)
    drawn = rita.claim(50) + rita.claim(50)
    assert 15 < len(drawn) < 65
    for task in drawn:
        rita.decide(task, "labelled", {"label": "a"}).expect(201)
    text = words_of(read(world, "lea", "policy/"))
    assert f"that people labelled without seeing them, {len(drawn)} were right" in text
    assert "80 a day" in text, "all of them would be reviewed, not only what was drawn"


def test_suggestions_that_would_save_work_are_offered_again(world: World) -> None:
    notes = world.make_project("notes", policy={**POLICY, "low": 0.9})
    world.api("otto", at=notes).predict([a_row(confidence=0.89) for _ in range(20)]).expect(200)
    rita = world.api("rita", at=notes)
    for _ in range(20):
        rita.decide(rita.claim_one(), "labelled", {"label": "a"}).expect(201)
    answer = read(world, "lea", "policy/")
    assert "that people labelled without seeing them, 20 were right" in words_of(answer)
    assert f"?low={bucket_edges(bucket_of(0.89))[0]:.12g}" in answer.content.decode()


def test_the_api_tells_it_beside_autonomy(world: World, notes: Project) -> None:
    body = world.api("otto").get("/projects/notes/trust/").expect(200)
    found = body["autonomy"]["proposed_low"]
    assert (found["direction"], found["low"]) == ("raise", 0.5)
    assert found["proposed"] == bucket_edges(bucket_of(0.5))[1]
    assert (found["rate"]["n"], found["rate"]["count"]) == (40, 0)
    assert found["rate"]["high"] < 0.5
    assert (found["share"], found["per_day"]) == (1.0, 40.0)
    other = world.api("otto").get(f"/projects/{world.letters.slug}/trust/").expect(200)
    assert other["autonomy"]["proposed_low"] is None

"""The autonomy page: the certificate with what it rests on, the ladder, the log, and taking it back."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from labeling.projects.models import Project
from labeling.routing.models import Stop
from labeling.templatetags.interface import THIN_SPACE, thin
from labeling.trust.models import AutonomyScope
from labeling.trust.prospects import first_step_answers
from labeling.trust.steering import stop_automatic
from tests.trust.test_controlling import ON, Scope, climbed
from tests.web.reading import words_of
from tests.world import World, a_row


@pytest.fixture
def earned(world: World) -> Scope:
    project = world.make_project("earned", policy=ON, simulation=True)
    scope = climbed(Scope(world, project))
    scope.come(each=60)
    scope.look()
    return scope


def page(world: World, name: str, slug: str = "earned", path: str = "", **post: Any) -> Any:
    client = Client()
    client.force_login(world.person(name).user)
    address = f"/projects/{slug}/autonomy/{path}"
    return client.post(address, post, follow=True) if post else client.get(address)


def test_the_certificate_says_what_is_promised_and_what_is_not(world: World, earned: Scope) -> None:
    text = words_of(page(world, "vic"))
    assert "wrong among automatic results." in text
    assert "True at every look with 95" in text
    assert "What this does not cover" in text
    assert "assumed, not measured" in text
    assert "Reachable with this model: about 100" in text
    assert "certified" in text
    assert "is certified" in text
    assert "limit after what reviewers let pass" in text, "every event opens into its numbers"
    assert "Stop automatic results" not in text, "only leads take it back"


def test_a_lead_lowers_stops_and_resumes(world: World, earned: Scope) -> None:
    text = words_of(page(world, "lea"))
    assert "Stop automatic results" in text
    level = earned.state.level
    text = words_of(page(world, "lea", path="lower/", level="2", reason="wary"))
    assert "Lowered to level 2" in text
    assert earned.state.level == 2
    assert "above what is certified" in words_of(page(world, "lea", path="lower/", level="99", reason="more"))
    assert "Stopped" in words_of(page(world, "lea", path="stop/", reason="fraud"))
    assert earned.period.high > 1
    text = words_of(page(world, "lea"))
    assert "Stopped by lea" in text
    assert "Automatic results are stopped" in text, "on every page of the project"
    page(world, "lea", path="resume/", reason="mended")
    assert not Stop.objects.filter(ended_at=None).exists()
    assert earned.state.level in (0, level)
    assert page(world, "rita", path="stop/", reason="x").status_code == 403
    assert page(world, "nora", path="stop/", reason="x").status_code == 404


def test_stopping_with_a_recall_says_how_many(world: World) -> None:
    world.api("otto").predict([a_row(confidence=0.99) for _ in range(3)]).expect(200)
    assert "in the last 1 h: 3 results" in words_of(page(world, "lea", "letters"))
    text = words_of(page(world, "lea", "letters", "stop/", reason="wrong", recall="1"))
    assert "3 were put back into review" in text


def test_without_a_reason_nothing_is_stopped(world: World) -> None:
    page(world, "lea", world.letters.slug, "stop/", reason=" ")
    assert not Stop.objects.exists()


def test_a_proposal_is_accepted_with_a_click(world: World) -> None:
    project = world.make_project("asks", policy={**ON, "autonomy": "suggest"}, simulation=True)
    scope = climbed(Scope(world, project))
    proposed = str(scope.state.proposed)
    assert f"Accept level {proposed}" in words_of(page(world, "lea", "asks"))
    assert f"Accept level {proposed}" not in words_of(page(world, "vic", "asks"))
    page(world, "lea", "asks", "accept/", level=proposed)
    assert scope.state.level == int(proposed)


def test_a_project_that_has_just_begun_says_what_would_be_here(world: World) -> None:
    text = words_of(page(world, "lea", world.letters.slug))
    assert "Nothing has come in yet." in text
    assert "Off: people set the threshold" in text


def test_a_stop_of_one_version_names_it(world: World, earned: Scope) -> None:
    stop_automatic(
        Project.objects.get(pk=earned.project.pk),
        reason="drifts",
        by=world.lea.actor,
        version=earned.row.model_version,
    )
    assert "reader 1 was stopped by lea" in words_of(page(world, "lea"))


def test_a_small_limit_says_how_many_answers_it_takes(world: World) -> None:
    """Detecting 0.2 % takes thousands of labels: nobody shall wait without knowing."""
    policy = ON | {"alpha_by_label": {"a": 0.002}}
    project = world.make_project("rare", policy=policy, simulation=True)
    scope = Scope(world, project)
    scope.look()
    text = words_of(page(world, "vic", slug="rare"))
    assert "takes some 442 answers at a limit of 2 %" in text, "of all other labels"
    own = AutonomyScope.objects.get(project=project, label_group="a")
    text = words_of(page(world, "vic", slug="rare", path=f"?scope={own.pk}"))
    computed = thin(first_step_answers(0.002, 0.05)).replace(THIN_SPACE, " ")
    assert f"takes some {computed} answers at a limit of 0.2 %" in text
    assert "How many are missed" in text

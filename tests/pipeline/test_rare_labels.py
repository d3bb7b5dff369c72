"""A limit under which every case of a rare label could be missed is refused, once people's answers tell how rare it is."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from labeling.pipeline import policies
from labeling.pipeline.policies import label_shares
from tests.world import QUIET, World, a_row

EARNED = {**QUIET, "autonomy": "on", "audit_rate": 0.05}


@pytest.fixture
def one_in_five(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Twenty answers, four of them b; as few as that are enough here."""
    monkeypatch.setattr(policies, "_LEAST_LABELS", 20)
    world.api("otto").predict([a_row() for _ in range(20)]).expect(200)
    rita = world.api("rita")
    for number, task in enumerate(rita.claim(20)):
        if number % 5 == 0:
            rita.decide(task, "corrected", {"label": "b"}).expect(201)
        else:
            rita.decide(task, "confirmed").expect(201)
    return world


def shares(world: World) -> Mapping[str, float]:
    return {label: round(share, 3) for label, share in label_shares(world.letters).items()}


def test_shares_are_those_of_what_people_said(one_in_five: World) -> None:
    assert shares(one_in_five) == {"a": 0.8, "b": 0.2}


def test_a_limit_as_wide_as_a_label_is_rare_is_refused_with_its_remedy(one_in_five: World) -> None:
    otto = one_in_five.api("otto")
    problem = otto.put("/projects/letters/policy/", {**EARNED, "alpha": 0.25}).expect_problem(
        422, "rare_label_unprotected"
    )
    assert problem["errors"][0]["pointer"] == "/alpha"
    assert "'b' is 20.0%" in problem["detail"]
    otto.put("/projects/letters/policy/", {**EARNED, "alpha": 0.25, "alpha_by_label": {"a": 0.1}}).expect(200)


@pytest.mark.parametrize(
    "harmless", [{"alpha": 0.1}, {"alpha": 0.25, "autonomy": "off"}], ids=["a smaller limit", "autonomy off"]
)
def test_control_what_protects_it_passes(one_in_five: World, harmless: dict[str, object]) -> None:
    one_in_five.api("otto").put("/projects/letters/policy/", {**EARNED, **harmless}).expect(200)


def test_before_anything_is_known_nothing_is_refused(world: World) -> None:
    assert shares(world) == {}
    world.api("otto").put("/projects/letters/policy/", {**EARNED, "alpha": 0.25}).expect(200)

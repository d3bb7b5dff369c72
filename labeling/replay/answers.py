"""What a replayed person answers to a task: the truth, or now and then a mistake. Pure.

With a suggestion there are two ways to err: to let a wrong one pass (false accept) and to change a right one
(false correct). Without one there is nothing to accept, so only the second applies: a wrong answer.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from labeling.decisions.diffing import core_output, equal
from labeling.decisions.slips import another_output
from labeling.replay.mapping import Json, Truth


@dataclass(frozen=True, slots=True)
class Habits:
    """How the people of a replay work."""

    false_accept: float = 0.0
    false_correct: float = 0.0
    lenient: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision to post; `output` is empty for a confirmation."""

    verdict: str
    output: Json | None = None


def answer_task(
    *, task_type: str, task: Json, truth: Truth, labels: Sequence[str], habits: Habits, rng: random.Random
) -> Verdict:
    """The verdict on one claimed task."""
    if task["prediction"] is None or task["kind"] != "review":
        return Verdict("labelled", _labelled(task_type, task, truth, labels, habits, rng))
    suggested = core_output(task_type, task["prediction"])
    if _is_right(task_type, suggested, truth, habits):
        if rng.random() < habits.false_correct:
            slip = another_output(task_type, suggested, labels, rng)
            if slip is not None:
                return Verdict("corrected", slip)
        return Verdict("confirmed")
    if rng.random() < habits.false_accept:
        return Verdict("confirmed")
    return Verdict("corrected", truth.output)


def _is_right(task_type: str, suggested: Json, truth: Truth, habits: Habits) -> bool:
    if equal(task_type, suggested, truth.output):
        return True
    return habits.lenient and suggested.get("label") in truth.also_acceptable


def _labelled(
    task_type: str, task: Json, truth: Truth, labels: Sequence[str], habits: Habits, rng: random.Random
) -> Json:
    if rng.random() >= habits.false_correct:
        return truth.output
    return (
        _wrong_choice(task_type, task, truth, rng)
        or another_output(task_type, truth.output, labels, rng)
        or truth.output
    )


def _wrong_choice(task_type: str, task: Json, truth: Truth, rng: random.Random) -> Json | None:
    """Who settles a disagreement and errs, sides with one of the two wrongly."""
    answers = [
        core_output(task_type, answer["output"]) for answer in task.get("answers") or () if answer["output"]
    ]
    wrong = [answer for answer in answers if not equal(task_type, answer, truth.output)]
    return rng.choice(wrong) if wrong else None

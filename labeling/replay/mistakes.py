"""How the replayed people and models err. Pure and seeded."""

import random
from collections.abc import Sequence

from labeling.decisions.slips import another_output, swapped, with_extras
from labeling.replay.mapping import Json

DEGRADED_ABOVE = 0.95


def seeded(*parts: object) -> random.Random:
    """A generator of its own for one event, so that the order of threads changes nothing."""
    return random.Random("\x1f".join(str(part) for part in parts))


def degraded(row: Json, task_type: str, labels: Sequence[str], share: float, seed: int) -> Json:
    """The row as a model that has become worse would send it: `share` of its confident predictions say something else."""
    rng = seeded(seed, "degrade", row["id"])
    if row["confidence"] <= DEGRADED_ABOVE or rng.random() >= share:
        return row
    other = another_output(task_type, row["prediction"], labels, rng)
    if other is None:
        return row
    worse = row | {"prediction": with_extras(row["prediction"], other)}
    if task_type == "classification" and "probabilities" in row:
        worse["probabilities"] = swapped(row["probabilities"], row["prediction"]["label"], other["label"])
    return worse

"""What the pipeline leaves in deltas equals a recount of the rows it wrote: over HTTP, with everything people can do."""

import random

import pytest

from labeling.trust.models import TrustDay
from labeling.trust.services import compare_rollups, fold_deltas
from tests.world import a_row, world  # noqa: F401

pytestmark = pytest.mark.django_db

POLICY = {"audit_rate": 0.5, "sentinel_rate": 0}


def live(world, project, chance, *, rounds):  # noqa: F811
    otto, workers = (
        world.api("otto", at=project),
        [world.api(name, at=project) for name in ("rita", "rolf", "lea")],
    )
    rows = []
    for _ in range(rounds):
        batch = [
            a_row(
                confidence=chance.choice([0.1, 0.5, 0.7, 0.8, 0.94, 0.95, 0.99]),
                segment=chance.choice([None, "north", "other"]),
                prediction={"label": chance.choice("abc")},
            )
            for _ in range(6)
        ]
        rows += batch
        again = chance.choice(rows)
        further = {**chance.choice(rows), "model_version": "2", "confidence": chance.choice([0.2, 0.8, 0.99])}
        otto.predict([*batch, again, further]).expect(200)
        otto.predict(a_row(confidence=0.99)).expect(201)
        for worker in workers:
            work(worker, chance)


def work(worker, chance):
    queue = {"queue": "leads"} if worker is not None and chance.random() < 0.2 else {}
    reply = worker.post(worker.below("tasks/claim/"), {"count": 3, **queue})
    for task in reply.body.get("tasks", []):
        if chance.random() < 0.1:
            worker.on_task(task, "skip")
            continue
        if task["kind"] == "review":
            verdict = chance.choice(["confirmed", "confirmed", "corrected", "rejected", "escalated"])
        else:
            verdict = chance.choice(["labelled", "labelled", "rejected", "escalated"])
        label = chance.choice("abc")
        if verdict == "corrected":
            label = next(other for other in "abc" if other != task["prediction"]["label"])
        output = {"output": {"label": label}} if verdict in ("corrected", "labelled") else {}
        body = {"token": task["token"], "verdict": verdict, "seconds": chance.random() * 9, **output}
        decided = worker.post(f"/tasks/{task['task']}/decision/", body).expect(201)
        if chance.random() < 0.25:
            worker.undo(decided["decision"])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow
def test_deltas_of_the_pipeline_equal_a_recount(world, seed):  # noqa: F811
    fallback = {} if seed else {"fallback": {"mode": "constant", "output": {"label": "c"}}}
    project = world.make_project("counted", policy=POLICY | fallback, time_zone="Asia/Kolkata")
    chance = random.Random(seed)
    live(world, project, chance, rounds=4)
    assert compare_rollups(project) == []
    fold_deltas(batch=7)
    live(world, project, chance, rounds=2)
    assert compare_rollups(project) == []
    fold_deltas()
    assert compare_rollups(project) == []
    sums = {
        name: sum(TrustDay.objects.values_list(name, flat=True))
        for name in ("total", "auto", "review", "fallback")
    }
    assert sums["total"] == sums["auto"] + sums["review"] + sums["fallback"] > 40
    now = world.api("otto", at=project).get("/projects/counted/trust/").expect(200)["now"]
    assert {name: now[f"{name}_rate"]["count"] for name in ("review", "fallback")} == {
        "review": sums["review"],
        "fallback": sums["fallback"],
    }

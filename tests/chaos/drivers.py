"""The load: programs that use the public API and note every answer. `python -m tests.chaos.drivers ORDERS.json`.

One process for each kind of work, a thread for each client in it. They stop when the control file says so; nothing is done
to them: what they were told is the measure of everything else.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.caller import Caller, Reply
from tests.chaos.control import DRAIN, LOAD, STOP, read_control
from tests.chaos.histories import History

LABELS = ("a", "b", "c")
NOTHING_FOR_S = 3.0


@dataclass(frozen=True)
class Client:
    """What a driver thread has: its connection, its notes, and dice of its own."""

    project: str
    caller: Caller
    history: History
    dice: random.Random
    control: Path

    @property
    def phase(self) -> str:
        return str(read_control(self.control)["phase"])

    @property
    def hesitates(self) -> bool:
        return self.dice.random() < read_control(self.control)["hesitate"]

    @property
    def path(self) -> str:
        return f"/projects/{self.project}"


# --- Ingestion -------------------------------------------------------------------------------------------------


def post_predictions(client: Client) -> None:
    """Single rows and small batches with new ids; now and then a row again that was acknowledged before."""
    number, known = 0, []
    while client.phase == LOAD:
        if known and client.dice.random() < 0.1:
            rows = [client.dice.choice(known)]
        else:
            rows = [_row(client, number + n) for n in range(client.dice.choice((1, 1, 1, 4)))]
            number += len(rows)
        reply = client.caller.send("POST", f"{client.path}/predictions/", rows if len(rows) > 1 else rows[0])
        results = reply.body["results"] if len(rows) > 1 and reply.status == 200 else [reply.body]
        for row, result in zip(rows, results, strict=True):
            _note_prediction(client, row, reply, result)
        known = (known + rows)[-200:]
        time.sleep(client.dice.uniform(0.05, 0.3))


def _row(client: Client, number: int) -> dict[str, Any]:
    """Half of the rows need a person."""
    return {
        "id": f"{client.history.who}-{number}",
        "input": {"text": f"Letter {number}"},
        "prediction": {"label": client.dice.choice(LABELS)},
        "confidence": client.dice.choice((0.2, 0.6, 0.7, 0.97, 0.98, 0.99)),
        "model": "reader",
        "model_version": "1",
    }


def _note_prediction(client: Client, row: dict[str, Any], reply: Reply, result: dict[str, Any]) -> None:
    alone = {201: "created", 200: "duplicate"}.get(reply.status, str(reply.status))
    client.history.note(
        "predict",
        **reply.times,
        status=result["status"] if "index" in result else alone,
        item=row["id"],
        label=row["prediction"]["label"],
        prediction=result.get("prediction_id"),
        route=result.get("route"),
    )


# --- Review ----------------------------------------------------------------------------------------------------


def review(client: Client) -> None:
    """Claim a few, then decide, wait too long, hold on, give back or skip; take a decision back now and then."""
    idle_since = None
    while (phase := client.phase) != STOP:
        reply = client.caller.send(
            "POST", f"{client.path}/tasks/claim/", {"count": client.dice.choice((1, 2, 5))}
        )
        tasks = reply.body["tasks"] if reply.status == 200 else []
        held = [{name: task[name] for name in ("task", "token", "expires_at")} for task in tasks]
        client.history.note("claim", **reply.times, status=reply.status, tasks=held)
        if tasks:
            idle_since = None
            for task in tasks:
                _work_on(client, task, hurry=phase == DRAIN)
            continue
        idle_since = idle_since or time.time()
        if phase == DRAIN and time.time() - idle_since > NOTHING_FOR_S:
            return
        time.sleep(0.2)


def _work_on(client: Client, task: dict[str, Any], *, hurry: bool) -> None:
    choice = client.dice.random()
    if client.hesitates and not hurry:
        time.sleep(client.dice.uniform(1.0, 6.0))  # somebody else may have it by then
    elif choice < 0.06:
        _ask(client, "heartbeat", task)
    elif choice < 0.10 and not hurry:
        _ask(client, "release", task)
        return
    elif choice < 0.13 and not hurry:
        _ask(client, "skip", task)
        return
    time.sleep(client.dice.uniform(0.0, 0.1))
    _decide(client, task)


def _ask(client: Client, op: str, task: dict[str, Any]) -> None:
    reply = client.caller.send("POST", f"/tasks/{task['task']}/{op}/", {"token": task["token"]})
    said = reply.body or {}
    client.history.note(
        op,
        **reply.times,
        status=reply.status,
        task=task["task"],
        token=task["token"],
        expires_at=said.get("expires_at"),
    )


def _decide(client: Client, task: dict[str, Any]) -> None:
    wanted: dict[str, Any] = {"token": task["token"], "verdict": "labelled"}
    suggested = (task["prediction"] or {}).get("label")
    if client.dice.random() < 0.05:
        wanted["verdict"] = "rejected"
    elif suggested and client.dice.random() < 0.75:
        wanted["verdict"] = "confirmed"
    else:
        if suggested:
            wanted["verdict"] = "corrected"
        wanted["output"] = {"label": client.dice.choice([label for label in LABELS if label != suggested])}
    reply = client.caller.send("POST", f"/tasks/{task['task']}/decision/", wanted)
    client.history.note(
        "decide",
        **reply.times,
        status=reply.status,
        code=reply.body.get("code"),
        task=task["task"],
        token=task["token"],
        item=task["item"]["id"],
        decision=reply.body.get("decision"),
        verdict=wanted["verdict"],
        output=reply.body.get("output"),
    )
    if reply.status == 201 and client.dice.random() < 0.05:
        decision = reply.body["decision"]
        undone = client.caller.send("POST", f"/decisions/{decision}/undo/", {})
        client.history.note(
            "undo",
            **undone.times,
            status=undone.status,
            decision=decision,
            code=(undone.body or {}).get("code"),
        )


# --- Publishing and reading ----------------------------------------------------------------------------------------


def publish(client: Client) -> None:
    """Ask for a version, wait until that very publication is finished, and ask again. Nobody rings twice for one."""
    versions = f"{client.path}/datasets/main/versions/"
    while client.phase != STOP:
        asked = client.caller.send("POST", versions, {})
        if asked.status == 200:
            client.history.note("publish", **asked.times, publication=None, state="nothing new")
        elif asked.status == 202:
            _wait_for_publication(client, asked)
        time.sleep(0.3)


def _wait_for_publication(client: Client, asked: Reply) -> None:
    number = asked.body["publication"]
    client.history.note("request", **asked.times, publication=number)
    while client.phase != STOP:
        found = client.caller.send("GET", f"{client.path}/datasets/main/publications/{number}/")
        if found.body["state"] not in ("queued", "open"):
            client.history.note(
                "publish", sent=asked.sent, acked=found.acked, publication=number, state=found.body["state"]
            )
            return
        time.sleep(0.1)


def read_feed(client: Client) -> None:
    """Follow the outcomes from the first one on."""
    after = 0
    while client.phase != STOP:
        limit = client.dice.choice((1, 10, 500))
        reply = client.caller.send("GET", f"{client.path}/outcomes/?after={after}&limit={limit}")
        entries = [
            [entry["cursor"], entry["id"], entry["revision"], entry["output"]]
            for entry in reply.body["results"]
        ]
        client.history.note("read", **reply.times, after=after, entries=entries)
        after = entries[-1][0] if entries else after
        time.sleep(client.dice.uniform(0.05, 0.3))


# --- The program ---------------------------------------------------------------------------------------------------

WORK: dict[str, Callable[[Client], None]] = {
    "post": post_predictions,
    "review": review,
    "publish": publish,
    "read": read_feed,
}


def main(orders_path: Path) -> int:
    """Run all clients of the orders until they are done; 1 when one of them met what it does not understand."""
    orders = json.loads(orders_path.read_text(encoding="utf-8"))
    failed: list[str] = []
    threads = [threading.Thread(target=_run, args=(orders, client, failed)) for client in orders["clients"]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("\n".join(failed), file=sys.stderr)
    return 1 if failed else 0


def _run(orders: dict[str, Any], wanted: dict[str, str], failed: list[str]) -> None:
    who = wanted["who"]
    history = History(Path(orders["histories"]), who)
    seed = int.from_bytes(hashlib.sha256(f"{orders['seed']} {who}".encode()).digest()[:8])
    client = Client(
        orders["project"],
        Caller(orders["url"], wanted["key"], history),
        history,
        random.Random(seed),
        Path(orders["control"]),
    )
    try:
        WORK[wanted["work"]](client)
    except Exception:
        failed.append(f"{who}: {traceback.format_exc()}")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

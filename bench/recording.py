"""What the product says to the database for a decision and the next task, written down so that the floor can say the same."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.place import Place
from tests.stack.instance import PROJECT, clean_environment

Said = tuple[str, Any]
"""A statement and its values; none where they are in its text already."""
_AT_ONCE = 50


def record_decisions(place: Place, slug: str, path: Path, *, count: int, people: int) -> None:
    """Claim `count` tasks and write down the statements that decide each and claim one more, all rolled back.

    The first `people` reviewers decide in turn: a connection that replays every `people`th is one of them, and none waits for
    another's row of the day. They open no page: one that counts a person's day would count thousands of replayed decisions.
    """
    environment = clean_environment(
        REVIEWAPP_HOME=str(place.instance.home.path),
        REVIEWAPP_PORT=str(place.port),
        DJANGO_SETTINGS_MODULE="reviewapp.settings",
    )
    command = [sys.executable, "-m", "bench.recording", slug, str(path), str(count), str(people)]
    subprocess.run(command, cwd=PROJECT, env=environment, check=True)


def read_recorded(path: Path) -> list[list[Said]]:
    """The statements of each decision in order, as `record_decisions` wrote them; a file of our own."""
    recorded: list[list[Said]] = pickle.loads(path.read_bytes())
    return recorded


def _record(slug: str, path: Path, count: int, people: int) -> None:
    import django

    django.setup()
    from django.contrib.auth import get_user_model
    from django.db import connection, transaction

    from labeling.history.actor import Actor
    from labeling.pipeline.deciding import decide
    from labeling.review.claiming import claim_tasks, open_queue

    users = [get_user_model().objects.get(username=f"reviewer-{number}") for number in range(people)]
    reviewers = [Actor(user_id=user.pk, username=user.get_username(), is_admin=False) for user in users]
    said: list[Said] = []

    def listen(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        cursor = context["cursor"].cursor
        # Django's own cursor puts the values into the text; a prepared statement has them apart.
        if hasattr(cursor, "mogrify"):
            if not sql.startswith(("SAVEPOINT", "RELEASE")):
                said.append((cursor.mogrify(sql, params), None))
        else:
            said.append((sql, list(params)))
        return execute(sql, params, many, context)

    decisions: list[list[Said]] = []
    while len(decisions) < count:
        held = [claim_tasks(within=open_queue(by, slug), by=by, count=_AT_ONCE) for by in reviewers]
        if any(len(tasks) < _AT_ONCE for tasks in held):
            raise SystemExit("nothing waits any more")
        for tasks in zip(*held, strict=True):
            for by, task in zip(reviewers, tasks, strict=True):
                said.clear()
                answer: dict[str, Any] = (
                    {"verdict": "confirmed"}
                    if task.kind == "review"
                    else {"verdict": "labelled", "output": {"label": "ok"}}
                )
                with transaction.atomic(), connection.execute_wrapper(listen):
                    decide(task_id=task.task, token=task.token, by=by, and_next=True, **answer)
                    transaction.set_rollback(True)
                decisions.append(list(said))
    path.write_bytes(pickle.dumps(decisions))


if __name__ == "__main__":
    _record(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))

"""What the product says to the database for a decision, written down so that the floor can say the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, TypedDict

from bench.place import Place
from tests.stack.instance import PROJECT, clean_environment

# Tables whose ids the database chooses: the floor puts the new id in place of the recorded one.
CHOSEN_BY_DATABASE = ("labeling_decision", "labeling_outcome")


class Recorded(TypedDict):
    """One decision: its statements in order, and the ids that the database chose in each table."""

    statements: list[str]
    ids: dict[str, int]


def record_decisions(place: Place, slug: str, path: Path, *, count: int) -> int:
    """Claim `count` tasks and write down the statements that decide them, each rolled back; returns who claimed them."""
    environment = clean_environment(
        REVIEWAPP_HOME=str(place.instance.home.path),
        REVIEWAPP_PORT=str(place.port),
        DJANGO_SETTINGS_MODULE="reviewapp.settings",
    )
    command = [sys.executable, "-m", "bench.recording", slug, str(path), str(count)]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return int(done.stdout)


def _record(slug: str, path: Path, count: int) -> int:
    import django

    django.setup()
    from django.contrib.auth import get_user_model
    from django.db import connection, transaction

    from labeling.history.actor import Actor
    from labeling.pipeline.deciding import decide
    from labeling.projects.models import Project
    from labeling.review.claiming import claim_tasks

    user = get_user_model().objects.filter(is_superuser=True).earliest("pk")
    by = Actor(user_id=user.pk, username=user.get_username(), is_admin=True)
    project = Project.objects.get(slug=slug)
    recorded: list[Recorded] = []
    said: list[str] = []

    def listen(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.startswith(("SAVEPOINT", "RELEASE")):
            said.append(context["cursor"].cursor.mogrify(sql, params))
        return execute(sql, params, many, context)

    while len(recorded) < count:
        tasks = claim_tasks(project=project, by=by, count=50)
        if not tasks:
            raise SystemExit("nothing waits any more")
        for task in tasks:
            said.clear()
            answer: dict[str, Any] = (
                {"verdict": "confirmed"}
                if task.kind == "review"
                else {"verdict": "labelled", "output": {"label": "ok"}}
            )
            with transaction.atomic(), connection.execute_wrapper(listen):
                decide(task_id=task.task, token=task.token, by=by, **answer)
                statements = list(said)
                ids = {table: _last_id(table) for table in CHOSEN_BY_DATABASE}
                transaction.set_rollback(True)
            recorded.append({"statements": statements, "ids": ids})
    path.write_text(json.dumps(recorded), encoding="utf-8")
    return int(user.pk)


def _last_id(table: str) -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"select max(id) from {table}")
        return int(cursor.fetchone()[0])


if __name__ == "__main__":
    print(_record(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))

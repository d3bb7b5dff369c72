"""How many rows of the rollups a page reads: each of its statements once more, under EXPLAIN (ANALYZE)."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from bench.place import Place
from tests.stack.instance import PROJECT, clean_environment


def count_rows_read(place: Place, path: str) -> int:
    """Rows that the scans of all statements of a page produced or passed over, as the administrator opens it."""
    environment = clean_environment(
        REVIEWAPP_HOME=str(place.instance.home.path),
        REVIEWAPP_PORT=str(place.port),
        DJANGO_SETTINGS_MODULE="reviewapp.settings",
    )
    command = [sys.executable, "-m", "bench.rows_read", path]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return int(done.stdout)


def _count(path: str) -> int:
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test import Client

    read = 0

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal read
        if sql.lstrip().lower().startswith(("select", "with")) and "for update" not in sql:
            with connection.connection.cursor() as cursor:
                cursor.execute(f"explain (analyze, format json) {sql}", params)
                (plan,) = cursor.fetchone()
            read += _rows_of((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
        return execute(sql, params, many, context)

    client = Client(headers={"host": f"127.0.0.1:{settings.ENV.port}"})
    client.force_login(
        get_user_model().objects.filter(is_superuser=True).earliest("pk"),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    if client.get(path).status_code != 200:  # the first one warms what is remembered, and folds
        raise SystemExit(f"{path} is no page")
    with connection.execute_wrapper(explain):
        client.get(path)
    return read


def _rows_of(plan: dict[str, Any]) -> int:
    rows = 0
    if "Scan" in plan["Node Type"] and "Relation Name" in plan:
        passed_over = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        rows = round((plan["Actual Rows"] + passed_over) * plan["Actual Loops"])
    return rows + sum(_rows_of(below) for below in plan.get("Plans", ()))


if __name__ == "__main__":
    print(_count(sys.argv[1]))

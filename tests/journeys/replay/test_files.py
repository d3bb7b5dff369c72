"""The five real files, in part; a full run is a command away (docs/replay.md)."""

import gzip
import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from labeling.decisions.diffing import equal
from labeling.replay.mapping import prediction_of, task_type_of
from tests.journeys.replay.replaying import Server, ledger_is_whole, recount, route_of, table_counts, truth

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.data]

FILES = ("card-risk", "news-routing", "receipt-fields", "receipt-lines", "tweet-entities")


def rows_of(path: Path, limit: int) -> list[dict[str, Any]]:
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in islice(lines, limit)]


def check_against_the_file(server: Server, path: Path, limit: int) -> None:
    """Routes, verdicts, dataset and rates of a replay with people who never err, all counted from the file."""
    rows = rows_of(path, limit)
    task_type = task_type_of(rows[0])
    project = path.name.partition(".")[0]

    summary = server.replay(path, project, limit=limit, reviewers=5)

    reviewed = [row for row in rows if route_of(row) == "review"]
    confirmed = sum(equal(task_type, prediction_of(row), truth(row).output) for row in reviewed)
    assert (summary["created"], summary["invalid"], summary["left_open"]) == (limit, 0, 0)
    assert summary["routes"] == dict(recount(rows))
    assert summary["decisions"].get("confirmed", 0) == confirmed
    assert summary["decisions"].get("corrected", 0) == len(reviewed) - confirmed
    assert summary["decisions"].get("labelled", 0) == recount(rows)["fallback"]

    expected = {row["id"]: truth(row).output for row in rows if route_of(row) != "auto"}
    published = server.published(project)
    assert published.keys() == expected.keys()
    assert all(equal(task_type, published[name], label) for name, label in expected.items())
    rates = server.rates(project)
    assert rates["review_rate"]["count"] == len(reviewed)
    assert (rates["confirmation_rate"]["count"], rates["confirmation_rate"]["n"]) == (
        confirmed,
        len(reviewed),
    )

    before = table_counts()
    again = server.replay(path, project, limit=limit, reviewers=5)
    assert (again["created"], again["duplicates"], again["decisions"]) == (0, limit, {})
    assert table_counts() == before
    assert ledger_is_whole()


def test_news_routing(server: Server, data: Path) -> None:
    check_against_the_file(server, data / "news-routing.jsonl.gz", 600)


@pytest.mark.parametrize("name", [name for name in FILES if name != "news-routing"])
def test_the_others(server: Server, data: Path, name: str) -> None:
    check_against_the_file(server, data / f"{name}.jsonl.gz", 60)

"""A replay from file to dataset over HTTP, with every figure counted again by hand."""

from pathlib import Path
from typing import Any

import pytest

from tests.journeys.replay.replaying import (
    Server,
    ledger_is_whole,
    recount,
    route_of,
    synthetic_rows,
    table_counts,
    truth,
    write_rows,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

ROWS = synthetic_rows(120)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "posts.jsonl", ROWS)


def right(row: dict[str, Any]) -> bool:
    return bool(row["prediction"] == truth(row).output)


def test_five_people_who_never_err(server: Server, path: Path) -> None:
    summary = server.replay(path, "posts", reviewers=5)

    reviewed = [row for row in ROWS if route_of(row) == "review"]
    confirmed = sum(map(right, reviewed))
    labelled = recount(ROWS)["fallback"]
    assert (summary["sent"], summary["created"], summary["left_open"]) == (120, 120, 0)
    assert summary["routes"] == dict(recount(ROWS))
    assert summary["decisions"] == {
        "confirmed": confirmed,
        "corrected": len(reviewed) - confirmed,
        "labelled": labelled,
    }
    assert summary["problems"] == {}

    assert server.published("posts") == {
        row["id"]: truth(row).output for row in ROWS if route_of(row) != "auto"
    }
    rates = server.rates("posts")
    assert (rates["review_rate"]["count"], rates["review_rate"]["n"]) == (len(reviewed), 120)
    assert (rates["confirmation_rate"]["count"], rates["confirmation_rate"]["n"]) == (
        confirmed,
        len(reviewed),
    )
    assert rates["fallback_rate"]["count"] == labelled
    assert rates["automation_rate"]["count"] == recount(ROWS)["auto"]
    assert ledger_is_whole()

    before = table_counts()
    again = server.replay(path, "posts", reviewers=5)
    assert (again["created"], again["duplicates"], again["decisions"]) == (0, 120, {})
    assert again["routes"] == summary["routes"]
    assert table_counts() == before
    assert ledger_is_whole()


def test_the_project_is_made_from_the_file_and_says_that_it_is_a_simulation(
    server: Server, path: Path
) -> None:
    server.replay(path, "posts", limit=10)

    project = server.call("GET", "/projects/posts/").json()
    assert project["task_type"] == "classification"
    assert project["label_schema"] == {"labels": ["boats", "cars", "planes", "trains"]}
    assert project["simulation"] is True
    assert project["policy"]["audit_rate"] == 0
    item = server.call("GET", "/projects/posts/predictions/post%2F0%20%E2%9C%88/").json()
    assert item["input"] == ROWS[0]["input"]


def test_people_err_as_they_are_told_to(server: Server, path: Path) -> None:
    summary = server.replay(path, "posts", reviewers=3, false_accept=1.0, false_correct=1.0)

    reviewed = [row for row in ROWS if route_of(row) == "review"]
    wrong = [row for row in reviewed if not right(row)]
    assert summary["decisions"]["confirmed"] == len(wrong)
    assert summary["decisions"]["corrected"] == len(reviewed) - len(wrong)
    published = server.published("posts")
    assert all(published[row["id"]] == row["prediction"] for row in wrong)
    assert not any(published[row["id"]] == truth(row).output for row in ROWS if row["id"] in published)
    assert ledger_is_whole()


def test_blind_checks_are_answered_and_found_again(server: Server, path: Path) -> None:
    summary = server.replay(path, "posts", reviewers=3, policy={"audit_rate": 1.0, "sentinel_rate": 0})

    assert summary["left_open"] == 0
    assert server.published("posts") == {row["id"]: truth(row).output for row in ROWS}
    rates = server.rates("posts")
    automatic = [row for row in ROWS if route_of(row) == "auto"]
    assert rates["auto_error_rate"]["count"] == sum(not right(row) for row in automatic)
    assert rates["auto_error_rate"]["n"] == len(automatic)
    assert ledger_is_whole()


def test_repeating_the_file_makes_other_items(server: Server, path: Path) -> None:
    summary = server.replay(path, "posts", limit=30, repeat=3, reviewers=2)

    assert (summary["sent"], summary["created"]) == (90, 90)
    published = server.published("posts")
    row = next(row for row in ROWS if route_of(row) != "auto")
    assert published[f"{row['id']}~2"] == published[f"{row['id']}~3"] == truth(row).output


def test_the_policy_asked_for_is_put_in_force_once(server: Server, path: Path) -> None:
    server.replay(path, "posts", limit=1)
    wanted = {"audit_rate": 0, "sentinel_rate": 0, "low": 0.5}

    server.replay(path, "posts", limit=1, policy=wanted)
    server.replay(path, "posts", limit=1, policy=wanted)

    project = server.call("GET", "/projects/posts/").json()
    assert project["policy_version"] == 2
    assert project["policy"]["low"] == 0.5


def test_what_is_not_in_the_file_is_left_for_somebody_else(server: Server, path: Path) -> None:
    server.replay(path, "posts", limit=5)
    stranger = {**ROWS[0], "id": "stranger", "confidence": 0.8}
    body = {name: stranger[name] for name in ("id", "input", "prediction", "confidence", "model")}
    server.call("POST", "/projects/posts/predictions/", body)

    summary = server.replay(path, "posts", limit=5, reviewers=2)

    assert summary["left_open"] == 1
    assert summary["problems"]["unknown_items"] in (1, 2)


def test_a_file_of_another_task_type_is_refused(server: Server, path: Path, tmp_path: Path) -> None:
    server.replay(path, "posts", limit=1)
    text = {**ROWS[0], "task_type": "text", "prediction": {"text": "a"}, "truth": {"text": "a"}}

    with pytest.raises(Exception, match="posts is for classification, this file for text"):
        server.replay(write_rows(tmp_path / "texts.jsonl", [text]), "posts")


def test_the_people_leave_no_keys_behind(server: Server, path: Path) -> None:
    server.replay(path, "posts", reviewers=2)

    keys = server.call("GET", "/keys/").json()["results"]
    assert {key["name"] for key in keys if key["revoked_at"] is None} == {"Credentials file of this instance"}
    assert sum(key["name"].startswith("replay: simulated-reviewer-") for key in keys) == 2

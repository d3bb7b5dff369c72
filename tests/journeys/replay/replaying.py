"""What the journeys of replays share: rows, a way in over HTTP, and counts taken by hand."""

import json
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
from django.core.management import call_command
from django.db import connection

from labeling.datasets.models import Dataset
from labeling.datasets.services import publish
from labeling.replay.credentials import Credentials, read_credentials
from labeling.replay.mapping import Truth, truth_of

LABELS = ("cars", "boats", "planes", "trains")
HIGH, LOW = 0.95, 0.70
# Without blind checks and test items every task is one that the file explains.
PLAIN = {"audit_rate": 0, "sentinel_rate": 0}
_UNTOUCHED_BY_A_REPEAT = (
    "item", "itemkey", "prediction", "predictionkey", "reviewtask", "decision", "withdrawal", "outcome", "outcomebatch",
    "acceptedlabel", "waitingdecision", "datasetentry", "datasetversion", "historyevent", "apikey", "membership",
    "policyversion", "policyperiod", "exclusion",
)  # fmt: skip


def synthetic_rows(count: int, seed: int = 3) -> list[dict[str, Any]]:
    """A classification file as public ones are: a model that is wrong more often when it is unsure."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        truth = rng.choice(LABELS)
        confidence = rng.choice([LOW, HIGH, round(rng.random() ** 0.4, 4)])
        said = (
            truth if rng.random() < 0.4 + 0.6 * confidence else rng.choice([x for x in LABELS if x != truth])
        )
        rows.append(
            {
                "id": f"post/{number} ✈",
                "task_type": "classification",
                "input": {"subject": f"Post {number}", "text": "About one of four things."},
                "prediction": {"label": said},
                "confidence": confidence,
                "probs": {said: confidence},
                "truth": {"label": truth, "source": "made up"},
                "segment": rng.choice(["rail", "road"]),
                "model": "guess",
            }
        )
    return rows


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@dataclass
class Server:
    """A running product, and its administrator's way in."""

    url: str
    credentials: Credentials

    def replay(self, path: Path, project: str, **options: Any) -> dict[str, Any]:
        """`manage.py replay`; its summary."""
        said = StringIO()
        options.setdefault("policy", PLAIN)
        options.setdefault("patience", 20.0)
        call_command("replay", path, project=project, url=self.url, api_key=self.credentials.api_key, stdout=said,
                     stderr=StringIO(), **options)  # fmt: skip
        summary: dict[str, Any] = json.loads(said.getvalue())
        return summary

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request as the administrator."""
        answer = httpx.request(
            method,
            f"{self.url}/api/v1{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.credentials.api_key}"},
            timeout=30,
        )
        assert answer.status_code < 300, answer.text
        return answer

    def published(self, project: str) -> dict[str, Any]:
        """Labels of the newest dataset version by item id, published first."""
        self.call("POST", f"/projects/{project}/datasets/main/versions/", {})
        publish(Dataset.objects.get(project__slug=project, slug="main").pk)
        records = self.call(
            "GET", f"/projects/{project}/datasets/main/versions/latest/records/?format=jsonl"
        ).text
        return {row["record_id"]: row["label"] for row in map(json.loads, records.splitlines())}

    def rates(self, project: str) -> dict[str, Any]:
        """The project's rates over its whole life."""
        rates: dict[str, Any] = self.call("GET", f"/projects/{project}/trust/").json()["now"]
        return rates


def bootstrapped(url: str, path: Path) -> Server:
    """The server with an administrator and their key."""
    call_command("bootstrap", url=url, stdout=StringIO())
    return Server(url, read_credentials(path))


def recount(rows: Iterable[dict[str, Any]]) -> Counter[str]:
    """Routes as the default thresholds give them."""
    return Counter(route_of(row) for row in rows)


def route_of(row: dict[str, Any]) -> str:
    confidence = row["confidence"]
    return "auto" if confidence >= HIGH else "review" if confidence >= LOW else "fallback"


def truth(row: dict[str, Any]) -> Truth:
    return truth_of(row)


def table_counts() -> dict[str, int]:
    """How many rows there are of everything that a repeated replay must not add to."""
    with connection.cursor() as cursor:
        counts = {}
        for table in _UNTOUCHED_BY_A_REPEAT:
            cursor.execute(f"select count(*) from labeling_{table}")
            counts[table] = cursor.fetchone()[0]
    return counts


def ledger_is_whole() -> bool:
    """`manage.py verify_ledger` raises when it is not."""
    said = StringIO()
    call_command("verify_ledger", stdout=said)
    return said.getvalue().endswith("The ledger is whole.\n")

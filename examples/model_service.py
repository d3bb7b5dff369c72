"""A whole small model service: posts its predictions, uses what may be used at once, and follows what people decide.

    python examples/model_service.py            the instance that `make run` started here
    python examples/model_service.py --follow   ... and goes on listening

REVIEWAPP_URL and REVIEWAPP_KEY (scopes ingest and manage) name another instance. Needs httpx. Running it again is safe: the
same message is the same item, and the answer is the first one.
"""
# ruff: noqa: T201 - an example speaks to whoever runs it

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx

PROJECT = "messages"
MESSAGES = {
    "msg-1": "Thank you, the parcel came a day early and everything works!",
    "msg-2": "The parcel came a day late, but the driver was kind.",
    "msg-3": "Third time I write: it is broken, I want my money back.",
    "msg-4": "Hello, where do I find the manual?",
}
GLAD = {"thank", "works", "kind", "early", "great"}
CROSS = {"late", "broken", "back", "third", "refund"}


def predict(text: str) -> tuple[str, float]:
    """The model: glad words against cross ones, as a label and a probability."""
    words = {word.strip(".,:!?").lower() for word in text.split()}
    complaint = 1 / (1 + math.exp(1.5 * (len(words & GLAD) - len(words & CROSS))))
    return ("complaint", complaint) if complaint >= 0.5 else ("praise", 1 - complaint)


def connect() -> httpx.Client:
    """The API with a key: from the environment, or from the instance in this folder."""
    url, key = os.environ.get("REVIEWAPP_URL"), os.environ.get("REVIEWAPP_KEY")
    if not url or not key:
        home = Path(os.environ.get("REVIEWAPP_HOME", ".reviewapp"))
        credentials = json.loads((home / "credentials.json").read_text())
        url, key = credentials["url"], credentials["api_key"]
    return httpx.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {key}"}, timeout=30)


def ensure_project(api: httpx.Client) -> None:
    """Made once; 409 says that it is there."""
    body = {
        "slug": PROJECT,
        "name": "Messages",
        "task_type": "classification",
        "label_schema": {"labels": ["complaint", "praise"]},
    }
    answer = api.post("/projects/", json=body)
    if answer.status_code != httpx.codes.CONFLICT:
        answer.raise_for_status()


def ask(api: httpx.Client, item_id: str, text: str) -> dict[str, Any]:
    """Post one prediction; the answer says whether its output may be used now."""
    label, confidence = predict(text)
    row = {
        "id": item_id,
        "input": {"text": text},
        "prediction": {"label": label},
        "confidence": confidence,
        "model": "glad-or-cross",
        "model_version": "1",
    }
    answer: dict[str, Any] = api.post(f"/projects/{PROJECT}/predictions/", json=row).raise_for_status().json()
    return answer


def follow(api: httpx.Client, cursor: int) -> int:
    """Everything final since `cursor`, in order and without gaps; where to go on next time. Keep it with your own data."""
    while True:
        query = {"after": cursor, "limit": 100}
        page = api.get(f"/projects/{PROJECT}/outcomes/", params=query).raise_for_status().json()
        for outcome in page["results"]:
            cursor = outcome["cursor"]
            print(f"outcome {cursor}: {outcome['id']} is {outcome['output']} ({outcome['origin']})")
        if not page["next"]:
            return cursor


def main() -> None:
    with connect() as api:
        ensure_project(api)
        for item_id, text in MESSAGES.items():
            answer = ask(api, item_id, text)
            then = f"use {answer['output']}" if answer["status"] == "final" else "wait for a person"
            print(f"{item_id}: {answer['route']}, {then}")
        cursor = follow(api, 0)
        while "--follow" in sys.argv[1:]:
            time.sleep(2)
            cursor = follow(api, cursor)


if __name__ == "__main__":
    main()

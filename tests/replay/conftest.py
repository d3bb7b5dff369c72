"""Rows of the shapes that public data sets come in, made up for the tests."""

import gzip
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

NEWS = {
    "id": "news-1",
    "task_type": "classification",
    "input": {"subject": "Brakes", "text": "They squeal."},
    "prediction": {"label": "cars"},
    "confidence": 0.81,
    "probs": {"cars": 0.81, "boats": 0.1, "planes": 0.05},
    "truth": {"label": "boats", "source": "crowd", "also_acceptable": ["cars"]},
    "human_votes": [{"worker": None, "label": "cars", "count": 3}],
    "segment": "rec",
    "model": "tfidf-2021",
}
CARD = {
    "id": "card-1",
    "task_type": "classification",
    "input": {"fields": {"limit": 20000}, "history": [{"month": "2005-09", "paid": 0}]},
    "prediction": {"label": "default"},
    "confidence": 0.6551,
    "probs": {"default": 0.6551, "no_default": 0.3449},
    "truth": {"label": "no_default", "source": "observed"},
    "segment": "university",
    "model": "hgb",
}
LINE = {
    "id": "line-1",
    "task_type": "transcription",
    "input": {
        "image": "data:image/png;base64,AA==",
        "width": 20,
        "height": 5,
        "document": "r1",
        "box": [0, 0, 1, 1],
    },
    "prediction": {
        "text": "T0TAL 9.00",
        "words": [{"text": "T0TAL", "confidence": 0.3}, {"text": "9.00", "confidence": 1}],
    },
    "confidence": 0.65,
    "truth": {"text": "TOTAL 9.00", "source": "human-transcript"},
    "segment": "footer",
    "model": "ocr-5.3",
}
RECEIPT = {
    "id": "receipt-1",
    "task_type": "key_value",
    "input": {
        "lines": [{"text": "ACME", "box": [1, 2, 3, 4]}],
        "page": {"width": 9, "height": 9},
        "image": "images/1.jpg",
    },
    "prediction": {
        "fields": {
            "company": {"value": "ACME", "confidence": 0.9, "lines": [0]},
            "total": {"value": "", "confidence": 0.0, "lines": []},
        }
    },
    "confidence": 0.0,
    "truth": {"fields": {"company": "ACME", "total": "9.00"}, "source": "human-annotation"},
    "segment": "short",
    "model": "tagger",
}
TWEET = {
    "id": "tweet-1",
    "task_type": "spans",
    "input": {"text": "Shaw in Gateshead", "labels": ["LOC", "ORG", "PER"]},
    "prediction": {"spans": [{"start": 0, "end": 4, "label": "PER", "text": "Shaw", "confidence": 0.78}]},
    "confidence": 0.7,
    "truth": {
        "spans": [
            {"start": 0, "end": 4, "label": "PER", "text": "Shaw"},
            {"start": 8, "end": 17, "label": "LOC", "text": "Gateshead"},
        ],
        "source": "human-annotation",
    },
    "human_votes": [{"worker": "w1", "type": "PER", "label": {"spans": []}}],
    "segment": "uk",
    "model": "crf",
    "occurred_at": "2012-01-01T10:37:26Z",
}

WriteRows = Callable[..., Path]


@pytest.fixture
def write_rows(tmp_path: Path) -> WriteRows:
    """Writes rows as a replay file, gzipped when its name says so."""

    def write(rows: Iterable[dict[str, Any]], name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        text = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write

"""Predictions as a busy model service sends them: 400 bytes of input, random ids of its own."""

from __future__ import annotations

import json
import random
from typing import Any

LABELS = ("ok", "scratch", "dent", "stain")
SCHEMA = {"labels": list(LABELS)}
POLICY = {"high": 0.9, "low": 0.2, "audit_rate": 0.02, "sentinel_rate": 0}
INPUT_BYTES = 400
WORDS = (
    *(
        [
            "surface",
            "part",
            "housing",
            "near",
            "edge",
            "left",
            "right",
            "small",
            "dark",
            "line",
            "scratch",
            "over",
            "about",
            "two",
            "three",
            "bright",
        ]
    ),
    *(
        [
            "after",
            "pressing",
            "inspected",
            "twice",
            "à",
            "gauche",
            "café",
            "batch",
            "operator",
            "says",
            "that",
            "it",
            "seems",
            "fine",
        ]
    ),
)


def make_row(rng: random.Random, *, confidence: float | None = None) -> dict[str, Any]:
    """One row with a random id. Without `confidence`: 80 % applied automatically, 18 % reviewed, 2 % fallback."""
    if confidence is None:
        confidence = rng.choices((0.97, 0.7, 0.1), (80, 18, 2))[0]
    features = [round(rng.gauss(0, 3), 4) for _ in range(12)]
    content = {"text": "", "line": rng.randrange(40), "camera": f"c{rng.randrange(9)}", "features": features}
    words = " ".join(rng.choices(WORDS, k=INPUT_BYTES // 5))
    content["text"] = words[: INPUT_BYTES - len(json.dumps(content))]
    return {
        "id": f"{rng.getrandbits(64):016x}-{rng.getrandbits(32):08x}",
        "input": content,
        "prediction": {"label": rng.choice(LABELS)},
        "confidence": round(confidence - rng.random() * 0.05, 6),
        "model": "inspector",
        "model_version": "3",
        "segment": rng.choice(("north", "south")),
    }

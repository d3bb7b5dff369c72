"""Which language is it: short sentences that people translated for Django and Django REST framework, read from the message
catalogues inside those packages.

Version 1 looks at letters and pairs in few sentences; version 2 is a smaller model that was meant to be cheaper and is
worse; version 3 looks at groups of up to three letters in all the training sentences. None saw the sentences it is asked
about.
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import numpy as np
import rest_framework
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from labeling.replay.demo.exhibit import Case
from labeling.replay.demo.models.reading import read

LANGUAGES = {
    "af": "Afrikaans",
    "ca": "Catalan",
    "cs": "Czech",
    "da": "Danish",
    "nl": "Dutch",
    "gl": "Galician",
    "it": "Italian",
    "nb": "Norwegian",
    "pt": "Portuguese",
    "sk": "Slovak",
    "es": "Spanish",
    "sv": "Swedish",
}
_VERSIONS = {
    "1": (500, (1, 2)),
    "2": (500, (1, 1)),
    "3": (900, (1, 3)),
}  # training sentences, letters looked at together
_SEED = 7
_SHORTEST, _LONGEST, _WORDS = 16, 160, 3
_NOT_PROSE = re.compile(r"[{}%<>]|Content-Type|Project-Id")
_SHORT, _LONG = 35, 65  # thirds by number of characters


def make_cases() -> list[Case]:
    """The sentences that no model was trained on, in random order."""
    known = [(text, name) for code, name in LANGUAGES.items() for text in sorted(_sentences(code))]
    known = [known[place] for place in np.random.default_rng(_SEED).permutation(len(known))]
    texts, names = [text for text, _ in known], [name for _, name in known]
    first = max(size for size, _ in _VERSIONS.values())
    models = {
        version: _trained(texts[:size], names[:size], letters)
        for version, (size, letters) in _VERSIONS.items()
    }
    said = {version: model.predict_proba(texts[first:]) for version, model in models.items()}
    return [
        Case(
            input={"text": text},
            segment="short" if len(text) < _SHORT else "medium" if len(text) < _LONG else "long",
            predictions={
                version: read(model.classes_, said[version][place]) for version, model in models.items()
            },
            truth={"label": name},
        )
        for place, (text, name) in enumerate(known[first:])
    ]


def _trained(texts: list[str], names: list[str], letters: tuple[int, int]) -> Any:
    seen = TfidfVectorizer(analyzer="char_wb", ngram_range=letters, sublinear_tf=True, min_df=2)
    return make_pipeline(seen, LogisticRegression(C=30.0, max_iter=300, tol=1e-3)).fit(texts, names)


def _sentences(code: str) -> set[str]:
    """The prose of one language, each sentence once."""
    found: set[str] = set()
    for package in (django, rest_framework):
        for catalogue in Path(str(package.__file__)).parent.rglob(f"locale/{code}/LC_MESSAGES/django*.mo"):
            found.update(" ".join(text.split()) for text in _messages(catalogue.read_bytes()))
    return {
        text
        for text in found
        if _SHORTEST <= len(text) <= _LONGEST
        and text.count(" ") >= _WORDS - 1
        and not _NOT_PROSE.search(text)
    }


def _messages(catalogue: bytes) -> Iterator[str]:
    """The translations of a compiled catalogue (GNU gettext manual, "The Format of GNU MO Files"), plural forms apart."""
    order = "<" if catalogue[:4] == b"\xde\x12\x04\x95" else ">"
    count, _originals, translations = struct.unpack_from(f"{order}3I", catalogue, 8)
    for place in range(count):
        length, start = struct.unpack_from(f"{order}2I", catalogue, translations + 8 * place)
        yield from catalogue[start : start + length].decode("utf-8").split("\0")

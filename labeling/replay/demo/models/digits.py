"""Handwritten digits: 8 x 8 images that ship inside scikit-learn.

Version 1 learned from few images, version 2 from more; neither ever saw an image that it is asked about.
"""

from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from labeling.replay.demo.exhibit import Case
from labeling.replay.demo.models.png import data_uri
from labeling.replay.demo.models.reading import read

TRAINING_SIZES = {"1": 150, "2": 400}
_CASES = 900
_SEED = 7
_SCALE = 20
_FULL_INK = 16.0
_SHADES = 18  # more look no better and triple the size
_LIGHT, _BOLD = 0.288, 0.320  # thirds of the images by their mean ink


def make_cases() -> list[Case]:
    """The images that no model was trained on, in random order."""
    images, digits = load_digits(return_X_y=True)
    order = np.random.default_rng(_SEED).permutation(len(digits))
    images, digits = images[order] / _FULL_INK, digits[order]
    first = max(TRAINING_SIZES.values())
    shown = slice(first, first + _CASES)
    models = {version: _trained(images[:size], digits[:size]) for version, size in TRAINING_SIZES.items()}
    said = {version: model.predict_proba(images[shown]) for version, model in models.items()}
    return [
        Case(
            input={"image": picture(image)},
            segment=ink_of(image),
            predictions={version: read(models[version].classes_, said[version][place]) for version in models},
            truth={"label": str(digit)},
        )
        for place, (image, digit) in enumerate(zip(images[shown], digits[shown], strict=True))
    ]


def picture(image: Any) -> str:
    """The image drawn 200 pixels wide with a margin, smoothed between its points: dark ink on white paper."""
    framed = np.pad(image.reshape(8, 8), 1)
    points = np.arange(len(framed))
    fine = (np.arange(len(framed) * _SCALE) + 0.5) / _SCALE - 0.5
    wide = np.stack([np.interp(fine, points, line) for line in framed])
    large = np.stack([np.interp(fine, points, column) for column in wide.T]).T
    grey = (np.round((1 - large) * (_SHADES - 1)) * (255 / (_SHADES - 1))).astype(np.uint8)
    return data_uri([line.tobytes() for line in grey])


def ink_of(image: Any) -> str:
    """How heavy the hand was: known before anybody reads the digit."""
    mean = float(image.mean())
    return "light" if mean < _LIGHT else "medium" if mean < _BOLD else "bold"


def _trained(images: Any, digits: Any) -> LogisticRegression:
    return LogisticRegression(C=3.0, max_iter=300).fit(images, digits)

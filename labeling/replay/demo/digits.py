"""Handwritten digits: 8 x 8 images that ship inside scikit-learn, read by two small models trained when the demo starts.

Version 1 learned from few images, version 2 from more; neither ever saw an image that it is asked about. Importing this
module needs scikit-learn.
"""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from labeling.replay.demo.exhibit import Shown
from labeling.replay.demo.png import data_uri
from labeling.replay.mapping import Json, Truth

TRAINING_SIZES = {"1": 150, "2": 400}
HISTORY_DAYS = 30
SECOND_VERSION_FROM_DAY = 20
ROWS_A_DAY = 20
_SEED = 7
_SCALE = 20
_FULL_INK = 16.0
_SHADES = 18  # more look no better and triple the size
_LIGHT, _BOLD = 0.288, 0.320  # thirds of the images by their mean ink
_GUIDELINES = """\
# Which digit is it?

Choose the digit you read. The images are small scans of single handwritten digits, drawn larger.

* A seven with a bar is a seven, a one with a foot is a one.
* When two readings are equally good, choose the one you would bet on and leave a note.
* When there is no digit at all, reject the item.
"""


class Digits:
    """The exhibit; training takes a fraction of a second."""

    slug = "digits"
    history_size = HISTORY_DAYS * ROWS_A_DAY

    def __init__(self) -> None:
        images, digits = load_digits(return_X_y=True)
        order = np.random.default_rng(_SEED).permutation(len(digits))
        images, digits = images[order] / _FULL_INK, digits[order]
        first_shown = max(TRAINING_SIZES.values())
        self._images, self._digits = images[first_shown:], digits[first_shown:]
        self._probabilities = {
            version: _trained(images[:size], digits[:size]).predict_proba(self._images)
            for version, size in TRAINING_SIZES.items()
        }

    def project_body(self) -> Json:
        """The description shown with the project."""
        return {
            "name": "Handwritten digits",
            "task_type": "classification",
            "label_schema": {"labels": [str(digit) for digit in range(10)]},
            "guidelines": _GUIDELINES,
            "simulation": True,
        }

    def item_id(self, number: int) -> str:
        """Numbered from 1; after the last image the first one comes again, as another item."""
        return f"digit-{number + 1:06d}"

    def show(self, number: int, opened_at: datetime) -> Shown:
        """The n-th image as a model of its day read it."""
        place = number % len(self._digits)
        day = number // ROWS_A_DAY
        version = "1" if day < SECOND_VERSION_FROM_DAY else "2"
        row: Json = {
            "id": self.item_id(number),
            "input": {"image": picture(self._images[place])},
            **_read(self._probabilities[version][place]),
            "model": "digit-reader",
            "model_version": version,
            "segment": ink_of(self._images[place]),
        }
        if number < self.history_size:
            age = timedelta(days=HISTORY_DAYS) * (1 - number / self.history_size)
            row["occurred_at"] = (opened_at - age).isoformat(timespec="seconds")
        return Shown(row, Truth({"label": str(self._digits[place])}))


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


def _trained(images: Any, digits: Any) -> Any:
    return LogisticRegression(C=3.0, max_iter=1000).fit(images, digits)


def _read(probabilities: Any) -> Json:
    """Prediction, confidence and the five most likely digits."""
    likely = [int(digit) for digit in np.argsort(probabilities)[::-1][:5]]
    shares = {str(digit): round(float(probabilities[digit]), 4) for digit in likely}
    best = str(likely[0])
    return {"prediction": {"label": best}, "confidence": shares[best], "probabilities": shares}

"""What a classifier says of items, in the shape that a prediction is posted in."""

from typing import Any

import numpy as np

from labeling.replay.mapping import Json

_SHOWN = 5


def read(classes: Any, probabilities: Any) -> Json:
    """Prediction, confidence and the most likely labels of one row of probabilities."""
    likely = np.argsort(probabilities)[::-1][:_SHOWN]
    shares = {str(classes[place]): round(float(probabilities[place]), 4) for place in likely}
    best = next(iter(shares))
    return {"prediction": {"label": best}, "confidence": shares[best], "probabilities": shares}

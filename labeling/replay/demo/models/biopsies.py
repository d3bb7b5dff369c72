"""Breast biopsies: measured cell nuclei of 569 real smears with the diagnosis made later, inside scikit-learn.

W. N. Street, W. H. Wolberg, O. L. Mangasarian (1993), Nuclear feature extraction for breast tumor diagnosis. Version 1
knows two measures, version 2 the means of all ten, version 3 also their spread and their worst. Every smear is judged by
models that were trained on the other nine tenths, so all of them can be shown.
"""

from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from labeling.replay.demo.exhibit import Case
from labeling.replay.demo.models.reading import read
from labeling.replay.mapping import Json

_SEED = 7
_PARTS = 10
_MEASURES = 10
_COLUMNS = {
    "1": 2,
    "2": 10,
    "3": 30,
}  # how many of the data's columns each version knows: means, then spread, then worst
_SHOWN_REASONS = 5


def make_cases() -> list[Case]:
    """All smears, in random order."""
    data = load_breast_cancer()
    order = np.random.default_rng(_SEED).permutation(len(data.target))
    values, target = data.data[order], data.target[order]
    names = [str(name) for name in data.feature_names]
    labels = [str(name) for name in data.target_names]
    small, large = np.quantile(values[:, 0], [1 / 3, 2 / 3])
    said = {version: _said(values, target, labels, names, count) for version, count in _COLUMNS.items()}
    return [
        Case(
            input={"rows": _table(names, row)},
            segment="small nuclei"
            if row[0] < small
            else "medium nuclei"
            if row[0] < large
            else "large nuclei",
            predictions={version: said[version][place] for version in _COLUMNS},
            truth={"label": labels[target[place]]},
        )
        for place, row in enumerate(values)
    ]


def _said(values: Any, target: Any, labels: list[str], names: list[str], count: int) -> list[Json]:
    """What a model with the first `count` columns says of each smear, and which measures it says it for."""
    said: list[Json] = [{}] * len(target)
    known = values[:, :count]
    for seen, asked in StratifiedKFold(_PARTS, shuffle=True, random_state=_SEED).split(known, target):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=500))
        model.fit(known[seen], target[seen])
        probabilities = model.predict_proba(known[asked])
        pulls = model[0].transform(known[asked]) * model[1].coef_[0]
        for place, shares, pull in zip(asked, probabilities, pulls, strict=True):
            said[place] = {**read(labels, shares), "explanation": _reasons(labels, names, pull)}
    return said


def _reasons(labels: list[str], names: list[str], pull: Any) -> Json:
    """The measures that weigh most, towards which diagnosis: parts of the log odds."""
    strongest = np.argsort(-np.abs(pull))[:_SHOWN_REASONS]
    return {
        names[place]: f"{abs(pull[place]):.2f} towards {labels[int(pull[place] > 0)]}" for place in strongest
    }


def _table(names: list[str], row: Any) -> list[Json]:
    """One line for each measure: its mean over the nuclei of the smear, its spread, the mean of the three largest."""
    return [
        {
            "measure": names[place].removeprefix("mean "),
            "mean": _short(row[place]),
            "standard error": _short(row[place + _MEASURES]),
            "worst": _short(row[place + 2 * _MEASURES]),
        }
        for place in range(_MEASURES)
    ]


def _short(value: float) -> float:
    return float(f"{value:.4g}")

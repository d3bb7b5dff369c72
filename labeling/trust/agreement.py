"""How far reviewers agree beyond chance.

Both figures are 0/0 when only one value was ever used (or nothing is comparable); they are then nan: there was
no disagreement to expect, so nothing can be said about reliability.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike


def krippendorff_nominal(matrix: ArrayLike) -> float:
    """Krippendorff's alpha for nominal values; matrix[reviewer][item], 0 = missing, other integers = values.

        alpha = 1 - D_o / D_e,   o_cd = sum over items  n_ic (n_id - [c = d]) / (m_i - 1)

    over items with m_i >= 2 values; D_o = share of o off the diagonal, D_e the same expected from the margins.
    ValueError unless the matrix is two-dimensional and holds whole numbers. Source: Krippendorff 2004.
    """
    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(
            f"the matrix must have a row per reviewer and a column per item, got {values.ndim} axes"
        )
    if not bool(np.all(values == np.floor(values))):
        raise ValueError("the matrix must hold whole numbers, 0 for missing")
    used = np.unique(values[values != 0])
    counts = np.array([(values == value).sum(axis=0) for value in used], dtype=np.float64)
    if counts.size == 0:
        return math.nan
    counts = counts[:, counts.sum(axis=0) >= 2]
    answers = counts.sum(axis=0)
    total = float(answers.sum())
    margins = counts.sum(axis=1)
    observed = float(((answers**2 - (counts**2).sum(axis=0)) / np.maximum(answers - 1.0, 1.0)).sum())
    expected = total**2 - float((margins**2).sum())
    if expected == 0.0:
        return math.nan
    return 1.0 - (total - 1.0) * observed / expected


def cohen_kappa(table: ArrayLike) -> float:
    """Cohen's kappa of two reviewers; table[a][b] = items the first called a and the second b.

        kappa = (p_o - p_e) / (1 - p_e),  p_o = agreement, p_e = sum over a of row share x column share.

    ValueError unless the table is square with counts >= 0. Source: Cohen 1960.
    """
    counts = np.asarray(table, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"the table must be square, got shape {counts.shape}")
    if not bool(np.all((counts >= 0) & np.isfinite(counts))):
        raise ValueError("the table must hold counts >= 0")
    total = float(counts.sum())
    if total == 0.0:
        return math.nan
    observed = float(np.trace(counts)) / total
    expected = float(counts.sum(axis=1) @ counts.sum(axis=0)) / total**2
    return (observed - expected) / (1.0 - expected) if expected < 1.0 else math.nan

"""The weight of each row: its own times that of its class."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import _check_sample_weight

from softclass.errors import shown
from softclass.estimators.scaling import Array

FAINT = 1e-290  # of the largest weight: such rows move nothing, and their squares vanish


def row_weights(
    class_weight: dict[Any, float] | str | None,
    classes: npt.NDArray[Any],
    targets: npt.NDArray[np.int64],
    X: Any,
    sample_weight: Any,
) -> Array:
    """Return the weight of each row: its own times that of its class."""
    if sample_weight is None and class_weight is None:  # the ordinary case, without what scikit-learn looks at
        return np.ones(len(targets))
    weights: Array = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    if class_weight is None:
        return _without_faint(weights)
    if isinstance(class_weight, str):
        largest = weights.max()
        sums = np.bincount(targets, weights / largest, minlength=len(classes))
        present = sums > 0
        by_class = np.divide(sums.sum(), present.sum() * sums, out=np.zeros(len(classes)), where=present)
    else:
        labels = classes.tolist()
        unknown = [label for label in class_weight if label not in labels]
        if unknown:
            raise ValueError(f'SoftmaxRegression: `class_weight` names "{shown(unknown[0])}", which is no class of `y`')
        by_class = np.array([float(class_weight.get(label, 1.0)) for label in labels])
        if not np.all(np.isfinite(by_class)) or np.any(by_class < 0):
            raise ValueError("SoftmaxRegression: `class_weight` must hold finite numbers that are not negative")
    with np.errstate(over="ignore"):
        weights = weights * by_class[targets]
    if not np.all(np.isfinite(weights)):
        raise ValueError("SoftmaxRegression: `class_weight` times the sample weights must stay finite")
    if not weights.any():
        raise ValueError("SoftmaxRegression: `class_weight` and the sample weights leave no row any weight")
    return _without_faint(weights)


def _without_faint(weights: Array) -> Array:
    return np.where(weights < weights.max() * FAINT, 0.0, weights)

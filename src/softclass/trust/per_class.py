"""What is known about each class on its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from softclass.trust.checks import Floats, Integers
from softclass.trust.rows import RowScores


@dataclass(frozen=True)
class ClassEvaluation:
    """What is known about one class; None where there is nothing to divide by.

    Attributes
    ----------
    n : int
        Rows of the class.
    precision, recall, f1 : float or None
        Of the predicted labels.
    log_loss : float or None
        Mean over the rows of the class, in nats.
    ece : float
        Calibration error of the probability of this class over all rows, 15 equal-width bins.
    """

    n: int
    precision: float | None
    recall: float | None
    f1: float | None
    log_loss: float | None
    ece: float


def finite_or_none(value: Any) -> Any:
    """Return the value, or None for a float that JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def evaluate_classes(
    names: tuple[str, ...], counts: Integers, targets: Integers, rows: RowScores, weight: Floats, errors: Floats
) -> dict[str, ClassEvaluation]:
    """Table of the classes."""
    n_classes, known = len(names), targets >= 0
    correct = rows.rank == 0
    true = np.bincount(targets[known], weights=weight[known], minlength=n_classes)
    predicted = np.bincount(rows.predicted, weights=weight, minlength=n_classes)
    right = np.bincount(rows.predicted[correct], weights=weight[correct], minlength=n_classes)
    used = known & (weight > 0)
    loss = np.bincount(targets[used], weights=weight[used] * rows.loss[used], minlength=n_classes)
    return {
        names[k]: ClassEvaluation(
            n=int(counts[k]),
            precision=float(right[k] / predicted[k]) if predicted[k] > 0 else None,
            recall=float(right[k] / true[k]) if true[k] > 0 else None,
            f1=float(2 * right[k] / (true[k] + predicted[k])) if true[k] + predicted[k] > 0 else None,
            log_loss=finite_or_none(float(loss[k] / true[k])) if true[k] > 0 else None,
            ece=float(errors[k]),
        )
        for k in range(n_classes)
    }

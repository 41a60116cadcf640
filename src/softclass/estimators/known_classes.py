"""Solving over the classes that have weight, the others getting probability zero; a start from other classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.estimators.line_search import Limits
from softclass.estimators.scaling import Array
from softclass.estimators.solve import Optimum, root_of_penalty, solve
from softclass.estimators.spill import AbstractRows


def solve_known(
    X: Any,
    targets: npt.NDArray[np.int64],
    weights: Array,
    known: npt.NDArray[np.bool_],
    start: tuple[Array, Array] | None,
    limits: Limits,
    *,
    C: float,
    l1_ratio: float,
    intercept: bool,
    seed: int,
    threads: int | None,
) -> Optimum:
    """Solve over the classes that have weight; the others get probability zero."""
    root = root_of_penalty(weights, C)
    root_penalty, l1_penalty = root * float(np.sqrt(1.0 - l1_ratio)), l1_ratio * root * root
    n_classes, n_known = len(known), int(known.sum())
    used = weights > 0
    if not used.all():
        X = X.kept(used) if isinstance(X, AbstractRows) else X[used]
        targets, weights = targets[used], weights[used]
    rows = 1 if n_classes == 2 else n_classes
    if n_known == 1:
        weight, bias = np.zeros((rows, X.shape[1])), np.where(known, 0.0, -np.inf)
        if n_classes == 2:
            bias = np.array([np.inf if known[1] else -np.inf])
        return Optimum(weight, bias, 0.0, np.zeros(1), np.zeros(1), 0, "decrement")
    if n_known == 2 < n_classes:
        root_penalty /= np.sqrt(2.0)  # two rows (-w/2, w/2) have half the squared length of one row w, the same size
    optimum = solve(
        X,
        targets if n_known == n_classes else np.cumsum(known)[targets] - 1,
        weights,
        n_classes=n_known,
        root_penalty=root_penalty,
        intercept=intercept,
        limits=limits,
        start=start,
        seed=seed,
        l1_penalty=l1_penalty,
        threads=threads,
    )
    if n_known == n_classes:
        return optimum
    weight, bias = optimum.weight, optimum.bias
    if n_known == 2:
        weight, bias = two_rows(weight, bias)
    all_weight, all_bias = np.zeros((n_classes, X.shape[1])), np.full(n_classes, -np.inf)
    all_weight[known], all_bias[known] = weight, bias
    return replace(optimum, weight=all_weight, bias=all_bias)


def two_rows(weight: Array, bias: Array) -> tuple[Array, Array]:
    """Return one row a class for the one row of two classes."""
    return np.concatenate([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])


def start_from(
    weight: Array,
    bias: Array,
    before: npt.NDArray[Any],
    classes: npt.NDArray[Any],
    shares: Array,
) -> tuple[Array, Array] | None:
    """Return a start for `classes` from the fit of the classes `before`: rows are matched by label.

    Classes that are new, or had no weight, begin at their share with no weights. None if no class is the same.
    """
    if len(before) == 2:
        weight, bias = two_rows(weight, bias)
    old = {label: place for place, label in enumerate(before.tolist()) if np.isfinite(bias[place])}
    places = np.array([old.get(label, -1) for label in classes.tolist()])
    same = places >= 0
    if not same.any():
        return None
    new_weight, new_bias = np.zeros((len(classes), weight.shape[1])), np.log(shares)
    new_bias += float(np.mean(bias[places[same]] - new_bias[same]))
    new_weight[same], new_bias[same] = weight[places[same]], bias[places[same]]
    if len(classes) == 2:
        return new_weight[1:] - new_weight[:1], new_bias[1:] - new_bias[:1]
    return new_weight, new_bias

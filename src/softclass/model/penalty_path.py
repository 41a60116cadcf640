"""What other strengths of the penalty would have done: facts for the report and for ``metrics.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.estimators.regularization import CChoice
from softclass.estimators.regularization_path import regularization_path

Int64 = npt.NDArray[np.int64]

CURVE_ROWS = 20_000  # rows that the curves are fitted on at most
CURVE_STEPS = 4  # fits a power of ten
MANY_WEIGHTS = 200_000  # beyond, one fit a power of ten: all of them are in memory together
CURVE_CLASSES = 6
CURVE_COLUMNS = 5  # of each class
RANGE = (1e-3, 1e3)


def path_facts(choice: CChoice, chosen: float, *, was_chosen: bool, l1_ratio: float = 0.0) -> dict[str, Any]:
    """Return the held-out losses as plain facts, in the order of C."""
    strengths = sorted(choice.losses)
    return {
        "C": strengths,
        "log_loss": [choice.losses[strength] for strength in strengths],
        "standard_error": [choice.standard_errors[strength] for strength in strengths],
        "folds": choice.folds,
        "held_out_rows": choice.n_held_out,
        "chosen": chosen,
        "was_chosen": was_chosen,
        "l1_ratio": l1_ratio,
    }


def weight_curves(
    features: Any,
    targets: Int64,
    weights: npt.NDArray[np.float64] | None,
    *,
    names: Sequence[str],
    classes: Sequence[str],
    class_weight: Mapping[int, float] | str | None,
    chosen: float,
    tol: float,
    seed: int,
    l1_ratio: float = 0.0,
) -> dict[str, Any]:
    """
    Fit a range of C and return how the strongest weights change.

    Parameters
    ----------
    features : float32 array of shape (n_rows, D), or EncodedRows
        Rows of the fit part.
    targets : int64 array of shape (n_rows,)
        Class numbers; every class has rows.
    weights : float64 array of shape (n_rows,) or None
        Of the rows.
    names : sequence of str
        Of the features.
    classes : sequence of str
        Names of the classes.
    class_weight : mapping of class number to weight, "balanced" or None
        As in the fit.
    chosen : float
        C of the model: there the strongest weights are looked for.
    tol : float
        As in the fit.
    seed : int
        Decides the sample where there are too many rows.
    l1_ratio : float, default 0
        As in the fit.

    Returns
    -------
    dict
        ``C``; ``rows`` and ``sampled``; ``classes``: for each class the features with most weight at the chosen C, and
        their weights for every C, around the mean of the classes.
    """
    taken, weights = _sample(targets, weights, seed)
    path = regularization_path(
        features[taken],
        targets[taken],
        Cs=_strengths(chosen, CURVE_STEPS if len(classes) * len(names) <= MANY_WEIGHTS else 1),
        l1_ratio=l1_ratio,
        class_weight=class_weight,
        sample_weight=weights,
        tol=tol,
    )
    weight = path.coef if path.coef.shape[1] > 1 else np.concatenate([-path.coef / 2, path.coef / 2], axis=1)
    weight = weight - weight.mean(axis=1, keepdims=True)
    place = int(np.argmin(np.abs(np.log(path.Cs) - math.log(min(max(chosen, path.Cs[0]), path.Cs[-1])))))
    counts = np.bincount(targets, weights=None, minlength=len(classes))
    most = np.argsort(-counts, kind="stable")[:CURVE_CLASSES]
    picked = [1] if len(classes) == 2 else sorted(most.tolist())
    curves = {}
    for k in picked:
        top = np.argsort(-np.abs(weight[place, k]), kind="stable")[:CURVE_COLUMNS]
        curves[classes[k]] = {names[d]: weight[:, k, d].tolist() for d in top if weight[:, k, d].any()}
    return {
        "C": path.Cs.tolist(),
        "rows": len(taken),
        "sampled": len(taken) < len(targets),
        "classes": {name: found for name, found in curves.items() if found},
    }


def _strengths(chosen: float, steps: int) -> npt.NDArray[np.float64]:
    """Return the strengths to fit: even steps over the usual range, stretched to hold the chosen one."""
    low, high = (math.log10(edge) for edge in RANGE)
    if math.isfinite(chosen):
        low, high = min(low, math.floor(math.log10(chosen))), max(high, math.ceil(math.log10(chosen)))
    return np.logspace(low, high, round((high - low) * steps) + 1)


def _sample(
    targets: Int64, weights: npt.NDArray[np.float64] | None, seed: int
) -> tuple[Int64, npt.NDArray[np.float64] | None]:
    """Return all rows, or a sample with some of every class whose weights make up for the rest."""
    if len(targets) <= CURVE_ROWS:
        return np.arange(len(targets)), weights
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(targets), CURVE_ROWS, replace=False)
    taken = np.union1d(chosen, np.unique(targets, return_index=True)[1])
    all_weights = np.ones(len(targets)) if weights is None else weights
    return taken, all_weights[taken] * (all_weights.sum() / all_weights[taken].sum())

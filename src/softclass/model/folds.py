"""Metrics by cross-validation: every row is judged by a graph whose weights never saw it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.data.row_order import row_order, splitmix64
from softclass.errors import Notes
from softclass.model.backbone import Backbone
from softclass.model.choice import Choosing
from softclass.model.examples import Examples, chosen_inputs, picked
from softclass.model.fitting import logits_of, preprocessing_of
from softclass.model.graph import build_graph
from softclass.model.session import Session
from softclass.trust.evaluation import Evaluation, evaluate

Int64 = npt.NDArray[np.int64]


def cross_validate(
    examples: Examples,
    rows: Int64,
    choosing: Choosing,
    n_folds: int,
    max_categories: int,
    backbone: Backbone | None = None,
) -> Evaluation:
    """Estimate the metrics on rows that the weights never saw, fold by fold, each through a graph of its own.

    Preprocessing, the choice of classifier, C and the weights are made anew for every fold; a backbone stays. Notes of
    the folds are not kept: they repeat those of the real fit.
    """
    within = rows[examples.targets[rows] >= 0]
    fold = fold_numbers(examples.targets[within], n_folds, seed=choosing.seed, groups=picked(examples.groups, within))
    logits = np.full((len(within), len(examples.classes)), np.nan, dtype=np.float32)
    for number in range(n_folds):
        choosing.say("phase", {"name": "cross-validating", "done": number, "total": n_folds})
        inside, outside = within[fold != number], within[fold == number]
        preprocessing = backbone or preprocessing_of(examples, inside, Notes(), max_categories)
        fitted, _ = choosing.quiet().fit(examples, inside, preprocessing, Notes())
        constants, layers = fitted.parts
        body = build_graph(constants, layers, examples.class_names(), image=examples.spec)
        logits[fold == number] = logits_of(Session(body), constants, chosen_inputs(examples.inputs, outside))
    return evaluate(
        logits,
        examples.targets[within],
        examples.class_names(),
        sample_weight=picked(examples.weights, within),
        groups=picked(examples.groups, within),
        seed=choosing.seed,
        split="cross-validation",
    )


def fold_numbers(
    targets: Int64, n_folds: int, *, seed: int, groups: npt.NDArray[Any] | None = None
) -> npt.NDArray[np.int64]:
    """
    Number of the fold of each row: classes spread evenly, or groups kept whole.

    Examples
    --------
    >>> fold_numbers(np.array([0, 0, 1, 1]), 2, seed=0).tolist()
    [1, 0, 0, 1]
    """
    if groups is not None:
        _, codes = np.unique(groups, return_inverse=True)
        ranks = np.unique(splitmix64(codes.astype(np.uint64) + row_order(1, seed)), return_inverse=True)[1]
        return np.asarray(ranks % n_folds, dtype=np.int64)
    # Sorted by class, then by key, rows are dealt out in turn: counts differ by at most one, over all and a class.
    order = np.lexsort((row_order(len(targets), seed), targets))
    fold = np.empty(len(targets), dtype=np.int64)
    fold[order] = np.arange(len(targets)) % n_folds
    return fold

"""What a fit says in words: which classes a plane tells apart, which features follow from others, where it stopped."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from softclass.data.preprocessing import CategoryStep, Preprocessing, n_features_of_step
from softclass.errors import Notes, first_few, shown
from softclass.estimators.softmax_regression import SoftmaxRegression
from softclass.model.encoded import AnyPreprocessing

LISTED = 6  # classes, columns and features of a sentence


def separation_text(estimator: SoftmaxRegression, names: Sequence[str], classes: Sequence[str]) -> str:
    """
    Say which classes a plane tells apart without an error, and by which columns; nothing if none are known to be.

    Parameters
    ----------
    estimator : SoftmaxRegression
        Fitted on class numbers.
    names : sequence of str
        Of the features.
    classes : sequence of str
        Names of the classes.

    Returns
    -------
    str
        A clause, or "".
    """
    found = estimator.separation_
    if found is None:
        return ""
    named = dict(zip(estimator.column_names(), names, strict=True))
    if found.never:
        column, label = found.never[0]
        return f'"{shown(named[column])}" never occurs with class "{shown(classes[int(label)])}" in the fit part'
    which = ", ".join(f'"{shown(classes[int(label)])}"' for label in found.classes[:LISTED])
    by = ", ".join(f'"{shown(named[column])}"' for column in found.columns[:LISTED])
    more = f" and {len(found.columns) - LISTED:,} more columns" if len(found.columns) > LISTED else ""
    if found.kind == "complete":
        return f"a plane tells all rows of the fit part apart without an error{f', by {by}{more}' if by else ''}"
    return f"some rows of {which} are told apart without an error{f', by {by}{more}' if by else ''}"


def note_outcome(
    estimator: SoftmaxRegression, deadline: float | None, preprocessing: AnyPreprocessing, notes: Notes
) -> None:
    """Say so if the weights are not those of the optimum, or are one of many that are as good."""
    _note_dependent(estimator, preprocessing, notes)
    separation = estimator.separation_
    if separation is not None and not np.isfinite(estimator.C):
        which = "the classes are" if separation.kind == "complete" else "some rows are"
        notes.add("SC846", f"{which} told apart perfectly on the fit part; the weights have no finite optimum",
                  hint="Pass a finite --C")  # fmt: skip
    elif not estimator.converged_ and deadline is not None and time.monotonic() >= deadline:
        notes.add("SC843", "the time limit ended the fit; the best weights so far are kept",
                  hint="Raise --time-limit")  # fmt: skip
    elif not estimator.converged_:
        notes.add(
            "SC847",
            f"the fit did not converge in {int(estimator.n_iter_[0]):,} iterations; largest derivative "
            f"{estimator.gradient_norm_:.3g}",
            hint="Raise --max-iter",
        )


def _note_dependent(estimator: SoftmaxRegression, preprocessing: AnyPreprocessing, notes: Notes) -> None:
    """Count the features that follow from others, which matters only where no penalty chooses among the weights.

    The categories of a column always add up to one, which nobody needs to be told.
    """
    rank = estimator.column_rank()
    if rank is None or not len(rank.dependent) or not isinstance(preprocessing, Preprocessing):
        return
    column_of = np.repeat(
        np.arange(len(preprocessing.steps)), [n_features_of_step(step) for step in preprocessing.steps]
    )
    is_category = np.array([isinstance(step, CategoryStep) for step in preprocessing.steps])
    names = preprocessing.feature_names
    told = []
    for feature, terms in zip(rank.dependent.tolist(), rank.terms, strict=True):
        own = column_of[feature]
        if is_category[own] and np.all(column_of[rank.kept[terms != 0]] == own):
            continue
        told.append(f'"{shown(names[feature])}"')
    if told:
        text = (
            "features follow from others, so their weights cannot be told apart; predictions are unaffected: "
            f"{first_few(told, LISTED)}"
        )
        notes.add("SC849", text, count=len(told), hint="Pass a finite --C, or drop columns that repeat others")

"""From features to a fitted last layer: the choice of C, the fit, and the estimate by cross-validation."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass._typing import Columns
from softclass.data.pixels import PixelPreprocessing, fit_pixel_preprocessing
from softclass.data.preprocessing import Preprocessing, fit_preprocessing
from softclass.data.row_order import row_order, splitmix64
from softclass.data.schema import Schema
from softclass.errors import Notes
from softclass.estimators.regularization import choose_c
from softclass.estimators.softmax_regression import SoftmaxRegression
from softclass.model.examples import Examples, Inputs, take_inputs
from softclass.model.graph import build_graph
from softclass.model.rows import feeds_of
from softclass.model.session import Session
from softclass.networks.architecture import Dense
from softclass.trust.evaluation import Evaluation, evaluate

Int64 = npt.NDArray[np.int64]
WORTH_MERGING = 0.9  # share of distinct rows up to which equal ones are merged
AnyPreprocessing = Preprocessing | PixelPreprocessing


@dataclass(frozen=True, eq=False)
class Fitted:
    """Weights, and how they were found.

    Attributes
    ----------
    layers : tuple of Dense
        The fitted layers, the last of which gives the logits.
    C : float
        Inverse strength of the penalty.
    tried : dict of C to held-out log loss, or None
        Filled when C was chosen.
    iterations, converged, gradient_norm, objective
        Of the final fit; the objective in nats per weighted row.
    seconds : float
        Choice and fit together.
    history : tuple of dict
        One entry an iteration.
    """

    layers: tuple[Dense, ...]
    C: float
    tried: dict[float, float] | None
    iterations: int
    converged: bool
    gradient_norm: float
    objective: float
    seconds: float
    history: tuple[dict[str, Any], ...] = ()

    def stored(self) -> dict[str, Any]:
        """What the model file says about the fit: nothing that depends on the clock."""
        return {
            "C": self.C,
            "converged": self.converged,
            "gradient_norm": self.gradient_norm,
            "iterations": self.iterations,
        }

    def tried_by_name(self) -> dict[str, float] | None:
        """The values of C that were tried, as JSON keys, with their held-out log losses."""
        return None if self.tried is None else {f"{strength:g}": loss for strength, loss in self.tried.items()}

    def facts(self) -> dict[str, Any]:
        """What the terminal and ``metrics.json`` say about the fit."""
        return {**self.stored(), "tried": None if self.tried is None else len(self.tried), "seconds": self.seconds}


@dataclass(frozen=True)
class Fitting:
    """How weights are fitted in this run."""

    C: float | str
    tol: float
    max_iter: int
    class_weight: dict[int, float] | str | None
    seed: int
    deadline: float | None
    say: Callable[[str, dict[str, Any]], None]
    history: list[dict[str, Any]] = field(default_factory=list)

    def fit(self, examples: Examples, rows: Int64, preprocessing: AnyPreprocessing, notes: Notes) -> Fitted:
        """Fit the weights on some rows, choosing C on a held-out share of them if asked to."""
        started = time.monotonic()
        self.say("phase", {"name": "fitting", "done": 0, "total": None})
        features, targets = features_of(preprocessing, take_inputs(examples.inputs, rows)), examples.targets[rows]
        weights = None if examples.weights is None else examples.weights[rows]
        choice = None
        if self.C == "auto":
            # On the rows as they come: held-out rows must repeat others as often as new rows will.
            choice = choose_c(
                features,
                targets,
                n_classes=len(examples.classes),
                sample_weight=weights,
                class_weight=self.class_weight,
                seed=self.seed,
                deadline=self.deadline,
            )
        merged = distinct_rows(examples.content_keys[rows], targets, weights)
        if merged is not None:
            kept, weights = merged
            features, targets = features[kept], targets[kept]
        strength = choice.C if choice is not None else float(self.C)
        self.history.clear()
        estimator = SoftmaxRegression(
            C=strength, tol=self.tol, max_iter=self.max_iter, class_weight=self.class_weight, random_state=self.seed
        )

        def told(iteration: int, loss: float, gradient_norm: float) -> None:
            seconds = time.monotonic() - started
            entry = {"iteration": iteration, "loss": loss, "gradient_norm": gradient_norm, "seconds": seconds}
            self.history.append({**entry, "C": strength})
            self.say("iteration", self.history[-1])

        with warnings.catch_warnings():
            # What the estimator would warn of becomes a note below, with words that fit the command line.
            warnings.filterwarnings("ignore", message=r"\[SC84[67]\]")
            # scikit-learn's doubt about many classes; SC314 has judged the target already.
            warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)
            estimator.fit_watched(features, targets, weights, progress=told, deadline=self.deadline)
        _note_outcome(estimator, self.deadline, notes)
        return Fitted(
            layers=estimator.layers_,
            C=strength,
            tried=None if choice is None else dict(choice.losses),
            iterations=int(estimator.n_iter_[0]),
            converged=bool(estimator.converged_),
            gradient_norm=float(estimator.gradient_norm_),
            objective=float(estimator.objective_),
            seconds=time.monotonic() - started,
            history=tuple(self.history),
        )


def distinct_rows(
    keys: npt.NDArray[np.uint64], targets: Int64, weights: npt.NDArray[np.float64] | None
) -> tuple[Int64, npt.NDArray[np.float64]] | None:
    """
    Put rows that are equal, label and all, together into one whose weight is the sum of theirs.

    Return the first row of each kind and the weights, or None if fewer than a tenth of the rows would go. The
    objective stays the same, term by term. Logs and questionnaires repeat rows many times over: of the 393,217 fit rows
    of the KDD Cup 99 sample 119,518 are left.
    """
    labelled = splitmix64(keys ^ splitmix64(targets.astype(np.uint64)))
    distinct, first, place = np.unique(labelled, return_index=True, return_inverse=True)
    if len(distinct) > WORTH_MERGING * len(targets):
        return None
    summed = np.bincount(place, weights)
    in_order = np.argsort(first)
    return first[in_order], summed[in_order].astype(np.float64)


def _note_outcome(estimator: SoftmaxRegression, deadline: float | None, notes: Notes) -> None:
    """Say so if the weights are not those of the optimum."""
    if estimator.separable_:
        notes.add("SC846", "the classes are told apart perfectly on the fit part; the weights have no finite optimum",
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


def preprocessing_of(examples: Examples, rows: Int64, notes: Notes, max_categories: int) -> AnyPreprocessing:
    """Fit the constants of the preprocessing on some rows."""
    if isinstance(examples.inputs, np.ndarray):
        return fit_pixel_preprocessing(examples.inputs, rows)
    assert examples.schema is not None  # noqa: S101 - columns always have a schema
    columns: Columns = examples.inputs
    schema: Schema = examples.schema
    return fit_preprocessing(columns, schema, rows, notes, max_categories=max_categories)


def features_of(preprocessing: AnyPreprocessing, inputs: Inputs) -> npt.NDArray[np.float32]:
    """Turn columns or pixels into features, in NumPy."""
    if isinstance(preprocessing, PixelPreprocessing):
        assert isinstance(inputs, np.ndarray)  # noqa: S101 - pixels go with pixels
        return np.asarray(preprocessing.apply(inputs), dtype=np.float32)
    assert isinstance(inputs, dict)  # noqa: S101 - columns go with columns
    return preprocessing.apply(inputs)


def n_features_of(examples: Examples, preprocessing: AnyPreprocessing) -> int:
    """Number of features of a row."""
    if isinstance(preprocessing, Preprocessing):
        return preprocessing.n_features
    assert examples.spec is not None  # noqa: S101 - pixels have a size
    return examples.spec.height * examples.spec.width * examples.spec.channels


def logits_of(session: Session, preprocessing: AnyPreprocessing, inputs: Inputs) -> npt.NDArray[np.float32]:
    """Run the graph over all rows."""
    return session.run(feeds_of(preprocessing, inputs)).logits


def cross_validate(examples: Examples, rows: Int64, fitting: Fitting, n_folds: int, max_categories: int) -> Evaluation:
    """Estimate the metrics on rows that the weights never saw, fold by fold, each through a graph of its own.

    Preprocessing, the choice of C and the weights are made anew for every fold. Notes of the folds are not kept: they
    repeat those of the real fit.
    """
    within = rows[examples.targets[rows] >= 0]
    fold = fold_numbers(examples.targets[within], n_folds, seed=fitting.seed, groups=_pick(examples.groups, within))
    logits = np.full((len(within), len(examples.classes)), np.nan, dtype=np.float32)
    for number in range(n_folds):
        fitting.say("phase", {"name": "cross-validating", "done": number, "total": n_folds})
        inside, outside = within[fold != number], within[fold == number]
        preprocessing = preprocessing_of(examples, inside, Notes(), max_categories)
        quiet = replace(fitting, say=lambda event, facts: None, history=[])
        fitted = quiet.fit(examples, inside, preprocessing, Notes())
        body = build_graph(preprocessing, fitted.layers, examples.class_names(), image=examples.spec)
        logits[fold == number] = logits_of(Session(body), preprocessing, take_inputs(examples.inputs, outside))
    return evaluate(
        logits,
        examples.targets[within],
        examples.class_names(),
        sample_weight=_pick(examples.weights, within),
        groups=_pick(examples.groups, within),
        seed=fitting.seed,
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


def _pick(array: npt.NDArray[Any] | None, rows: Int64) -> npt.NDArray[Any] | None:
    return None if array is None else array[rows]

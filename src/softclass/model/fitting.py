"""From features to a fitted last layer: the choice of C, the fit, and the estimate by cross-validation."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass._typing import Columns
from softclass.data.blocks import rows_of_block
from softclass.data.pixels import Constants, fit_pixel_preprocessing
from softclass.data.preprocessing import Preprocessing, fit_preprocessing
from softclass.data.row_order import splitmix64
from softclass.data.schema import Schema
from softclass.errors import Notes
from softclass.estimators.regularization import GRID, CChoice, choose_c
from softclass.estimators.softmax_regression import SoftmaxRegression
from softclass.model.backbone import Backbone
from softclass.model.encoded import AnyPreprocessing, EncodedBatches, EncodedRows, features_of, fitting_bytes
from softclass.model.examples import Examples, Inputs, take_inputs
from softclass.model.fit_remarks import note_outcome, separation_text
from softclass.model.penalty_path import path_facts, weight_curves
from softclass.model.rows import feeds_of
from softclass.model.session import Outputs, Session
from softclass.networks.architecture import Dense
from softclass.networks.fitted_layers import FittedLayer

Int64 = npt.NDArray[np.int64]
OUTPUTS = tuple(field.name for field in fields(Outputs))
WORTH_MERGING = 0.9  # share of distinct rows up to which equal ones are merged


@dataclass(frozen=True, eq=False)
class Fitted:
    """Weights, and how they were found.

    Attributes
    ----------
    layers : tuple of Dense
        The fitted layers, the last of which gives the logits.
    preprocessing : Preprocessing or PixelPreprocessing
        What they take features from.
    C : float
        Inverse strength of the penalty.
    tried : dict of C to held-out log loss, or None
        Filled when C was chosen.
    iterations, converged, gradient_norm, objective
        Of the final fit; the objective in nats per weighted row.
    seconds : float
        Choice and fit together.
    gap : float or None
        Bound on, or estimate of, the distance of the objective from its minimum.
    gap_kind : {"duality", "newton", "decrement", "none"}
        Where the gap comes from: two kinds of bounds, an estimate, nothing.
    passes : int
        Reads of all rows.
    solver : str
        Name of the regime.
    separation : str
        What tells the classes apart perfectly; empty if nothing is known to.
    streamed : bool
        Whether the features went to disk instead of memory.
    path : dict or None
        Held-out losses and weights for other strengths of the penalty, if they were asked for.
    history : tuple of dict
        One entry an iteration.
    """

    layers: tuple[Dense, ...]
    preprocessing: AnyPreprocessing
    C: float
    tried: dict[float, float] | None
    iterations: int
    converged: bool
    gradient_norm: float
    objective: float
    seconds: float
    gap: float | None = None
    gap_kind: str = "none"
    passes: int = 0
    solver: str = ""
    separation: str = ""
    streamed: bool = False
    l1_ratio: float = 0.0
    weights: int = 0
    nonzero: int = 0
    path: dict[str, Any] | None = None
    history: tuple[dict[str, Any], ...] = ()

    def stored(self) -> dict[str, Any]:
        """What the model file says about the fit: nothing that depends on the clock."""
        behind = {"backbone": self.preprocessing.digest} if isinstance(self.preprocessing, Backbone) else {}
        return {
            **behind,
            "C": self.C,
            "converged": self.converged,
            "gradient_norm": self.gradient_norm,
            "iterations": self.iterations,
            **({"l1_ratio": self.l1_ratio} if self.l1_ratio else {}),
        }

    def logits(self, inputs: Inputs) -> npt.NDArray[np.float64]:
        """Logits of some rows from the weights themselves, in float64."""
        found = features_of(self.preprocessing, inputs).astype(np.float64)
        for layer in self.layers:
            found = found @ layer.weight.T + layer.bias
        return found

    @property
    def parts(self) -> tuple[Constants, tuple[FittedLayer, ...]]:
        """Preprocessing and all layers of the graph, those of a backbone too."""
        if isinstance(self.preprocessing, Backbone):
            return self.preprocessing.preprocessing, (*self.preprocessing.layers, *self.layers)
        return self.preprocessing, self.layers

    @property
    def kind(self) -> str:
        """What the model file calls the classifier."""
        return "fine-tuned" if isinstance(self.preprocessing, Backbone) else "softmax"

    def resolved(self) -> dict[str, Any]:
        """What ``config.toml`` says in the place of "auto"."""
        return {"C": self.C, "model": "softmax"}

    def tried_by_name(self) -> dict[str, float] | None:
        """The values of C that were tried, as JSON keys, with their held-out log losses."""
        return None if self.tried is None else {f"{strength:g}": loss for strength, loss in self.tried.items()}

    def facts(self) -> dict[str, Any]:
        """What the terminal and ``metrics.json`` say about the fit."""
        return {
            **self.stored(),
            "l1_ratio": self.l1_ratio,
            "weights": self.weights,
            "nonzero": self.nonzero,
            "objective": self.objective,
            "gap": self.gap,
            "gap_kind": self.gap_kind,
            "passes": self.passes,
            "solver": self.solver,
            "separation": self.separation,
            "streamed": self.streamed,
            "tried": None if self.tried is None else len(self.tried),
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class Fitting:
    """
    How weights are fitted in this run.

    Attributes
    ----------
    C : float or "auto"
        Strength of the data against the penalty.
    tol, max_iter, l1_ratio
        As in `SoftmaxRegression`.
    class_weight : mapping of class number to weight, "balanced" or None
        Weights of the classes in the loss.
    seed : int
        Decides every draw.
    deadline : float or None
        Value of ``time.monotonic()`` past which the best so far is kept.
    say : callable (event, facts)
        Told what happens.
    memory_limit : float
        Bytes of features beyond which they are streamed from disk.
    folds : int
        Folds by which C is judged; 0 leaves that to the number of rows.
    with_path : bool
        Whether other strengths of the penalty are fitted for the report too.
    seconds_for_choice : float or None
        After which no further C is tried.
    history : list of dict
        One entry an iteration.
    """

    C: float | str
    tol: float
    max_iter: int
    class_weight: dict[int, float] | str | None
    seed: int
    deadline: float | None
    say: Callable[[str, dict[str, Any]], None]
    l1_ratio: float = 0.0
    memory_limit: float = math.inf
    folds: int = 0
    with_path: bool = False
    seconds_for_choice: float | None = None
    history: list[dict[str, Any]] = field(default_factory=list)

    def quiet(self) -> Fitting:
        """Return the same without words to the user and charts, for the fit of a fold."""
        return replace(self, say=lambda event, facts: None, history=[], folds=0, with_path=False)

    def fit(self, examples: Examples, rows: Int64, preprocessing: AnyPreprocessing, notes: Notes) -> Fitted:
        """Fit the weights on some rows, choosing C on a held-out share of them if asked to."""
        started = time.monotonic()
        self.say("phase", {"name": "fitting", "done": 0, "total": None})
        targets = examples.targets[rows]
        weights = None if examples.weights is None else examples.weights[rows]
        n_features = n_features_of(examples, preprocessing)
        streamed = fitting_bytes(len(rows), n_features) > self.memory_limit
        encoded = EncodedRows(preprocessing, examples.inputs, rows, n_features)
        features = encoded if streamed else encoded[:]
        # On the rows as they come: held-out rows must repeat others as often as new rows will.
        choice = self._choice(features, targets, weights, len(examples.classes))
        strength = choice.C if choice is not None and self.C == "auto" else float(self.C)
        merged = distinct_rows(examples.content_keys[rows], targets, weights)
        if merged is not None:
            kept, weights = merged
            targets = targets[kept]
            features = replace(encoded, rows=rows[kept]) if streamed else features[kept]
        self.history.clear()
        estimator = SoftmaxRegression(
            C=strength, l1_ratio=self.l1_ratio, tol=self.tol, max_iter=self.max_iter, class_weight=self.class_weight,
            random_state=self.seed,
        )  # fmt: skip

        def told(iteration: int, loss: float, gradient_norm: float) -> None:
            seconds = time.monotonic() - started
            entry = {"iteration": iteration, "loss": loss, "gradient_norm": gradient_norm, "seconds": seconds}
            self.history.append({**entry, "C": strength})
            self.say("iteration", self.history[-1])

        with warnings.catch_warnings():
            # What the estimator would warn of becomes a note below, with words that fit the command line.
            warnings.filterwarnings("ignore", message=r"\[SC84[679]\]")
            # scikit-learn's doubt about many classes; SC314 has judged the target already.
            warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)
            if isinstance(features, EncodedRows):
                batches = EncodedBatches(features, targets, weights)
                estimator.fit_batches(batches, progress=told, deadline=self.deadline)
            else:
                estimator.fit_watched(features, targets, weights, progress=told, deadline=self.deadline)
        note_outcome(estimator, self.deadline, preprocessing, notes)
        path = None
        if choice is not None and (self.with_path or self.folds):
            path = path_facts(choice, strength, was_chosen=self.C == "auto", l1_ratio=self.l1_ratio)
            in_time = self.deadline is None or time.monotonic() < self.deadline
            if self.with_path and in_time and isinstance(preprocessing, Preprocessing):
                path["weights"] = weight_curves(
                    features,
                    targets,
                    weights,
                    names=preprocessing.feature_names,
                    classes=examples.class_names(),
                    class_weight=self.class_weight,
                    chosen=strength,
                    tol=self.tol,
                    seed=self.seed,
                    l1_ratio=self.l1_ratio,
                )
        return Fitted(
            layers=estimator.layers_,
            preprocessing=preprocessing,
            C=strength,
            tried=dict(choice.losses) if choice is not None and self.C == "auto" else None,
            iterations=int(estimator.n_iter_[0]),
            converged=bool(estimator.converged_),
            gradient_norm=float(estimator.gradient_norm_),
            objective=float(estimator.objective_),
            seconds=time.monotonic() - started,
            gap=estimator.gap_ if estimator.gap_ is not None and math.isfinite(estimator.gap_) else None,
            gap_kind=estimator.gap_kind_,
            passes=int(estimator.n_passes_),
            solver=estimator.solver_,
            separation=separation_text(estimator, _names_of(preprocessing, n_features), examples.class_names()),
            streamed=streamed,
            l1_ratio=self.l1_ratio,
            weights=estimator.coef_.size,
            nonzero=int(np.count_nonzero(estimator.coef_)),
            path=path,
            history=tuple(self.history),
        )

    def _choice(
        self, features: Any, targets: Int64, weights: npt.NDArray[np.float64] | None, n_classes: int
    ) -> CChoice | None:
        """Return the held-out losses of the strengths, if they are to choose C or to be shown."""
        if self.C != "auto" and not self.folds and not self.with_path:
            return None
        deadline = self.deadline
        if self.seconds_for_choice is not None:
            until = time.monotonic() + self.seconds_for_choice
            deadline = until if deadline is None else min(deadline, until)
        given = () if self.C == "auto" or math.isinf(float(self.C)) else (float(self.C),)
        return choose_c(
            features,
            targets,
            n_classes=n_classes,
            sample_weight=weights,
            class_weight=self.class_weight,
            seed=self.seed,
            deadline=deadline,
            grid=sorted({*GRID, *given}),
            folds=self.folds or None,
            every=self.with_path or self.folds > 0,
            l1_ratio=self.l1_ratio,
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


def _names_of(preprocessing: AnyPreprocessing, n_features: int) -> Sequence[str]:
    if isinstance(preprocessing, Preprocessing):
        return preprocessing.feature_names
    what = "feature" if isinstance(preprocessing, Backbone) else "pixel"
    return [f"{what} {place}" for place in range(n_features)]


def preprocessing_of(examples: Examples, rows: Int64, notes: Notes, max_categories: int) -> AnyPreprocessing:
    """Fit the constants of the preprocessing on some rows."""
    if isinstance(examples.inputs, np.ndarray):
        return fit_pixel_preprocessing(examples.inputs, rows)
    assert examples.schema is not None  # noqa: S101 - columns always have a schema
    columns: Columns = examples.inputs
    schema: Schema = examples.schema
    return fit_preprocessing(columns, schema, rows, notes, max_categories=max_categories)


def n_features_of(examples: Examples, preprocessing: AnyPreprocessing) -> int:
    """Number of features of a row."""
    if isinstance(preprocessing, Preprocessing | Backbone):
        return preprocessing.n_features
    assert examples.spec is not None  # noqa: S101 - pixels have a size
    return examples.spec.height * examples.spec.width * examples.spec.channels


def outputs_of(session: Session, preprocessing: Constants, inputs: Inputs) -> Outputs:
    """Run the graph over all rows, block by block: the inputs may be on disk, and are never all in memory then."""
    n_rows = len(inputs if isinstance(inputs, np.ndarray) else next(iter(inputs.values())))
    size = n_rows if isinstance(inputs, np.ndarray) else rows_of_block(len(inputs))
    found = [
        session.run(feeds_of(preprocessing, take_inputs(inputs, np.arange(first, min(first + size, n_rows)))))
        for first in range(0, max(n_rows, 1), max(size, 1))
    ]
    return Outputs(*(np.concatenate([getattr(one, name) for one in found]) for name in OUTPUTS))


def logits_of(session: Session, preprocessing: Constants, inputs: Inputs) -> npt.NDArray[np.float32]:
    """Run the graph over all rows."""
    return outputs_of(session, preprocessing, inputs).logits

"""What the classifiers by networks share: parts, weights, epochs, restarts, predictions, going on."""

from __future__ import annotations

import sys
import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y, check_consistent_length, check_is_fitted

from softclass.errors import DataWarning, UsageError, shown
from softclass.estimators.network_fitting import Watch, allowed_threads, fit_network, network_of, validation_rows
from softclass.estimators.random_state import seed_of
from softclass.estimators.row_weights import row_weights
from softclass.functions.softmax import log_softmax, softmax
from softclass.networks.architecture import Architecture
from softclass.networks.engine import EngineState, Float32, Plan, Rows
from softclass.networks.plans import Chosen
from softclass.networks.training import PATIENCE_EPOCHS, FittedNetwork, Patience, patience_of

Array = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
PARTIAL_RATE = 1 / 5  # of the peak rate, in partial_fit
SHARED_CONSTRAINTS: dict[str, list[Any]] = {
    "epochs": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
    "weight_decay": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
    "class_weight": [dict, StrOptions({"balanced"}), None],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "patience": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left"), None],
    "warm_start": ["boolean"],
    "callbacks": ["array-like", None],
    "n_jobs": [Interval(Integral, 1, None, closed="left"), Interval(Integral, None, -1, closed="right"), None],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}
Self = TypeVar("Self", bound="AbstractNetworkClassifier")


class AbstractNetworkClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier whose logits come from a network; subclasses read the rows and choose the architecture."""

    epochs: int | str
    batch_size: int | str
    learning_rate: float | str
    weight_decay: float | str
    class_weight: dict[Any, float] | str | None
    validation_fraction: float
    patience: int | str | None
    warm_start: bool
    callbacks: Sequence[Callable[[dict[str, Any]], object]] | None
    n_jobs: int | None
    random_state: Any
    verbose: int

    classes_: npt.NDArray[Any]
    architecture_: Architecture
    plan_: Plan
    history_: list[dict[str, Any]]
    best_epoch_: int
    n_iter_: int
    encoding_: Any
    _parameters: dict[str, Float32]
    _state: EngineState

    @abstractmethod
    def _read(self, X: Any, *, reset: bool) -> Any:
        """Return the cells or pixels of X, checked; they have a length and take arrays of rows."""

    @abstractmethod
    def _fit_encoding(self, cells: Any) -> Any:
        """Return what turns cells into rows of an engine."""

    @abstractmethod
    def _choose_architecture(self, n_rows: int, n_classes: int) -> Architecture:
        """Return the network for so many rows."""

    @abstractmethod
    def _choose_plan(self, rows: Rows, validation: Rows | None) -> Plan:
        """Return the constants of the run."""

    def fit(self: Self, X: Any, y: Any, sample_weight: Any = None, eval_set: Any = None) -> Self:
        """
        Train the network and keep its best epoch.

        Parameters
        ----------
        X : array or frame
            Rows, as the class says.
        y : array of shape (n_samples,)
            Labels.
        sample_weight : array of shape (n_samples,), optional
            Weights of the rows; a row of weight zero is the same as none.
        eval_set : tuple (X, y) or (X, y, sample_weight), optional
            Rows that rank the epochs, in the place of a share of `X`.

        Returns
        -------
        SoftmaxMLP or SoftmaxCNN
            Itself, fitted.

        Raises
        ------
        NotFiniteError, OptionError
            SC132, if training diverges three times; SC141, for a network that no engine runs.
        """
        self.fit_watched(X, y, sample_weight, eval_set)
        return self

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit_watched(
        self: Self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        eval_set: Any = None,
        *,
        on_steps: Callable[[int, int], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
        checkpoints: str | Path | None = None,
        resume: bool = False,
    ) -> Self:
        """
        Train as `fit` does, and say how far it is, stop when asked, and leave checkpoints to go on from.

        Parameters
        ----------
        X, y, sample_weight, eval_set
            As in `fit`.
        on_steps : callable (step, steps), optional
            Told how far the run is, several times a second.
        should_stop : callable () -> bool, optional
            Asked several times a second; True ends the run with the best epoch so far.
        checkpoints : path, optional
            Folder for the newest two states of the run: one an epoch, but not more than one a second, and one a minute.
        resume : bool, default False
            Go on from the newest of them, if there is one. What comes out is the same, byte for byte, as if the run had
            never ended.

        Returns
        -------
        SoftmaxMLP or SoftmaxCNN
            Itself, fitted.

        Raises
        ------
        ModelFileError, UsageError
            SC411, if every checkpoint is damaged; SC412, if they are of other data or settings; SC202, for `resume`
            without `checkpoints`.
        """
        if resume and checkpoints is None:
            raise UsageError("SC202", "`resume` has no effect without `checkpoints`", where=self._name)
        goes_on = self.warm_start and hasattr(self, "_state")
        if not goes_on:
            self._forget()
        cells, targets, weights = self._checked(X, y, sample_weight, reset=not goes_on)
        seed = seed_of(self.random_state)
        used = np.flatnonzero(weights > 0)
        if len(np.unique(targets[used])) < 2:
            only = self.classes_[targets[used][0]]
            raise ValueError(f'{self._name}: `y` must hold at least two classes; got one class, "{shown(only)}"')
        held = np.zeros(len(used), dtype=np.bool_)
        if eval_set is None and self.validation_fraction > 0:
            held = validation_rows(targets[used], float(self.validation_fraction), seed)
        taken = _taken(cells, targets, weights, used[~held])
        if not goes_on:
            self.encoding_ = self._fit_encoding(taken[0])
        mean = float(taken[2].mean())
        rows = self._rows(*taken, mean)
        validation = self._rows(*_taken(cells, targets, weights, used[held]), mean) if held.any() else None
        if eval_set is not None:
            validation = self._eval_rows(eval_set, mean)
        architecture = self._choose_architecture(len(rows), len(self.classes_))
        if goes_on and architecture != self.architecture_:
            raise ValueError(
                f"{self._name}: warm_start goes on with the network of the last fit; this would be another"
            )
        self.architecture_ = architecture
        before = self.plan_.first_epoch + self.plan_.epochs if goes_on else 0
        self.plan_ = replace(self._choose_plan(rows, validation), first_epoch=before)
        watch = Watch(
            on_epoch=self._told,
            on_steps=on_steps,
            should_stop=should_stop,
            checkpoints=None if checkpoints is None else Path(checkpoints),
            resume=resume,
        )
        found = fit_network(
            architecture,
            rows,
            validation,
            self.plan_,
            seed=seed,
            threads=allowed_threads(self.n_jobs),
            patience=self._patience(self.plan_.epochs, validation is not None),
            watch=watch,
            start=self._state if goes_on else None,
        )
        self._keep(found)
        return self

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(self: Self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """
        Learn from some more rows: one pass at a fifth of the peak rate, moments kept.

        The first call finds the constants of the columns, the architecture and the batch from its rows, so it should
        have many. No rows are held out, and nothing is stopped.

        Parameters
        ----------
        X : array or frame
            Rows, as the class says.
        y : array of shape (n_samples,)
            Labels, all among `classes`.
        classes : array of shape (n_classes,), optional
            All labels that will ever come; needed in the first call unless `fit` saw them.
        sample_weight : array of shape (n_samples,), optional
            As in `fit`.

        Returns
        -------
        SoftmaxMLP or SoftmaxCNN
            Itself.

        Raises
        ------
        UsageError
            SC202, for `epochs` or `patience`, which have no effect here.
        """
        for name in ("epochs", "patience"):
            if getattr(self, name) != "auto":
                raise UsageError("SC202", f"`{name}` has no effect in partial_fit", where=self._name)
        is_first = not hasattr(self, "_state")
        if is_first and classes is None:
            raise ValueError(f"{self._name}: `classes` must be given in the first call of partial_fit")
        known = np.unique(classes) if is_first else self.classes_
        if classes is not None and not np.array_equal(np.unique(classes), known):
            raise ValueError(f"{self._name}: `classes` must be those of the first call")
        cells, targets, weights = self._checked(X, y, sample_weight, reset=is_first, classes=known)
        used = np.flatnonzero(weights > 0)
        taken = _taken(cells, targets, weights, used)
        if is_first:
            self.encoding_ = self._fit_encoding(taken[0])
            self.architecture_ = self._choose_architecture(len(used), len(known))
        rows = self._rows(*taken, float(taken[2].mean()))
        before = 0 if is_first else self.plan_.first_epoch + self.plan_.epochs
        plan = self._choose_plan(rows, None)
        batch = plan.batch if is_first else self.plan_.batch
        self.plan_ = replace(
            plan,
            epochs=1,
            batch=batch,
            schedule="constant",
            peak_rate=PARTIAL_RATE * plan.peak_rate,
            first_epoch=before,
        )
        found = fit_network(
            self.architecture_,
            rows,
            None,
            self.plan_,
            seed=seed_of(self.random_state),
            threads=allowed_threads(self.n_jobs),
            patience=None,
            watch=Watch(on_epoch=self._told),
            start=None if is_first else self._state,
        )
        self._keep(found)
        return self

    def parameters(self) -> dict[str, Float32]:
        """
        Return the weights of the network.

        Returns
        -------
        dict of float32 arrays
            Copies, under the names and in the shapes of ``architecture_.parameter_shapes``.
        """
        check_is_fitted(self)
        return {name: array.copy() for name, array in self._parameters.items()}

    def decision_function(self, X: Any) -> Array:
        """
        Return the logits.

        Parameters
        ----------
        X : array or frame
            Rows, as in `fit`.

        Returns
        -------
        float64 array of shape (n_samples, n_classes), or (n_samples,) for two classes
            For two classes, the logit of ``classes_[1]`` less that of ``classes_[0]``.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """
        Return the most probable label of each row.

        Parameters
        ----------
        X : array or frame
            Rows, as in `fit`.

        Returns
        -------
        array of shape (n_samples,)
            Labels as in `classes_`.
        """
        best = self._logits(X).argmax(axis=1)
        labels: npt.NDArray[Any] = self.classes_[best]
        return labels

    def predict_proba(self, X: Any) -> Array:
        """
        Return the probability of each class.

        Parameters
        ----------
        X : array or frame
            Rows, as in `fit`.

        Returns
        -------
        float64 array of shape (n_samples, n_classes)
            Each row sums to one; columns in the order of `classes_`.
        """
        return np.asarray(softmax(self._logits(X)), dtype=np.float64)

    def predict_log_proba(self, X: Any) -> Array:
        """
        Return the logarithm of the probability of each class, exact where the probability itself vanishes.

        Parameters
        ----------
        X : array or frame
            Rows, as in `fit`.

        Returns
        -------
        float64 array of shape (n_samples, n_classes)
            In nats.
        """
        return np.asarray(log_softmax(self._logits(X)), dtype=np.float64)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_parameters")

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_engine", None)  # holds memory of the compiled module; made again when asked for
        return state

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _logits(self, X: Any) -> Array:
        check_is_fitted(self)
        cells = self._read(X, reset=False)
        engine = self.__dict__.get("_engine")
        if engine is None:
            self._engine = engine = network_of(self.architecture_, self._parameters, allowed_threads(self.n_jobs))
        rows = self.encoding_.apply(cells, np.zeros(len(cells), dtype=np.int32), None)
        return np.asarray(engine.logits(rows), dtype=np.float64)

    def _checked(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool, classes: npt.NDArray[Any] | None = None
    ) -> tuple[Any, Int64, Array]:
        """Return cells, class indices and weights of the rows; learn the classes if they are not given."""
        y = _check_y(y, estimator=self)
        check_classification_targets(y)
        cells = self._read(X, reset=reset)
        check_consistent_length(cells, y)
        if classes is None:
            classes = self.classes_ if not reset else np.unique(y)
        self.classes_ = classes
        targets = _targets(y, classes, self._name)
        return cells, targets, row_weights(self.class_weight, classes, targets, targets, sample_weight)

    def _eval_rows(self, eval_set: Any, mean: float) -> Rows:
        """Return the rows that a caller gave to rank the epochs."""
        if not isinstance(eval_set, tuple | list) or len(eval_set) not in (2, 3):
            raise ValueError(f"{self._name}: `eval_set` must be (X, y) or (X, y, sample_weight)")
        cells = self._read(eval_set[0], reset=False)
        y = _check_y(eval_set[1], estimator=self)
        check_consistent_length(cells, y)
        targets = _targets(y, self.classes_, f"{self._name}, `eval_set`")
        given = eval_set[2] if len(eval_set) == 3 else None
        weights = row_weights(self.class_weight, self.classes_, targets, targets, given)
        return self._rows(*_taken(cells, targets, weights, np.flatnonzero(weights > 0)), mean)

    def _rows(self, cells: Any, targets: Int64, weights: Array, mean: float) -> Rows:
        """Return rows as an engine reads them, their weights scaled; equal weights are none."""
        is_even = bool((weights == mean).all())
        scaled = None if is_even else (weights / mean).astype(np.float32)
        rows: Rows = self.encoding_.apply(cells, targets.astype(np.int32), scaled)
        return rows

    def _chosen(self) -> Chosen:
        """Return what the caller chose of the plan."""
        given = {
            "epochs": self.epochs,
            "batch": self.batch_size,
            "peak_rate": self.learning_rate,
            "decay": self.weight_decay,
        }
        return Chosen(**{name: value for name, value in given.items() if value != "auto"})  # type: ignore[arg-type]

    def _patience(self, epochs: int, has_validation: bool) -> Patience | None:
        if self.patience == "auto":
            return patience_of(epochs) if has_validation else None
        if self.patience is not None and not has_validation:
            rule = "`patience` has no effect without validation rows"
            raise UsageError("SC202", rule, where=self._name, hint="Leave it out, or pass eval_set")
        if self.patience is not None and epochs < PATIENCE_EPOCHS:
            rule = f"`patience` has no effect in runs of fewer than {PATIENCE_EPOCHS} epochs; this one has {epochs}"
            raise UsageError("SC202", rule, where=self._name, hint="Leave it out, or raise epochs")
        return None if self.patience is None else Patience(int(self.patience))

    def _told(self, row: dict[str, Any]) -> bool:
        """Print an epoch and tell the callbacks; return whether one of them ends the run."""
        if self.verbose:
            judged = ""
            if row["validation_log_loss"] is not None:
                judged = (
                    f", validation log loss {row['validation_log_loss']:.4f}, accuracy {row['validation_accuracy']:.4f}"
                )
            text = f"epoch {row['epoch']} of {self.plan_.epochs}, training loss {row['train_loss']:.4f}{judged}"
            print(f"{self._name}: {text}", file=sys.stderr)
        ends = [bool(callback(dict(row))) for callback in self.callbacks or ()]  # all are told
        return any(ends)

    def _forget(self) -> None:
        """Forget what was fitted, so that a fit that fails leaves no mixture of two."""
        for name in ("_parameters", "_state", "_engine"):
            self.__dict__.pop(name, None)

    def _keep(self, found: FittedNetwork) -> None:
        """Keep what a run found."""
        self._parameters = found.parameters
        self._state = replace(found.state, parameters=found.parameters)
        self.history_ = [dict(row) for row in found.history]
        self.best_epoch_ = found.best_epoch
        self.n_iter_ = max(1, len(found.history))
        self._engine = network_of(self.architecture_, found.parameters, allowed_threads(self.n_jobs))
        for restart in found.restarts:
            warnings.warn(
                f"[SC852] {self._name}: loss or gradient was not finite at epoch {restart.epoch}, step {restart.step};"
                f" the epoch was begun again with a peak learning rate of {restart.peak_rate:.3g}",
                DataWarning,
                stacklevel=4,
            )


def _taken(cells: Any, targets: Int64, weights: Array, rows: Int64) -> tuple[Any, Int64, Array]:
    """Return some rows; all of them without a copy."""
    return (cells, targets, weights) if len(rows) == len(targets) else (cells[rows], targets[rows], weights[rows])


def _targets(y: npt.NDArray[Any], classes: npt.NDArray[Any], where: str) -> Int64:
    """Return class indices of labels that are all among the classes."""
    places = np.searchsorted(classes, y)
    places[places == len(classes)] = 0
    strange = classes[places] != y
    if strange.any():
        raise ValueError(f'{where}: label "{shown(y[strange][0])}" is none of the classes')
    return places.astype(np.int64)

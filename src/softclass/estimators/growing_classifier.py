"""Fitting rows that come one batch after the other: all of them exactly, or each in its turn."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import _fit_context
from sklearn.utils.metaestimators import available_if

from softclass.errors import DataWarning
from softclass.estimators.column_rank import ColumnRank
from softclass.estimators.fit_input import checked_input
from softclass.estimators.inference import Evidence
from softclass.estimators.line_search import Progress
from softclass.estimators.linear_classifier import AbstractLinearClassifier
from softclass.estimators.online import SORTED, OnlineState, refuse_partial_fit, remembers
from softclass.estimators.random_state import seed_of
from softclass.estimators.remarks import Separation
from softclass.estimators.row_weights import row_weights
from softclass.estimators.scaling import Array
from softclass.estimators.streaming import known_targets, read_once


class AbstractGrowingClassifier(AbstractLinearClassifier):
    """A linear classifier that learns from batches of rows; a subclass fits rows that are there."""

    C: float
    fit_intercept: bool
    class_weight: dict[Any, float] | str | None
    warm_start: bool
    random_state: Any
    objective_: float
    gradient_norm_: float
    converged_: bool
    gap_: float | None
    gap_kind_: str
    n_passes_: int
    solver_: str
    history_: tuple[tuple[int, float, float], ...]
    separation_: Separation | None
    rank_: int | None
    _evidence: Evidence | None

    def column_rank(self) -> ColumnRank | None:
        """Return which columns follow from others; None where a penalty chooses, or nobody looked."""
        findings = None if self._evidence is None else self._evidence.findings
        return None if findings is None else findings.rank

    @abstractmethod
    def _fit_encoded(
        self,
        X: Any,
        classes: npt.NDArray[Any],
        targets: npt.NDArray[np.int64],
        sample_weight: Any,
        before: npt.NDArray[Any] | None,
        progress: Progress | None,
        deadline: float | None,
    ) -> Self:
        """Fit rows whose labels are class indices."""

    @abstractmethod
    def _fit_weighted(
        self,
        X: Any,
        classes: npt.NDArray[Any],
        targets: npt.NDArray[np.int64],
        weights: Array,
        before: npt.NDArray[Any] | None,
        progress: Progress | None,
        deadline: float | None,
    ) -> Self:
        """Fit rows whose weights include those of their classes."""

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit_batches(
        self, batches: Any, classes: Any = None, *, progress: Progress | None = None, deadline: float | None = None
    ) -> Self:
        """
        Fit rows that do not fit into memory: the optimum of `fit` of all of them, the same bits however they are cut.

        They are those of `fit` too, but for large tables of 3 to 32 classes of which most numbers are at rest: in
        memory these are kept as what differs from rest, and the last digits differ.

        The first read writes dense rows to a temporary file without a name (at most half of the free disk), and the
        solver goes over that. Where it has no room, the batches are read again, 13 to 60 times, and compared with the
        first read; the result may then differ within `tol`. Labels, weights and sparse rows stay in memory.

        Parameters
        ----------
        batches : iterable of tuples (X, y) or (X, y, sample_weight)
            Arguments as in `fit`, each with some of the rows; all X of one dtype, all dense or all sparse. An object
            that starts again at every loop, such as a list or an instance of a class with ``__iter__``; a generator
            is enough if the temporary file fits.
        classes : array of shape (n_classes,), optional
            All labels. Those without rows get probability zero. Default: the labels that come.
        progress, deadline : optional
            As in `fit_watched`.

        Returns
        -------
        SoftmaxRegression
            Itself, fitted.

        Raises
        ------
        DataError
            SC373, if a later read gives other rows than the first one.
        TooLargeError
            SC606, if the temporary file has no room and the batches cannot be read again.

        Examples
        --------
        >>> import numpy as np
        >>> from softclass import SoftmaxRegression
        >>> batches = [([[0.0], [1.0]], [0, 1]), ([[2.0], [3.0]], [2, 1])]
        >>> model = SoftmaxRegression().fit_batches(batches)
        >>> np.round(model.coef_.ravel(), 6)
        array([-0.685699,  0.388585,  0.297114])
        """
        before = getattr(self, "classes_", None) if self.warm_start else None
        with read_once(batches, self._checked, classes) as read:
            kept = read.features, read.classes, read.targets, read.sample_weight
            return self._fit_encoded(*kept, before, progress, deadline)

    @available_if(remembers)  # type: ignore[untyped-decorator]
    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """
        Learn from some more rows, in memory that does not grow with the number of calls.

        As long as at most ``max(4000, 20 * n_classes * (n_features + 1))`` rows have come, the result is that of `fit`
        of all of them. Then new rows are fitted together with a quadratic that stands for the old ones (recursive
        Laplace), which is checked on a uniform sample of the rows so far; where it misleads, sample and new rows are
        fitted afresh. Rows in random order cost little against `fit_batches`, which is exact; sorted ones more. Of
        sparse rows at most 20,000 are kept, and the quadratic of more than 1,500 parameters is its diagonal.

        Parameters
        ----------
        X : array, CSR or CSC matrix, or frame of shape (n_samples, n_features)
            Numbers, all finite; all sparse or none.
        y : array of shape (n_samples,)
            Labels, all among `classes`.
        classes : array of shape (n_classes,), optional
            All labels that will ever come; needed in the first call unless `fit` saw them, the same or None later.
        sample_weight : array of shape (n_samples,), optional
            As in `fit`.

        Returns
        -------
        SoftmaxRegression
            Itself. What `fit` learned before is forgotten; `fit` forgets what `partial_fit` learned.

        Warns
        -----
        DataWarning
            SC848, if the quadratic misleads in most calls: the rows come sorted.

        Examples
        --------
        >>> from softclass import SoftmaxRegression
        >>> model = SoftmaxRegression().partial_fit([[0.0], [1.0]], [0, 1], classes=[0, 1, 2])
        >>> model.partial_fit([[2.0], [3.0]], [2, 1]).coef_.round(6).ravel()
        array([-0.685699,  0.388585,  0.297114])
        """
        state = getattr(self, "_online", None)
        if state is None and classes is None:
            classes = getattr(self, "classes_", None)
        refuse_partial_fit(classes, is_first=state is None)
        X, y = self._checked(X, y, state is None)
        if state is None:
            self.classes_ = np.unique(classes)
            random = np.random.default_rng(seed_of(self.random_state))
            size = X.shape[1], len(self.classes_)
            state = OnlineState(*size, float(self.C), self.fit_intercept, random, sparse.issparse(X))
        targets = known_targets(y, self.classes_, classes)
        weights = row_weights(self.class_weight, self.classes_, targets, targets, sample_weight)

        def fit(features: Array, targets: npt.NDArray[np.int64], weights: Array) -> tuple[Array, Array]:
            self._fit_weighted(features, self.classes_, targets, weights, None, None, None)
            return self.coef_, self.intercept_

        state.learn(X, targets, weights, fit)
        self._online = state
        self.coef_, self.intercept_ = state.weight, state.bias
        if not state.is_exact:
            self.objective_ = self.gradient_norm_ = np.nan
            self.converged_, self.gap_, self.gap_kind_ = False, None, "none"
            self.solver_, self.n_passes_, self.history_ = "partial_fit", 0, ()
            self.separation_ = self.rank_ = self._evidence = None
        if state.warns:
            warnings.warn(SORTED, DataWarning, stacklevel=2)
        return self

    def _checked(self, X: Any, y: Any, is_first: bool) -> tuple[Any, npt.NDArray[Any]]:
        """Return features and labels of a batch as the solver takes them."""
        return checked_input(self, X, y, reset=is_first)

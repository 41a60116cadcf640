"""SoftmaxRegression: multinomial logistic regression whose optimum does not depend on the units of the columns."""

from __future__ import annotations

import os
import sys
import warnings
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from softclass.errors import InputError, RankWarning, SeparationWarning, shown
from softclass.estimators.certificate import Certificate
from softclass.estimators.fit_input import checked_input, encoded_labels, feature_dtypes
from softclass.estimators.foreign_parameters import refuse, refusing
from softclass.estimators.growing_classifier import AbstractGrowingClassifier
from softclass.estimators.inference import Evidence, reference_place, summarise
from softclass.estimators.information import FittedRows
from softclass.estimators.known_classes import solve_known, start_from
from softclass.estimators.line_search import Limits, Progress
from softclass.estimators.random_state import seed_of
from softclass.estimators.remarks import (
    convergence_message,
    rank_message,
    separation_message,
    separation_of,
)
from softclass.estimators.row_weights import row_weights
from softclass.estimators.scaling import Array
from softclass.estimators.solve import Optimum
from softclass.estimators.streaming import known_targets
from softclass.estimators.summary_table import Summary

WHOLE_LABELS = "iubUS"  # dtypes of labels that cannot be anything else


class SoftmaxRegression(AbstractGrowingClassifier):
    r"""
    Softmax regression (multinomial logistic regression) that certifies its optimum.

    Minimises :math:`C \sum_i a_i \ell_i + \frac{1 - \rho}{2} \lVert W \rVert^2 + \rho \lVert W \rVert_1` over weights
    `W` and a free intercept, where :math:`\rho` is `l1_ratio`, :math:`\ell_i` is the cross-entropy of row i and
    :math:`a_i` its sample weight times the weight of its class. This is the objective of scikit-learn's
    ``LogisticRegression``, and so is the form for two classes: one vector. Columns are centred and scaled inside, which
    changes the way to the optimum but not the optimum, so nothing needs to be standardised for the solver's sake.

    Parameters
    ----------
    C : float, default 1.0
        Strength of the data against the penalty; positive. ``C=numpy.inf`` means no penalty.
    l1_ratio : float, default 0.0
        Share of the penalty that is on absolute values, which makes weights exactly zero: 0 is ridge, 1 is lasso.
    fit_intercept : bool, default True
        Whether to learn an intercept; it is not penalised.
    class_weight : dict or "balanced", optional
        Weight of each class, by label; classes not named have 1. "balanced" gives every class the same total weight.
    tol : float, default 1e-4
        Stop when the objective is within this share of itself from its minimum, by a duality gap, or by an estimate
        that is a hundred times stricter. Small problems are always solved to rounding.
    max_iter : int, default 1000
        Most iterations of the solver.
    warm_start : bool, default False
        Start from the weights of the last `fit`, matched by label.
    n_jobs : int, optional
        Most threads; -1 means all. None: as many as the linear algebra may use. No bit of the result depends on it.
    random_state : int, RandomState instance or None, default None
        Seeds the rows sampled for the solver's preconditioner. None means 0: fits repeat.
    verbose : int, default 0
        Whether to print a line an iteration to standard error.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Labels in sorted order, the order of the probabilities.
    coef_ : float64 array of shape (n_classes, n_features), or (1, n_features) for two classes
        Weights. Zeros for a class whose rows all have weight zero.
    intercept_ : float64 array of shape (n_classes,) or (1,)
        Intercepts; they sum to zero for more than two classes. Minus infinity for a class without weight.
    n_iter_ : int array of shape (1,)
        Iterations of the solver.
    objective_ : float
        The objective divided by C times the sum of all weights: nats per weighted row.
    gradient_norm_ : float
        Largest absolute derivative of `objective_` by any weight or intercept.
    converged_ : bool
        Whether the test of `tol` was met.
    gap_ : float
        How far `objective_` is from its minimum at most; infinite where nothing is known.
    gap_kind_ : str
        "duality" or "newton": `gap_` is proved; "decrement": a hundred times an estimate, for caution; "none".
    n_passes_ : int
        Reads of all rows.
    solver_ : str
        The way that was taken.
    history_ : tuple of (int, float, float)
        For each iteration the reads so far, the objective, and a bound or estimate of its distance from the minimum.
    separation_ : Separation or None
        With ``C=inf``: the classes and columns, where classes can be told apart so that there is no finite optimum.
    rank_ : int or None
        With ``C=inf`` and up to 2,000 columns: how many are linearly independent. The weights are the shortest of all
        that are equally good.
    dropped_ : list of str
        Constant columns; with an intercept their weights are zero.
    layers_ : tuple of Dense
        The fitted layer in softmax form, one row a class, for two classes too.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        SC847, if the solver stopped before its test was met.
    SeparationWarning
        SC846, if ``C=inf`` and classes can be told apart.
    RankWarning
        SC849, if ``C=inf`` and columns are linearly dependent.

    See Also
    --------
    softclass.cross_entropy : The loss, from logits.

    Notes
    -----
    Few parameters: Newton's method with the exact Hessian. Many: L-BFGS from an approximate inverse Hessian. More
    columns than rows: the same in the span of the rows. Large dense data are worked on in float32 with sums in
    float64. ``penalty``, ``solver``, ``dual``, ``intercept_scaling`` and ``multi_class`` of scikit-learn do not
    exist here: no penalty is ``C=inf``, and the solver is chosen by the size of the problem. Rows are not kept; with
    ``C=inf`` the information matrix of up to 1,500 parameters is, for `summary`.

    Examples
    --------
    >>> import numpy as np
    >>> from softclass import SoftmaxRegression
    >>> features = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> model = SoftmaxRegression().fit(features, [0, 1, 2, 1])
    >>> np.round(model.coef_.ravel(), 6)
    array([-0.685699,  0.388585,  0.297114])
    >>> round(4 * model.objective_, 6)
    3.415363
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "C": [Interval(Real, 0, None, closed="right")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "fit_intercept": ["boolean"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "n_jobs": [Interval(Integral, 1, None, closed="left"), Interval(Integral, None, -1, closed="right"), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    n_iter_: npt.NDArray[np.int32]
    dropped_: list[str]

    @refusing
    def __init__(
        self,
        *,
        C: float = 1.0,
        l1_ratio: float = 0.0,
        fit_intercept: bool = True,
        class_weight: dict[Any, float] | str | None = None,
        tol: float = 1e-4,
        max_iter: int = 1000,
        warm_start: bool = False,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.C = C
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def set_params(self, **params: Any) -> SoftmaxRegression:
        """
        Set parameters.

        Parameters
        ----------
        **params
            As in the constructor.

        Returns
        -------
        SoftmaxRegression
            Itself.
        """
        refuse(self, params)
        super().set_params(**params)
        return self

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SoftmaxRegression:
        """
        Fit the weights.

        Parameters
        ----------
        X : array, CSR or CSC matrix, or frame of shape (n_samples, n_features)
            Numbers, all finite.
        y : array of shape (n_samples,)
            Labels: text, integers or booleans, of at least two classes.
        sample_weight : array of shape (n_samples,), optional
            Not negative and not all zero. A row of weight 2 counts as two rows.

        Returns
        -------
        SoftmaxRegression
            Itself, fitted.
        """
        return self.fit_watched(X, y, sample_weight)

    def fit_watched(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        progress: Progress | None = None,
        deadline: float | None = None,
    ) -> SoftmaxRegression:
        """
        Fit as `fit` does, telling every iteration and stopping in time.

        Parameters
        ----------
        X : array, CSR or CSC matrix, or frame of shape (n_samples, n_features)
            As in `fit`.
        y : array of shape (n_samples,)
            As in `fit`.
        sample_weight : array of shape (n_samples,), optional
            As in `fit`.
        progress : callable (iteration, objective, gradient_norm), optional
            Told of every iteration.
        deadline : float, optional
            Moment of ``time.monotonic()`` past which the best weights so far are kept.

        Returns
        -------
        SoftmaxRegression
            Itself, fitted.
        """
        X, y = checked_input(self, X, y, threads=_threads(self.n_jobs))
        before = getattr(self, "classes_", None) if self.warm_start else None
        try:
            if y.dtype.kind not in WHOLE_LABELS:
                check_classification_targets(y)
            classes, targets = encoded_labels(y)
        except TypeError as error:
            raise TypeError("SoftmaxRegression: `y` must hold labels of one type; got several") from error
        return self._fit_encoded(X, classes, targets, sample_weight, before, progress, deadline)

    def _fit_encoded(
        self,
        X: Any,
        classes: npt.NDArray[Any],
        targets: npt.NDArray[np.int64],
        sample_weight: Any,
        before: npt.NDArray[Any] | None,
        progress: Progress | None,
        deadline: float | None,
    ) -> SoftmaxRegression:
        """Fit rows whose labels are class indices."""
        self.__dict__.pop("_online", None)
        if len(classes) < 2:
            raise ValueError(
                f'SoftmaxRegression: `y` must hold at least two classes; got one class, "{shown(classes[0])}"'
            )
        weights = row_weights(self.class_weight, classes, targets, targets, sample_weight)
        return self._fit_weighted(X, classes, targets, weights, before, progress, deadline)

    def _fit_weighted(
        self,
        X: Any,
        classes: npt.NDArray[Any],
        targets: npt.NDArray[np.int64],
        weights: Array,
        before: npt.NDArray[Any] | None,
        progress: Progress | None,
        deadline: float | None,
    ) -> SoftmaxRegression:
        """Fit rows whose weights include those of their classes."""
        weighty = targets if weights.min() > 0 else targets[weights > 0]
        known = np.bincount(weighty, minlength=len(classes)) > 0
        if not self.fit_intercept:
            known[:] = True  # without an intercept no finite number says "never"
        start = None
        if before is not None and known.all() and hasattr(self, "coef_") and self.coef_.shape[1] == X.shape[1]:
            shares = np.bincount(targets, weights / weights.max(), minlength=len(classes))
            start = start_from(self.coef_, self.intercept_, before, classes, np.maximum(shares / shares.sum(), 1e-300))
        limits = Limits(self.tol, True, int(self.max_iter), self._told(progress), deadline, [])
        optimum = solve_known(
            X, targets, weights, known, start, limits, C=float(self.C), l1_ratio=float(self.l1_ratio),
            intercept=self.fit_intercept, seed=seed_of(self.random_state), threads=_threads(self.n_jobs),
        )  # fmt: skip
        self.classes_ = classes
        self.coef_, self.intercept_ = optimum.weight, optimum.bias
        self.n_iter_ = np.array([max(1, optimum.iterations)], dtype=np.int32)
        self.objective_ = optimum.objective
        self.gradient_norm_ = optimum.gradient_norm
        self.converged_ = optimum.converged
        self.history_ = tuple(limits.history or ())
        by_class = np.bincount(targets, weights, minlength=len(classes)).astype(np.float64)
        self._keep(optimum, known, by_class)
        self._warn(optimum)
        return self

    def _keep(self, optimum: Optimum, known: npt.NDArray[np.bool_], class_weights: Array) -> None:
        """Keep what is known beside the weights, under the names of classes and columns."""
        found = optimum.findings
        is_named = found is not None and (found.constant.any() or found.direction is not None or bool(found.never))
        names = self.column_names() if is_named else []  # of half a million columns they take a while
        certificate = Certificate(0.0, "duality") if found is None else found.certificate
        self.gap_, self.gap_kind_ = certificate.gap, certificate.kind
        self.n_passes_ = 0 if found is None else found.passes
        self.solver_ = "none" if found is None else found.solver
        self.rank_ = None if found is None or found.rank is None else len(found.rank.kept)
        constant = () if found is None else np.flatnonzero(found.constant)
        self.dropped_ = [names[j] for j in constant]
        self.separation_ = separation_of(found, known, [str(label) for label in self.classes_.tolist()], names)
        penalised = bool(np.isfinite(self.C))
        kept = None if penalised else found
        likelihood = -self.objective_ * float(class_weights.sum())
        self._evidence = Evidence(known, class_weights, likelihood, kept, self.fit_intercept, penalised)

    def _told(self, progress: Progress | None) -> Progress | None:
        """Return what the solver tells its iterations to."""
        if not self.verbose:
            return progress

        def told(iteration: int, objective: float, gradient_norm: float) -> None:
            text = f"objective {objective:.10g} nats a row, largest derivative {gradient_norm:.3g}"
            print(f"SoftmaxRegression: iteration {iteration}, {text}", file=sys.stderr)
            if progress is not None:
                progress(iteration, objective, gradient_norm)

        return told

    def _warn(self, optimum: Optimum) -> None:
        """Say so when there is no optimum or it was not reached; the deadline is the caller's own wish."""
        unpenalised, found = np.isinf(self.C), optimum.findings
        if unpenalised and found is not None:
            if self.separation_ is not None:
                message = separation_message(self.separation_, found.passes)
                warnings.warn(message, SeparationWarning, stacklevel=6)
            if found.rank is not None and len(found.rank.kept) < int((~found.constant).sum()) and not self._is_apart():
                names = self.column_names()
                warnings.warn(rank_message(found.rank, found.constant, names), RankWarning, stacklevel=6)
        if optimum.reason in ("max_iter", "stalled") and not self.converged_:
            warnings.warn(convergence_message(optimum), ConvergenceWarning, stacklevel=6)

    def _is_apart(self) -> bool:
        return self.separation_ is not None and self.separation_.kind == "complete"

    def summary(
        self,
        X: Any = None,
        y: Any = None,
        sample_weight: Any = None,
        *,
        reference: Any = None,
        covariance: str = "fisher",
        clusters: Any = None,
        coverage: float = 0.95,
    ) -> Summary:
        """
        Return coefficients with standard errors, tests, confidence intervals and odds ratios.

        Without a penalty (``C=numpy.inf``). With one there are only coefficients and odds ratios, since a penalty
        biases them. The estimator never keeps rows: `fit` keeps the information matrix of up to 1,500 parameters, from
        which all of ``covariance="fisher"`` follows. For ``"robust"``, and for up to 6,000 parameters, pass the rows of
        the fit again.

        Parameters
        ----------
        X : array, CSR or CSC matrix, or frame of shape (n_samples, n_features), optional
            The rows of the fit, needed for robust standard errors and above 1,500 parameters.
        y : array of shape (n_samples,), optional
            Their labels.
        sample_weight : array of shape (n_samples,), optional
            Their weights as in `fit`; weights count as frequencies.
        reference : label or "symmetric", optional
            Class that the others are compared with; default ``classes_[0]``. "symmetric": coefficients that sum to zero
            over the classes.
        covariance : {"fisher", "robust"}, default "fisher"
            The inverse information, or the sandwich that is right when the model is not.
        clusters : array of shape (n_samples,), optional
            Numbers or names; scores are summed within a cluster first. Makes the covariance robust.
        coverage : float, default 0.95
            Of the confidence intervals.

        Returns
        -------
        Summary
            To be printed, or turned into a pandas frame by ``to_frame()``, or into plain values by ``to_dict()``. What
            cannot be known is blank, with the reason.

        Raises
        ------
        InputError
            SC144, if the rows are needed and missing, or are not those of the fit, or the information was not kept.
        OptionError
            SC141, for an unknown reference or covariance, or a coverage outside (0, 1).

        Notes
        -----
        With :math:`p_i` the probabilities of row i, V is the inverse of the information :math:`\\sum_i a_i
        (\\mathrm{diag}\\,p_i - p_i p_i^T) \\otimes x_i x_i^T`, or :math:`V M V` with M the sum of outer products of
        the scores, within clusters first and then times ``g / (g - 1)``. p values are those of the normal law.
        """
        check_is_fitted(self)
        if self._evidence is None:
            raise InputError(
                "SC144", "partial_fit does not keep the information matrix", where="SoftmaxRegression.summary",
                hint="Fit all rows at once, with fit or fit_batches",
            )  # fmt: skip
        labels = self.classes_.tolist()
        if clusters is not None:
            covariance = "robust"
        place = reference_place(reference, labels, covariance, coverage)
        rows = None if X is None else self._rows_again(X, y, sample_weight, clusters)
        layer = self.layers_[0]
        return summarise(
            self._evidence, weight=np.asarray(layer.weight), bias=np.asarray(layer.bias),
            labels=[str(label) for label in labels], names=self.column_names(), reference=place,
            covariance=covariance, coverage=coverage, rows=rows, converged=self.converged_,
        )  # fmt: skip

    def _rows_again(self, X: Any, y: Any, sample_weight: Any, clusters: Any) -> FittedRows:
        """Return the rows of the fit as `summary` takes them."""
        X = validate_data(self, X, accept_sparse="csr", dtype=feature_dtypes(X), reset=False)
        targets = known_targets(np.asarray(y), self.classes_)
        weights = row_weights(self.class_weight, self.classes_, targets, targets, sample_weight)
        check_consistent_length(X, targets, clusters)
        codes = None if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
        return FittedRows(X, targets, weights, codes)


def _threads(n_jobs: int | None) -> int | None:
    """Return how many threads there may be; negative numbers count down from all, as in scikit-learn."""
    if n_jobs is None or n_jobs > 0:
        return n_jobs
    return max(1, (os.cpu_count() or 1) + 1 + n_jobs)

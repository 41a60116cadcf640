"""SoftmaxRegression: multinomial logistic regression whose optimum does not depend on the units of the columns."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from softclass.errors import shown
from softclass.estimators.line_search import Limits, Progress
from softclass.estimators.row_weights import row_weights
from softclass.estimators.scaling import Array
from softclass.estimators.solve import Optimum, root_of_penalty, solve
from softclass.functions.softmax import log_softmax, softmax
from softclass.networks.architecture import Dense

PREDICT_BYTES = 32 * 2**20  # rows are predicted in blocks whose float64 copy has this size
SMALL_NUMBERS = ("bool", "int8", "uint8", "int16", "uint16", "float16")  # exact in float32: no float64 copy


class SoftmaxRegression(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    r"""
    Softmax regression (multinomial logistic regression) with a ridge penalty.

    Minimises :math:`C \sum_i a_i \ell_i + \frac12 \lVert W \rVert^2` over weights `W` and a free intercept, where
    :math:`\ell_i` is the cross-entropy of row i and :math:`a_i` its sample weight times the weight of its class. This
    is the objective of scikit-learn's ``LogisticRegression``, and so is the form for two classes: one vector. Columns
    are centred and scaled inside, which changes the way to the optimum but not the optimum, so nothing needs to be
    standardised for the solver's sake.

    Parameters
    ----------
    C : float, default 1.0
        Strength of the data against the penalty; positive. ``C=numpy.inf`` means no penalty.
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
        Start from the weights of the last `fit` where the classes are the same.
    random_state : int, RandomState instance or None, default None
        Seeds the rows sampled for the solver's preconditioner. None means 0: fits repeat.

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
    separable_ : bool
        Whether fitting stopped because the classes can be told apart perfectly, which with ``C=inf`` has no optimum.
    layers_ : tuple of Dense
        The fitted layer in softmax form, one row a class, for two classes too.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        SC846, if ``C=inf`` and the classes are separable; SC847, if the solver stopped before its test was met.

    See Also
    --------
    softclass.cross_entropy : The loss, from logits.

    Notes
    -----
    Few parameters: Newton's method with the exact Hessian. Many: L-BFGS from an approximate inverse Hessian. More
    columns than rows: the same in the span of the rows. Large dense data are worked on in float32 with sums in
    float64. ``penalty``, ``solver``, ``dual``, ``n_jobs`` and ``l1_ratio`` of scikit-learn do not exist here:
    no penalty is ``C=inf``, and the solver is chosen by the size of the problem.

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
        "fit_intercept": ["boolean"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
    }

    classes_: npt.NDArray[Any]
    coef_: Array
    intercept_: Array
    n_iter_: npt.NDArray[np.int32]
    objective_: float
    gradient_norm_: float
    converged_: bool
    separable_: bool
    n_features_in_: int

    def __init__(
        self,
        *,
        C: float = 1.0,
        fit_intercept: bool = True,
        class_weight: dict[Any, float] | str | None = None,
        tol: float = 1e-4,
        max_iter: int = 1000,
        warm_start: bool = False,
        random_state: Any = None,
    ) -> None:
        self.C = C
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

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
        with np.errstate(over="ignore", invalid="ignore"):  # a sum that decides whether all is finite may overflow
            X, y = validate_data(self, X, y, accept_sparse=["csr", "csc"], dtype=_dtypes(X))
        if sparse.issparse(X):
            X = X.tocsr()
        before = getattr(self, "classes_", None) if self.warm_start else None
        try:
            check_classification_targets(y)
            classes, targets = np.unique(y, return_inverse=True)
        except TypeError as error:
            raise TypeError("SoftmaxRegression: `y` must hold labels of one type; got several") from error
        targets = targets.astype(np.int64)
        if len(classes) < 2:
            raise ValueError(
                f'SoftmaxRegression: `y` must hold at least two classes; got one class, "{shown(classes[0])}"'
            )
        weights = row_weights(self.class_weight, classes, targets, X, sample_weight)
        known = np.bincount(targets, weights > 0, minlength=len(classes)) > 0
        if not self.fit_intercept:
            known[:] = True  # without an intercept no finite number says "never"
        start = None
        if before is not None and known.all() and np.array_equal(before, classes) and hasattr(self, "coef_"):
            start = (self.coef_, self.intercept_) if self.coef_.shape[1] == X.shape[1] else None
        limits = Limits(self.tol, True, int(self.max_iter), progress, deadline)
        optimum = _solve_known(
            X, targets, weights, known, start, limits, float(self.C), self.fit_intercept, _seed(self.random_state)
        )
        self.classes_ = classes
        self.coef_, self.intercept_ = optimum.weight, optimum.bias
        self.n_iter_ = np.array([max(1, optimum.iterations)], dtype=np.int32)
        self.objective_ = optimum.objective
        self.gradient_norm_ = optimum.gradient_norm
        self.converged_ = optimum.converged
        self.separable_ = optimum.reason == "separated"
        self._warn(optimum, len(classes))
        return self

    def _warn(self, optimum: Optimum, n_classes: int) -> None:
        """Say so when there is no optimum or it was not reached; the deadline is the caller's own wish."""
        if self.separable_:
            message = (
                "[SC846] SoftmaxRegression: the classes can be told apart perfectly on these rows, so with C=inf the"
                f" weights have no finite optimum; stopped after {optimum.iterations} iterations at the first weights"
                " that do. Set C (1.0 is the default)"
            )
        elif optimum.reason in ("max_iter", "stalled"):
            cure = "Raise `max_iter`" if optimum.reason == "max_iter" else "No step lowers it further; raise `tol`"
            message = (
                f"[SC847] SoftmaxRegression: not converged after {optimum.iterations} iterations; objective"
                f" {optimum.objective:.8g} nats a row, largest derivative {optimum.gradient_norm:.3g}. {cure}"
            )
        else:
            return
        warnings.warn(message, ConvergenceWarning, stacklevel=4)

    @property
    def layers_(self) -> tuple[Dense, ...]:
        """The fitted layer in softmax form: one row a class."""
        check_is_fitted(self)
        if len(self.classes_) > 2:
            return (Dense(self.coef_.copy(), self.intercept_.copy()),)
        weight, bias = self.coef_[0] / 2, float(self.intercept_[0])
        pair = [-bias / 2, bias / 2] if np.isfinite(bias) else [min(-bias, 0.0), min(bias, 0.0)]
        return (Dense(np.stack([-weight, weight]), np.array(pair)),)

    def decision_function(self, X: Any) -> Array:
        """
        Return the logits.

        Parameters
        ----------
        X : array, CSR or CSC matrix, or frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        float64 array of shape (n_samples, n_classes), or (n_samples,) for two classes
            For two classes, the logit of ``classes_[1]`` against ``classes_[0]``.
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=_dtypes(X), reset=False)
        scores = np.empty((X.shape[0], len(self.coef_)))
        rows = X.shape[0] if sparse.issparse(X) else max(16, PREDICT_BYTES // (8 * X.shape[1]))
        for first in range(0, X.shape[0], rows):
            block = X[first : first + rows]
            scores[first : first + rows] = block.astype(np.float64, copy=False) @ self.coef_.T
        scores += self.intercept_
        return scores[:, 0] if len(self.coef_) == 1 else scores

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """
        Return the most probable label of each row.

        Parameters
        ----------
        X : array, CSR or CSC matrix, or frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        array of shape (n_samples,)
            Labels as in `classes_`.
        """
        scores = self.decision_function(X)
        best = (scores > 0).astype(np.int64) if scores.ndim == 1 else scores.argmax(axis=1)
        labels: npt.NDArray[Any] = self.classes_[best]
        return labels

    def predict_proba(self, X: Any) -> Array:
        """
        Return the probability of each class.

        Parameters
        ----------
        X : array, CSR or CSC matrix, or frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        float64 array of shape (n_samples, n_classes)
            Each row sums to one; columns in the order of `classes_`.
        """
        return np.asarray(softmax(_logits(self.decision_function(X))), dtype=np.float64)

    def predict_log_proba(self, X: Any) -> Array:
        """
        Return the logarithm of the probability of each class, exact where the probability itself vanishes.

        Parameters
        ----------
        X : array, CSR or CSC matrix, or frame of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        float64 array of shape (n_samples, n_classes)
            In nats.
        """
        return np.asarray(log_softmax(_logits(self.decision_function(X))), dtype=np.float64)


def _logits(scores: Array) -> Array:
    """Return one logit a class, none above zero for two classes, so that infinity stays on the safe side."""
    if scores.ndim == 2:
        return scores
    return np.stack([np.minimum(-scores, 0.0), np.minimum(scores, 0.0)], axis=1)


def _dtypes(X: Any) -> Any:
    return np.float32 if str(getattr(X, "dtype", "")) in SMALL_NUMBERS else [np.float64, np.float32]


def _seed(random_state: Any) -> int:
    if random_state is None:
        return 0
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(random_state.randint(2**31 - 1))


def _solve_known(
    X: Any,
    targets: npt.NDArray[np.int64],
    weights: Array,
    known: npt.NDArray[np.bool_],
    start: tuple[Array, Array] | None,
    limits: Limits,
    C: float,
    intercept: bool,
    seed: int,
) -> Optimum:
    """Solve over the classes that have weight; the others get probability zero."""
    root_penalty = root_of_penalty(weights, C)
    n_classes, n_known = len(known), int(known.sum())
    used = weights > 0
    if not used.all():
        X, targets, weights = X[used], targets[used], weights[used]
    rows = 1 if n_classes == 2 else n_classes
    if n_known == 1:
        weight, bias = np.zeros((rows, X.shape[1])), np.where(known, 0.0, -np.inf)
        if n_classes == 2:
            bias = np.array([np.inf if known[1] else -np.inf])
        return Optimum(weight, bias, 0.0, np.zeros(1), np.zeros(1), 0, "decrement")
    if n_known == 2 < n_classes:
        root_penalty /= np.sqrt(2.0)  # two rows (-w/2, w/2) have half the squared length of one row w
    renumbered = np.cumsum(known)[targets] - 1
    optimum = solve(
        X,
        renumbered,
        weights,
        n_classes=n_known,
        root_penalty=root_penalty,
        intercept=intercept,
        limits=limits,
        start=start,
        seed=seed,
    )
    if n_known == n_classes:
        return optimum
    weight, bias = optimum.weight, optimum.bias
    if n_known == 2:
        weight, bias = np.concatenate([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])
    all_weight, all_bias = np.zeros((n_classes, X.shape[1])), np.full(n_classes, -np.inf)
    all_weight[known], all_bias[known] = weight, bias
    return Optimum(
        all_weight,
        all_bias,
        optimum.objective,
        optimum.gradient_weight,
        optimum.gradient_bias,
        optimum.iterations,
        optimum.reason,
    )

"""SoftmaxRegressionCV: softmax regression whose penalty is chosen by the loss on rows that were held out."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import _fit_context
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import check_cv
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight

from softclass.errors import shown
from softclass.estimators.fit_input import checked_input, encoded_labels
from softclass.estimators.line_search import Limits
from softclass.estimators.linear_classifier import AbstractLinearClassifier
from softclass.estimators.linear_loss import row_losses
from softclass.estimators.regularization_path import Point, checked_grid, path_points, strengths
from softclass.estimators.row_weights import row_weights
from softclass.estimators.scaling import Array
from softclass.estimators.softmax_regression import SoftmaxRegression

LOG_LOSS = "neg_log_loss"


class SoftmaxRegressionCV(AbstractLinearClassifier):
    """
    Softmax regression whose `C` and `l1_ratio` are chosen by cross-validation.

    Every fold is a regularisation path: from the strongest penalty to the weakest, each optimum from the one before.
    The chosen penalty is then fitted on all rows. Unlike scikit-learn's ``LogisticRegressionCV`` the choice is made by
    log loss, which looks at the probabilities, not by accuracy.

    Parameters
    ----------
    Cs : int or array of shape (n_Cs,), default 10
        Strengths to try, or how many: then 1e-4 to 1e4 for ``l1_ratio=0``, else four decades up from the largest one
        that leaves all weights zero.
    l1_ratios : array of shape (n_l1_ratios,), default (0.0,)
        Shares of the l1 penalty to try, 0 to 1.
    cv : int, splitter or iterable of splits, default 5
        As in scikit-learn; a number means stratified folds.
    scoring : str or callable, default "neg_log_loss"
        A scorer of scikit-learn, or a function of estimator, X and y; larger is better. Scores are weighted by
        `sample_weight`, which a function then has to take.
    selection : {"best", "one_standard_error"}, default "best"
        The best mean score; or the strongest penalty, for the same `l1_ratio`, whose mean score is within one standard
        error of it.
    fit_intercept : bool, default True
        Whether to learn an intercept; it is not penalised.
    class_weight : dict or "balanced", optional
        As in `SoftmaxRegression`; scores do not use it.
    tol : float, default 1e-4
        As in `SoftmaxRegression`.

    Attributes
    ----------
    C_, l1_ratio_ : float
        The chosen penalty.
    Cs_ : float64 array of shape (n_l1_ratios, n_Cs)
        The strengths that were tried, ascending.
    l1_ratios_ : float64 array of shape (n_l1_ratios,)
        The shares that were tried.
    scores_ : float64 array of shape (n_l1_ratios, n_Cs, n_folds)
        Score on the held-out rows of each fold; NaN for a fold that holds out nothing.
    estimator_ : SoftmaxRegression
        Fitted on all rows with the chosen penalty.
    classes_, coef_, intercept_, n_iter_, layers_
        Of `estimator_`.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    softclass.regularization_path : The same paths without held-out rows.

    Notes
    -----
    Held-out rows of a class that a fold does not fit are left out of its log loss: no penalty can help them.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from softclass import SoftmaxRegressionCV
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SoftmaxRegressionCV(Cs=[0.01, 1.0, 100.0]).fit(X, y)
    >>> model.C_, model.scores_.shape
    (100.0, (1, 3, 5))
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "Cs": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "l1_ratios": ["array-like"],
        "cv": ["cv_object"],
        "scoring": [StrOptions(set(get_scorer_names())), callable],
        "selection": [StrOptions({"best", "one_standard_error"})],
        "fit_intercept": ["boolean"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    C_: float
    l1_ratio_: float
    Cs_: Array
    l1_ratios_: Array
    scores_: Array
    estimator_: SoftmaxRegression
    classes_: npt.NDArray[Any]
    n_features_in_: int

    def __init__(
        self,
        *,
        Cs: Any = 10,
        l1_ratios: Any = (0.0,),
        cv: Any = 5,
        scoring: Any = LOG_LOSS,
        selection: str = "best",
        fit_intercept: bool = True,
        class_weight: dict[Any, float] | str | None = None,
        tol: float = 1e-4,
    ) -> None:
        self.Cs = Cs
        self.l1_ratios = l1_ratios
        self.cv = cv
        self.scoring = scoring
        self.selection = selection
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None) -> SoftmaxRegressionCV:
        """
        Choose the penalty and fit the weights.

        Parameters
        ----------
        X : array, CSR or CSC matrix, or frame of shape (n_samples, n_features)
            Numbers, all finite.
        y : array of shape (n_samples,)
            Labels: text, integers or booleans, of at least two classes.
        sample_weight : array of shape (n_samples,), optional
            Not negative and not all zero. A row of weight 2 counts as two rows, in fits and in scores.
        groups : array of shape (n_samples,), optional
            For a `cv` that keeps groups of rows together, such as ``GroupKFold``.

        Returns
        -------
        SoftmaxRegressionCV
            Itself, fitted.
        """
        X, y = checked_input(self, X, y)
        check_classification_targets(y)
        classes, targets = encoded_labels(y)
        if len(classes) < 2:
            raise ValueError(
                f'SoftmaxRegressionCV: `y` must hold at least two classes; got one class, "{shown(classes[0])}"'
            )
        weights = row_weights(self.class_weight, classes, targets, X, sample_weight)
        held_weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        ratios = np.asarray(self.l1_ratios, dtype=np.float64)
        if ratios.ndim != 1 or not ratios.size or not np.all((ratios >= 0) & (ratios <= 1)):
            raise ValueError("SoftmaxRegressionCV: `l1_ratios` must be a list of numbers in [0, 1]")
        given = self.Cs if isinstance(self.Cs, Integral) else checked_grid(self.Cs)
        grids = [strengths(X, targets, weights, given, float(ratio), bool(self.fit_intercept)) for ratio in ratios]
        folds = list(check_cv(self.cv, y, classifier=True).split(X, y, groups))
        self.classes_ = classes
        scores = np.full((len(ratios), len(grids[0]), len(folds)), np.nan)
        for one, (ratio, grid) in enumerate(zip(ratios, grids, strict=True)):
            for fold, (kept, held) in enumerate(folds):
                if held_weights[held].any() and weights[kept].any():
                    scores[one, :, fold] = self._scored(
                        X, y, targets, weights, held_weights, kept, held, grid, float(ratio), sample_weight
                    )
        self.Cs_, self.l1_ratios_, self.scores_ = np.stack(grids), ratios, scores
        totals = np.array([held_weights[held].sum() for _, held in folds])
        one, best = chosen(scores, totals, self.selection)
        self.C_, self.l1_ratio_ = float(self.Cs_[one, best]), float(ratios[one])
        self.estimator_ = SoftmaxRegression(
            C=self.C_,
            l1_ratio=self.l1_ratio_,
            fit_intercept=self.fit_intercept,
            class_weight=self.class_weight,
            tol=self.tol,
        ).fit(X, y, sample_weight)
        self.coef_, self.intercept_ = self.estimator_.coef_, self.estimator_.intercept_
        self.n_iter_ = self.estimator_.n_iter_
        return self

    def _scored(
        self,
        X: Any,
        y: npt.NDArray[Any],
        targets: npt.NDArray[np.int64],
        weights: Array,
        held_weights: Array,
        kept: npt.NDArray[np.int64],
        held: npt.NDArray[np.int64],
        grid: Array,
        ratio: float,
        sample_weight: Any,
    ) -> Array:
        """Return the score of each strength on the held-out rows of a fold."""
        limits = Limits(self.tol, True, 1000)
        points = path_points(
            X[kept], targets[kept], weights[kept], len(self.classes_), grid, ratio, self.fit_intercept, limits
        )
        if self.scoring == LOG_LOSS:
            known = np.bincount(targets[kept], weights[kept] > 0, minlength=len(self.classes_)) > 0
            seen = held[known[targets[held]] & (held_weights[held] > 0)]
            rows, labels, shares = X[seen], targets[seen], held_weights[seen]
            return np.array([-_mean_loss(point, rows, labels, shares) for point in points])
        scorer = get_scorer(self.scoring)
        options = {} if sample_weight is None else {"sample_weight": held_weights[held]}
        found = []
        for point in points:
            model = SoftmaxRegression()
            model.classes_, model.coef_, model.intercept_ = self.classes_, point.weight, point.bias
            model.n_features_in_ = X.shape[1]
            found.append(scorer(model, X[held], y[held], **options))
        return np.array(found)


def _mean_loss(point: Point, rows: Any, labels: npt.NDArray[np.int64], shares: Array) -> float:
    """Return the weighted mean loss of rows whose classes were all fitted."""
    if not len(labels) or np.isinf(point.bias).all():  # a fold of one class, which then is certain
        return 0.0
    return float(np.average(row_losses(rows, labels, point.weight, point.bias), weights=shares))


def chosen(scores: Array, totals: Array, selection: str) -> tuple[int, int]:
    """Return the places of the chosen l1_ratio and C; `totals` are the weights of the held-out rows of each fold.

    Examples
    --------
    >>> scores = np.array([[[-1.0, -1.4], [-0.5, -0.9], [-0.4, -0.8]]])
    >>> chosen(scores, np.ones(2), "best")
    (0, 2)
    >>> chosen(scores, np.ones(2), "one_standard_error")
    (0, 1)
    """
    there = ~np.isnan(scores[0, 0])
    if not there.any():
        return 0, 0
    scores, totals = scores[..., there], totals[there]
    means = np.average(scores, axis=-1, weights=totals)
    one, best = np.unravel_index(int(np.argmax(means)), means.shape)
    if selection == "one_standard_error" and len(totals) > 1:
        spread = np.average((scores[one, best] - means[one, best]) ** 2, weights=totals)
        error = np.sqrt(spread / (len(totals) - 1))
        best = np.flatnonzero(means[one] >= means[one, best] - error)[0]
    return int(one), int(best)

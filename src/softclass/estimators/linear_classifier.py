"""What a linear classifier does with its weights, however they were found."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from softclass.estimators.fit_input import feature_dtypes
from softclass.estimators.scaling import Array
from softclass.functions.softmax import log_softmax, softmax
from softclass.networks.architecture import Dense

PREDICT_BYTES = 32 * 2**20  # rows are predicted in blocks whose float64 copy has this size


class AbstractLinearClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier with `classes_`, `coef_` and `intercept_`, which a subclass fits."""

    classes_: npt.NDArray[Any]
    coef_: Array
    intercept_: Array
    n_features_in_: int

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def column_names(self) -> list[str]:
        """Return the names of the columns, made as scikit-learn makes them where they have none."""
        names = getattr(self, "feature_names_in_", None)
        return [f"x{j}" for j in range(self.n_features_in_)] if names is None else [str(name) for name in names]

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
        X = validate_data(self, X, accept_sparse="csr", dtype=feature_dtypes(X), reset=False)
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

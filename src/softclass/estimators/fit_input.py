"""Features and labels as fits take them: checked as scikit-learn checks them, on as many threads as the fit has."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.utils.validation import assert_all_finite, validate_data

from softclass.estimators.scaling import PASSED
from softclass.kernels import cpu

SMALL_NUMBERS = ("bool", "int8", "uint8", "int16", "uint16", "float16")  # exact in float32: no float64 copy
LARGEST_LABEL = 2**62


def feature_dtypes(X: Any) -> Any:
    """Return the dtypes in which features are taken: small numbers as float32, which holds them exactly."""
    return np.float32 if str(getattr(X, "dtype", "")) in SMALL_NUMBERS else [np.float64, np.float32]


def checked_input(
    estimator: Any, X: Any, y: Any, *, reset: bool = True, threads: int | None = None
) -> tuple[Any, npt.NDArray[Any]]:
    """
    Return features and labels checked as scikit-learn does, with its errors.

    Parameters
    ----------
    estimator : estimator
        Whose names of columns are set, or must be those.
    X : array, CSR or CSC matrix, or frame of shape (n_samples, n_features)
        Features.
    y : array of shape (n_samples,)
        Labels.
    reset : bool, default True
        Whether names and number of the columns are taken from `X`.
    threads : int, optional
        Most threads; None: as many as the process may use.

    Returns
    -------
    X : float32 or float64 array of shape (n_samples, n_features), or CSR matrix
        All finite.
    y : array of shape (n_samples,)
        As they are.
    """
    X, y = validate_data(
        estimator, X, y, accept_sparse=["csr", "csc"], dtype=feature_dtypes(X), reset=reset, ensure_all_finite=False
    )
    if not _is_finite(X, threads):
        with np.errstate(over="ignore", invalid="ignore"):  # a sum that decides whether all is finite may overflow
            assert_all_finite(X, estimator_name=type(estimator).__name__, input_name="X")
    return X.tocsr() if sparse.issparse(X) else X, y


def _is_finite(X: Any, threads: int | None) -> bool:
    """Whether all numbers are finite; False also where another way has to find out."""
    if not isinstance(X, np.ndarray) or X.dtype not in PASSED or not X.flags.forc:
        return False
    return cpu.regression_is_finite(X if X.flags.c_contiguous else X.T, threads or 0)


def encoded_labels(labels: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """
    Return the classes in sorted order, and the index of each label among them.

    Parameters
    ----------
    labels : array of shape (n,)
        Of one type.

    Returns
    -------
    classes : array of shape (K,)
        With the dtype of the labels.
    targets : int64 array of shape (n,)
        Class indices.
    """
    if labels.dtype.kind in "iu" and labels.size:
        low, high = int(labels.min()), int(labels.max())
        if low > -LARGEST_LABEL and high < LARGEST_LABEL and high - low <= labels.size:  # counted instead of sorted
            places = labels.astype(np.int64)
            places -= low
            present = np.bincount(places) > 0
            classes = (np.flatnonzero(present) + low).astype(labels.dtype)
            return classes, (np.cumsum(present) - 1)[places]
    classes, targets = np.unique(labels, return_inverse=True)
    return classes, targets.astype(np.int64)

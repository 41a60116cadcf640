"""More columns than rows: the ridge optimum is a sum of rows, so as many columns as rows are enough, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg

from softclass.estimators.scaling import Array

BLOCK_BYTES = 32 * 2**20
LARGEST_SPREAD = 1e3  # of the columns' deviations: the Gram matrix squares it, and float64 has 16 digits
NEGLIGIBLE = 1e-13  # of the largest eigenvalue


@dataclass(frozen=True, eq=False)
class RowSpace:
    """Coordinates of the centred rows in an orthonormal basis of their span.

    Attributes
    ----------
    coordinates : float64 array of shape (N, R)
        Same inner products as the centred rows, so the same loss and the same penalty.
    mean : float64 array of shape (D,)
        Of the columns; zero without intercept.
    mixing : float64 array of shape (N, R)
        The basis is ``mixing.T @ (features - mean)``.
    """

    coordinates: Array
    mean: Array
    mixing: Array

    def weight(self, reduced: Array, features: npt.NDArray[Any]) -> Array:
        """Return weights of shape (rows, D) from weights of shape (rows, R)."""
        left = reduced @ self.mixing.T  # (rows, N)
        total = left.sum(axis=1)[:, None]
        blocks = [np.asarray(left @ features[:, part]) - total * self.mean[part] for part in _parts(features)]
        return np.concatenate(blocks, axis=1)

    def project(self, others: npt.NDArray[Any], features: npt.NDArray[Any]) -> Array:
        """Return the coordinates of other rows; what lies outside the span meets weights of zero."""
        inner = np.zeros((len(others), len(features)))
        for part in _parts(features):
            inner += (others[:, part] - self.mean[part]) @ (features[:, part] - self.mean[part]).T
        return inner @ self.mixing


def row_space(features: npt.NDArray[Any], mean: Array) -> RowSpace:
    """Return the span of the centred rows, by the eigenvectors of their Gram matrix."""
    gram = np.zeros((len(features), len(features)))
    for part in _parts(features):
        block = features[:, part] - mean[part]  # float64: `mean` is
        gram += block @ block.T
    squares, vectors = linalg.eigh(gram, overwrite_a=True, check_finite=False)
    kept = squares > NEGLIGIBLE * max(float(squares[-1]), 1e-300)
    root = np.sqrt(squares[kept])
    return RowSpace(vectors[:, kept] * root, mean, vectors[:, kept] / root)


def _parts(features: npt.NDArray[Any]) -> list[slice]:
    """Columns in blocks of bounded memory."""
    width = max(64, BLOCK_BYTES // (8 * len(features)))
    return [slice(start, start + width) for start in range(0, features.shape[1], width)]

"""Rows as features: all at once, or some of them whenever they are asked for, where all would not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.data.pixels import Constants, PixelPreprocessing
from softclass.model.backbone import Backbone
from softclass.model.examples import Inputs, take_inputs

Int64 = npt.NDArray[np.int64]
AnyPreprocessing = Constants | Backbone

BATCH_BYTES = 32 * 2**20  # features of a batch
STREAMED_BYTES = 4 * BATCH_BYTES  # of features in memory while they are streamed, about: batches and their copies
WORKING_BYTES = 8  # for each feature of a row: a float32, and the solver's scaled copy of it


def features_of(preprocessing: AnyPreprocessing, inputs: Inputs) -> npt.NDArray[np.float32]:
    """Turn columns or pixels into features, in NumPy; or, behind a backbone, in onnxruntime."""
    if isinstance(preprocessing, Backbone):
        assert isinstance(inputs, np.ndarray)  # noqa: S101 - pixels go with pixels
        return preprocessing.features(inputs)
    if isinstance(preprocessing, PixelPreprocessing):
        assert isinstance(inputs, np.ndarray)  # noqa: S101 - pixels go with pixels
        return np.asarray(preprocessing.apply(inputs), dtype=np.float32)
    assert isinstance(inputs, dict)  # noqa: S101 - columns go with columns
    return preprocessing.apply(inputs)


def fitting_bytes(n_rows: int, n_features: int) -> int:
    """Return how much memory the features take while weights are fitted, if all of them are there at once."""
    return WORKING_BYTES * n_rows * n_features


@dataclass(frozen=True, eq=False)
class EncodedRows:
    """Some rows of the data, which become features when they are indexed.

    Attributes
    ----------
    preprocessing : Preprocessing, PixelPreprocessing or Backbone
        With its constants.
    inputs : dict of columns, or pixels
        Of all rows of the data.
    rows : int64 array of shape (n_rows,)
        The rows that count, in their order.
    n_features : int
        Features of a row.
    """

    preprocessing: AnyPreprocessing
    inputs: Inputs
    rows: Int64
    n_features: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and features."""
        return len(self.rows), self.n_features

    def __getitem__(self, chosen: Any) -> npt.NDArray[np.float32]:
        return features_of(self.preprocessing, take_inputs(self.inputs, self.rows[chosen]))


@dataclass(frozen=True, eq=False)
class EncodedBatches:
    """Rows in batches of features, targets and weights, encoded anew at every loop.

    Attributes
    ----------
    features : EncodedRows
        The rows.
    targets : int64 array of shape (n_rows,)
        Class numbers.
    weights : float64 array of shape (n_rows,) or None
        Of the rows.
    """

    features: EncodedRows
    targets: Int64
    weights: npt.NDArray[np.float64] | None

    def __iter__(self) -> Iterator[tuple[npt.NDArray[np.float32], Int64, npt.NDArray[np.float64] | None]]:
        n_rows, n_features = self.features.shape
        size = max(1, BATCH_BYTES // (4 * n_features))
        for first in range(0, n_rows, size):
            part = slice(first, first + size)
            yield self.features[part], self.targets[part], None if self.weights is None else self.weights[part]

"""Arrays of any shape as rows for the kernels, and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def to_rows(array: Array, axis: int, dtype: npt.DTypeLike) -> Array:
    """Return `array` as C-contiguous, aligned (N, K) in `dtype`, K along `axis`; a copy only where it is needed."""
    moved = np.moveaxis(array, axis, -1)
    n_rows = math.prod(moved.shape[:-1])
    return np.require(moved.reshape(n_rows, moved.shape[-1]), dtype=dtype, requirements=["C", "A"])


def from_rows(rows: Array, like: Array, axis: int, dtype: npt.DTypeLike) -> Array:
    """Return rows (N, K) in the shape and memory order of `like` and in `dtype`."""
    if rows.dtype == dtype and like.flags.c_contiguous and axis in (-1, like.ndim - 1):
        return rows.reshape(like.shape)
    result = np.empty_like(like, dtype=dtype)
    moved = np.moveaxis(result, axis, -1)
    moved[...] = narrowed(rows, dtype).reshape(moved.shape)
    return result


def narrowed(values: Array, dtype: npt.DTypeLike) -> Array:
    """Return the values in a narrower type: what is too large becomes infinite, without a warning."""
    with np.errstate(over="ignore", under="ignore"):
        return values.astype(dtype, copy=False)

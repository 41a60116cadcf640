"""Names for the arrays that travel between the rooms; shapes in comments, N rows, K classes, D features."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Features: TypeAlias = npt.NDArray[np.floating[Any]]  # (N, D)
Probabilities: TypeAlias = npt.NDArray[np.floating[Any]]  # (..., K), sums to 1 along the class axis
Pixels: TypeAlias = npt.NDArray[np.uint8]  # (N, height, width, channels)
# Graph input name -> (N,) float64, NaN missing; or (N,) object of str, "" missing.
Columns: TypeAlias = dict[str, npt.NDArray[Any]]

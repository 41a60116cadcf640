"""What the numbers of this room must look like before anything is computed from them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from softclass.errors import NotFiniteError, OptionError, ShapeError, TargetError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def checked_logits(where: str, logits: npt.ArrayLike, name: str = "logits") -> Floats:
    """Return logits as float64 (N, K): at least one row and class, no NaN, no +inf, something finite in each row."""
    array = np.asarray(logits, dtype=np.float64)
    if array.ndim != 2:
        raise ShapeError("SC102", f"`{name}` must have 2 axes; got shape {array.shape}", where=where)
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise ShapeError(
            "SC103", f"`{name}` must have at least one row and one class; got shape {array.shape}", where=where
        )
    peak = array.max(axis=1)  # NaN if the row holds one, -inf if the row is empty of mass
    broken = np.flatnonzero(~np.isfinite(peak))
    if broken.size:
        raise NotFiniteError(
            "SC131",
            f"each row of `{name}` must have a finite largest element; got {peak[broken[0]]} in row {broken[0]}"
            f" ({broken.size} of {peak.size} are not)",
            where=where,
        )
    return array


def checked_targets(where: str, targets: npt.ArrayLike, n_rows: int, n_classes: int, *, lowest: int = -1) -> Integers:
    """Return targets as int64 (N,) in [lowest, K); -1 stands for a class that the model does not know."""
    array = np.asarray(targets)
    if array.shape != (n_rows,):
        raise ShapeError("SC101", f"`targets` must have shape ({n_rows},); got {array.shape}", where=where)
    if array.dtype.kind not in "iu":
        raise TargetError("SC121", f"`targets` must be class indices; got dtype {array.dtype}", where=where)
    whole = array.astype(np.int64)
    outside = np.flatnonzero((whole < lowest) | (whole >= n_classes))
    if outside.size:
        raise TargetError(
            "SC121",
            f"`targets` must lie in [{lowest}, {n_classes}); got {whole[outside[0]]} at index {outside[0]}"
            f" ({outside.size} of {n_rows} are outside)",
            where=where,
        )
    return whole


def checked_weight(where: str, sample_weight: npt.ArrayLike | None, n_rows: int) -> Floats:
    """Return weights as float64 (N,) that add up to N; ones when there are none."""
    if sample_weight is None:
        return np.ones(n_rows)
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (n_rows,):
        raise ShapeError("SC101", f"`sample_weight` must have shape ({n_rows},); got {weight.shape}", where=where)
    if not np.all(np.isfinite(weight)) or np.any(weight < 0) or not np.any(weight > 0):
        raise OptionError(
            "SC142", "`sample_weight` must be finite and not negative, and not all of it zero", where=where
        )
    weight = weight / weight.max()  # so that the sum of huge weights cannot overflow
    return np.asarray(weight * (n_rows / weight.sum()), dtype=np.float64)


def checked_confidence(
    where: str, confidence: npt.ArrayLike, correct: npt.ArrayLike
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return confidences in [0, 1] and whether each row was right, both of shape (N,)."""
    first = np.asarray(confidence, dtype=np.float64)
    second = np.asarray(correct)
    if first.ndim != 1 or first.shape != second.shape:
        raise ShapeError(
            "SC101",
            f"`confidence` and `correct` must have one shape (n,); got {first.shape} and {second.shape}",
            where=where,
        )
    if first.size == 0:
        raise ShapeError("SC103", "at least one row is needed; got none", where=where)
    if not np.all((first >= 0) & (first <= 1)):
        raise OptionError("SC141", "`confidence` must lie in [0, 1]", where=where)
    return first, second.astype(bool)

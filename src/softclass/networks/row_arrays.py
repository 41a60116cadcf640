"""Rows as the compiled module takes them: checked against an architecture once, since kernels look at none of that."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.errors import OptionError, ShapeError, TargetError
from softclass.networks.architecture import Architecture
from softclass.networks.engine import Rows
from softclass.networks.layers import Pixels

WHERE = "NativeEngine"


def check_rows(architecture: Architecture, rows: Rows, *, with_targets: bool = True) -> None:
    """
    Raise unless rows have the columns, codes and targets of an architecture.

    Parameters
    ----------
    architecture : Architecture
        The network.
    rows : Rows
        The data.
    with_targets : bool, default=True
        Whether targets are looked at.

    Raises
    ------
    ShapeError
        SC101, if an array has other axes than the architecture.
    OptionError
        SC141, if a code lies outside its column's range.
    TargetError
        SC121, if a class index is out of range.
    """
    what, n_rows = architecture.input, count_rows(rows)
    if isinstance(what, Pixels):
        _check_shape("pixels", rows.pixels, (n_rows, what.height, what.width, what.channels))
    else:
        _check_shape("numbers", rows.numbers, (n_rows, what.numbers), may_lack=what.numbers == 0)
        _check_shape("codes", rows.codes, (n_rows, len(what.codes)), may_lack=not what.codes)
        if rows.codes is not None and n_rows:
            low, high = rows.codes.min(axis=0), rows.codes.max(axis=0)
            for j, count in enumerate(what.codes):
                if low[j] < 0 or high[j] >= count:
                    rule = f"`codes` of column {j} must lie in [0, {count}); got {low[j]} to {high[j]}"
                    raise OptionError("SC141", rule, where=WHERE)
    if not with_targets:
        return
    classes = architecture.n_classes
    if rows.targets.ndim == 2:
        _check_shape("targets", rows.targets, (n_rows, classes))
    else:
        _check_shape("targets", rows.targets, (n_rows,))
        if n_rows and (rows.targets.min() < 0 or rows.targets.max() >= classes):
            rule = f"`targets` must lie in [0, {classes}); got {rows.targets.min()} to {rows.targets.max()}"
            raise TargetError("SC121", rule, where=WHERE)
    _check_shape("weight", rows.weight, (n_rows,), may_lack=True)


def _check_shape(name: str, array: npt.NDArray[Any] | None, shape: tuple[int, ...], *, may_lack: bool = False) -> None:
    if (array is None and not may_lack) or (array is not None and array.shape != shape):
        came = "none" if array is None else array.shape
        raise ShapeError("SC101", f"`{name}` must have the shape {shape}; got {came}", where=WHERE)


def count_rows(rows: Rows) -> int:
    """Return the number of rows, by what comes in: targets may be missing."""
    return next(len(array) for array in (rows.pixels, rows.numbers, rows.codes) if array is not None)


def column_arrays(rows: Rows) -> dict[str, Any]:
    """Return the arguments of the compiled module for what comes in; images of floats are rows of numbers to it."""
    pixels, numbers, codes = rows.pixels, rows.numbers, rows.codes
    if pixels is not None and pixels.dtype != np.uint8:
        numbers, pixels = pixels.reshape(len(pixels), -1), None
    return {
        "pixels": None if pixels is None else np.ascontiguousarray(pixels),
        "numbers": None if numbers is None else np.ascontiguousarray(numbers, dtype=np.float32),
        "codes": None if codes is None else np.ascontiguousarray(codes, dtype=np.int32),
    }


def target_arrays(rows: Rows) -> dict[str, Any]:
    """Return the arguments of the compiled module for targets and weights."""
    is_soft = rows.targets.ndim == 2
    targets = np.ascontiguousarray(rows.targets, dtype=np.float32 if is_soft else np.int32)
    weights = None if rows.weight is None else np.ascontiguousarray(rows.weight, dtype=np.float32)
    return {"targets": None if is_soft else targets, "shares": targets if is_soft else None, "weights": weights}

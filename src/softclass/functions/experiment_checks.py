"""What the experiments demand of their arguments; the only file of them that raises."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.errors import OptionError, ShapeError, TargetError, nearest, shown
from softclass.functions.checks import as_array, as_axis, as_logits, as_targets, is_integer, raise_bad_index

Float64 = npt.NDArray[np.float64]


def check_seed(where: str, seed: object) -> int:
    """Return a seed of 32 bits, or raise SC141."""
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool) and 0 <= seed < 2**32:
        return int(seed)
    raise OptionError("SC141", f"`seed` must be an integer in [0, 2**32); got {shown(repr(seed))}", where=where)


def check_choice(where: str, name: str, value: object, choices: Iterable[str]) -> None:
    """Raise SC141 unless the value is one of some words."""
    words = list(choices)
    if isinstance(value, str) and value in words:
        return
    close = nearest(str(value), words)
    hint = f"Did you mean {close[0]}?" if close else ""
    message = f"`{name}` must be one of {', '.join(words)}; got {shown(repr(value))}"
    raise OptionError("SC141", message, where=where, hint=hint)


def check_number(where: str, name: str, value: Any, *, least: float = 0.0, may_equal: bool = True) -> None:
    """Raise SC141 unless the value is a finite number that is large enough."""
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if is_number and math.isfinite(value) and (value > least or (may_equal and value == least)):
        return
    rule = f"a finite number {'of at least' if may_equal else 'above'} {least:g}"
    raise OptionError("SC141", f"`{name}` must be {rule}; got {shown(repr(value))}", where=where)


def check_share(where: str, name: str, value: Any) -> None:
    """Raise SC141 unless the value lies between 0 and 1."""
    if isinstance(value, (int, float, np.integer, np.floating)) and 0 < value < 1:
        return
    raise OptionError("SC141", f"`{name}` must lie between 0 and 1; got {shown(repr(value))}", where=where)


def check_count(where: str, name: str, value: object, least: int) -> None:
    """Raise SC141 unless the value is a whole number that is large enough."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= least:
        return
    rule = f"a whole number of at least {least}"
    raise OptionError("SC141", f"`{name}` must be {rule}; got {shown(repr(value))}", where=where)


def rows_and_targets(where: str, logits: Any, targets: Any, *, of_softmax: bool = True) -> tuple[Float64, Any, bool]:
    """
    Return logits in float64, targets, and whether these are class indices.

    Targets that are no indices are numbers of at least 0 that sum to 1 for softmax, or in [0, 1] for the sigmoid.
    """
    array = as_logits(where, as_array(where, "logits", logits))
    axis = as_axis(where, -1, array)
    z = np.asarray(array, dtype=np.float64)
    wanted = as_targets(where, targets, array, axis)
    if is_integer(wanted):
        bad = np.flatnonzero((wanted < 0) | (wanted >= z.shape[-1]))
        if len(bad):
            raise_bad_index(where, wanted, z.shape[-1], int(bad[0]), len(bad))
        return z, wanted, True
    y = np.asarray(wanted, dtype=np.float64)
    wrong = ~((y >= 0) & (y <= 1)).all()
    if wrong or (of_softmax and bool((np.abs(y.sum(axis=-1) - 1) > 1e-9).any())):
        rule = "of at least 0 with sum 1 in each row" if of_softmax else "in [0, 1]"
        raise TargetError("SC122", f"floating-point `targets` must hold numbers {rule}", where=where)
    return z, y, False


def check_image_rows(where: str, name: str, rows: Any) -> tuple[Float64, npt.NDArray[np.int64]]:
    """Return features and class indices of a pair, or raise SC101."""
    features, targets = np.asarray(rows[0], dtype=np.float64), np.asarray(rows[1])
    if features.ndim == 2 and targets.shape == features.shape[:1] and targets.dtype.kind in "iu":
        return features, targets.astype(np.int64)
    message = f"`{name}` must be features of shape (n, d) and class indices of shape (n,)"
    raise ShapeError("SC101", f"{message}; got {features.shape} and {targets.shape}", where=where)

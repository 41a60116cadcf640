"""The usual call of a loss for NumPy, without any option: a short way, since small calls are mostly checks."""

from __future__ import annotations

from typing import Any

import numpy as np

from softclass.functions.checks import PLAIN, Array
from softclass.kernels import cpu

FLOAT32, FLOAT64, INT64 = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64)
LARGEST_FLOAT32 = 3.4e38


def usual_loss(logits: Array, targets: Any, with_gradient: bool) -> Any:
    """Return mean loss, or mean loss and gradient, of rows of floats and their int64 indices; else None.

    None also where a target is bad or the loss is not finite. The checks of all other calls take longer than the kernel
    takes for one row.
    """
    if not (
        type(targets) is np.ndarray
        and logits.dtype in PLAIN
        and logits.ndim == 2
        and targets.dtype is INT64
        and targets.shape == logits.shape[:1]
        and logits.size
        and logits.flags.aligned
        and targets.flags.aligned
    ):
        return None
    gradient = None
    if with_gradient:
        gradient = np.empty_like(logits)
        found = cpu.cross_entropy_and_gradient(
            logits, targets, 1, None, None, None, 0.0, 1.0, 0.0, True, None, gradient
        )
    else:
        found = cpu.cross_entropy(logits, targets, 1, None, None, None, 0.0, 1.0, 0.0, None, None)
    if found[3]:
        return None
    mean = found[0] / found[1]
    if not abs(mean) < LARGEST_FLOAT32:
        return None
    loss = np.float64(mean) if logits.dtype is FLOAT64 else np.float32(mean)
    return (loss, gradient) if with_gradient else loss

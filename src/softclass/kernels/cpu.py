"""Typed doors to the compiled module: they make the result arrays and check nothing.

N rows of K logits, C-contiguous, float32 or float64 in native byte order; row weights and losses are float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from softclass.errors import MachineError

try:
    from softclass.kernels import _cpu
except ImportError as reason:
    raise MachineError(
        "SC608",
        f"the compiled module softclass.kernels._cpu must be there; importing it failed: {reason}",
        where="softclass.kernels",
        hint="Install softclass with a C++17 compiler at hand: pip install .",
    ) from reason

Rows: TypeAlias = npt.NDArray[np.floating[Any]]  # (N, K)
Values: TypeAlias = npt.NDArray[np.float64]  # (N,)
Indices: TypeAlias = npt.NDArray[np.int64]  # (N,)


class RowWeights(NamedTuple):
    """Weights of the rows of a loss, their sum, and which targets are none."""

    values: Values
    total: float
    first_bad: int  # -1 if every target of a row of weight > 0 is legal
    n_bad: int


def softmax(logits: Rows, temperature: float) -> Rows:
    """Return the probabilities, (N, K)."""
    probabilities = np.empty_like(logits)
    _cpu.softmax(logits, probabilities, 1, temperature)
    return probabilities


def log_softmax(logits: Rows, temperature: float) -> Rows:
    """Return the logarithms of the probabilities, (N, K)."""
    log_probabilities = np.empty_like(logits)
    _cpu.log_softmax(logits, log_probabilities, 1, temperature)
    return log_probabilities


def logsumexp(logits: Rows) -> npt.NDArray[np.floating[Any]]:
    """Return log(sum(exp(row))) of every row, (N,), in the dtype of the logits."""
    values = np.empty(logits.shape[0], dtype=logits.dtype)
    _cpu.logsumexp(logits, values, 1)
    return values


def index_row_weights(
    targets: Indices, n_classes: int, sample_weight: Values | None, class_weight: Values | None
) -> RowWeights:
    """Return the row weights for class indices; a bad index weighs 0."""
    values = np.empty(targets.shape[0])
    return RowWeights(values, *_cpu.index_row_weights(targets, n_classes, sample_weight, class_weight, values))


def soft_row_weights(
    targets: Rows, tolerance: float, sample_weight: Values | None, class_weight: Values | None
) -> RowWeights:
    """Return the row weights for rows of target probabilities; a bad row weighs 0."""
    values = np.empty(targets.shape[0])
    return RowWeights(values, *_cpu.soft_row_weights(targets, tolerance, sample_weight, class_weight, values))


def cross_entropy(logits: Rows, targets: Indices | Rows, row_weights: Values, label_smoothing: float) -> Values:
    """Return row weight times loss for every row; integer targets are indices, floats are distributions."""
    losses = np.empty(logits.shape[0])
    kernel: Any = _cpu.index_cross_entropy if targets.dtype.kind == "i" else _cpu.soft_cross_entropy
    kernel(logits, targets, row_weights, label_smoothing, 1.0, losses, None)
    return losses


def cross_entropy_and_gradient(
    logits: Rows, targets: Indices | Rows, row_weights: Values, label_smoothing: float, divisor: float
) -> tuple[Values, Rows]:
    """Return the losses and the gradient of sum(losses) / divisor at the logits."""
    losses, gradient = np.empty(logits.shape[0]), np.empty_like(logits)
    kernel: Any = _cpu.index_cross_entropy if targets.dtype.kind == "i" else _cpu.soft_cross_entropy
    kernel(logits, targets, row_weights, label_smoothing, divisor, losses, gradient)
    return losses, gradient


def compensated_sum(values: Values) -> float:
    """Return the sum of the values, correct to about one rounding whatever their number."""
    return _cpu.sum(values)

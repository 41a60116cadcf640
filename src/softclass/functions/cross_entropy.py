"""Logits and targets to a loss, and to its gradient at the logits."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from softclass.functions.checks import (
    Array,
    as_class_weight,
    as_label_smoothing,
    as_logits,
    as_sample_weight,
    as_targets,
    check_reduction,
    check_row_weights,
    raise_bad_distribution,
    raise_bad_index,
)
from softclass.functions.rows import from_rows, narrowed, to_rows
from softclass.functions.softmax import compute_type, element_type
from softclass.kernels import cpu

# How far the sum of a row of target probabilities may lie from 1: float16 has steps of 1/2048 below 1.
SUM_TOLERANCE = 1e-3
SUM_TOLERANCE_FLOAT16 = 2e-2


def cross_entropy(
    logits: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    axis: int = -1,
    sample_weight: npt.ArrayLike | None = None,
    class_weight: npt.ArrayLike | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    r"""
    Cross-entropy between target classes, or target distributions, and the softmax of logits, in nats.

    With :math:`q` the target distribution, :math:`\bar q = (1 - \varepsilon) q + \varepsilon / K`, :math:`s_i` the
    weight of the sample and :math:`w_c` of the class:
    :math:`\ell_i = \omega_i \sum_c \bar q_{ic} (-\log p_{ic})`, :math:`\omega_i = s_i \sum_c w_c q_{ic}`.

    Parameters
    ----------
    logits : array of shape (..., n_classes, ...)
        In float16, float32, float64 or integers, or nested lists. Any strides, read-only or not; never written.
    targets : int array of the shape of `logits` without `axis`, or float array of the shape of `logits`
        Integers are class indices in ``[0, n_classes)``. Floats are distributions: at least 0, with sum 1 (to 0.001;
        float16 to 0.02).
    axis : int, default -1
        The axis of the classes.
    sample_weight : array of the shape of `logits` without `axis`, optional
        Finite, at least 0, not all 0. A row of weight 0 is never read, whatever it holds.
    class_weight : array of shape (n_classes,), optional
        Finite, at least 0, not all 0. It weighs rows by their target, not classes inside the sum; without it that
        factor is 1.
    label_smoothing : float, default 0.0
        The share :math:`\varepsilon` of every target that is spread evenly over all classes, in ``[0, 1)``.
    reduction : {"mean", "sum", "none"}, default "mean"
        How the losses of the rows are put together.

    Returns
    -------
    float, or float array of the shape of `logits` without `axis`
        In float32 for float16 and float32 logits, else float64. "mean" divides the sum of the losses by the sum of the
        row weights :math:`\omega_i`; NaN if no row has weight.

    Raises
    ------
    DTypeError, InputError, ShapeError, TargetError, OptionError
        SC111, SC113, for arguments that are no arrays of numbers; SC101, SC102, for shapes; SC121, for an index outside
        ``[0, n_classes)``; SC122, for a row of targets that is no distribution; SC141, for an option out of range;
        SC142, for weights that are negative, not finite or all zero.

    See Also
    --------
    cross_entropy_value_and_gradient : The loss together with its gradient at the logits.
    log_softmax : The logarithms of the probabilities.

    Notes
    -----
    Memory: three numbers a row, and a copy of `logits` unless they are contiguous along `axis`.
    Gradient at the logits: :math:`\omega_i (p_i - \bar q_i)`, divided as the loss is.
    Numerics: ``log1p(rest) + (max(z) - z_t)``, both terms at least 0: nothing cancels. A target of probability 0 adds
    0, also at a logit of ``-inf``. Losses are formed and summed in float64.

    Examples
    --------
    >>> from softclass import cross_entropy
    >>> logits = [[2.0, 1.0, 0.1], [1.0, 3.0, 0.2]]
    >>> round(float(cross_entropy(logits, [0, 1])), 6)
    0.298067
    >>> cross_entropy(logits, [0, 1], reduction="none").round(4)
    array([0.417 , 0.1791])
    >>> round(float(cross_entropy(logits, [[1.0, 0.0, 0.0], [0.0, 0.9, 0.1]])), 6)
    0.438067
    """
    where = "cross_entropy"
    array, class_axis = as_logits(where, logits, axis)
    weighed = _weigh(where, array, targets, class_axis, sample_weight, class_weight, label_smoothing, reduction)
    losses = cpu.cross_entropy(weighed.logits, weighed.targets, weighed.row_weights, weighed.label_smoothing)
    return _reduced(losses, weighed, reduction, array, class_axis)


def cross_entropy_value_and_gradient(
    logits: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    class_weight: npt.ArrayLike | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> tuple[Any, Array]:
    r"""
    Cross-entropy and its gradient at the logits, in one pass.

    :math:`\partial \ell_i / \partial z_i = \omega_i (p_i - \bar q_i)`, in the letters of `cross_entropy`.

    Parameters
    ----------
    logits : array of shape (..., n_classes)
        In float16, float32, float64 or integers, or nested lists. The classes lie along the last axis.
    targets : int array of shape (...) or float array of shape (..., n_classes)
        Class indices or distributions, as for `cross_entropy`.
    sample_weight : array of shape (...), optional
        As for `cross_entropy`.
    class_weight : array of shape (n_classes,), optional
        As for `cross_entropy`.
    label_smoothing : float, default 0.0
        As for `cross_entropy`.
    reduction : {"mean", "sum", "none"}, default "mean"
        As for `cross_entropy`.

    Returns
    -------
    loss : float or float array of shape (...)
        What `cross_entropy` returns.
    gradient : float array of shape (..., n_classes)
        In the dtype of `logits`, float64 for integers. Of the mean or the sum; with "none", each row holds the gradient
        of its own loss. Rows of weight 0 are exactly 0.

    Raises
    ------
    DTypeError, InputError, ShapeError, TargetError, OptionError
        As for `cross_entropy`.

    See Also
    --------
    cross_entropy : The loss alone, with any class axis.

    Notes
    -----
    Memory: the gradient and three numbers a row.
    Numerics: at a confident right answer the entry of the target is minus the sum of the others, not ``p - 1``, so it
    does not become 0 and rows sum to 0. float32 entries are within 3.5 units in the last place for class indices.

    Examples
    --------
    >>> from softclass.functions.cross_entropy import cross_entropy_value_and_gradient
    >>> loss, gradient = cross_entropy_value_and_gradient([[2.0, 1.0, 0.1], [1.0, 3.0, 0.2]], [0, 1])
    >>> round(float(loss), 6)
    0.298067
    >>> gradient.round(4)
    array([[-0.1705,  0.1212,  0.0493],
           [ 0.0566, -0.082 ,  0.0254]])
    """
    where = "cross_entropy_value_and_gradient"
    array, class_axis = as_logits(where, logits, -1)
    weighed = _weigh(where, array, targets, class_axis, sample_weight, class_weight, label_smoothing, reduction)
    losses, gradient = cpu.cross_entropy_and_gradient(
        weighed.logits, weighed.targets, weighed.row_weights, weighed.label_smoothing, weighed.divisor
    )
    loss = _reduced(losses, weighed, reduction, array, class_axis)
    return loss, from_rows(gradient, array, class_axis, element_type(array))


class _Weighed(NamedTuple):
    """Checked arguments as the kernels take them."""

    logits: Array  # (N, K) float32 or float64
    targets: Array  # (N,) int64 or (N, K) float32 or float64
    row_weights: npt.NDArray[np.float64]  # (N,)
    divisor: float  # sum of the row weights for "mean", else 1
    label_smoothing: float


def _weigh(
    where: str,
    logits: Array,
    targets: npt.ArrayLike,
    axis: int,
    sample_weight: npt.ArrayLike | None,
    class_weight: npt.ArrayLike | None,
    label_smoothing: float,
    reduction: str,
) -> _Weighed:
    """Check every argument but the logits and weigh the rows."""
    check_reduction(where, reduction)
    smoothing = as_label_smoothing(where, label_smoothing)
    target_array = as_targets(where, targets, logits, axis)
    n_classes = logits.shape[axis]
    shape = logits.shape[:axis] + logits.shape[axis + 1 :]
    of_sample = as_sample_weight(where, sample_weight, shape)
    of_class = as_class_weight(where, class_weight, n_classes)
    if target_array.dtype.kind == "f":
        rows = to_rows(target_array, axis, compute_type(target_array))
        tolerance = SUM_TOLERANCE_FLOAT16 if target_array.dtype.itemsize == 2 else SUM_TOLERANCE
        weights = cpu.soft_row_weights(rows, tolerance, of_sample, of_class)
        if weights.n_bad:
            raise_bad_distribution(where, rows, shape, weights.first_bad, weights.n_bad)
    else:
        # uint64 beyond int64 wraps to a negative index, which is bad as well.
        rows = np.require(target_array.reshape(-1), dtype=np.int64, requirements=["C", "A"])
        weights = cpu.index_row_weights(rows, n_classes, of_sample, of_class)
        if weights.n_bad:
            raise_bad_index(where, target_array, n_classes, weights.first_bad, weights.n_bad)
    row_weights, total = weights.values, weights.total
    if total == math.inf:
        check_row_weights(where, row_weights)
    if reduction == "mean" and (total == math.inf or 0 < total < 1e-290):
        # Only the ratio of the weights counts: a power of two brings them back into range, exactly.
        row_weights = np.ldexp(row_weights, -int(np.frexp(row_weights.max())[1]))
        total = cpu.compensated_sum(row_weights)
    logit_rows = to_rows(logits, axis, compute_type(logits))
    return _Weighed(logit_rows, rows, row_weights, total if reduction == "mean" else 1.0, smoothing)


def _reduced(losses: npt.NDArray[np.float64], weighed: _Weighed, reduction: str, logits: Array, axis: int) -> Any:
    """Put the losses of the rows together, in the type that losses have."""
    loss_type = compute_type(logits)
    if reduction == "none":
        shape = logits.shape[:axis] + logits.shape[axis + 1 :]
        return narrowed(losses, loss_type).reshape(shape)[()]  # [()] makes a number of an array without axes
    total = cpu.compensated_sum(losses)
    if reduction == "mean":
        total = total / weighed.divisor if weighed.divisor > 0 else math.nan
    return narrowed(np.asarray(total), loss_type)[()]

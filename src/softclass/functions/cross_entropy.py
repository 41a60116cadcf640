"""Logits and targets to a loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from softclass.functions.checks import (
    as_axis,
    as_class_weight,
    as_ignore_index,
    as_label_smoothing,
    as_logits,
    as_sample_weight,
    as_targets,
    check_reduction,
)
from softclass.functions.libraries import twin_of


def cross_entropy(
    logits: Any,
    targets: Any,
    *,
    axis: int = -1,
    sample_weight: Any = None,
    class_weight: Any = None,
    ignore_index: int | None = None,
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
        In float16, bfloat16, float32, float64 or integers; NumPy (also nested lists), PyTorch, JAX or any array-API
        library. Any strides, read-only or not; never written.
    targets : int array of the shape of `logits` without `axis`, or float array of the shape of `logits`
        Integers are class indices in ``[0, n_classes)``. Floats are distributions: at least 0, with sum 1 (to 0.001;
        float16 and bfloat16 to 0.02).
    axis : int, default -1
        The axis of the classes.
    sample_weight : array of the shape of `logits` without `axis`, optional
        Finite, at least 0, not all 0. A row of weight 0 is never read, whatever it holds.
    class_weight : array of shape (n_classes,), optional
        Finite, at least 0, not all 0. It weighs rows by their target, not classes inside the sum; without it that
        factor is 1.
    ignore_index : int, optional
        Rows with this class index are not there, as with weight 0. It need not be a class: PyTorch's habit is -100.
    label_smoothing : float, default 0.0
        The share :math:`\varepsilon` of every target that is spread evenly over all classes, in ``[0, 1)``.
    reduction : {"mean", "sum", "none"}, default "mean"
        How the losses of the rows are put together.

    Returns
    -------
    float, or float array of the shape of `logits` without `axis`
        In float32 for float16, bfloat16 and float32 logits, else float64. "mean" divides the sum of the losses by the
        sum of the row weights :math:`\omega_i`; NaN if no row has weight.

    Raises
    ------
    DTypeError, InputError, ShapeError, TargetError, OptionError, UsageError
        SC111, SC113, for arguments that are no arrays of numbers; SC112, for arrays of several libraries or devices;
        SC101, SC102, for shapes; SC121, for an index outside ``[0, n_classes)``; SC122, for a row of targets that is no
        distribution; SC141, for an option out of range; SC142, for weights that are negative, not finite or all zero;
        SC202, for `ignore_index` beside floating-point targets. Where numbers cannot be looked at (compiled code, GPU)
        a bad index gives a loss of NaN instead of SC121, and SC122 and SC142 are not raised.

    See Also
    --------
    cross_entropy_value_and_gradient : The loss together with its gradient at the logits.
    linear_cross_entropy : The same loss from features and weight, without the logits.
    log_softmax : The logarithms of the probabilities.

    Notes
    -----
    Memory: a few numbers a row; the logits are read once. Gradient at the logits: :math:`\omega_i (p_i - \bar q_i)`,
    divided as the loss is. Weights and targets have no derivative.

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
    >>> round(float(cross_entropy(logits, [0, -100], ignore_index=-100)), 4)
    0.417
    """
    where = "cross_entropy"
    if is_usual(logits, axis, sample_weight, class_weight, ignore_index, label_smoothing, reduction):
        loss = twin_of(logits).usual_loss(logits, targets, False)
        if loss is not None:
            return loss
    array = as_logits(where, logits)
    class_axis = as_axis(where, axis, array)
    labels = as_targets(where, targets, array, class_axis)
    options = checked_options(
        where, array, labels, class_axis, sample_weight, class_weight, ignore_index, label_smoothing, reduction
    )
    return twin_of(array).cross_entropy(array, labels, class_axis, *options)


def is_usual(
    logits: Any,
    axis: Any,
    sample_weight: Any,
    class_weight: Any,
    ignore_index: Any,
    label_smoothing: Any,
    reduction: Any,
) -> bool:
    """Tell whether a NumPy call has no option: there is a short way for small ones."""
    return (
        type(logits) is np.ndarray
        and sample_weight is None
        and class_weight is None
        and ignore_index is None
        and type(axis) is int
        and axis == -1
        and type(label_smoothing) is float
        and label_smoothing == 0.0
        and type(reduction) is str
        and reduction == "mean"
    )


Options = tuple[Any, Any, int | None, float, str]


def checked_options(
    where: str,
    logits: Any,
    targets: Any,
    axis: int,
    sample_weight: Any,
    class_weight: Any,
    ignore_index: Any,
    label_smoothing: Any,
    reduction: Any,
) -> Options:
    """Return the options of a loss as the twins take them."""
    check_reduction(where, reduction)
    if sample_weight is not None:
        rows = tuple(logits.shape[:axis] + logits.shape[axis + 1 :])
        sample_weight = as_sample_weight(where, sample_weight, "logits", logits, rows)
    if class_weight is not None:
        class_weight = as_class_weight(where, class_weight, "logits", logits, logits.shape[axis])
    if ignore_index is not None:
        ignore_index = as_ignore_index(where, ignore_index, targets)
    return sample_weight, class_weight, ignore_index, as_label_smoothing(where, label_smoothing), reduction

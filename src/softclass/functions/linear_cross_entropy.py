"""Features, weight and targets to a loss; the logits are never stored."""

from __future__ import annotations

from typing import Any, NamedTuple

from softclass.functions.checks import (
    as_class_weight,
    as_floats,
    as_ignore_index,
    as_label_smoothing,
    as_same_type,
    as_sample_weight,
    as_targets_of,
    check_linear_axes,
    check_reduction,
    check_shape,
)
from softclass.functions.libraries import twin_of


def linear_cross_entropy(
    features: Any,
    weight: Any,
    targets: Any,
    *,
    bias: Any = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    r"""
    Cross-entropy of ``features @ weight.T + bias``, without storing the logits.

    With logits :math:`z_i = W x_i + b`, in nats: :math:`\ell_i = \omega_i \sum_c \bar q_{ic} (\log Z_i - z_{ic})`; the
    letters are those of `cross_entropy`.

    Parameters
    ----------
    features : float array of shape (n_samples, n_features)
        In float16, bfloat16, float32 or float64; integers count as the default float. NumPy (also nested lists),
        PyTorch, JAX or any array-API library; any strides.
    weight : float array of shape (n_classes, n_features)
        One row a class. Same dtype and array library as `features`.
    targets : int array of shape (n_samples,) or float array of shape (n_samples, n_classes)
        Class indices in ``[0, n_classes)``, or distributions, as for `cross_entropy`.
    bias : float array of shape (n_classes,), optional
        Added to the logits. Same dtype as `features`.
    sample_weight : array of shape (n_samples,), optional
        As for `cross_entropy`. A row of weight 0 has no influence, whatever its features are.
    class_weight : array of shape (n_classes,), optional
        As for `cross_entropy`.
    ignore_index : int, optional
        Rows with this class index are not there.
    label_smoothing : float, default 0.0
        As for `cross_entropy`, in ``[0, 1)``.
    reduction : {"mean", "sum", "none"}, default "mean"
        How the losses of the rows are put together.

    Returns
    -------
    float, or float array of shape (n_samples,)
        In float32 for float16, bfloat16 and float32 features, else float64. "mean" divides the sum of the losses by the
        sum of the row weights; NaN if no row has weight.

    Raises
    ------
    DTypeError, InputError, ShapeError, TargetError, OptionError, UsageError
        SC101, if the axes do not agree; SC102, if `features` or `weight` have not two axes; SC111, if `features`,
        `weight` and `bias` differ in dtype; else as for `cross_entropy`.

    See Also
    --------
    cross_entropy : The same loss from logits you already hold.
    linear_cross_entropy_value_and_gradient : The loss together with its gradients.

    Notes
    -----
    Memory: :math:`O(N D + K D)` for the arguments and gradients, and blocks of bounded size; no array of shape
    (n_samples, n_classes) is made. Gradient at the logits: :math:`g_i = \omega_i (p_i - \bar q_i)`; at the weight
    :math:`\sum_i g_i x_i^T`, at the bias :math:`\sum_i g_i`, at the features :math:`W^T g_i`.

    Numerics: logits are float32 or wider, so half precision overflows nowhere; the loss is formed as in
    `cross_entropy`, the target logit is the one that is in the sum.

    Examples
    --------
    >>> import numpy as np
    >>> from softclass import linear_cross_entropy
    >>> features = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> weight = np.array([[2.0, 1.0], [1.0, 3.0], [0.1, 0.2]])
    >>> round(float(linear_cross_entropy(features, weight, np.array([0, 1]))), 4)
    0.2981
    """
    checked = checked_linear(
        "linear_cross_entropy",
        features,
        weight,
        targets,
        bias,
        sample_weight,
        class_weight,
        ignore_index,
        label_smoothing,
        reduction,
    )
    return twin_of(checked.features).linear_cross_entropy(*checked)


class Checked(NamedTuple):
    """The arguments of a linear loss as the twins take them, in their order."""

    features: Any
    weight: Any
    targets: Any
    bias: Any
    sample_weight: Any
    class_weight: Any
    ignore_index: int | None
    label_smoothing: float
    reduction: str


def checked_linear(
    where: str,
    features: Any,
    weight: Any,
    targets: Any,
    bias: Any,
    sample_weight: Any,
    class_weight: Any,
    ignore_index: Any,
    label_smoothing: Any,
    reduction: Any,
) -> Checked:
    """Return the arguments of a linear loss as the twins take them."""
    check_reduction(where, reduction)
    rows = as_floats(where, "features", features)
    columns = as_same_type(where, "weight", weight, "features", rows)
    check_linear_axes(where, rows, columns)
    n_rows, n_classes = rows.shape[0], columns.shape[0]
    if bias is not None:
        bias = as_same_type(where, "bias", bias, "features", rows)
        check_shape(where, "bias", bias, (n_classes,), "hold one number a class")
    labels = as_targets_of(where, targets, rows, (n_rows, n_classes), 1, "features")
    return Checked(
        rows,
        columns,
        labels,
        bias,
        as_sample_weight(where, sample_weight, "features", rows, (n_rows,)),
        as_class_weight(where, class_weight, "features", rows, n_classes),
        as_ignore_index(where, ignore_index, labels),
        as_label_smoothing(where, label_smoothing),
        reduction,
    )

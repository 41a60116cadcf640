"""THE SPECIFICATION: every function as a formula in array-API terms, for any library that has the standard.

It takes checked arguments and answers for all numbers, also those that no check may look at (under `torch.compile`,
`jax.jit`): no branch depends on a value. All that is returned is made of three facts about a row z:

    m = max z,   k = its first index,   rest = sum of exp(z_i - m) over i != k        log Z = m + log1p(rest)

The maximum stays out of the sum, so `log1p` keeps what 1 + rest would lose; z_i - m is carried as a rounded number and
what rounding took from it. Terms of a sum have one sign: nothing cancels. Derivatives by automatic differentiation are
right to any order: the shift is a constant, and class k is in the sum as exp(z_k - m) - 1, which is 0 and has a slope.
"""

from __future__ import annotations

import math
from typing import Any

from softclass.functions import formula
from softclass.functions.namespaces import constant, index_type, namespace_of, wide_float


def softmax(logits: Any, axis: Any, temperature: float, where: Any, dtype: Any, out: Any) -> Any:
    """See softclass.softmax."""
    xp, result_type = namespace_of(logits), formula.result_type(logits, dtype)
    z, is_in, layout = formula.prepared(xp, logits, axis, where, dtype)
    if z.shape[layout.axis] == 0:
        return formula.restored(xp, z, result_type, layout, out)
    row = formula.row(xp, z, layout.axis, temperature)
    p = row.e * xp.astype(1 / (1 + row.rest), z.dtype)
    if is_in is not None:
        p = xp.where(xp.any(is_in, axis=layout.axis, keepdims=True), p, 0.0)
    return formula.restored(xp, p, result_type, layout, out)


def log_softmax(logits: Any, axis: Any, temperature: float, where: Any, dtype: Any, out: Any) -> Any:
    """See softclass.log_softmax."""
    xp, result_type = namespace_of(logits), formula.result_type(logits, dtype)
    z, is_in, layout = formula.prepared(xp, logits, axis, where, dtype)
    if z.shape[layout.axis] == 0:
        return formula.restored(xp, z, result_type, layout, out)
    row = formula.row(xp, z, layout.axis, temperature)
    log_rest = xp.log1p(row.rest)
    high = xp.astype(log_rest, z.dtype)
    low = xp.astype(constant(xp, log_rest - xp.astype(high, log_rest.dtype)), z.dtype)
    log_p = (row.d - high) + (row.error - low)
    # -inf whatever the cotangent; a row of NaN stays NaN.
    log_p = xp.where((row.d == -math.inf) & (row.rest >= 0), -math.inf, log_p)
    if is_in is not None:
        log_p = xp.where(xp.any(is_in, axis=layout.axis, keepdims=True), log_p, -math.inf)
    return formula.restored(xp, log_p, result_type, layout, out)


def logsumexp(logits: Any, axis: Any, where: Any, keepdims: bool, dtype: Any) -> Any:
    """See softclass.logsumexp."""
    xp, result_type = namespace_of(logits), formula.sum_type(logits, dtype)
    z, _, layout = formula.prepared(xp, logits, axis, where, dtype)
    if z.shape[layout.axis] == 0:
        values = xp.sum(z, axis=layout.axis, keepdims=True) - math.inf
    else:
        row = formula.row(xp, z, layout.axis, 1.0)
        top = xp.sum(xp.where(row.is_first, z, 0.0), axis=layout.axis, keepdims=True)  # m, with the slope of z_k
        shifted = xp.astype(row.m, row.rest.dtype) + xp.log1p(row.rest)
        values = xp.where(xp.isinf(row.m), xp.astype(top, row.rest.dtype), shifted)
    return xp.reshape(xp.astype(values, result_type), layout.kept if keepdims else layout.dropped)


def cross_entropy(
    logits: Any,
    targets: Any,
    axis: int,
    sample_weight: Any,
    class_weight: Any,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
) -> Any:
    """See softclass.cross_entropy."""
    xp = namespace_of(logits)
    weighed = formula.weighed(xp, logits, logits.shape[axis], targets, axis, sample_weight, class_weight, ignore_index)
    if logits.shape[axis] == 0:
        return formula.reduced(xp, weighed.omega * 0.0, weighed.omega, reduction, formula.sum_type(logits, None))
    losses = formula.losses(xp, formula.live(xp, logits, weighed, axis), weighed, axis, label_smoothing)
    return formula.reduced(xp, losses, weighed.omega, reduction, formula.sum_type(logits, None))


def linear_cross_entropy(
    features: Any,
    weight: Any,
    targets: Any,
    bias: Any,
    sample_weight: Any,
    class_weight: Any,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
) -> Any:
    """See softclass.linear_cross_entropy."""
    xp = namespace_of(features)
    weighed = formula.weighed(xp, features, weight.shape[0], targets, -1, sample_weight, class_weight, ignore_index)
    logits = formula.linear(xp, formula.live(xp, features, weighed, -1), weight, bias)
    losses = formula.losses(xp, logits, weighed, -1, label_smoothing)
    return formula.reduced(xp, losses, weighed.omega, reduction, formula.sum_type(features, None))


def softmax_jacobian(probabilities: Any, axis: int) -> Any:
    """See softclass.softmax_jacobian."""
    xp, p = namespace_of(probabilities), formula.computed(probabilities, None)
    p = xp.moveaxis(p, axis, -1)
    row, column = xp.expand_dims(p, axis=-1), xp.expand_dims(p, axis=-2)
    is_diagonal = formula.class_numbers(xp, row, -2) == formula.class_numbers(xp, column, -1)
    # On the diagonal p (1 - p), the rest as a sum: 1 - p alone is 0 where p rounds to 1.
    others = xp.sum(xp.where(is_diagonal, 0.0, column), axis=-1, keepdims=True)
    jacobian = row * xp.where(is_diagonal, others, -column)
    return xp.astype(jacobian, probabilities.dtype)


def softmax_jvp(probabilities: Any, tangent: Any, axis: int) -> Any:
    """See softclass.softmax_jvp."""
    return softmax_vjp(probabilities, tangent, axis)  # the Jacobian is symmetric


def softmax_vjp(probabilities: Any, cotangent: Any, axis: int) -> Any:
    """See softclass.softmax_vjp."""
    xp, p = namespace_of(probabilities), formula.computed(probabilities, None)
    product = formula.centred_product(xp, p, xp.astype(cotangent, p.dtype), axis)
    return xp.astype(product, probabilities.dtype)


def cross_entropy_value_and_gradient(
    logits: Any,
    targets: Any,
    axis: int,
    sample_weight: Any,
    class_weight: Any,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
    out: Any,
) -> tuple[Any, Any]:
    """See softclass.cross_entropy_value_and_gradient."""
    xp, result_type = namespace_of(logits), formula.result_type(logits, None)
    weighed = formula.weighed(xp, logits, logits.shape[axis], targets, axis, sample_weight, class_weight, ignore_index)
    if logits.shape[axis] == 0:
        loss = formula.reduced(xp, weighed.omega * 0.0, weighed.omega, reduction, formula.sum_type(logits, None))
        return loss, logits
    z = formula.live(xp, logits, weighed, axis)
    losses = formula.losses(xp, z, weighed, axis, label_smoothing)
    scale = formula.scale(xp, weighed, reduction)
    gradient = xp.astype(formula.gradient(xp, z, weighed, axis, label_smoothing, scale), result_type)
    loss = formula.reduced(xp, losses, weighed.omega, reduction, formula.sum_type(logits, None))
    if out is not None:
        out[...] = gradient
    return loss, gradient if out is None else out


def cross_entropy_hvp(
    logits: Any,
    targets: Any,
    tangent: Any,
    axis: int,
    sample_weight: Any,
    class_weight: Any,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
) -> Any:
    """See softclass.cross_entropy_hvp."""
    xp, result_type = namespace_of(logits), formula.result_type(logits, None)
    if logits.shape[axis] == 0:
        return logits
    weighed = formula.weighed(xp, logits, logits.shape[axis], targets, axis, sample_weight, class_weight, ignore_index)
    z = formula.live(xp, logits, weighed, axis)
    u = formula.live(xp, tangent, weighed, axis)
    product = formula.loss_hvp(xp, z, xp.astype(u, z.dtype), weighed, axis, label_smoothing, reduction)
    return xp.astype(product, result_type)


def linear_cross_entropy_value_and_gradient(
    features: Any,
    weight: Any,
    targets: Any,
    bias: Any,
    sample_weight: Any,
    class_weight: Any,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
    wrt: tuple[str, ...],
) -> tuple[Any, Any, Any, Any]:
    """See softclass.linear_cross_entropy_value_and_gradient; returns loss, weight, bias and features gradients."""
    xp = namespace_of(features)
    weighed = formula.weighed(xp, features, weight.shape[0], targets, -1, sample_weight, class_weight, ignore_index)
    x = formula.live(xp, features, weighed, -1)
    logits = formula.linear(xp, x, weight, bias)
    losses = formula.losses(xp, logits, weighed, -1, label_smoothing)
    loss = formula.reduced(xp, losses, weighed.omega, reduction, formula.sum_type(features, None))
    factor = formula.scale(xp, weighed, reduction)
    gradient = xp.astype(formula.gradient(xp, logits, weighed, -1, label_smoothing, factor), logits.dtype)  # (N, K)
    of_weight = of_bias = of_features = None
    if "weight" in wrt:
        of_weight = xp.astype(formula.rows_times(xp, gradient, x), weight.dtype)
    if "bias" in wrt and bias is not None:
        of_bias = xp.astype(formula.sum_of_rows(xp, gradient), bias.dtype)
    if "features" in wrt:
        of_features = xp.astype(xp.matmul(gradient, formula.computed(weight, None)), features.dtype)
    return loss, of_weight, of_bias, of_features


def linear_cross_entropy_hvp(
    features: Any,
    weight: Any,
    targets: Any,
    weight_tangent: Any,
    bias: Any,
    bias_tangent: Any,
    sample_weight: Any,
    class_weight: Any,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
) -> tuple[Any, Any]:
    """See softclass.linear_cross_entropy_hvp; returns the products for the weight and for the bias."""
    xp = namespace_of(features)
    weighed = formula.weighed(xp, features, weight.shape[0], targets, -1, sample_weight, class_weight, ignore_index)
    x = formula.live(xp, features, weighed, -1)
    logits = formula.linear(xp, x, weight, bias)
    u = formula.linear(xp, x, weight_tangent, bias_tangent)
    product = formula.loss_hvp(xp, logits, u, weighed, -1, label_smoothing, reduction)  # (N, K)
    product = xp.astype(product, logits.dtype)
    of_bias = None if bias is None else xp.astype(formula.sum_of_rows(xp, product), bias.dtype)
    return xp.astype(formula.rows_times(xp, product, x), weight.dtype), of_bias


def log_partition_state(logits: Any, axis: int) -> tuple[Any, Any, Any]:
    """Return maximum, its first index and the rest; an empty row is (-inf, -1, -1). NaN is in `rest` alone."""
    xp = namespace_of(logits)
    z = formula.computed(logits, None)
    if z.shape[axis] == 0:
        zeros = xp.sum(z, axis=axis)
        none = xp.astype(zeros, index_type(xp)) - 1
        return zeros - math.inf, none, xp.astype(zeros, wide_float(xp, z)) - 1.0
    is_nan = xp.isnan(z)
    row = formula.row(xp, xp.where(is_nan, -math.inf, z), axis, 1.0)
    n_largest = xp.sum(xp.astype(z == row.m, row.rest.dtype), axis=axis, keepdims=True)
    rest = xp.where(xp.isinf(row.m), n_largest - 1, row.rest)
    rest = xp.where(xp.any(is_nan, axis=axis, keepdims=True), math.nan, rest)
    return tuple(xp.squeeze(values, axis=axis) for values in (row.m, row.k, rest))

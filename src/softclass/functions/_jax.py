"""The functions for JAX: the formulas of `reference`, with derivatives of their own.

A rule of `jax.custom_jvp` is linear in the tangent and made of functions that have such rules again, so reverse mode,
`vmap`, `jit` and any order of derivative follow. Values are checked where they are known: not under tracing.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from softclass.functions import checks, formula, reference

Array: TypeAlias = Any  # jax.Array or a tracer
SUM_TOLERANCE = {"float16": 2e-2, "bfloat16": 2e-2}


def softmax(logits: Array, axis: Any, temperature: float, where: Array, dtype: Any, out: Array) -> Array:
    """See softclass.softmax."""
    _refuse_out("softmax", out)
    return _softmax(*_prepared(logits, where), axis, temperature, formula.result_type(logits, dtype))


def log_softmax(logits: Array, axis: Any, temperature: float, where: Array, dtype: Any, out: Array) -> Array:
    """See softclass.log_softmax."""
    _refuse_out("log_softmax", out)
    return _log_softmax(*_prepared(logits, where), axis, temperature, formula.result_type(logits, dtype))


def logsumexp(logits: Array, axis: Any, where: Array, keepdims: bool, dtype: Any) -> Array:
    """See softclass.logsumexp."""
    return _logsumexp(*_prepared(logits, where), axis, keepdims, formula.sum_type(logits, dtype))


def cross_entropy(
    logits: Array,
    targets: Array,
    axis: int,
    sample_weight: Array,
    class_weight: Array,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
) -> Array:
    """See softclass.cross_entropy."""
    name, n_classes = "cross_entropy", logits.shape[axis]
    _check_values(name, targets, n_classes, axis, sample_weight, class_weight, ignore_index)
    options = (axis, ignore_index, label_smoothing, reduction)
    return _cross_entropy(_as_float(logits), targets, sample_weight, class_weight, name, *options)


def linear_cross_entropy(
    features: Array,
    weight: Array,
    targets: Array,
    bias: Array,
    sample_weight: Array,
    class_weight: Array,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
) -> Array:
    """See softclass.linear_cross_entropy."""
    name, n_classes = "linear_cross_entropy", weight.shape[0]
    _check_values(name, targets, n_classes, -1, sample_weight, class_weight, ignore_index)
    weighed = formula.weighed(jnp, features, n_classes, targets, -1, sample_weight, class_weight, ignore_index)
    logits = formula.linear(jnp, formula.live(jnp, features, weighed, -1), weight, bias)
    options = (-1, ignore_index, label_smoothing, reduction)
    return _cross_entropy(logits, targets, sample_weight, class_weight, name, *options)


def softmax_jacobian(probabilities: Array, axis: int) -> Array:
    """See softclass.softmax_jacobian."""
    return reference.softmax_jacobian(probabilities, axis)


def softmax_jvp(probabilities: Array, tangent: Array, axis: int) -> Array:
    """See softclass.softmax_jvp."""
    return reference.softmax_jvp(probabilities, tangent, axis)


def softmax_vjp(probabilities: Array, cotangent: Array, axis: int) -> Array:
    """See softclass.softmax_vjp."""
    return reference.softmax_vjp(probabilities, cotangent, axis)


def cross_entropy_value_and_gradient(
    logits: Array,
    targets: Array,
    axis: int,
    sample_weight: Array,
    class_weight: Array,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
    out: Array,
) -> tuple[Array, Array]:
    """See softclass.cross_entropy_value_and_gradient."""
    name, z = "cross_entropy_value_and_gradient", _as_float(logits)
    _refuse_out(name, out)
    _check_values(name, targets, logits.shape[axis], axis, sample_weight, class_weight, ignore_index)
    arguments = (z, targets, sample_weight, class_weight, name, axis, ignore_index, label_smoothing, reduction)
    return _cross_entropy(*arguments), _cross_entropy_gradient(*arguments).astype(z.dtype)


def cross_entropy_hvp(
    logits: Array,
    targets: Array,
    tangent: Array,
    axis: int,
    sample_weight: Array,
    class_weight: Array,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
) -> Array:
    """See softclass.cross_entropy_hvp."""
    weighing = (axis, sample_weight, class_weight, ignore_index)
    _check_values("cross_entropy_hvp", targets, logits.shape[axis], *weighing)
    return reference.cross_entropy_hvp(_as_float(logits), targets, tangent, *weighing, label_smoothing, reduction)


def linear_cross_entropy_value_and_gradient(
    features: Array,
    weight: Array,
    targets: Array,
    bias: Array,
    sample_weight: Array,
    class_weight: Array,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
    wrt: tuple[str, ...],
) -> tuple[Array, Array, Array, Array]:
    """See softclass.linear_cross_entropy_value_and_gradient; returns loss, weight, bias and features gradients."""
    weighing = (sample_weight, class_weight, ignore_index)
    _check_values("linear_cross_entropy_value_and_gradient", targets, weight.shape[0], -1, *weighing)
    found: tuple[Array, Array, Array, Array] = reference.linear_cross_entropy_value_and_gradient(
        features, weight, targets, bias, *weighing, label_smoothing, reduction, wrt
    )
    return found


def linear_cross_entropy_hvp(
    features: Array,
    weight: Array,
    targets: Array,
    weight_tangent: Array,
    bias: Array,
    bias_tangent: Array,
    sample_weight: Array,
    class_weight: Array,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
) -> tuple[Array, Array]:
    """See softclass.linear_cross_entropy_hvp; returns the products for the weight and for the bias."""
    weighing = (sample_weight, class_weight, ignore_index)
    _check_values("linear_cross_entropy_hvp", targets, weight.shape[0], -1, *weighing)
    found: tuple[Array, Array] = reference.linear_cross_entropy_hvp(
        features, weight, targets, weight_tangent, bias, bias_tangent, *weighing, label_smoothing, reduction
    )
    return found


def log_partition_state(logits: Array, axis: int) -> tuple[Array, Array, Array]:
    """Return maximum, its first index and the rest of every row."""
    return reference.log_partition_state(logits, axis)


# ---- softmax


@partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4))
def _softmax(logits: Array, where: Array, axis: Any, temperature: float, dtype: Any) -> Array:
    return reference.softmax(logits, axis, temperature, where, dtype, None)


@_softmax.defjvp
def _softmax_rule(axis: Any, temperature: float, dtype: Any, primals: Any, tangents: Any) -> tuple[Array, Array]:
    p = _softmax(*primals, axis, temperature, _wide(primals[0]))
    tangent = tangents[0].astype(p.dtype)
    if isinstance(axis, int):
        slope = formula.centred_product(jnp, p, tangent, axis)
    else:
        slope = p * (tangent - jnp.sum(p * tangent, axis=axis, keepdims=True))
    return p.astype(dtype), (slope / temperature).astype(dtype)


@partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4))
def _log_softmax(logits: Array, where: Array, axis: Any, temperature: float, dtype: Any) -> Array:
    return reference.log_softmax(logits, axis, temperature, where, dtype, None)


@_log_softmax.defjvp
def _log_softmax_rule(axis: Any, temperature: float, dtype: Any, primals: Any, tangents: Any) -> tuple[Array, Array]:
    log_p = _log_softmax(*primals, axis, temperature, dtype)
    p = _softmax(*primals, axis, temperature, _wide(primals[0]))
    is_absent = log_p == -math.inf  # -inf whatever the logits around: no slope
    tangent = jnp.where(is_absent, 0.0, tangents[0].astype(p.dtype))
    slope = (tangent - jnp.sum(p * tangent, axis=axis, keepdims=True)) / temperature
    return log_p, jnp.where(is_absent, 0.0, slope).astype(dtype)


@partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4))
def _logsumexp(logits: Array, where: Array, axis: Any, keepdims: bool, dtype: Any) -> Array:
    return reference.logsumexp(logits, axis, where, keepdims, dtype)


@_logsumexp.defjvp
def _logsumexp_rule(axis: Any, keepdims: bool, dtype: Any, primals: Any, tangents: Any) -> tuple[Array, Array]:
    p = _softmax(*primals, axis, 1.0, _wide(primals[0]))
    slope = jnp.sum(p * tangents[0].astype(p.dtype), axis=axis, keepdims=keepdims)
    return _logsumexp(*primals, axis, keepdims, dtype), slope.astype(dtype)


# ---- losses


@partial(jax.custom_jvp, nondiff_argnums=(4, 5, 6, 7, 8))
def _cross_entropy(
    logits: Array, targets: Array, sample_weight: Array, class_weight: Array, name: str, axis: int, *options: Any
) -> Array:
    ignore_index, label_smoothing, reduction = options
    return reference.cross_entropy(
        logits, targets, axis, sample_weight, class_weight, ignore_index, label_smoothing, reduction
    )


@partial(_cross_entropy.defjvp, symbolic_zeros=True)
def _cross_entropy_rule(name: str, axis: int, *rest: Any) -> tuple[Array, Array]:
    *options, primals, tangents = rest
    _refuse_tangents(name, tangents)
    gradient = _cross_entropy_gradient(*primals, name, axis, *options)
    # Where the gradient is 0 nothing is there that could move, not even NaN.
    product = jnp.where(gradient == 0, 0.0, gradient * tangents[0].astype(gradient.dtype))
    loss = _cross_entropy(*primals, name, axis, *options)
    return loss, (jnp.sum(product, axis=axis) if options[-1] == "none" else jnp.sum(product)).astype(loss.dtype)


@partial(jax.custom_jvp, nondiff_argnums=(4, 5, 6, 7, 8))
def _cross_entropy_gradient(
    logits: Array, targets: Array, sample_weight: Array, class_weight: Array, name: str, axis: int, *options: Any
) -> Array:
    """Return the gradient of the loss, in the type it is computed in."""
    ignore_index, label_smoothing, reduction = options
    if logits.size == 0:
        return logits.astype(_wide(logits))
    weighed = _weighed(logits, targets, sample_weight, class_weight, axis, ignore_index)
    z, factor = formula.live(jnp, logits, weighed, axis), formula.scale(jnp, weighed, reduction)
    return formula.gradient(jnp, z, weighed, axis, label_smoothing, factor).astype(z.dtype)


@partial(_cross_entropy_gradient.defjvp, symbolic_zeros=True)
def _cross_entropy_gradient_rule(name: str, axis: int, *rest: Any) -> tuple[Array, Array]:
    ignore_index, label_smoothing, reduction, primals, tangents = rest
    _refuse_tangents(name, tangents)
    logits, targets, sample_weight, class_weight = primals
    weighed = _weighed(logits, targets, sample_weight, class_weight, axis, ignore_index)
    factor = formula.scale(jnp, weighed, reduction)
    if weighed.index is None:
        q = jnp.sum(weighed.shares, axis=axis)
        factor = factor * ((1 - label_smoothing) * q + label_smoothing)
    z = formula.live(jnp, logits, weighed, axis)
    p = _softmax(z, None, axis, 1.0, z.dtype)
    product = formula.centred_product(jnp, p, tangents[0].astype(z.dtype), axis)
    product = product * jnp.expand_dims(factor.astype(z.dtype), axis)
    product = jnp.where(jnp.expand_dims(weighed.is_live, axis), product, 0.0)
    return _cross_entropy_gradient(*primals, name, axis, ignore_index, label_smoothing, reduction), product


def _weighed(
    logits: Array, targets: Array, sample_weight: Array, class_weight: Array, axis: int, ignore_index: int | None
) -> formula.Weighed:
    return formula.weighed(jnp, logits, logits.shape[axis], targets, axis, sample_weight, class_weight, ignore_index)


def _wide(logits: Array) -> Any:
    return logits.dtype if logits.dtype == jnp.float64 else jnp.dtype("float32")


def _prepared(logits: Array, where: Array) -> tuple[Array, Array]:
    return _as_float(logits), where


def _as_float(logits: Array) -> Array:
    return logits.astype(formula.result_type(logits, None))


# ---- what is refused


def _refuse_out(name: str, out: Array) -> None:
    if out is not None:
        checks.raise_out_refused(name, "for JAX, whose arrays cannot be written")


def _refuse_tangents(where: str, tangents: Any) -> None:
    """Raise SC141 for targets or weights that move: nothing is known about their derivative."""
    for name, tangent in zip(("targets", "sample_weight", "class_weight"), tangents[1:], strict=True):
        if tangent is not None and type(tangent) is not SymbolicZero:
            checks.raise_not_differentiable(where, name)


# ---- values, where they are known


def _check_values(
    where: str,
    targets: Array,
    n_classes: int,
    axis: int,
    sample_weight: Array,
    class_weight: Array,
    ignore_index: int | None,
) -> None:
    """Raise SC121, SC122 or SC142 for values that are known and lie on the CPU; others give NaN."""
    weights = {"sample_weight": sample_weight, "class_weight": class_weight}
    for name, weight in weights.items():
        if weight is not None and _is_known(weight):
            _check_weight(where, name, np.asarray(weight))
    if not _is_known(targets) or (sample_weight is not None and not _is_known(sample_weight)):
        return
    if jnp.issubdtype(targets.dtype, jnp.floating):
        rows = np.moveaxis(np.asarray(targets).astype(np.float64), axis, -1)
        error = np.abs(rows.sum(axis=-1) - 1)
        is_bad = ~((rows >= 0).all(axis=-1) & (error <= SUM_TOLERANCE.get(str(targets.dtype), 1e-3)))
    else:
        index = np.asarray(targets)
        is_bad = (index < 0) | (index >= n_classes)
        if ignore_index is not None:
            is_bad &= index != ignore_index
    if sample_weight is not None:
        is_bad &= np.asarray(sample_weight) != 0
    if not is_bad.any():
        return
    first, n_bad = int(is_bad.argmax()), int(is_bad.sum())
    if jnp.issubdtype(targets.dtype, jnp.floating):
        checks.raise_bad_distribution(where, rows.reshape(-1, n_classes), is_bad.shape, first, n_bad)
    checks.raise_bad_index(where, index, n_classes, first, n_bad)


def _check_weight(where: str, name: str, weight: Any) -> None:
    is_bad = ~((weight >= 0) & (weight < math.inf))
    if is_bad.any():
        first = int(is_bad.argmax())
        checks.raise_bad_weight(where, name, weight.shape, first, float(weight.flat[first]), int(is_bad.sum()))
    if weight.size and not weight.any():
        checks.raise_zero_weights(where, name, weight.size)


def _is_known(array: Array) -> bool:
    """Tell whether the numbers are there to be read at no cost: no tracer, and on the CPU."""
    return not isinstance(array, jax.core.Tracer) and all(device.platform == "cpu" for device in array.devices())
